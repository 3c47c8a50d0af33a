"""Whether float32 products and convolutions on CUDA round their factors to TF32, said for a while and put back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def float32_products(tf32: bool) -> Iterator[None]:
    """Let CUDA round factors of float32 products to TF32 (10 bits of fraction), or not, inside the block.

    PyTorch's default rounds those of convolutions and not those of matrix products. The caller's settings come back.
    """
    settings = _settings()
    before = [(holder, name, getattr(holder, name)) for holder, name, _, _ in settings]
    try:
        for holder, name, rounded, whole in settings:
            setattr(holder, name, rounded if tf32 else whole)
        yield
    finally:
        for holder, name, value in before:
            setattr(holder, name, value)


def _settings() -> list[tuple[Any, str, Any, Any]]:
    """Where it is set: holder, name, value for TF32 and for full float32."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    if hasattr(cudnn, "conv"):  # from torch 2.9 on, where reading the older flags may raise
        return [(one, "fp32_precision", "tf32", "ieee") for one in (matmul, cudnn.conv, cudnn.rnn)]
    return [(one, "allow_tf32", True, False) for one in (matmul, cudnn)]
