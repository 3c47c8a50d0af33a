"""What a model is: pixels (N, C, H, W) float32 in [0, 1] -> logits (N, K). Everything else belongs to its adapter."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from spectrobe.errors import InputError

Precision = Literal["float32", "tf32", "bfloat16"]


@dataclass(frozen=True)
class Geometry:
    """How an image file becomes the pixels a model is given (before normalisation, which the adapter owns).

    size: (height, width) of the model's input; None means images are used at the size they have.
    resize: what the image is resized to before the centre crop: an int for the shorter side, (height, width)
        for both, None for no resize.
    interpolation: Pillow's name of the filter: "nearest", "bilinear", "bicubic", "lanczos", "box", "hamming".
    antialias: whether the filter widens when it shrinks (Pillow always does; recorded in run.json).
    channels: 3 for RGB, 1 for grey.
    """

    size: tuple[int, int] | None = None
    resize: int | tuple[int, int] | None = None
    interpolation: str = "bicubic"
    antialias: bool = True
    channels: int = 3


class Model(ABC):
    """One classifier, whatever library it comes from.

    Subclasses set `name` (the model string, or a readable name), `geometry`, `n_classes` (None when unknown
    before the first forward pass), `mean` and `std` (one float a channel, or None: no normalisation),
    `device`, `differentiable` (gradients reach the pixels), `precisions` (those that `prepared` takes), and
    `class_names` (or None); they implement `forward` and `identity`.
    `written` is the model string that opened it, with what was said beside the string; empty for objects. It is how to
    open the model again, and no part of what it is.
    """

    name: str
    geometry: Geometry
    n_classes: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    device: torch.device = torch.device("cpu")
    differentiable: bool = True
    precisions: tuple[Precision, ...] = ("float32",)
    class_names: tuple[str, ...] | None = None
    written: str = ""
    opened_from: tuple[str, Mapping[str, Any]] | None = None
    """The model string, and the options said beside it, that open this model again; None for one given as an object."""

    @abstractmethod
    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels (N, C, H, W) float32 in [0, 1] on `self.device` -> logits (N, K); normalises first."""

    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """What makes this model this model, JSON-able: name, weights hash, mean, std, geometry, library versions."""

    @contextmanager
    def prepared(self, device: torch.device, precision: Precision = "float32") -> Iterator[Callable[[Tensor], Tensor]]:
        """Lend the forward function with the model on `device`, in eval mode and its fastest memory format.

        On leaving, the caller's model is in the mode, device and memory format it was in. Gradients are neither
        switched on nor off here. InputError for a precision that is not among `precisions`.
        """
        self.require(precision, device)
        yield self.forward

    def require(self, precision: Precision, device: torch.device) -> None:
        """InputError for a precision that the model cannot be prepared in on this device."""
        if precision not in self.precisions:
            raise InputError(f"{self.name}: expected precision {' or '.join(self.precisions)}, got {precision}")
        if precision == "tf32" and device.type != "cuda":
            raise InputError(f"precision 'tf32' needs a CUDA device, got {device.type}: use float32 or bfloat16")
