"""bfloat16 only where it is faster and does not move the answer; float32 otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spectrobe.engine.batching import noise, seconds_per_batch
from spectrobe.errors import InputError, ModelOutputError
from spectrobe.models.base import Model, Precision

N_GUARD = 64
"""The guard compares the two precisions on up to this many images, the first in seeded order."""
_WORTH, _ALTERNATIONS, _HOPELESS = 1.1, 3, 3

_BOTH: tuple[Precision, Precision] = ("float32", "bfloat16")

RowsOf = Callable[[Callable[[Tensor], Tensor]], np.ndarray]


@dataclass(frozen=True)
class PrecisionChoice:
    """Which precision was taken and why, for run.json."""

    precision: Precision
    why: str


def check_precision(precision: str) -> None:
    """Raise InputError unless it is "auto" or one of the precisions."""
    if precision not in ("auto", *_BOTH):
        raise InputError(f"expected precision 'auto', 'float32' or 'bfloat16', got {precision!r}")


def choose_precision(
    precision: str,
    model: Model,
    device: torch.device,
    batch_size: int,
    shape: torch.Size,
    rows_of: RowsOf,
    n_images: int,
) -> PrecisionChoice:
    """Settle the precision before a run.

    shape: (C, H, W) of an image.   rows_of: plays the game on the guard's images with a forward function, giving
    per-image Shapley values (n, M). bfloat16 is taken when it is at least 1.1 times faster on a batch and moves every
    Shapley value by less than a tenth of the standard error forecast for `n_images` images.
    """
    check_precision(precision)
    for name in _BOTH:
        if precision == name:
            return PrecisionChoice(name, "asked for")
    if not model.differentiable or "bfloat16" not in model.precisions:
        return PrecisionChoice("float32", "this kind of model has a precision of its own")
    batch = noise(batch_size, shape, device)
    # CPUs without instructions for it are tens of times slower in bfloat16: one image rules it out
    gain = _gain(model, device, batch[:1], alternations=1)
    if gain > 1 / _HOPELESS:
        gain = _gain(model, device, batch, _ALTERNATIONS)
    if gain < _WORTH:
        return PrecisionChoice("float32", f"bfloat16 is {gain:.2f} times as fast here")
    faster = f"bfloat16 is {gain:.2f} times as fast here"
    rows = {}
    for name in _BOTH:
        try:
            with model.prepared(device, name) as forward:
                rows[name] = rows_of(forward)
        except ModelOutputError:
            if name == "float32":
                raise
            return PrecisionChoice("float32", f"{faster}, and its logits are not finite")
    if len(rows["float32"]) < 2:
        return PrecisionChoice("float32", f"{faster}, and there are too few images to see what it moves")
    stderr = rows["float32"].std(axis=0, ddof=1) / np.sqrt(n_images)
    shift = np.abs(rows["bfloat16"].mean(axis=0) - rows["float32"].mean(axis=0))
    worst = float(np.max(shift / np.maximum(stderr, 1e-12)))
    moved = f"{faster} and moves a Shapley value by {worst:.2f} standard errors at most"
    return PrecisionChoice("bfloat16" if worst < 0.1 else "float32", moved)


def _gain(model: Model, device: torch.device, batch: Tensor, alternations: int) -> float:
    """How many times faster bfloat16 is than float32 on `batch`: shortest times of both, taken in turns."""
    seconds: dict[Precision, float] = dict.fromkeys(_BOTH, float("inf"))
    for _ in range(alternations):
        for name in _BOTH:
            with model.prepared(device, name) as forward:
                seconds[name] = min(seconds[name], seconds_per_batch(forward, batch, repeats=1))
    return seconds["float32"] / seconds["bfloat16"]
