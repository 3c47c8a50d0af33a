"""Columns: one number a model, with its interval."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from spectrobe.game.intervals import Estimate

SCORE, BASELINE = "score", "baseline"


@dataclass(frozen=True)
class Column:
    """A score or a measured robustness, one Estimate a model, in the order of the models.

    kind: of scores "score" or "baseline" (what a score has to beat, and which is never chosen); of measures what the
        number is: "accuracy", "area", "distance", "table".
    measure: the only measure that a score is for, or "".   conditions: what a measure sums up, as robustness names it.
    headline: shown first.
    """

    name: str
    estimates: tuple[Estimate, ...]
    kind: str
    measure: str = ""
    conditions: tuple[str, ...] = ()
    headline: bool = True

    @property
    def values(self) -> np.ndarray:
        """(N,), NaN where a model has none."""
        return np.asarray([e.value if np.isfinite(e.value) else np.nan for e in self.estimates])


def column(name: str, found: Iterable[Estimate | None], kind: str, lacking: str, **more: object) -> Column:
    """A column whose missing numbers are undefined for the reason `lacking`."""
    estimates = tuple(Estimate.undefined(lacking) if one is None else one for one in found)
    return Column(name, estimates, kind, **more)  # type: ignore[arg-type]  # fields of Column


def bare(value: float) -> Estimate:
    """A number without an interval, from a table."""
    return Estimate(value, np.nan, np.nan, np.nan, np.nan, "from a table, without an interval")


def by_name(columns: Iterable[Column]) -> Mapping[str, Column]:
    """Columns by their names."""
    return {one.name: one for one in columns}
