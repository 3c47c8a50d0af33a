"""What tells one image from another: short digests of pixels and of encoded bytes."""

from __future__ import annotations

import hashlib

import numpy as np
from torch import Tensor


def content_digest(pixels: Tensor) -> str:
    """16 hexadecimal digits that tell images apart by shape and content: BLAKE2b of float32 pixels (C, H, W)."""
    array = np.ascontiguousarray(pixels.detach().cpu().numpy(), dtype="<f4")
    digest = hashlib.blake2b(repr(array.shape).encode(), digest_size=8)
    digest.update(array.tobytes())
    return digest.hexdigest()


def bytes_digest(*parts: bytes) -> str:
    """16 hexadecimal digits of the content of a file, or of several things in order."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()
