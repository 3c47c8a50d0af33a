"""Profiles over checkpoints: how a model's use of each frequency band changed in training."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from spectrobe.report.blocks import Cell, Section, Table, Text
from spectrobe.report.charts.chart import Axis, Chart, Interval, Panels, Point, Series, Tick, round_ticks, span
from spectrobe.report.material import Material, model_label, so_far, unfinished_mark
from spectrobe.report.numbers import estimate_cell, interval, number, places
from spectrobe.studies.words import percent

if TYPE_CHECKING:
    from spectrobe.report.runs import Run
    from spectrobe.studies.decompose.result import DecomposeResult
    from spectrobe.studies.track.result import TrackResult

READING = (
    "The profile at each checkpoint, a panel a band, on the same images throughout: how much the model takes from a "
    "band as training goes on."
)

Taken = Callable[["DecomposeResult"], tuple[float, Interval]]
"""One number of a checkpoint, and its interval."""


def section(material: Material) -> Section | None:
    """For each study its sentence, the score and every band over checkpoints, and the numbers."""
    blocks: list[object] = []
    for number_, run in enumerate(material.of("track")):
        result: TrackResult = run.result
        blocks += [Text((so_far(run) + result.sentence(),)), _panels(material, run, f"track-{number_}"), _table(run)]
    return Section("track", "Training", "Over training", tuple(blocks), READING) if blocks else None


def _panels(material: Material, run: Run, identity: str) -> Panels:
    result: TrackResult = run.result
    first = result.results[0]
    ends = [float(end) for end in (*result.interval.ravel(), *result.shapley.ravel())]
    low, high = span(ends, zero=True)
    y = Axis(f"Shapley value ({first.unit})", low, high, round_ticks(low, high, 5))
    charts = [
        _chart(material, run, f"{identity}-{band}", f"{place} cycles/pixel", y, _of_band(band))
        for band, place in enumerate(places(first.bands))
    ]
    level = percent(first.confidence)
    return Panels(
        identity=identity, title=f"Shapley value of each band over checkpoints: {model_label(run)}",
        charts=tuple(charts), table=_bands(result, level),
        intervals=f"Bars: {level} intervals over {first.n_images:,} images, each band alone.",
    )  # fmt: skip


def _of_band(band: int) -> Taken:
    def taken(result: DecomposeResult) -> tuple[float, Interval]:
        low, high = result.interval[band].tolist()
        return float(result.shapley[band]), (low, high)

    return taken


def _chart(material: Material, run: Run, identity: str, title: str, y: Axis, taken: Taken) -> Chart:
    result: TrackResult = run.result
    points = []
    for place, (name, one) in enumerate(zip(result.names, result.results, strict=True)):
        value, ends = taken(one)
        says = (
            f"{name}, {title}\n{number(value, 3)} {one.unit}\n{percent(one.confidence)} interval {interval(*ends, 3)}"
        )
        points.append(Point(float(place), value, ends, says=says))
    last = len(points) - 1
    ticks = tuple(Tick(float(i), result.names[i]) for i in dict.fromkeys((0, last)))
    series = Series(material.key(run.model_name), run.model_name, material.look(run.model_name), tuple(points), "solid")
    told = f"{title}: {number(points[0].y)} at {result.names[0]}, {number(points[-1].y)} at {result.names[-1]}."
    return Chart(
        identity=identity, title=title, description=told, x=Axis("checkpoint", -0.4, max(last, 1) + 0.4, ticks), y=y,
        series=(series,), table=Table("", (), ()), small=True,
    )  # fmt: skip


def _bands(result: TrackResult, level: str) -> Table:
    rows = tuple(
        (Cell(name), *(Cell(number(value, 3), value, interval(low, high, 3))
                       for value, (low, high) in zip(one.shapley.tolist(), one.interval.tolist(), strict=True)))
        for name, one in zip(result.names, result.results, strict=True)
    )  # fmt: skip
    columns = ("checkpoint", *places(result.bands))
    caption = f"Shapley values ({result.results[0].unit}) by band (cycles/pixel), {level} intervals of each band alone"
    return Table(caption, columns, rows, frozenset(range(1, len(columns))))


def _table(run: Run) -> Table:
    """A row a checkpoint: its score, its information, its accuracy."""
    result: TrackResult = run.result
    rows = tuple(
        (Cell(name), estimate_cell(one.score), estimate_cell(one.information), estimate_cell(one.accuracy, 3))
        for name, one in zip(result.names, result.results, strict=True)
    )
    level = percent(result.results[0].confidence)
    columns = ("checkpoint", "score", f"information ({result.results[0].unit})", "accuracy")
    caption = f"Every checkpoint{unfinished_mark(run)}, with {level} intervals over images"
    return Table(caption, columns, rows, frozenset({1, 2, 3}), True)
