"""What a label-noise study is told, checked before anything is decoded or written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from spectrobe.bands import BandPartition
from spectrobe.data.label_noise import KINDS
from spectrobe.engine.absence import DEFAULT_ABSENCE
from spectrobe.errors import InputError
from spectrobe.game.intervals import check_confidence
from spectrobe.game.values import DEFAULT_VALUE, make_value
from spectrobe.studies.training.recipe import Recipe, check_counts

RATES = (0.0, 0.2, 0.4, 0.6, 0.8)
DEMO: dict[str, Any] = {
    "rates": (0.0, 0.4, 0.8), "epochs": 8, "batch_size": 64, "arch": "resnet:8", "bands": 4, "forward_passes": 3_000,
}  # fmt: skip
"""What `label-noise demo` does unless told otherwise: the digits have 8 x 8 pixels, which give room for 4 bands."""


@dataclass(frozen=True)
class Settings:
    """rates: ascending, 0 first.   kind: of noise.   seeds: so many trainings at each rate.   recipe: of all.

    forward_passes: of one reading, at most.
    """

    rates: tuple[float, ...]
    kind: str
    seeds: int
    recipe: Recipe
    bands: BandPartition
    value: str = DEFAULT_VALUE
    absence: str = DEFAULT_ABSENCE
    forward_passes: int = 10_000
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if len(set(self.rates)) < len(self.rates) or 0 not in self.rates:
            raise InputError(
                f"expected rates that differ, 0 among them (the clean curve that others are compared with), got "
                f"{', '.join(f'{rate:g}' for rate in self.rates) or 'none'}"
            )
        if self.kind not in KINDS:
            raise InputError(f"expected label noise of kind {' or '.join(KINDS)}, got {self.kind!r}")
        check_counts(self, seeds=1)
        make_value(self.value)
        check_confidence(self.confidence)

    @classmethod
    def of(
        cls, rates: Sequence[float], kind: str, seeds: int, arch: str, epochs: int, batch_size: int, rate: float,
        bands: int | str | BandPartition, **more: Any,
    ) -> Settings:  # fmt: skip
        """Settings from what a caller gives."""
        recipe = Recipe.of(arch, epochs, batch_size, rate)
        return cls(_ascending(rates), kind, seeds, recipe, BandPartition.of(bands), **more)

    def shards(self, r: int, s: int) -> range:
        """The shards of the epochs of a training: number r of the rates, number s of the seeds."""
        first = (r * self.seeds + s) * self.recipe.epochs
        return range(first, first + self.recipe.epochs)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        own = {name: getattr(self, name) for name in _PLAIN}
        return {**own, "rates": list(self.rates), "recipe": self.recipe.to_dict(), "bands": self.bands.to_dict()}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Settings:
        """The settings that `to_dict` described."""
        recipe, bands = Recipe.from_dict(content["recipe"]), BandPartition.from_dict(content["bands"])
        own = {name: content[name] for name in _PLAIN}
        return cls(rates=tuple(content["rates"]), recipe=recipe, bands=bands, **own)


def _ascending(rates: Sequence[float]) -> tuple[float, ...]:
    """Rates in order; InputError for what is no rate."""
    given = [rates] if isinstance(rates, Real | str) else list(rates)
    for rate in given:
        if isinstance(rate, bool) or not isinstance(rate, Real) or not 0 <= float(rate) <= 1:
            raise InputError(f"expected rates of label noise in [0, 1], got {rate!r}")
    return tuple(sorted(map(float, given)))


_PLAIN = ("kind", "seeds", "value", "absence", "forward_passes", "confidence", "seed")
