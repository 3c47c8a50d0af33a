"""How the frequency plane is cut: a partition of all DFT bins of an H x W image into bands. Geometry only, no pixels.

f = (f_y, f_x) is in cycles/pixel, |f| <= 1/2 per axis; r(f) is the larger axis (square rings) or the Euclidean norm
(radial rings, corners in the last band), as a fraction of the Nyquist frequency 1/2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from spectrobe.equal_energy import batches_of, equal_energy_edges
from spectrobe.errors import InputError
from spectrobe.frequency_plane import Norm, half_plane_weights, radii, wave_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

DC = Literal["in-band", "own"]


@dataclass(frozen=True)
class BandPartition:
    """Bands 0..M-1 from low to high frequency; every DFT bin is in exactly one, k and -k in the same one.

    edges: 0 = e_0 < ... < e_M = 1 in r; band i holds e_i <= r < e_(i+1), the last one everything left.
    norm: "square" (r = larger axis) or "radial" (r = Euclidean norm).
    dc: "in-band" (the mean is in band 0) or "own" (the mean is a band of its own, index 0, before the others).
    linear: the edges are i / M; square rings are then decided in integers, since floats disagree at some sizes.
    """

    edges: tuple[float, ...]
    norm: Norm = "square"
    dc: DC = "in-band"
    linear: bool = False
    scheme: str = "edges"

    def __post_init__(self) -> None:
        edges = tuple(float(edge) for edge in self.edges)
        object.__setattr__(self, "edges", edges)
        if self.norm not in ("square", "radial"):
            raise InputError(f"expected norm 'square' or 'radial', got {self.norm!r}")
        if self.dc not in ("in-band", "own"):
            raise InputError(f"expected dc 'in-band' or 'own', got {self.dc!r}")
        rising = all(low < high for low, high in pairwise(edges))
        if len(edges) < 2 or edges[0] != 0 or edges[-1] != 1 or not rising:
            raise InputError(f"expected band edges that rise from 0 to 1 (fractions of Nyquist), got {list(edges)}")
        if self.linear and edges != _linear(len(edges) - 1):
            raise InputError(f"expected edges i / M of a linear partition, got {list(edges)}: leave out linear=True")

    @classmethod
    def square(cls, n_bands: int, dc: DC = "in-band") -> BandPartition:
        """`n_bands` square rings of equal width (Luo et al., TMLR 2024, arXiv 2408.01139)."""
        return cls(_linear(n_bands), "square", dc, linear=True, scheme="square")

    @classmethod
    def radial(cls, n_bands: int, dc: DC = "in-band") -> BandPartition:
        """`n_bands` circular rings of equal width up to Nyquist; the corners beyond are in the last band."""
        return cls(_linear(n_bands), "radial", dc, linear=True, scheme="radial")

    @classmethod
    def octaves(cls, n_bands: int, norm: Norm = "square", dc: DC = "in-band") -> BandPartition:
        """`n_bands` bands that halve downwards from Nyquist: edges 0, 2^(1-M), ..., 1/4, 1/2, 1."""
        return cls(_octave_edges(n_bands), norm, dc, scheme="octaves")

    @classmethod
    def from_edges(cls, edges: Sequence[float], norm: Norm = "square", dc: DC = "in-band") -> BandPartition:
        """Your own edges in r (fractions of Nyquist), 0 and 1 included."""
        return cls(tuple(edges), norm, dc)

    @classmethod
    def equal_energy(
        cls,
        n_bands: int,
        data: Any,
        norm: Norm = "square",
        dc: DC = "in-band",
        *,
        size: int | tuple[int, int] | None = None,
    ) -> BandPartition:
        """Bands that hold equal shares of the mean power spectrum of `data`, the mean (DC) left out.

        data: images (N, C, H, W) as a tensor, a pair (images, labels), or any data that `decompose` takes, of which the
        first 512 images in seeded order count. size: what files are resized and cropped to, as for a model of that
        size; None where all have one size. Edges are the distinct radii whose cumulative share is nearest to i / M.
        Raises InputError when fewer than M distinct radii are left, and for what are no images.
        """
        _check_count(n_bands)
        return cls(equal_energy_edges(n_bands, batches_of(data, size), norm), norm, dc, scheme="equal-energy")

    @classmethod
    def of(cls, bands: int | str | BandPartition) -> BandPartition:
        """What users write for bands: 8, "8", "radial:8", "octaves:5", "edges:0,.1,.3,1", or a partition."""
        if isinstance(bands, BandPartition):
            return bands
        if isinstance(bands, Integral) and not isinstance(bands, bool):
            return cls.square(int(bands))
        kind, _, rest = str(bands).partition(":")
        rest, norm, dc = _suffixes(rest)
        try:
            if not rest and kind.isdigit():
                return cls.square(int(kind))
            if kind in ("square", "radial", "octaves"):
                scheme = {"square": cls.square, "radial": cls.radial}
                return scheme[kind](int(rest), dc) if kind in scheme else cls.octaves(int(rest), norm, dc)
            if kind == "edges":
                return cls.from_edges([float(edge) for edge in rest.split(",")], norm, dc)
        except ValueError as error:
            if isinstance(error, InputError):
                raise
        raise InputError(
            "expected bands such as 8, square:8, radial:8, octaves:5 or edges:0,.1,.3,1 (fractions of Nyquist), "
            f"got {bands!r}"
        )

    @property
    def n_bands(self) -> int:
        """Number of bands M, the mean's own band counted when `dc` is "own"."""
        return len(self.edges) - 1 + (self.dc == "own")

    def labels(self, height: int, width: int) -> Tensor:
        """Band of every bin of the half plane of torch.fft.rfft2: int64 (H, W // 2 + 1).

        Raises InputError when a band would be empty at this size, naming the largest number of bands that works.
        """
        return _labels(self, int(height), int(width)).clone()

    def bins(self, height: int, width: int) -> Tensor:
        """Number of bins of the *full* plane in each band: int64 (M,), summing to H * W."""
        weights = half_plane_weights(height, width).to(torch.int64)
        return torch.bincount(_labels(self, height, width).flatten(), weights.flatten(), self.n_bands).to(torch.int64)

    def cycles_per_pixel(self) -> np.ndarray:
        """Lower and upper edge of each band in cycles/pixel: float64 (M, 2); the mean's own band is (0, 0)."""
        edges = np.asarray(self.edges) / 2
        rows = np.stack([edges[:-1], edges[1:]], axis=1)
        return np.concatenate([np.zeros((1, 2)), rows]) if self.dc == "own" else rows

    def mean_frequency(self, height: int, width: int) -> np.ndarray:
        """Mean Euclidean |f| in cycles/pixel over each band's bins without DC: float64 (M,); NaN for DC alone."""
        labels, weights = _labels(self, height, width).flatten(), half_plane_weights(height, width).flatten()
        k_y, k_x = wave_numbers(height, width)
        frequency = torch.sqrt((k_y[:, None] / height) ** 2 + (k_x[None, :] / width) ** 2).flatten()
        weights[0] = 0.0
        total = torch.bincount(labels, weights * frequency, self.n_bands)
        count = torch.bincount(labels, weights, self.n_bands)
        return np.asarray(torch.where(count > 0, total / count, torch.nan))

    def to_dict(self) -> dict[str, Any]:
        """JSON-able description, from which `from_dict` makes an equal partition."""
        return {
            "edges": list(self.edges),
            "norm": self.norm,
            "dc": self.dc,
            "linear": self.linear,
            "scheme": self.scheme,
        }

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> BandPartition:
        """The partition that `to_dict` described."""
        return cls(**{**description, "edges": tuple(description["edges"])})

    def __str__(self) -> str:
        count = len(self.edges) - 1
        name = f"{self.scheme}:{count}" if self.scheme in ("square", "radial", "octaves") else "edges:"
        if name == "edges:":
            name += ",".join(_shortest(edge) for edge in self.edges)
        if self.norm == "radial" and self.scheme != "radial":
            name += ":radial"
        return name + (":dc" if self.dc == "own" else "")


