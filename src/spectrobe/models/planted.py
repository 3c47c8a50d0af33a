"""Planted information: which bands of synthetic images tell the class, how well, and classifiers that read them.

`planted:SPEC` as a model is the Bayes classifier of the data `planted:SPEC`; `?reads=5` reads band 5 alone, and
`?reads=none` ignores its input. SPEC is `bands=8;dprime=2:1.5,5:1` and so on, see `PlantedSpec.parse`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spectrobe.bands import BandPartition
from spectrobe.errors import InputError
from spectrobe.game.planted import planted_shapley
from spectrobe.models.base import Geometry, Model
from spectrobe.models.module import ModuleModel
from spectrobe.models.options import ModelOptions, Preprocessing
from spectrobe.models.registry import Scheme
from spectrobe.seeding import torch_generator
from spectrobe.spectrum import band_images

MOST_CLIPPED = 1e-6
"""Probability that any pixel of the whole data set would leave [0, 1]; a design above it is refused."""


@dataclass(frozen=True)
class PlantedSpec:
    """What is planted: d' of each band, the size of the images, the number of classes, and how many images there are.

    An image is 0.5 + sigma (noise + signal): white Gaussian noise of unit variance, and for each bit of the class a
    template in every band, of length d' / 2, whose sign is the bit. Templates are orthonormal and have no mean.
    """

    dprime: tuple[float, ...]
    bands: BandPartition
    size: tuple[int, int] = (32, 32)
    channels: int = 3
    classes: int = 2
    sigma: float = 1 / 16
    images: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        bins = self.bands.bins(*self.size)
        bins[0] -= 1  # the mean tells nothing
        if len(self.dprime) != self.bands.n_bands:
            raise InputError(f"expected {self.bands.n_bands} values of d', one a band, got {len(self.dprime)}")
        if not all(0 <= d < math.inf for d in self.dprime):
            raise InputError(f"expected values of d' from 0 up, got {list(self.dprime)}")
        if self.classes not in (2, 4, 8, 16, 32, 64):
            raise InputError(f"expected classes to be a power of 2, from 2 to 64, got {self.classes!r}")
        if self.images < 2 or self.channels < 1:
            raise InputError(f"expected at least 2 images and 1 channel, got {self.images} and {self.channels}")
        for band, d in enumerate(self.dprime):
            if d > 0 and int(bins[band]) * self.channels < self.bits:
                raise InputError(
                    f"band {band} of {self.size[0]} x {self.size[1]} pixels has no room for {self.bits} template(s) "
                    "beside the mean: plant elsewhere, or take larger images"
                )
        if not 0 < self.sigma <= self.largest_sigma:
            raise InputError(
                f"expected sigma above 0 and at most {self.largest_sigma:.4f}, so that no pixel of {self.images} "
                f"images leaves [0, 1], got {self.sigma:g}"
            )

    @property
    def bits(self) -> int:
        """Bits of the class."""
        return self.classes.bit_length() - 1

    @property
    def largest_sigma(self) -> float:
        """Largest sigma at which a pixel of any image leaves [0, 1] with a probability below one in a million."""
        from scipy import stats

        strongest = float(self._signals.abs().sum(0).max())
        pixels = self.images * self.channels * self.size[0] * self.size[1]
        return float(0.5 / (strongest + stats.norm.isf(MOST_CLIPPED / (2 * pixels))))

    @cached_property
    def templates(self) -> Tensor:
        """One unit-length template a bit and band: float64 (B, M, C, H, W); zero in a band that has no room for it."""
        shape = (self.bits, self.bands.n_bands, self.channels, *self.size)
        found = torch.zeros(shape, dtype=torch.float64)
        for bit in range(self.bits):
            noise = torch.randn(shape[2:], generator=torch_generator(0, "planted template", bit), dtype=torch.float64)
            parts = band_images((noise - noise.mean((1, 2), keepdim=True))[None], self.bands)[0]
            for earlier in found[:bit]:
                parts = parts - (parts * earlier).sum((1, 2, 3), keepdim=True) * earlier
            length = parts.square().sum((1, 2, 3), keepdim=True).sqrt()
            found[bit] = torch.where(length > 1e-6, parts / length.clamp_min(1e-300), 0.0)
        return found

    @cached_property
    def _signals(self) -> Tensor:
        """What each bit adds to an image in units of sigma, with its sign: float64 (B, C, H, W)."""
        return torch.einsum("m,bmchw->bchw", torch.tensor(self.dprime, dtype=torch.float64) / 2, self.templates)

    def signs(self, labels: Sequence[int] | np.ndarray) -> Tensor:
        """The bits of classes as -1 and +1: float64 (N, B)."""
        numbers = torch.as_tensor(np.asarray(labels, dtype=np.int64))
        return ((numbers[:, None] >> torch.arange(self.bits)) & 1).to(torch.float64) * 2 - 1

    def image(self, name: str, label: int) -> Tensor:
        """The image called `name`: float32 (C, H, W), drawn by the seed and its name."""
        draws = torch_generator(self.seed, name, "planted image")
        noise = torch.randn(self.channels, *self.size, generator=draws, dtype=torch.float64)
        signal = torch.einsum("b,bchw->chw", self.signs([label])[0], self._signals)
        image = 0.5 + self.sigma * (noise + signal)
        if float(image.min()) < 0 or float(image.max()) > 1:
            raise InputError(f"planted image {name} leaves [0, 1], which one seed in a million does: take another seed")
        return image.to(torch.float32)

    def gains(self, reads: Sequence[float] | Mapping[int, float] | None = None) -> tuple[float, ...]:
        """A reader's gains (M,): d' itself (the Bayes classifier), one a band, or a mapping of band to gain."""
        if reads is None:
            return self.dprime
        return _per_band(reads, self.bands.n_bands, "gains")

    def expected_shapley(self, gains: Sequence[float] | Mapping[int, float] | None = None) -> np.ndarray:
        """Shapley values that `usable-information` has for a reader with these gains: float64 (M,), in nats."""
        return planted_shapley(self.dprime, self.gains(gains), self.bits)

    def reader(
        self,
        gains: Sequence[float] | Mapping[int, float] | None = None,
        name: str = "planted reader",
        options: ModelOptions | None = None,
    ) -> Model:
        """The classifier that reads bands with these gains; by default the Bayes classifier."""
        weights = torch.einsum("m,bmchw->bchw", torch.tensor(self.gains(gains), dtype=torch.float64), self.templates)
        logits = torch.einsum("kb,bchw->kchw", self.signs(range(self.classes)) / 2, weights) / self.sigma
        options = options or ModelOptions()
        preprocessing = Preprocessing(Geometry(size=self.size, channels=self.channels)).overridden(options)
        return ModuleModel(PlantedReader(logits), name, preprocessing, self.classes, options.class_names)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        return plain | {"bands": self.bands.to_dict(), "size": list(self.size), "dprime": list(self.dprime)}

    @classmethod
    def parse(cls, text: str) -> PlantedSpec:
        """`key=value;key=value...`: dprime (as 2:1.5,5:1 or one value a band), bands, size, channels, classes, ..."""
        given: dict[str, Any] = {}
        for part in text.split(";"):
            key, equals, value = (piece.strip() for piece in part.partition("="))
            if key not in _READERS or not equals or not value or key in given:
                raise InputError(
                    f"expected planted:key=value;key=value... of {', '.join(_READERS)}, each once, got {part!r}"
                )
            given[key] = _read(key, value)
        if "dprime" not in given:
            raise InputError("expected the d' of some bands, as in planted:bands=8;dprime=2:1.5,5:1")
        return cls.of(**given)

    @classmethod
    def of(
        cls,
        dprime: float | Sequence[float] | Mapping[int, float],
        bands: int | str | BandPartition = 8,
        size: int | tuple[int, int] = 32,
        **more: Any,
    ) -> PlantedSpec:
        """What a caller writes: d' as one number for all bands, one a band, or a mapping of band to d'."""
        partition = BandPartition.of(bands)
        sides = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
        return cls(_per_band(dprime, partition.n_bands, "dprime"), partition, sides, **more)


class PlantedReader(nn.Module):
    """Logits that are linear in the image: images (N, C, H, W) -> (N, K). weights: (K, C, H, W)."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.register_buffer("weights", weights.flatten(1).to(torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.get_buffer("weights").T


