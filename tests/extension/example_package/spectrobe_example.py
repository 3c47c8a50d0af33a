"""A package of someone else's that adds one of everything to spectrobe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spectrobe.data import DataOptions, ImageData
from spectrobe.engine.absence import Absence, Surroundings
from spectrobe.errors import InputError
from spectrobe.game.table import PayoffTable
from spectrobe.game.temperature import UNIT
from spectrobe.game.values import Value
from spectrobe.models import Geometry, Model, ModelOptions, Preprocessing
from spectrobe.models.module import ModuleModel
from spectrobe.perturbations import Perturbation
from spectrobe.seeding import numpy_generator, torch_generator


class TrueProbability(Value):
    """The probability that the model gives the label, at its own temperature."""

    name, unit = "true-probability", "probability"

    def payoffs(self, table: PayoffTable, tau: np.ndarray) -> np.ndarray:
        return np.exp(table.log_q[:, :, UNIT].astype(np.float64))


class MeanColour(Absence):
    """A flat image of the data set's mean colour, the same for all images."""

    name, constant = "mean-colour", True

    @classmethod
    def measure(cls, surroundings: Surroundings) -> dict[str, Tensor]:
        return {"colour": surroundings.mean_of(lambda images: images.mean((2, 3)))}

    def images(self, positions: Sequence[int], shape: torch.Size) -> Tensor:
        return self.state["colour"][:, None, None].expand(shape)


class Checkerboard(Perturbation):
    """Adds a checkerboard of one pixel a field, black or white first as the seed and the image's id have it."""

    name = "checkerboard"

    def __init__(self, amplitude: float) -> None:
        if not 0 < amplitude <= 1:
            raise InputError(f"expected an amplitude in (0, 1], got {amplitude}")
        self.amplitude = amplitude

    @property
    def settings(self) -> dict[str, object]:
        return {"amplitude": self.amplitude}

    def _perturb(self, x: Tensor, labels: Tensor | None, ids: Sequence[str], seed: int) -> Tensor:
        rows, columns = (torch.arange(size, device=x.device) for size in x.shape[-2:])
        board = ((rows[:, None] + columns) % 2 * 2 - 1).to(x.dtype)
        first = [1 - 2 * int(numpy_generator(seed, image_id, self.name).integers(2)) for image_id in ids]
        return x + self.amplitude * torch.tensor(first, device=x.device)[:, None, None, None] * board


class Brightness(nn.Module):
    """Tells classes apart by how bright an image is."""

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.register_buffer("levels", torch.linspace(0, 1, n_classes))

    def forward(self, x: Tensor) -> Tensor:
        return -50 * (x.mean((1, 2, 3))[:, None] - self.levels).square()


def open_brightness(target: str, options: ModelOptions) -> Model:
    """The model `brightness:K`, with K classes."""
    if not target.isdigit() or int(target) < 2:
        raise InputError(f"expected brightness:K with K classes, at least 2, got brightness:{target}")
    n_classes = int(target)
    preprocessing = Preprocessing(Geometry(size=(16, 16), resize=16)).overridden(options)
    return ModuleModel(Brightness(n_classes), f"brightness:{target}", preprocessing, n_classes)


class Waves(ImageData):
    """N images of noise, each about a grey of its own; the label says how bright it is."""

    in_memory = True

    def __init__(self, n: int, n_classes: int) -> None:
        self.name = f"waves:{n}"
        self.ids = tuple(f"wave {i}" for i in range(n))
        self.labels = np.arange(n) % n_classes
        self.levels = np.linspace(0, 1, n_classes)

    def pixels(self, index: int, geometry: Geometry) -> Tensor:
        height, width = geometry.size or (16, 16)
        draws = torch_generator(0, self.ids[index], "waves")
        noise = 0.1 * torch.randn(geometry.channels, height, width, generator=draws)
        grey = 0.8 * self.levels[self.labels[index]] + 0.1
        return (grey + 0.1 * torch.randn((), generator=draws) + noise).clamp(0, 1)

    def identity(self) -> Mapping[str, Any]:
        return {"name": self.name, "version": 1}


def open_waves(argument: str, options: DataOptions) -> ImageData:
    """The data `waves:N`, with as many classes as the model has."""
    if not argument.isdigit():
        raise InputError(f"expected waves:N with N images, got waves:{argument}")
    return Waves(int(argument), options.n_classes or 2)
