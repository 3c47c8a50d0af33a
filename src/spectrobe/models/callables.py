"""Adapter for a plain callable (N, C, H, W) -> (N, K): whatever it does inside is its own affair."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from spectrobe.models.adapter import Adapter
from spectrobe.models.base import Precision
from spectrobe.models.options import Preprocessing


class CallableModel(Adapter):
    """A function of a batch of pixels. It gets them on the device asked for; it may return a tensor or a numpy array.

    Nobody can see its weights, its mode or its precision: float32 only, no gradients promised, and `identity` says
    "unhashed".
    """

    differentiable = False

    def __init__(
        self,
        function: Callable[[Tensor], Any],
        name: str | None = None,
        preprocessing: Preprocessing | None = None,
        n_classes: int | None = None,
        class_names: tuple[str, ...] = (),
    ) -> None:
        self.function = function
        self.qualname = _qualname(function)
        super().__init__(
            name or self.qualname.rpartition(".")[2], preprocessing or Preprocessing(), n_classes, class_names
        )

    @contextmanager
    def prepared(self, device: torch.device, precision: Precision = "float32") -> Iterator[Callable[[Tensor], Tensor]]:
        self.require(precision, device)
        before, self.device = self.device, device
        try:
            yield self._logits
        finally:
            self.device = before

    def _outputs(self, x: Tensor) -> Any:
        return self.function(x)

    def _logits(self, pixels: Tensor) -> Tensor:
        return super()._logits(pixels).to(self.device)

    def _weights(self) -> Mapping[str, Any]:
        return {"weights_sha256": "unhashed", "class": self.qualname}


def _qualname(function: object) -> str:
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"
