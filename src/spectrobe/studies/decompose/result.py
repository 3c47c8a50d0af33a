"""The frozen result of decompose: the profile over bands, its intervals, scores, and the table everything came from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from spectrobe.bands import BandPartition
from spectrobe.errors import InputError, SpectrobeError
from spectrobe.game.fit import Fit, Payoffs, fit
from spectrobe.game.intervals import Estimate, Replicates
from spectrobe.game.scores import DEFAULT_SCORE
from spectrobe.game.values import make_value
from spectrobe.studies.decompose.result_json import decomposition_fields, decomposition_to_dict
from spectrobe.studies.decompose.settings import Settings
from spectrobe.studies.frozen import Frozen

if TYPE_CHECKING:
    import pandas as pd

    from spectrobe.engine.local import Run
    from spectrobe.engine.store import RunFolder


@dataclass(frozen=True, eq=False)
class DecomposeResult(Frozen):
    """How much usable information (or another value) the model takes from each frequency band.

    All arrays are read-only float64, mappings read-only; M bands, N images. Results can be copied and pickled.

    shapley, stderr: (M,).   interval: (M, 2), pointwise Student t over images.   simultaneous: (M, 2), max-t.
    interactions: (M, M), symmetric, NaN diagonal; None in the permutation design.
    values, tau: (2**M,), NaN where not evaluated; index = sum of 2**i over the bands present.
    score: the signed score; scores: every score by name; information: v(all) - v(empty). All are Estimates.
    efficiency_gap: sum of shapley minus (v(all) - v(empty)).   accuracy: on the intact images.
    power_db: (M,) the images' own power per band, mean (DC) left out, in dB of the total; NaN for DC alone.
    by_size: {accuracy, tau, confidence} -> (M + 1,) means over the coalitions of each size; with `clip`, also
        {clipped}, the share of pixel values that lay outside [0, 1].
    forward_passes: spent on the table.   skipped: images left out and why.   warnings: what to know about this run.
    """

    settings: Settings
    shapley: np.ndarray
    stderr: np.ndarray
    interval: np.ndarray
    simultaneous: np.ndarray
    interactions: np.ndarray | None
    values: np.ndarray
    tau: np.ndarray
    scores: Mapping[str, Estimate]
    information: Estimate
    accuracy: Estimate | None
    efficiency_gap: float
    power_db: np.ndarray
    by_size: Mapping[str, np.ndarray]
    n_images: int
    n_classes: int
    forward_passes: int
    warnings: tuple[str, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    _payoffs: Payoffs | None = field(default=None, repr=False, compare=False)
    _run: Run | None = field(default=None, repr=False, compare=False)
    _about: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)

    @property
    def _folder(self) -> RunFolder | None:
        """The run folder that it is kept in."""
        from spectrobe.engine.store import RunFolder

        return self._run if isinstance(self._run, RunFolder) else None

    @property
    def score(self) -> Estimate:
        """The signed score: 1 = all in the lowest band, 0 = flat, negative = high bands."""
        return self.scores[DEFAULT_SCORE]

    @property
    def model_name(self) -> str:
        """The model, as the user named it."""
        return self.settings.model_name

    @property
    def data_name(self) -> str:
        """The data set, as the user named it."""
        return self.settings.data_name

    @property
    def bands(self) -> BandPartition:
        """The band partition."""
        return self.settings.bands

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the model's input, in pixels."""
        return self.settings.image_size

    @property
    def value(self) -> str:
        """The value played for."""
        return self.settings.value

    @property
    def absence(self) -> str:
        """What stood in for absent bands."""
        return self.settings.absence

    @property
    def design(self) -> str:
        """The design: exact or permutation."""
        return self.settings.design

    @property
    def confidence(self) -> float:
        """Of the intervals."""
        return self.settings.confidence

    @property
    def unit(self) -> str:
        """Of values and Shapley values."""
        return make_value(self.value).unit

    @property
    def clipped_share(self) -> float | None:
        """Of the pixel values of coalition images; sizes count alike, as in Shapley values. None without `clip`."""
        return float(self.by_size["clipped"].mean()) if self.settings.clip else None

    @cached_property
    def fit(self) -> Fit:
        """Per-image Shapley values and payoffs, from the table."""
        found = fit(self.table(), self.settings.make_design(), make_value(self.value))
        _freeze(found.rows, found.coalition, found.payoffs, found.values, found.tau)
        return found

    @property
    def payoffs(self) -> np.ndarray:
        """Payoff of each image and coalition at the fitted tau: (N, 2**M), NaN where not evaluated; by position.

        Raises SpectrobeError above 4 GiB, naming `fit.coalition` and `fit.payoffs`, which hold what was evaluated.
        """
        size = self.n_images * 2**self.bands.n_bands * 8
        if size > 4 * 2**30:
            raise SpectrobeError(
                f"the table of all {2**self.bands.n_bands:,} coalitions takes {size / 2**30:.0f} GiB: "
                "use result.fit.coalition and result.fit.payoffs, which hold those that were played"
            )
        out = np.full((self.n_images, 2**self.bands.n_bands), np.nan)
        np.put_along_axis(out, self.fit.coalition, self.fit.payoffs, axis=1)
        out.setflags(write=False)
        return out

    @property
    def shapley_by_image(self) -> np.ndarray:
        """Per-image Shapley values, whose mean is `shapley`: (N, M), images by position in the data set."""
        return self.fit.rows

    def table(self) -> Payoffs:
        """The payoff table; SpectrobeError when the result has none, RunFolderError when a part of it is lost."""
        if self._payoffs is not None:
            return self._payoffs
        if self._run is None:
            raise SpectrobeError("this result has no payoff table: load the run folder it came from")
        from spectrobe.engine.payoffs import payoffs_of

        return payoffs_of(self._run, self._run.all_shards())

    def replicates(self) -> Replicates:
        """Bootstrap replicates of the Shapley values; the same images are drawn for every model of one data set."""
        from spectrobe.studies.decompose.summary import replicates_of

        return replicates_of(self.table(), self.settings, self.fit)

    def with_value(self, value: str) -> DecomposeResult:
        """The same table with another value, without the model."""
        from spectrobe.studies.decompose.summary import summarise, warned_of

        settings = replace(self.settings, value=value)
        if make_value(value).needs_labels and not self.settings.labelled:
            raise InputError(f"{self.data_name} has no labels, which value {value!r} needs: take 'agreement'")
        own = warned_of(self.fit, make_value(self.value))
        kept = tuple(warning for warning in self.warnings if warning not in own)
        found = summarise(self.table(), settings, self.forward_passes, self.skipped, kept)
        if self._run is None:
            return found
        return replace(found, _payoffs=None, _run=self._run, _about=self.about())

    def about(self) -> Mapping[str, Any]:
        """What run.json says of the run: its identity, what was settled, environment, times."""
        known = self._about or (self._folder.read_json("run.json") if self._folder else {"command": "decompose"})
        return {**known, "identity": {**known.get("identity", {}), "settings": self.settings.to_dict()}}

    def summary(self) -> str:
        """The profile as text, with one sentence on what it means."""
        from spectrobe.studies.decompose.wording import summary

        return summary(self)

    def to_frame(self) -> pd.DataFrame:
        """One row a band: low, high (cycles/pixel), shapley, stderr, interval, power. Needs pandas."""
        from spectrobe.studies.frames import import_pandas

        edges = self.bands.cycles_per_pixel()
        columns = {
            "band": np.arange(self.bands.n_bands),
            "low_cycles_per_pixel": edges[:, 0],
            "high_cycles_per_pixel": edges[:, 1],
            "shapley": self.shapley,
            "stderr": self.stderr,
            "interval_low": self.interval[:, 0],
            "interval_high": self.interval[:, 1],
            "power_db": self.power_db,
        }
        return import_pandas().DataFrame(columns)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write run.json, payoffs/ and result.json; `load` gives the result back."""
        from spectrobe.studies.runs import save_decomposition

        save_decomposition(self, folder)

    def to_dict(self) -> dict[str, Any]:
        """The result without its table, JSON-able."""
        return decomposition_to_dict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], folder: RunFolder | None = None) -> DecomposeResult:
        """The result that `to_dict` described; its table is read from the folder when asked for."""
        return cls(**decomposition_fields(content, folder.path if folder else "result.json"), _run=folder)


def _freeze(*arrays: Any) -> None:
    for array in arrays:
        if isinstance(array, np.ndarray):
            array.setflags(write=False)