def _per_band(given: float | Sequence[float] | Mapping[int, float], n_bands: int, what: str) -> tuple[float, ...]:
    if isinstance(given, int | float):
        return (float(given),) * n_bands
    if not isinstance(given, Mapping):
        values = tuple(float(value) for value in given)
        if len(values) != n_bands:
            raise InputError(f"expected {what} of {n_bands} bands, one each, got {len(values)}")
        if not all(map(math.isfinite, values)):
            raise InputError(f"expected finite {what}, got {list(values)}")
        return values
    outside = [band for band in given if not 0 <= int(band) < n_bands]
    if outside:
        raise InputError(f"expected {what} of bands from 0 to {n_bands - 1}, got band {outside[0]}")
    return tuple(float(given.get(band, 0.0)) for band in range(n_bands))


def _dprime(text: str) -> float | list[float] | dict[int, float]:
    parts = text.split(",")
    if ":" in text:
        pairs = [part.split(":") for part in parts]
        found = {int(band): float(d) for band, d in pairs}
        if len(found) < len(pairs):
            raise ValueError
        return found
    return float(text) if len(parts) == 1 else [float(part) for part in parts]


def _sides(text: str) -> int | tuple[int, int]:
    sides = [int(side) for side in text.split("x")]
    if len(sides) > 2:
        raise ValueError
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


_READERS: dict[str, Callable[[str], Any]] = {
    "dprime": _dprime,
    "bands": BandPartition.of,
    "size": _sides,
    "channels": int,
    "classes": int,
    "sigma": lambda text: float(Fraction(text)),
    "images": int,
    "seed": int,
}


def _read(key: str, value: str) -> Any:
    try:
        return _READERS[key](value)
    except InputError:
        raise
    except (ValueError, ZeroDivisionError):
        raise InputError(f"expected {key} as in dprime=2:1.5,5:1, size=32, sigma=1/16, got {value!r}") from None


def _reads(text: str, spec: PlantedSpec) -> dict[int, float]:
    """`none`, or bands as 5 or 2+5: each with its own d', or 1 where nothing is planted."""
    try:
        bands = [] if text == "none" else [int(band) for band in text.split("+")]
    except ValueError:
        raise InputError(f"expected reads as none, 5 or 2+5 (bands), got {text!r}") from None
    spec.gains(dict.fromkeys(bands, 1.0))
    return {band: spec.dprime[band] or 1.0 for band in bands}


def _open(target: str, options: ModelOptions) -> Model:
    spec = PlantedSpec.parse(target)
    if options.num_classes not in (None, spec.classes):
        raise InputError(f"planted:{target} has {spec.classes} classes, got num_classes={options.num_classes}")
    reads = options.extra.get("reads")
    gains = None if reads is None else _reads(reads, spec)
    return spec.reader(gains, f"planted:{target}" + (f"?reads={reads}" if reads is not None else ""), options)


SCHEME = Scheme(_open, options=("reads",), example="planted:bands=8;dprime=2:1.5,5:1")
