"""The class behind every corruption: severity, size, channels, one generator an image; formulas are short functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from spectrobe.errors import InputError
from spectrobe.perturbations.base import Perturbation
from spectrobe.perturbations.corruptions.parameters import SEVERITIES, parameters
from spectrobe.perturbations.registry import register
from spectrobe.seeding import numpy_generator

LEAST_SIDE = 8

Formula = Callable[..., Tensor]
"""(image (C, H, W) float32 in [0, 1], numpy generator, **numbers of the table) -> (C, H, W), clipped by the caller."""

_FORMULAS: dict[str, Formula] = {}


class Corruption(Perturbation):
    """A corruption of ImageNet-C at a severity from 1 to 5 (Hendrycks & Dietterich 2019, arXiv 1903.12261).

    Images (N, C, H, W) in [0, 1] with C = 1 or 3 and sides of 8 px or more (meant for 32 to 1,000), square or not. The
    numbers behind a severity depend on the shorter side: `parameters.py` has them. Each image is corrupted alone, with
    random numbers drawn on the CPU from (seed, image id, name, severity): batch, order, workers and device never
    change the draw.

    quantize: round the result to multiples of 1/255. Off by default: a model is fed floats, and rounding would add
    white noise of -58.9 dB to every corruption. (ImageNet-C's files are 8-bit, cut rather than rounded, so they are
    half a level darker.)

    Raises InputError for another severity, another number of channels or smaller images.
    """

    def __init__(self, name: str, severity: int, quantize: bool = False) -> None:
        if name not in _FORMULAS:
            raise InputError(f"unknown corruption {name!r}: known are {', '.join(_FORMULAS)}")
        if isinstance(severity, bool) or severity not in SEVERITIES:
            raise InputError(f"expected a severity of {name} from 1 to 5 (a whole number), got {severity!r}")
        self.name = name
        self.severity = int(severity)
        self.quantize = bool(quantize)

    @property
    def settings(self) -> dict[str, object]:
        return {"severity": self.severity, **({"quantize": True} if self.quantize else {})}

    def _perturb(self, x: Tensor, labels: Tensor | None, ids: Sequence[str], seed: int) -> Tensor:
        channels, height, width = x.shape[1:]
        if channels not in (1, 3):
            raise InputError(f"{self} expected grey or RGB images (1 or 3 channels), got {channels} channels")
        if min(height, width) < LEAST_SIDE:
            raise InputError(f"{self} expected sides of {LEAST_SIDE} px or more, got {height} x {width}")
        numbers = parameters(self.name, self.severity, min(height, width))
        # Image by image: the same operations on the same shapes give the same bits whatever the batch.
        y = torch.stack([self._corrupt(image, image_id, seed, numbers) for image, image_id in zip(x, ids, strict=True)])
        return torch.round(y * 255) / 255 if self.quantize else y

    def _corrupt(self, image: Tensor, image_id: str, seed: int, numbers: dict[str, float]) -> Tensor:
        generator = numpy_generator(seed, image_id, self.name, self.severity)
        return _FORMULAS[self.name](image.contiguous(), generator, **numbers).clamp(0, 1)


def corruption(formula: Formula) -> Formula:
    """Register a formula under its function's name; its numbers are the row of that name in `parameters.TABLE`."""
    name = formula.__name__
    _FORMULAS[name] = formula
    register(name, partial(Corruption, name), summary=(formula.__doc__ or "").partition("\n")[0])
    return formula


def normal(generator: np.random.Generator, shape: Sequence[int], like: Tensor) -> Tensor:
    """Standard normal numbers, float32, drawn on the CPU and moved to `like`'s device."""
    return torch.from_numpy(generator.standard_normal(tuple(shape), dtype=np.float32)).to(like.device)


def uniform(generator: np.random.Generator, shape: Sequence[int], like: Tensor) -> Tensor:
    """Uniform numbers in [0, 1), float32, drawn on the CPU and moved to `like`'s device."""
    return torch.from_numpy(generator.random(tuple(shape), dtype=np.float32)).to(like.device)
