"""From image tensors to PNG files for a browser, with a note wherever what is shown is not the values themselves."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image
from torch import Tensor

THUMBNAIL = 96  # px, the shorter side
_ROUNDING = 1e-3  # of the brightness range: so far beyond it the transform's rounding may lead
_WORTH_A_NOTE = 0.01  # share of the values


@dataclass(frozen=True)
class Picture:
    """A PNG file. note: how it differs from the values it shows, empty where it does not.   gain: of its contrast."""

    png: bytes
    note: str = ""
    gain: float = 1


def as_it_is(image: Tensor) -> Picture:
    """An image (C, H, W), C = 1 or 3, cut to [0, 1]; the note says so where more than 1 % of the values are cut."""
    outside = float(((image < -_ROUNDING) | (image > 1 + _ROUNDING)).float().mean())
    cut = f"{outside:.0%} of its values lie beyond black or white: cut here, not for the model"
    return Picture(_png(image), cut if outside > _WORTH_A_NOTE else "")


def around_grey(image: Tensor, gain: float = 1) -> Picture:
    """An image (C, H, W) without a mean of its own, times `gain`, mid-grey where it is zero."""
    return Picture(_png(0.5 + gain * image), "grey is zero", gain)


def thumbnail(image: Tensor) -> bytes:
    """A small PNG of an image (C, H, W) in [0, 1]."""
    small = _as_pillow(image)
    shorter = min(small.size)
    if shorter > THUMBNAIL:
        small = small.resize((small.width * THUMBNAIL // shorter, small.height * THUMBNAIL // shorter))
    return _saved(small)


def _png(image: Tensor) -> bytes:
    return _saved(_as_pillow(image))


def _as_pillow(image: Tensor) -> Image.Image:
    levels = (image.detach().cpu().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    return Image.fromarray(np.ascontiguousarray(levels[..., 0] if levels.shape[2] == 1 else levels))


def _saved(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "PNG", compress_level=1)  # the page is on this machine: time counts, size does not
    return buffer.getvalue()
