"""What a response run measures: bands, powers, cut-offs, basis vectors; read, checked, and part of its identity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from spectrobe.bands import BandPartition
from spectrobe.errors import InputError
from spectrobe.frequency_plane import radii
from spectrobe.perturbations.band_noise import checked_power
from spectrobe.studies.response.basis import half_plane_frequencies

DEFAULT_POWERS = (0.0004, 0.0016, 0.0064, 0.0256)
"""Standard deviations .02, .04, .08 and .16, those of Subramanian et al. 2023 (arXiv 2309.13190)."""
DEFAULT_UNDER = "gaussian_noise:3"
DEFAULT_HEAT_MAP_IMAGES = 100
_MOST_OCTAVES, _FEW_OCTAVES = 7, 6
_MOST_VECTORS = 150


@dataclass(frozen=True)
class HeatMapPlan:
    """Every `step`-th Fourier basis vector on each axis, at an L2 norm after clipping, on some images."""

    norm: float
    step: int
    images: int


@dataclass(frozen=True)
class ResponseSettings:
    """What was measured, and of what.

    bands: one partition for everything.   powers: mean squares of the band noise, rising.   absence: what stands in for
    frequencies that are cut off.   under: what cut-off images are perturbed with besides; None for nothing.
    """

    model_name: str
    data_name: str
    data_digest: str
    image_size: tuple[int, int]
    channels: int
    bands: BandPartition
    powers: tuple[float, ...]
    absence: str
    under: str | None
    heat_map: HeatMapPlan | None
    confidence: float
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        plain = {key: getattr(self, key) for key in self.__dataclass_fields__}
        return plain | {
            "image_size": list(self.image_size),
            "bands": self.bands.to_dict(),
            "powers": list(self.powers),
            "heat_map": self.heat_map and asdict(self.heat_map),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> ResponseSettings:
        """The settings that `to_dict` described."""
        plan = content["heat_map"]
        changed = {
            "image_size": tuple(content["image_size"]),
            "bands": BandPartition.from_dict(content["bands"]),
            "powers": tuple(content["powers"]),
            "heat_map": plan and HeatMapPlan(**plan),
        }
        return cls(**{**content, **changed})


def octave_bands(height: int, width: int) -> BandPartition:
    """The default partition: octaves below Nyquist, as many as leave more than the mean in the lowest, at most 7.

    Where fewer than 6 octaves fit (images of 64 px or less), half octaves: a channel cannot be fitted to four points.
    """
    side = min(height, width)
    octaves = min(_MOST_OCTAVES, max(1, math.ceil(math.log2(side)) - 1))
    if octaves >= _FEW_OCTAVES:
        return BandPartition.octaves(octaves)
    r = torch.unique(radii("square", height, width)).numpy()
    edges = [0.0]
    for half in range(2 * (octaves - 1), -1, -1):
        edge = 2.0 ** (-half / 2)
        filled = ((r >= edges[-1]) & (r < edge)).any() and (r >= edge).any()  # at odd sizes not all are
        if filled or half == 0:
            edges.append(edge)
    return BandPartition.from_edges(edges)


def check_bands(bands: BandPartition, height: int, width: int) -> BandPartition:
    """The partition, when it can be used at this size; InputError else."""
    if bands.dc != "in-band":
        raise InputError(
            "expected bands with the mean in band 0 (dc='in-band'): noise and gradients leave it apart here"
        )
    if bands.n_bands < 2:
        raise InputError(f"expected at least 2 bands, got {bands}: one band has no response over frequency")
    if int(bands.bins(height, width)[0]) == 1:
        raise InputError(
            f"bands {bands} leave the mean alone in band 0 on images of {height} x {width} pixels: use fewer bands"
        )
    return bands


def check_powers(powers: float | Sequence[float]) -> tuple[float, ...]:
    """The powers, rising; InputError for none, or one outside (0, 1]."""
    given = [powers] if isinstance(powers, (int, float)) else list(powers)
    if not given:
        raise InputError(f"expected at least one power of the band noise, such as {DEFAULT_POWERS[2]}")
    return tuple(sorted({checked_power(power) for power in given}))


def check_heat_map(norm: float | None, step: int | None, images: int) -> None:
    """InputError for what cannot be, whatever the size of the images."""
    if norm is not None and (isinstance(norm, bool) or not 0 < norm < math.inf):
        raise InputError(f"expected heat_map as an L2 norm above 0, in pixels of [0, 1], such as 4, got {norm!r}")
    if step is not None and (isinstance(step, bool) or not isinstance(step, int) or step < 1):
        raise InputError(f"expected heat_map_step as a whole number of at least 1, got {step!r}")
    if isinstance(images, bool) or not isinstance(images, int) or images < 2:
        raise InputError(f"expected heat_map_images as a whole number of at least 2, got {images!r}")


def plan_heat_map(norm: float | None, step: int | None, images: int, shape: Sequence[int]) -> HeatMapPlan | None:
    """The plan for images (C, H, W), None where no norm is stated; InputError for what cannot be at this size."""
    if norm is None:
        return None
    channels, height, width = shape
    most = math.sqrt(channels * height * width)
    if norm > most:
        raise InputError(f"expected heat_map as an L2 norm of at most {most:.4g} at {height} x {width}, got {norm!r}")
    if step is not None and step > min(height, width) // 2:
        raise InputError(f"expected heat_map_step of at most {min(height, width) // 2}, got {step!r}")
    if step is None:
        step = 1
        while len(half_plane_frequencies(height, width, step)) > _MOST_VECTORS:
            step *= 2
    return HeatMapPlan(float(norm), step, images)
