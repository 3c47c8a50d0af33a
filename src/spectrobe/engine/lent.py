"""A model lent for a run as something that can be sent to another process, which then lends it to itself."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spectrobe.models.base import Model, Precision

_here = ExitStack()
"""Models that came from another process stay lent until this one ends, or until `give_back`."""


@dataclass(frozen=True)
class Lent:
    """The forward function of a model that is on `device`, in eval mode, in `precision`.

    Pickled, it is the model and how to lend it; where it arrives, it is lent anew.
    """

    model: Model
    device: torch.device
    precision: Precision
    forward: Callable[[Tensor], Tensor]

    def __call__(self, pixels: Tensor) -> Tensor:
        return self.forward(pixels)

    def __reduce__(self) -> tuple[Any, ...]:
        return _lend_here, (self.model, self.device, self.precision)


def lend(model: Model, device: torch.device, precision: Precision, stack: ExitStack) -> Lent:
    """Lend a model until `stack` ends."""
    return Lent(model, device, precision, stack.enter_context(model.prepared(device, precision)))


def give_back() -> None:
    """End the lending of all models that came from another process."""
    _here.close()


def _lend_here(model: Model, device: torch.device, precision: Precision) -> Lent:
    return lend(model, device, precision, _here)
