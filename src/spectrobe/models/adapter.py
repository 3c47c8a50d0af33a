"""What all adapters share: normalisation, the reading of outputs, and the identity that a run records."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from spectrobe.errors import InputError
from spectrobe.models.base import Model
from spectrobe.models.identity import versions
from spectrobe.models.options import Preprocessing
from spectrobe.models.output import to_logits


class Adapter(Model):
    """Normalises, calls `_outputs` and reads what came; a new adapter writes `_outputs` and `_weights`."""

    libraries: tuple[str, ...] = ("torch",)  # whose versions `identity` records

    def __init__(
        self,
        name: str,
        preprocessing: Preprocessing,
        n_classes: int | None = None,
        class_names: tuple[str, ...] = (),
        notes: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.geometry = preprocessing.geometry
        self.mean, self.std = preprocessing.mean, preprocessing.std
        self.n_classes = n_classes
        self.class_names = class_names or None
        self.notes = notes
        if class_names and n_classes is None:
            self.n_classes = len(class_names)
        if class_names and len(class_names) != self.n_classes:
            raise InputError(f"{name}: expected {self.n_classes} class names, one a class, got {len(class_names)}")
        self._constants: dict[torch.device, tuple[Tensor, Tensor]] = {}

    @abstractmethod
    def _outputs(self, x: Tensor) -> Any:
        """Normalised images (N, C, H, W) -> whatever the model returns."""

    @abstractmethod
    def _weights(self) -> Mapping[str, Any]:
        """What identifies the weights: {"weights_sha256": ...} and what else there is to say."""

    def forward(self, pixels: Tensor) -> Tensor:
        return self._logits(pixels)

    def identity(self) -> Mapping[str, Any]:
        return {
            "name": self.name,
            "adapter": type(self).__name__,
            **self._weights(),
            "n_classes": self.n_classes,
            "mean": None if self.mean is None else list(self.mean),
            "std": None if self.std is None else list(self.std),
            "geometry": {
                key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self.geometry).items()
            },
            "notes": list(self.notes),
            "versions": versions(*self.libraries),
        }

    def _logits(self, pixels: Tensor) -> Tensor:
        logits = to_logits(self._outputs(self._normalised(pixels)), len(pixels), self.n_classes, self.name)
        self.n_classes = logits.shape[1]
        return logits

    def _normalised(self, pixels: Tensor) -> Tensor:
        x = pixels.to(device=self.device, dtype=torch.float32)
        if self.mean is None or self.std is None:
            return x
        if x.device not in self._constants:
            with torch.inference_mode(False):  # they are kept, and a later pass may want gradients
                mean, std = (torch.tensor(one, device=x.device).view(1, -1, 1, 1) for one in (self.mean, self.std))
            self._constants[x.device] = mean, std
        mean, std = self._constants[x.device]
        return x.sub(mean).div_(std)


def agreed_classes(name: str, asked: int | None, has: int | None) -> int | None:
    """The class count where what was asked for and what the model has agree; else InputError with both numbers."""
    if asked is not None and has is not None and asked != has:
        raise InputError(f"{name}: expected num_classes={asked} as asked, got a model of {has} classes")
    return has if asked is None else asked
