"""What stands in for a band that is absent: one class an absence. Drawn by (seed, image id), the same for every model.

Nothing depends on the order of the data set, nor on the order in which images are played. Absences of other packages
are found through the entry point group "spectrobe.absences" (a subclass of Absence).
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from spectrobe.errors import BadImageError, InputError
from spectrobe.plugins import check_name, load_subclass, plugin_names
from spectrobe.seeding import numpy_generator, seeded_order, torch_generator

N_STATISTICS = 512
"""The data set's mean and mean spectrum are those of its first 512 images in seeded order."""

ENTRY_POINTS = "spectrobe.absences"
_AT_A_TIME = 32  # images of which a statistic is taken together

LoadEach = Callable[[Sequence[int]], Iterable[tuple[int, Tensor | BadImageError]]]


@dataclass(frozen=True)
class Surroundings:
    """What an absence may look at: all ids of the data set, its images, the seed.

    each: positions -> (position, pixels (C, H, W)) in that order; where bad images are skipped, what is wrong with one
    stands in the place of its pixels.
    """

    ids: tuple[str, ...]
    each: LoadEach
    seed: int

    @cached_property
    def order(self) -> np.ndarray:
        """All positions in seeded order, which depends on the seed and the ids alone."""
        return seeded_order(self.ids, self.seed)

    def mean_of(self, statistic: Callable[[Tensor], Tensor]) -> Tensor:
        """Mean of a statistic (N, ...) -> (N, ...) over the first 512 images in seeded order: float32 (...).

        The statistic is given float64 pixels (N, C, H, W). InputError when none of the images can be read.
        """
        total, count = torch.zeros(()), 0
        for images in self._stacks([int(i) for i in self.order[:N_STATISTICS]]):
            found = statistic(images.to(torch.float64))
            total, count = total + found.sum(0), count + len(found)
        if count == 0:
            raise InputError(f"none of the {min(N_STATISTICS, len(self.ids))} images of the absence's mean can be read")
        return (total / count).to(torch.float32)

    def _stacks(self, positions: Sequence[int]) -> Iterator[Tensor]:
        """The good images, a few at a time."""
        waiting: list[Tensor] = []
        for _, image in self.each(positions):
            if isinstance(image, Tensor):
                waiting.append(image)
            if len(waiting) == _AT_A_TIME:
                yield torch.stack(waiting)
                waiting = []
        if waiting:
            yield torch.stack(waiting)


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

    def others(self, positions: Sequence[int]) -> Sequence[int]:
        """Positions of the images that `images` made these from, beside the state; none by default."""
        return ()

    def measured_on(self) -> Sequence[int]:
        """Positions of the images that the state was measured on."""
        return [int(i) for i in self.surroundings.order[:N_STATISTICS]] if self.state else ()


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
    """Another image of the data set, of any class, never itself; of unreadable ones the next that is drawn."""

    name = "donor"

    def images(self, positions: Sequence[int], shape: torch.Size) -> Tensor:
        first = [next(self.donors(position)) for position in positions]
        found = [image for _, image in self.surroundings.each(first)]
        return torch.stack(
            [
                image if isinstance(image, Tensor) and image.shape == shape else self._next(position, shape)
                for position, image in zip(positions, found, strict=True)
            ]
        )

    def others(self, positions: Sequence[int]) -> Sequence[int]:
        """The donor of each, and those before it that could not be read."""
        return [donor for p in positions for donor in self._tried.get(p, (next(self.donors(p)),))]

    def donors(self, position: int) -> Iterator[int]:
        """Positions of the images that may stand in for the one at `position`, in the order in which they are tried."""
        order, own = self.surroundings.order, self._place[position]
        draws = numpy_generator(self.surroundings.seed, self.surroundings.ids[position], "absence donor")
        others = len(order) - 1
        other = int(draws.integers(others))
        yield int(order[other + (other >= own)])
        for other in draws.permutation(others):
            yield int(order[other + (other >= own)])

    def _next(self, position: int, shape: torch.Size) -> Tensor:
        tried = self._tried[position] = []
        for other in self.donors(position):
            tried.append(other)
            for _, image in self.surroundings.each([other]):
                if isinstance(image, Tensor):
                    if image.shape != shape:
                        raise InputError(f"expected images of one size, got {tuple(shape)} and {tuple(image.shape)}")
                    return image
        raise InputError(f"no other image can be read that could stand in for {self.surroundings.ids[position]}")

    @cached_property
    def _tried(self) -> dict[int, list[int]]:
        """Position -> the donors that were tried, where the first one would not do."""
        return {}

    @cached_property
    def _place(self) -> np.ndarray:
        """Where each position stands in seeded order."""
        return np.argsort(self.surroundings.order)


DEFAULT_ABSENCE = Mean.name

_OWN: dict[str, type[Absence]] = {absence.name: absence for absence in (Zero, Mean, Noise, Donor)}


def absence_names() -> tuple[str, ...]:
    """Every name of an absence, those of other packages included, which are not imported for it."""
    return tuple(dict.fromkeys([*_OWN, *plugin_names(ENTRY_POINTS)]))


def absence_classes() -> dict[str, type[Absence]]:
    """Every absence by name, those of other packages included; InputError when one of those cannot be loaded."""
    return {name: absence_class(name) for name in absence_names()}


def absence_class(name: str) -> type[Absence]:
    """The absence called `name`; InputError with the nearest names. Another package is imported for its own names."""
    if check_name(name, "an absence") in _OWN:
        return _OWN[name]
    found = load_subclass(ENTRY_POINTS, name, "absence", Absence)  # type: ignore[type-abstract]  # a base, never made
    if found is not None:
        return found
    known = absence_names()
    near = difflib.get_close_matches(name, known, n=2, cutoff=0.4)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise InputError(f"expected an absence out of {', '.join(known)}, got {name!r}{hint}")
