"""Results as tables and texts for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich import box
from rich.table import Table

from spectrobe.studies.wording import percent

if TYPE_CHECKING:
    from spectrobe.bands import BandPartition
    from spectrobe.game.intervals import Estimate
    from spectrobe.studies.compare import Comparison
    from spectrobe.studies.decomposition import DecomposeResult

BAR_WIDTH = 14  # characters


def headline(result: DecomposeResult) -> str:
    """What was measured."""
    return (
        f"{result.model_name} on {result.data_name}: {result.n_images} images, {result.bands.n_bands} bands, "
        f"absence {result.absence}, {result.design} design"
    )


def profile_table(results: Sequence[DecomposeResult], ascii_only: bool = False) -> Table:
    """Shapley value, pointwise interval and a bar for each band; results of one partition side by side."""
    table = _table()
    table.add_column("band", justify="right")
    table.add_column("cycles/pixel")
    for result in results:
        table.add_column(f"{result.value} ({result.unit})", justify="right")
        table.add_column(f"{percent(result.confidence)} interval", justify="right")
        table.add_column("", no_wrap=True)
    for i, place in enumerate(band_names(results[0].bands)):
        cells: list[str] = []
        for result in results:
            reach = float(np.abs(result.shapley).max()) or 1.0
            length = round(BAR_WIDTH * float(abs(result.shapley[i])) / reach)
            mark = ("#" if ascii_only else "█") if result.shapley[i] >= 0 else ("-" if ascii_only else "▒")
            cells += [f"{result.shapley[i]:+.3f}", _interval(*result.interval[i]), mark * length]
        table.add_row(str(i), place, *cells)
    return table


def score_table(scores: Sequence[dict[str, Estimate]], names: Sequence[str]) -> Table:
    """Scores by name, a pair of columns for each set of them."""
    table = _table()
    table.add_column("score")
    for name, some in zip(names, scores, strict=True):
        table.add_column(name, justify="right")
        table.add_column(f"{percent(next(iter(some.values())).confidence)} interval")
    for name in scores[0]:
        cells: list[str] = []
        for some in scores:
            estimate = some[name]
            known = not np.isnan(estimate.value)
            cells += [f"{estimate.value:+.3f}", _interval(estimate.low, estimate.high)] if known else ["-", "not defined"]
        table.add_row(name, *cells)
    return table


def totals(result: DecomposeResult) -> str:
    """v(all) - v(empty), what the Shapley values add up to, and what it cost."""
    right = "" if result.accuracy is None else f"accuracy on the intact images {result.accuracy}\n"
    return (
        f"v(all) - v(empty) = {result.information} {result.unit}; the Shapley values add up to it but for "
        f"{abs(result.efficiency_gap):.0e}\n{right}{result.forward_passes:,} forward passes"
    )


def remarks(result: DecomposeResult) -> list[str]:
    """Why scores are not defined, warnings, and images left out: a line each."""
    reasons = dict.fromkeys(score.reason for score in result.scores.values() if np.isnan(score.value))
    lines = [f"scores not defined: {reason}" for reason in reasons]
    lines += [f"warning: {warning}" for warning in result.warnings]
    return lines + [f"left out: {reason}" for reason in result.skipped.values()]


def difference_table(comparison: Comparison, a: DecomposeResult, b: DecomposeResult) -> Table:
    """Shapley values of both models and the paired difference, band by band."""
    table = _table()
    table.add_column("band", justify="right")
    table.add_column("cycles/pixel")
    for name in ("A", "B", "B - A"):
        table.add_column(name, justify="right")
    table.add_column(f"{percent(comparison.confidence)} interval", justify="right")
    for i, place in enumerate(band_names(a.bands)):
        values = (a.shapley[i], b.shapley[i], comparison.difference[i])
        table.add_row(str(i), place, *(f"{value:+.3f}" for value in values), _interval(*comparison.interval[i]))
    return table


def band_names(bands: BandPartition) -> list[str]:
    """Where each band lies, in cycles/pixel."""
    return ["mean" if high == 0 else f"{low:.3f}-{high:.3f}" for low, high in bands.cycles_per_pixel()]


def _interval(low: float, high: float) -> str:
    return f"[{low:+.3f}, {high:+.3f}]"


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="", show_edge=False)
