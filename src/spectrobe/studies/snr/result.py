"""The frozen results of a spectral-SNR run: what a perturbation leaves of each frequency band of the images."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from spectrobe.bands import BandPartition
from spectrobe.errors import InputError, SpectrobeError
from spectrobe.game.intervals import Estimate
from spectrobe.studies.frozen import Frozen
from spectrobe.studies.snr.rows import SnrRows, rows_by_perturbation
from spectrobe.studies.snr.statistics import NON_ROBUST, ROBUST, Decay

if TYPE_CHECKING:
    import pandas as pd

    from spectrobe.engine.store import RunFolder


@dataclass(frozen=True)
class SnrSettings:
    """What was measured, and how it is summed up.

    perturbation: the item that makes it (`gaussian_noise:3`), or the name of the perturbed data set.   model_name: the
    model attacked, or whose input size was taken; empty without one.   bands, dc: the partition, and where the mean is.
    """

    perturbation: str
    data_name: str
    model_name: str
    bands: BandPartition
    dc: str
    summary: str
    image_size: tuple[int, int]
    luminance: bool
    border: str | None
    quantize: int | None
    labels: str
    confidence: float
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        return plain | {"bands": self.bands.to_dict(), "image_size": list(self.image_size)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> SnrSettings:
        """The settings that `to_dict` described."""
        bands = BandPartition.from_dict(content["bands"])
        return cls(**{**content, "bands": bands, "image_size": tuple(content["image_size"])})


@dataclass(frozen=True)
class SnrResult(Frozen):
    """What one perturbation leaves of each frequency band of the images. Arrays are read-only float64; M bands.

    db: (M,) SNR in dB, by default the median over images; infinite where the band is not touched.   stderr: (M,).
    interval: (M, 2), pointwise, over images.   modulus, modulus_interval: (M,), (M, 2) feature robustness modulus, 1 =
    intact, 0 = gone.   category: M strings, robust (modulus above 1/2 by its interval), non-robust (below), undecided.
    dc_db, dc_modulus: of the mean alone.   decay: lines through `db` against frequency.
    prefix: no robust band lies above a non-robust one (also where all or none are robust: see `pattern`).
    non_robust_below, robust_above: the bands that break it.
    frequency: (M,) mean |f| of each band in cycles/pixel, NaN for the mean's own band.
    n_images: measured.   clipped_share: of the pixel values, taken to 0 or 1 by the perturbation.   delivered: median
    "l2" and "linf" norm of the perturbation; of attacks also the share of images that "fooled" the model and, where
    they keep to bands, the median share of energy "outside_bands".   unattacked: images an attack left alone,
    misclassified already.
    failed: image -> why the perturbation failed on it.   skipped: unreadable images.   warnings: what to know.
    """

    settings: SnrSettings
    db: np.ndarray
    stderr: np.ndarray
    interval: np.ndarray
    modulus: np.ndarray
    modulus_interval: np.ndarray
    category: tuple[str, ...]
    dc_db: Estimate
    dc_modulus: Estimate
    decay: Decay
    prefix: bool
    non_robust_below: tuple[int, ...]
    robust_above: tuple[int, ...]
    frequency: np.ndarray
    n_images: int
    clipped_share: float
    delivered: Mapping[str, float]
    unattacked: int = 0
    failed: Mapping[str, str] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    _rows: SnrRows | None = field(default=None, repr=False, compare=False)
    _folder: RunFolder | None = field(default=None, repr=False, compare=False)

    @property
    def perturbation(self) -> str:
        """The perturbation, as the command line writes it, or the name of the perturbed data set."""
        return self.settings.perturbation

    @property
    def data_name(self) -> str:
        """The clean data set."""
        return self.settings.data_name

    @property
    def bands(self) -> BandPartition:
        """The band partition."""
        return self.settings.bands

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.settings.image_size

    @property
    def confidence(self) -> float:
        """Of all intervals."""
        return self.settings.confidence

    @property
    def pattern(self) -> str:
        """Which bands are robust: "low only", "all", "none", "not the lowest", or "undecided"."""
        kinds = set(self.category)
        if not self.prefix:
            return "not the lowest"
        if kinds >= {ROBUST, NON_ROBUST}:
            return "low only"
        return {ROBUST: "all", NON_ROBUST: "none"}[kinds.pop()] if kinds in ({ROBUST}, {NON_ROBUST}) else "undecided"

    @property
    def results(self) -> Mapping[str, SnrResult]:
        """This result by its perturbation's name, as in an SnrStudy."""
        return {self.perturbation: self}

    def rows(self) -> SnrRows:
        """The measured images' rows, by position; SpectrobeError when the result was loaded without them."""
        rows = self._rows
        if rows is None and self._folder is not None:
            rows = rows_by_perturbation(self._folder, self._folder.all_shards()).get(self.perturbation)
        if rows is None:
            raise SpectrobeError("this result has no rows: load the run folder it came from")
        return rows

    def resummarised(
        self, *, dc: str | None = None, summary: str | None = None, confidence: float | None = None
    ) -> SnrResult:
        """The same images and perturbation summed up in another way, from the stored rows."""
        from spectrobe.studies.snr.summary import summarise

        was = self.settings
        settings = replace(
            was,
            dc=was.dc if dc is None else dc,
            summary=was.summary if summary is None else summary,
            confidence=was.confidence if confidence is None else confidence,
        )
        found = summarise(self.rows(), settings, self.skipped, ())
        return replace(found, warnings=tuple(dict.fromkeys((*found.warnings, *self.warnings))))

    def modulus_for(self, bands: BandPartition) -> np.ndarray:
        """The modulus for a game's bands, the mean where the game has it: (M,). InputError for another partition."""
        same = (self.bands.edges, self.bands.norm) == (bands.edges, bands.norm)
        if not same:
            raise InputError(
                f"expected bands {bands}, got an SNR run with bands {self.bands}: repeat it with --bands {bands}"
            )
        if bands.dc == self.bands.dc and (bands.dc == "own" or self.settings.dc == "in-band"):
            return self.modulus
        from spectrobe.studies.snr.summary import summarise

        settings = replace(self.settings, bands=bands, dc="apart" if bands.dc == "own" else "in-band")
        return summarise(self.rows(), settings, {}, ()).modulus

    def summary(self) -> str:
        """The table over bands, decay, and one sentence on what it means."""
        from spectrobe.studies.snr.wording import summary

        return summary(self)

    def to_frame(self) -> pd.DataFrame:
        """One row a band. Needs pandas."""
        from spectrobe.studies.frames import import_pandas

        return import_pandas().DataFrame(self.table())

    def table(self) -> dict[str, Any]:
        """The columns of `to_frame`: name -> M values."""
        edges = self.bands.cycles_per_pixel()
        m = self.bands.n_bands
        return {
            "perturbation": [self.perturbation] * m,
            "band": np.arange(m),
            "low_cycles_per_pixel": edges[:, 0],
            "high_cycles_per_pixel": edges[:, 1],
            "mean_cycles_per_pixel": self.frequency,
            "bins": self.bands.bins(*self.image_size).numpy(),
            "db": self.db,
            "stderr": self.stderr,
            "interval_low": self.interval[:, 0],
            "interval_high": self.interval[:, 1],
            "modulus": self.modulus,
            "modulus_low": self.modulus_interval[:, 0],
            "modulus_high": self.modulus_interval[:, 1],
            "category": list(self.category),
        }

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write run.json, snr/ and result.json; `load` gives the result back."""
        SnrStudy(self.results, {}).save(folder)


@dataclass(frozen=True)
class SnrStudy(Frozen):
    """Several perturbations of the same images.

    results: by the perturbation's name, in the order given.   failed: perturbations that worked on no image, and why.
    """

    results: Mapping[str, SnrResult]
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def incomplete(self) -> bool:
        """Whether a perturbation failed on an image, or an image was left out."""
        return bool(self.failed) or any(result.failed or result.skipped for result in self.results.values())

    def summary(self) -> str:
        """A line a perturbation, what failed, and the claim tested over all."""
        from spectrobe.studies.snr.wording import study_summary

        return study_summary(self)

    def to_frame(self) -> pd.DataFrame:
        """One row a perturbation and band. Needs pandas."""
        from spectrobe.studies.frames import import_pandas

        pandas = import_pandas()
        return pandas.concat([result.to_frame() for result in self.results.values()], ignore_index=True)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write run.json, snr/ and result.json; `load` gives the results back."""
        from spectrobe.studies.snr.result_json import save

        save(self, folder)
