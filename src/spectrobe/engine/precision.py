"""bfloat16, or TF32 on CUDA, only where it is faster and does not move the answer; float32 otherwise."""

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
_WORTH, _ALTERNATIONS, _HOPELESS, _MOST_SHIFT = 1.1, 3, 3, 0.1

PRECISIONS: tuple[Precision, ...] = ("float32", "tf32", "bfloat16")

RowsOf = Callable[[Callable[[Tensor], Tensor]], np.ndarray]


@dataclass(frozen=True)
class PrecisionChoice:
    """Which precision was taken and why, for run.json."""

    precision: Precision
    why: str


def check_precision(precision: str) -> None:
    """Raise InputError unless it is "auto" or one of the precisions."""
    if precision not in ("auto", *PRECISIONS):
        raise InputError(f"expected precision 'auto', 'float32', 'tf32' or 'bfloat16', got {precision!r}")


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
    per-image Shapley values (n, M). A lower one is taken when it is at least 1.1 times faster on a batch and moves
    every Shapley value by less than a tenth of the standard error forecast for `n_images` images; of two, the faster.
    """
    check_precision(precision)
    for name in PRECISIONS:
        if precision == name:
            return PrecisionChoice(name, "asked for")
    lower = [name for name in model.precisions if name == "bfloat16" or (name == "tf32" and device.type == "cuda")]
    if not model.differentiable or not lower:
        return PrecisionChoice("float32", "this kind of model has a precision of its own")
    gains = {name: _gain(model, device, noise(batch_size, shape, device), name) for name in lower}
    reasons = []
    rows: dict[Precision, np.ndarray] = {}
    for name in sorted(lower, key=lambda one: -gains[one]):
        faster = f"{name} is {gains[name]:.2f} times as fast here"
        if gains[name] < _WORTH:
            reasons.append(faster)
            continue
        try:
            for one in ("float32", name):
                if one not in rows:
                    with model.prepared(device, one) as forward:
                        rows[one] = rows_of(forward)
        except ModelOutputError:
            if "float32" not in rows:
                raise
            reasons.append(f"{faster}, and its logits are not finite")
            continue
        if len(rows["float32"]) < 2:
            reasons.append(f"{faster}, and there are too few images to see what it moves")
            continue
        stderr = rows["float32"].std(axis=0, ddof=1) / np.sqrt(n_images)
        shift = np.abs(rows[name].mean(axis=0) - rows["float32"].mean(axis=0))
        worst = float(np.max(shift / np.maximum(stderr, 1e-12)))
        reasons.append(f"{faster} and moves a Shapley value by {worst:.2f} standard errors at most")
        if worst < _MOST_SHIFT:
            return PrecisionChoice(name, "; ".join(reasons))
    return PrecisionChoice("float32", "; ".join(reasons))


def _gain(model: Model, device: torch.device, batch: Tensor, name: Precision) -> float:
    """How many times faster a precision is than float32 on `batch`: shortest times of both, taken in turns."""
    # CPUs without instructions for bfloat16 are tens of times slower in it: one image rules it out
    gain = _turns(model, device, batch[:1], name, alternations=1)
    return gain if gain <= 1 / _HOPELESS else _turns(model, device, batch, name, _ALTERNATIONS)


def _turns(model: Model, device: torch.device, batch: Tensor, name: Precision, alternations: int) -> float:
    both: tuple[Precision, Precision] = ("float32", name)
    seconds: dict[Precision, float] = dict.fromkeys(both, float("inf"))
    for _ in range(alternations):
        for one in both:
            with model.prepared(device, one) as forward:
                seconds[one] = min(seconds[one], seconds_per_batch(forward, batch, repeats=1))
    return seconds["float32"] / seconds[name]
