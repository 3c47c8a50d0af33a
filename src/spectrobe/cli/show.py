"""Results as tables and texts for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from spectrobe.studies.decompose.wording import clipping
from spectrobe.studies.words import left_out, percent

if TYPE_CHECKING:
    from spectrobe.bands import BandPartition
    from spectrobe.game.intervals import Estimate
    from spectrobe.studies.compare import Comparison
    from spectrobe.studies.decompose.absences import AbsenceAgreement
    from spectrobe.studies.decompose.breakdown import ClassProfiles, UnusualImage
    from spectrobe.studies.decompose.result import DecomposeResult
    from spectrobe.studies.track.result import TrackResult

BAR_WIDTH = 12  # characters


def decomposition(results: Sequence[DecomposeResult], console: Console) -> list[Any]:
    """The profile, scores and totals of one table; several values of it side by side."""
    first = results[0]
    headline = (
        f"{first.model_name} on {first.data_name}: {first.n_images} images, {first.bands.n_bands} bands, "
        f"absence {first.absence}, {first.design} design"
    )
    scores = {result.value: {k: v for k, v in result.scores.items() if k != "information"} for result in results}
    tables = [profile_table(results, console), "", score_table(scores), "", size_table(first), ""]
    return [headline, "", *tables, *_totals(results), ""]


def profile_table(results: Sequence[DecomposeResult], console: Console) -> Table:
    """Shapley value, pointwise interval and, where there is room, a bar for each band; results side by side."""
    with_bars = console.width >= 20 + len(results) * (37 + BAR_WIDTH + 2)
    table = _table("band", "cycles/pixel")
    for result in results:
        table.add_column(f"\n{result.unit}", justify="right")
        table.add_column("\nstderr", justify="right")
        table.add_column(f"{result.value}\n{percent(result.confidence)} interval", justify="right")
        if with_bars:
            table.add_column("", no_wrap=True)
    for i, place in enumerate(_places(results[0].bands)):
        cells: list[str] = []
        for result in results:
            bars = [_bar(i, result.shapley, console.options.ascii_only)] if with_bars else []
            cells += [f"{result.shapley[i]:+.3f}", f"{result.stderr[i]:.3f}", _interval(*result.interval[i]), *bars]
        table.add_row(str(i), place, *cells)
    return table


def size_table(result: DecomposeResult) -> Table:
    """What becomes of the model as bands go: without it, lost information looks like overconfidence, and vice versa."""
    columns = {"accuracy": "accuracy", "confidence": "mean confidence", "tau": "inverse temperature"}
    columns |= {"clipped": "pixels clipped"} if "clipped" in result.by_size else {}
    table = _table("bands present", *columns.values())
    for size in range(result.bands.n_bands, -1, -1):
        row = (float(result.by_size[name][size]) for name in columns)
        table.add_row(str(size), *("-" if np.isnan(value) else f"{value:.3f}" for value in row))
    return table


def _bar(band: int, shapley: np.ndarray, ascii_only: bool) -> str:
    positive, negative = "#-" if ascii_only else "█▒"
    length = round(BAR_WIDTH * float(abs(shapley[band]) / (np.abs(shapley).max() or 1.0)))
    return (positive if shapley[band] >= 0 else negative) * length


def score_table(scores: Mapping[str, Mapping[str, Estimate]]) -> Table:
    """Scores by name; a pair of columns for each set of them."""
    table = _table("score")
    for name, some in scores.items():
        table.add_column("", justify="right")
        table.add_column(f"{name}\n{percent(next(iter(some.values())).confidence)} interval", justify="right")
    for name in next(iter(scores.values())):
        table.add_row(name, *(cell for some in scores.values() for cell in _estimate(some[name])))
    return table


def comparison(found: Comparison, a: DecomposeResult, b: DecomposeResult) -> list[Any]:
    """Profiles of both models, the paired differences, and the scores."""
    bands, scores = _table("band", "cycles/pixel"), _table("score")
    for table in (bands, scores):
        for name in ("A", "B", "B - A", f"{percent(found.confidence)} interval"):
            table.add_column(name, justify="right")
    for i, place in enumerate(_places(a.bands)):
        values = (a.shapley[i], b.shapley[i], found.difference[i])
        bands.add_row(str(i), place, *(f"{value:+.3f}" for value in values), _interval(*found.interval[i]))
    for name, difference in found.scores.items():
        scores.add_row(name, _estimate(a.scores[name])[0], _estimate(b.scores[name])[0], *_estimate(difference))
    headline = f"A: {found.model_a}\nB: {found.model_b}\n{found.n_images} images, {a.value} ({a.unit}), paired"
    return [headline, "", bands, "", scores, "", *_undefined(found.scores)]


def agreement(found: AbsenceAgreement) -> list[Any]:
    """The score with each absence, and how far absences agree on the order of the bands."""
    scores, ranks = _table("absence", "score", "interval"), _table("rank agreement", *found.results)
    for (name, result), row in zip(found.results.items(), found.rank_agreement, strict=True):
        scores.add_row(name, *_estimate(result.score))
        ranks.add_row(name, *(f"{r:+.2f}" for r in row))
    first = next(iter(found.results.values()))
    headline = f"{first.model_name} on {first.data_name}: {first.n_images} images, {first.value}, every absence"
    return [headline, "", scores, "", ranks, ""]


def tracking(found: TrackResult) -> list[Any]:
    """A row a checkpoint: accuracy, information, score, and the Shapley value of each band; then what changed."""
    first = found.results[0]
    columns = [f"band {i}\n{place}" for i, place in enumerate(_places(found.bands))]
    table = _table("checkpoint", "accuracy", f"v(all) - v(empty)\n{first.unit}", "score")
    for column in columns:
        table.add_column(column, justify="right")
    for name, result in zip(found.names, found.results, strict=True):
        accuracy = "-" if result.accuracy is None else f"{result.accuracy.value:.3f}"
        numbers = [_with_error(result.information), _with_error(result.score)]
        table.add_row(Text(name), accuracy, *numbers, *(f"{phi:+.3f}" for phi in result.shapley))
    headline = (
        f"{found.model_name} on {first.data_name}: {len(found.names)} checkpoints, {first.n_images} images, "
        f"{first.value}, absence {first.absence}, {first.design} design"
    )
    worst = max(float(result.stderr.max()) for result in found.results)
    lines = [f"standard errors of Shapley values: at most {worst:.3f} {first.unit}"]
    lines += [f"{name}: not measured ({why})" for name, why in found.failed.items()]
    lines += [f"warning: {warning}" for result in found.results for warning in result.warnings]
    return [headline, "", table, "", *dict.fromkeys(lines), "", found.sentence()]


def classes(found: ClassProfiles) -> Table:
    """Shapley values by class with the half-width of their intervals."""
    table = _table(
        "predicted class" if found.predicted else "class",
        "images",
        *(f"band {i}" for i in range(found.shapley.shape[1])),
    )
    for label, n, phi, interval in zip(found.classes, found.n_images, found.shapley, found.interval, strict=True):
        cells = (f"{value:+.2f} ±{(high - low) / 2:.2f}" for value, (low, high) in zip(phi, interval, strict=True))
        table.add_row(str(label), str(n), *cells)
    return table


def unusual(found: Sequence[UnusualImage], labelled: bool) -> Table:
    """Images by the distance of their profiles from the mean profile."""
    table = _table(
        "image",
        "class" if labelled else "predicted class",
        "distance",
        *(f"band {i}" for i in range(len(found[0].shapley))),
    )
    for image in found:
        cells = (f"{value:+.2f}" for value in image.shapley)
        table.add_row(Text(image.id), str(image.label), f"{image.distance:.1f}", *cells)
    return table


def _totals(results: Sequence[DecomposeResult]) -> list[str]:
    """v(all) - v(empty), what the Shapley values add up to, what it cost, and what to know."""
    first = results[0]
    lines = [
        f"v(all) - v(empty), {r.value}: {r.information} {r.unit}; efficiency gap {r.efficiency_gap:.0e}"
        for r in results
    ]
    if first.accuracy is not None:
        lines.append(f"accuracy on the intact images: {first.accuracy}")
    lines += clipping(first)
    lines.append(f"{first.forward_passes:,} forward passes")
    for result in results:
        lines += _undefined(result.scores)
    lines += [f"warning: {warning}" for result in results for warning in result.warnings]
    lines += left_out(first.skipped)
    return list(dict.fromkeys(lines))


def _undefined(scores: Mapping[str, Estimate]) -> list[str]:
    reasons: dict[str, list[str]] = {}
    for name, score in scores.items():
        if np.isnan(score.value):
            reasons.setdefault(score.reason, []).append(name)
    return [f"not defined: {', '.join(names)} ({reason})" for reason, names in reasons.items()]


def _places(bands: BandPartition) -> list[str]:
    return ["mean" if high == 0 else f"{low:.3f}-{high:.3f}" for low, high in bands.cycles_per_pixel()]


def _estimate(estimate: Estimate) -> tuple[str, str]:
    if np.isnan(estimate.value):
        return "-", "not defined"
    return f"{estimate.value:+.3f}", _interval(estimate.low, estimate.high)


def _with_error(estimate: Estimate) -> str:
    return "not defined" if np.isnan(estimate.value) else f"{estimate.value:+.3f} ±{estimate.stderr:.3f}"


def _interval(low: float, high: float) -> str:
    if np.isnan(low) or np.isnan(high):
        return "none"
    return f"[{low:+.3f}, {high:+.3f}]"


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, header_style="", show_edge=False)
    for column in columns:
        table.add_column(column)
    return table
