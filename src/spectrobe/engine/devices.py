"""Which device a run uses."""

from __future__ import annotations

import torch

from spectrobe.errors import InputError
from spectrobe.models.base import Model


def resolve_device(device: str, model: Model, given_by_name: bool) -> torch.device:
    """ "auto": the accelerator for a model given by name; for the caller's own model, the device it is on.

    Raises InputError when the device asked for is not there.
    """
    if device == "auto":
        return _accelerator() if given_by_name and model.differentiable else model.device
    try:
        wanted = torch.device(device)
    except (RuntimeError, TypeError):
        raise InputError(f"expected device auto, cpu, cuda, cuda:0, ... or mps, got {device!r}") from None
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(wanted.type, False):
        there = ", ".join(name for name, yes in available.items() if yes)
        raise InputError(f"device {device!r} is not available here (available: {there})")
    if wanted.type == "cuda" and (wanted.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device {device!r} is not available here ({torch.cuda.device_count()} CUDA devices are)")
    return wanted


def _accelerator() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
