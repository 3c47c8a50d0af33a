"""What stands in for a band that is absent: one class an absence. Drawn by (seed, image id), the same for every model.

Absences of other packages are found through the entry point group "spectrobe.absences" (a subclass of Absence).
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import ClassVar

import torch
from torch import Tensor

from spectrobe.errors import InputError
from spectrobe.seeding import numpy_generator, seeded_order, torch_generator

N_STATISTICS = 512
"""The data set's mean and mean spectrum are those of its first 512 images in seeded order."""

LoadImages = Callable[[Sequence[int]], Tensor]


@dataclass(frozen=True)
class Surroundings:
    """What an absence may look at: all ids of the data set, a loader of images by position, the seed."""

    ids: tuple[str, ...]
    load: LoadImages
    seed: int

    def mean_of(self, statistic: Callable[[Tensor], Tensor]) -> Tensor:
        """Mean of a statistic (N, ...) -> (N, ...) over the first 512 images in seeded order: float32 (...)."""
        sample = [int(i) for i in seeded_order(self.ids, self.seed)[:N_STATISTICS]]
        total, count = torch.zeros(()), 0
        for start in range(0, len(sample), 32):
            found = statistic(self.load(sample[start : start + 32]).to(torch.float64))
            total, count = total + found.sum(0), count + len(found)
        return (total / count).to(torch.float32)


class Absence(ABC):
    """name: what the user writes. constant: the absence image is the same for all, and so is the empty coalition.

    state: tensors measured on the data set once, stored in the run and part of its identity.
    """

    name: ClassVar[str]
    constant: ClassVar[bool] = False

    def __init__(self, state: dict[str, Tensor], surroundings: Surroundings) -> None:
        self.state, self.surroundings = state, surroundings

    @classmethod
    def measure(cls, surroundings: Surroundings) -> dict[str, Tensor]:
        """The state, from the data set; float32 tensors."""
        return {}

    @abstractmethod
    def images(self, positions: Sequence[int], shape: torch.Size) -> Tensor:
        """Absence images b of the images at `positions`: (N, C, H, W), or (C, H, W) when constant."""


class Zero(Absence):
    """Nothing: zero in every absent band, so the empty image is black (Luo et al., TMLR 2024)."""

    name, constant = "zero", True

    def images(self, positions: Sequence[int], shape: torch.Size) -> Tensor:
        return torch.zeros(shape)


class Mean(Absence):
    """The mean image of the data set."""

    name, constant = "mean", True

    @classmethod
    def measure(cls, surroundings: Surroundings) -> dict[str, Tensor]:
        return {"mean": surroundings.mean_of(lambda images: images)}

    def images(self, positions: Sequence[int], shape: torch.Size) -> Tensor:
        return self.state["mean"]


class Noise(Absence):
    """Noise with the data set's mean power spectrum and random phases but DC's; one phase field for all channels."""

    name = "noise"

    @classmethod
    def measure(cls, surroundings: Surroundings) -> dict[str, Tensor]:
        return {"amplitude": surroundings.mean_of(lambda images: torch.fft.rfft2(images).abs().square()).sqrt()}

    def images(self, positions: Sequence[int], shape: torch.Size) -> Tensor:
        height, width = shape[-2:]
        amplitude = self.state["amplitude"]
        fields = []
        for position in positions:
            draws = torch_generator(self.surroundings.seed, self.surroundings.ids[position], "absence noise")
            # the phases of white noise are uniform and already those of a real image
            spectrum = torch.fft.rfft2(torch.randn(height, width, generator=draws))
            phase = spectrum / spectrum.abs().clamp_min(1e-30)
            phase[0, 0] = 1.0
            fields.append(torch.fft.irfft2(amplitude * phase, s=(height, width)))
        return torch.stack(fields)


class Donor(Absence):
    """Another image of the data set, of any class, never itself."""

    name = "donor"

    def images(self, positions: Sequence[int], shape: torch.Size) -> Tensor:
        return self.surroundings.load([self.donor(position) for position in positions])

    def donor(self, position: int) -> int:
        """Position of the image that stands in for the one at `position`."""
        draws = numpy_generator(self.surroundings.seed, self.surroundings.ids[position], "absence donor")
        other = int(draws.integers(len(self.surroundings.ids) - 1))
        return other + (other >= position)


DEFAULT_ABSENCE = Mean.name


@cache
def absence_classes() -> dict[str, type[Absence]]:
    """Every absence by name, those of other packages included."""
    own: tuple[type[Absence], ...] = (Zero, Mean, Noise, Donor)
    found = {absence.name: absence for absence in own}
    for entry in entry_points(group="spectrobe.absences"):
        found.setdefault(entry.name, entry.load())
    return found


def absence_class(name: str) -> type[Absence]:
    """The absence called `name`; InputError with the nearest names."""
    known = absence_classes()
    if name not in known:
        near = difflib.get_close_matches(str(name), known, n=2, cutoff=0.4)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise InputError(f"expected an absence out of {', '.join(known)}, got {name!r}{hint}")
    return known[name]