def _shortest(edge: float) -> str:
    """The shortest text that reads back as the same number."""
    return text if float(text := f"{edge:g}") == edge else repr(edge)


def _suffixes(text: str) -> tuple[str, Norm, DC]:
    """What follows a scheme's number, as `str` writes it: "8:radial:dc" -> ("8", "radial", "own")."""
    rest, *words = text.split(":")
    if unknown := set(words) - {"radial", "dc"}:
        raise InputError(f"expected :radial or :dc behind the bands, got :{unknown.pop()}")
    return rest, "radial" if "radial" in words else "square", "own" if "dc" in words else "in-band"


def _check_count(n_bands: int) -> None:
    if not isinstance(n_bands, Integral) or n_bands < 1:
        raise InputError(f"expected a whole number of bands, at least 1, got {n_bands!r}")


def _linear(n_bands: int) -> tuple[float, ...]:
    _check_count(n_bands)
    return tuple(i / int(n_bands) for i in range(int(n_bands) + 1))


def _octave_edges(n_bands: int) -> tuple[float, ...]:
    _check_count(n_bands)
    return (0.0, *(2.0 ** (i - n_bands) for i in range(1, n_bands + 1)))


def _ring_labels(partition: BandPartition, height: int, width: int) -> Tensor:
    """Ring of every bin of the half plane, DC not yet apart; some rings may be empty."""
    rings = len(partition.edges) - 1
    if partition.linear and partition.norm == "square":
        k_y, k_x = (k.to(torch.int64) for k in wave_numbers(height, width))
        label_y, label_x = (2 * k_y * rings) // height, (2 * k_x * rings) // width
        return torch.maximum(label_y[:, None], label_x[None, :]).clamp(max=rings - 1)
    inner = torch.tensor(partition.edges[1:-1], dtype=torch.float64)
    return torch.bucketize(radii(partition.norm, height, width), inner, right=True)


