"""Synthetic images whose class information sits in named bands, in known amounts: does the tool tell the truth?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spectrobe.bands import BandPartition
from spectrobe.data.base import DataOptions, ImageData, identity_of
from spectrobe.errors import InputError
from spectrobe.models.base import Geometry, Model
from spectrobe.models.planted import PlantedSpec


class Planted(ImageData):
    """Images drawn from a `PlantedSpec`, every class as often as the others; an image depends on the seed and its id.

    model: the Bayes classifier, which reads every band as well as can be.   expected: its Shapley values (M,), in nats,
    of the value `usable-information`, worked out by quadrature from d' alone.
    """

    in_memory = True
    labels: np.ndarray

    def __init__(self, spec: PlantedSpec, name: str = "planted") -> None:
        self.spec, self.name = spec, name
        self.ids = tuple(map(str, range(spec.images)))
        self.labels = np.arange(spec.images) % spec.classes

    @property
    def bands(self) -> BandPartition:
        """The partition in which the information is planted."""
        return self.spec.bands

    @property
    def model(self) -> Model:
        """The Bayes classifier."""
        return self.spec.reader(name="planted Bayes classifier")

    @property
    def expected(self) -> np.ndarray:
        """Shapley values of the Bayes classifier: float64 (M,), in nats."""
        return self.spec.expected_shapley()

    def reader(self, gains: Sequence[float] | Mapping[int, float]) -> Model:
        """A classifier that reads bands with gains of its own: one a band, or a mapping of band to gain (0 elsewhere).

        `{5: 1.0}` uses band 5 only, `{}` ignores its input.
        """
        return self.spec.reader(gains, "planted reader")

    def expected_for(self, gains: Sequence[float] | Mapping[int, float]) -> np.ndarray:
        """Shapley values of `reader(gains)`: float64 (M,), in nats."""
        return self.spec.expected_shapley(gains)

    def images(self) -> Tensor:
        """All images: float32 (N, C, H, W)."""
        return torch.stack([self.pixels(index, Geometry()) for index in range(len(self))])

    def pixels(self, index: int, geometry: Geometry) -> Tensor:
        if geometry.size not in (None, self.spec.size) or (geometry.size and geometry.channels != self.spec.channels):
            raise InputError(
                f"the planted images have {self.spec.channels} channel(s) and {self.spec.size} pixels, the model takes "
                f"{geometry.channels} and {geometry.size}: plant images of the model's size (size=..., channels=...)"
            )
        return self.spec.image(self.ids[index], int(self.labels[index]))

    def identity(self) -> Mapping[str, Any]:
        return identity_of(self, how_labelled="planted", planted=self.spec.to_dict())


def planted(
    dprime: float | Sequence[float] | Mapping[int, float],
    *,
    bands: int | str | BandPartition = 8,
    images: int = 500,
    size: int | tuple[int, int] = 32,
    channels: int = 3,
    classes: int = 2,
    sigma: float = 1 / 16,
    seed: int = 0,
) -> Planted:
    """Synthetic images whose class information sits in named bands, with the classifier and the profile that are right.

    dprime: how well each band tells the class, d' of its evidence: {2: 1.5, 5: 1.0} (0 elsewhere), one value a band, or
        one for all. Information in nats follows from it alone.
    bands: the partition.   classes: a power of 2, each bit planted with these d'.   size: side, or (height, width).
    sigma: standard deviation of the white noise about grey 0.5, in pixel units.

    The derivation is in docs/how-to/planted.md. Raises InputError for bands that do not exist or have no room, and for
    a sigma at which a pixel might leave [0, 1], naming the largest that works.
    """
    more = {"images": images, "channels": channels, "classes": classes, "sigma": sigma, "seed": seed}
    return Planted(PlantedSpec.of(dprime, bands, size, **more))


def open_planted(argument: str, options: DataOptions) -> Planted:
    """The data string `planted:bands=8;dprime=2:1.5,5:1;images=500`."""
    spec = PlantedSpec.parse(argument)
    options.refuse("planted images", "class_map", "image_column", "label_column", "split")
    if options.n_classes not in (None, spec.classes):
        raise InputError(f"the planted images are of {spec.classes} classes, the model has {options.n_classes}")
    return Planted(spec, f"planted:{argument}")
