"""Whether float32 products and convolutions round their factors (on CUDA to TF32), said for a while and put back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    if _newer():
        return [(_backend(name), "fp32_precision", "tf32", "ieee") for name in _ON_CUDA]
    return [(one, "allow_tf32", True, False) for one in (torch.backends.cuda.matmul, torch.backends.cudnn)]


def rounding() -> dict[str, Any]:
    """How this process rounds float32 products now, on CUDA and on the CPU: name of a switch -> its value."""
    if _newer():
        found = {name: _backend(name) for name in _SWITCHES}
        return {name: one.fp32_precision for name, one in found.items() if one is not None}
    return {"matmul": torch.get_float32_matmul_precision(), "cudnn": torch.backends.cudnn.allow_tf32}


def set_rounding(switches: Mapping[str, Any]) -> None:
    """Round as a process of the same torch does whose `rounding` this is."""
    for name, value in switches.items():
        if name == "matmul":
            torch.set_float32_matmul_precision(value)
        elif name == "cudnn":
            torch.backends.cudnn.allow_tf32 = value
        else:
            _backend(name).fp32_precision = value


_ON_CUDA = ("cuda.matmul", "cudnn.conv", "cudnn.rnn")
_SWITCHES = (*_ON_CUDA, "mkldnn.matmul", "mkldnn.conv", "mkldnn.rnn")


def _newer() -> bool:
    """Whether torch has a switch a backend: from 2.9 on, where reading the older flags may raise."""
    return hasattr(torch.backends.cudnn, "conv")


def _backend(name: str) -> Any:
    library, _, what = name.partition(".")
    return getattr(getattr(torch.backends, library), what, None)
