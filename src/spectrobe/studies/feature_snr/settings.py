"""What a feature-snr study is told, checked before anything is decoded or written."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from spectrobe.bands import BandPartition
from spectrobe.errors import InputError
from spectrobe.game.intervals import check_confidence
from spectrobe.perturbations import Perturbation, perturbation
from spectrobe.perturbations.band_noise import BandNoise
from spectrobe.perturbations.band_snr import MOST_DB
from spectrobe.perturbations.parse import parse_perturbations
from spectrobe.studies.training.recipe import Recipe, check_counts

DEMO: dict[str, Any] = {
    "groups": "0-1,2,3", "epochs": 8, "batch_size": 64, "arch": "resnet:8", "bands": 4, "inject_db": 15.0,
    "test_images": 400,
}  # fmt: skip
"""What `feature-snr demo` does unless told otherwise."""
NOISE = 0.0064
"""Power of the noise within a group, unless other perturbations are named: a standard deviation of .08."""
_GROUP = re.compile(r"(\d+)(?:-(\d+))?")
_FEWEST = 2


@dataclass(frozen=True)
class Settings:
    """groups: a partition with a band for each group, lowest first.   names: theirs.   seeds: trainings of each group.

    perturbations: text items, or empty: white noise, and noise within each group.   inject_db: SNR that injected noise
    gives the kept bands of training images, None for no such trainings.   test_images: at most, to measure on.
    """

    groups: BandPartition
    names: tuple[str, ...]
    seeds: int
    recipe: Recipe
    perturbations: str = ""
    inject_db: float | None = 10.0
    test_images: int = 2_000
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        check_counts(self, seeds=1, test_images=20)
        db = self.inject_db
        if db is not None and (isinstance(db, bool) or not isinstance(db, int | float) or not math.isfinite(db)):
            raise InputError(f"expected an SNR in dB to inject, or none, got {db!r}")
        if db is not None and db > MOST_DB:
            raise InputError(f"expected an SNR to inject of at most {MOST_DB:g} dB (float32 pixels), got {db:g}")
        check_confidence(self.confidence)
        self.build()

    @classmethod
    def of(
        cls, bands: int | str | BandPartition, groups: str | None, arch: str, epochs: int, batch_size: int, rate: float,
        **more: Any,
    ) -> Settings:  # fmt: skip
        """Settings from what a caller gives."""
        partition = BandPartition.of(bands)
        merged, names = merged_groups(partition, groups)
        return cls(merged, names, recipe=Recipe.of(arch, epochs, batch_size, rate), **more)

    def build(self) -> list[Perturbation]:
        """The perturbations. InputError for one that attacks a model: it would have another SNR for every model."""
        if not self.perturbations:
            inside = [BandNoise(power=NOISE, band=band, bands=self.groups) for band in range(self.groups.n_bands)]
            return [perturbation("gaussian_noise", severity=2), *inside]
        found = []
        for spec in parse_perturbations(self.perturbations):
            if spec.needs_model:
                raise InputError(f"expected perturbations of images alone, got {spec}, which attacks a model")
            found.append(spec.build())
        return found

    def called(self) -> list[str]:
        """Short names of the perturbations."""
        if self.perturbations:
            return [str(one) for one in self.build()]
        return [str(self.build()[0]), *(f"noise in {name}" for name in self.names)]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        own = {name: getattr(self, name) for name in _PLAIN}
        return {**own, "names": list(self.names), "recipe": self.recipe.to_dict(), "groups": self.groups.to_dict()}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Settings:
        """The settings that `to_dict` described."""
        recipe, groups = Recipe.from_dict(content["recipe"]), BandPartition.from_dict(content["groups"])
        own = {name: content[name] for name in _PLAIN}
        return cls(groups=groups, names=tuple(content["names"]), recipe=recipe, **own)


_PLAIN = ("seeds", "perturbations", "inject_db", "test_images", "confidence", "seed")


def merged_groups(bands: BandPartition, text: str | None) -> tuple[BandPartition, tuple[str, ...]]:
    """The partition with one band for each group, and the groups' names.

    text: "0-1,2-4,5-7", neighbouring bands that follow each other and leave none out; None: three groups, the lower
    ones with fewer bands, as most of an image's energy is there.
    """
    m = bands.n_bands
    if bands.dc != "in-band":
        raise InputError("expected bands without one for the mean (dc='in-band'): training images have no mean")
    if text is None:
        if m < 3:
            raise InputError(f"expected at least 3 bands for three groups, got {m}: name groups, such as 0,1")
        cuts = [0, m // 3, m // 3 + (m - m // 3) // 2, m]
    else:
        cuts = _cuts(text, m)
    names = ("low", "middle", "high") if len(cuts) == 4 else tuple(f"group {i}" for i in range(len(cuts) - 1))
    return BandPartition.from_edges([bands.edges[cut] for cut in cuts], bands.norm), names


def _cuts(text: str, m: int) -> list[int]:
    cuts = [0]
    for part in text.split(","):
        match = _GROUP.fullmatch(part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (-1, -1)
        if match is None or last < first:
            raise InputError(f"expected groups of bands such as 0-1,2-4,5-7, got {part!r}")
        if last >= m:
            raise InputError(f"expected bands from 0 to {m - 1}, got band {last} in the group {part.strip()!r}")
        if first != cuts[-1]:
            raise InputError(f"expected groups that follow each other and leave no band out, got {text!r}")
        cuts.append(last + 1)
    if cuts[-1] != m:
        raise InputError(f"expected groups up to the last band, {m - 1}, got {text!r}")
    if len(cuts) <= _FEWEST:
        raise InputError(f"expected at least {_FEWEST} groups of bands to compare, got {text!r}")
    return cuts