@lru_cache(maxsize=64)
def _labels(partition: BandPartition, height: int, width: int) -> Tensor:
    if height < 1 or width < 1:
        raise InputError(f"expected an image of at least 1 x 1 pixels, got {height} x {width}")
    labels = _ring_labels(partition, height, width)
    if partition.dc == "own":
        labels = labels + 1
        labels[0, 0] = 0
    filled = torch.bincount(labels.flatten(), minlength=partition.n_bands) > 0
    if not bool(filled.all()):
        raise InputError(_too_many_bands(partition, height, width, torch.nonzero(~filled).flatten().tolist()))
    return labels


def _too_many_bands(partition: BandPartition, height: int, width: int, empty: list[int]) -> str:
    rings, scheme = len(partition.edges) - 1, partition.scheme
    some = ", ".join(map(str, empty[:8])) + (", ..." if len(empty) > 8 else "")
    message = f"bands {partition} leave band(s) {some} empty on images of {height} x {width} pixels"
    if scheme not in ("square", "radial", "octaves"):
        return f"{message}: give edges that are further apart"
    working = _working_counts(partition, height, width)
    largest = next(working, None)
    if largest is None:
        return f"{message}: no number of bands works at this size"
    message += f": the largest number of {scheme} bands that works is {largest}"
    if largest < rings:
        return message
    return f"{message}, the largest below {rings} is {next(count for count in working if count < rings)}"


def _working_counts(partition: BandPartition, height: int, width: int) -> Iterator[int]:
    """Numbers of bands of the partition's scheme that leave none empty, falling; not all below the largest work."""
    r = torch.unique(radii(partition.norm, height, width)).numpy()
    r = r[1:] if partition.dc == "own" else r
    # more bands than pixels a side leave nothing between the lowest two radii, 0 and 2 / side
    most = max(height, width) if partition.linear else min(max(height, width), 64)
    for count in range(most, 0, -1):
        edges = _linear(count) if partition.linear else _octave_edges(count)
        if np.diff(np.searchsorted(r, edges[:-1]), append=len(r)).all():
            yield count
