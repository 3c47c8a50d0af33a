"""What each frequency band gives each model: the Shapley profiles, all models in one chart where they can share it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from spectrobe.figures.style import MARKERS, Look
from spectrobe.report.blocks import Cell, Section, Table
from spectrobe.report.charts.bands import band_axis
from spectrobe.report.charts.chart import Axis, Chart, Guide, Point, Series, round_ticks, span
from spectrobe.report.material import Material, apart, attempt, grouped, told_apart
from spectrobe.report.numbers import estimate_cell, interval, number, places, places_per_image
from spectrobe.report.runs import Run
from spectrobe.studies.words import percent

DIFFERING = ("data_name", "absence", "design", "n_images")
"""Settings in which profiles of one chart may differ; a label names them where a model comes twice."""
MOST_PAIRS = 10
READING = (
    "Each point is a frequency band's Shapley value: how much the band adds, on average over all orders in which bands "
    "could be revealed to the model. Bands go from coarse structure (left) to fine detail (right). A band whose "
    "interval includes 0 is not shown to give the model anything."
)


def section(material: Material) -> Section | None:
    """The profiles, a chart for each set of runs that can share one."""
    groups = grouped(material.of("decompose"), shared)
    if not groups:
        return None
    so = "Their numbers and scores are not comparable across the charts below."
    blocks = apart(groups, shared, ("band partitions", "values", "confidences"), so)
    for number_, runs in enumerate(groups):
        blocks.append(_chart(material, runs, f"profile-{number_}"))
        differences = _differences(runs)
        blocks += [differences] if differences else []
    return Section("profiles", "Bands", "What each frequency band gives", tuple(blocks), READING)


def shared(run: Run) -> tuple[object, ...]:
    """Runs that agree in these share a chart."""
    return str(run.result.bands), run.result.value, run.result.confidence


def _chart(material: Material, runs: Sequence[Run], identity: str) -> Chart:
    first = runs[0].result
    labels = told_apart(runs, DIFFERING)
    series = tuple(
        _series(material, run, label, place, len(runs), look_of(material, runs, k))
        for k, (run, label, place) in enumerate(zip(runs, labels, range(len(runs)), strict=True))
    )
    ends = [end for run in runs for pair in (*run.result.simultaneous, *run.result.interval) for end in pair]
    low, high = span([*ends, *(value for run in runs for value in run.result.shapley)], zero=True)
    level = percent(first.confidence)
    return Chart(
        identity=identity,
        title=f"Shapley value of each band, {first.value}" + f": {labels[0]}" * (len(runs) == 1),
        description=_described(runs, labels),
        x=band_axis(first.bands, [run.result.image_size for run in runs]),
        y=Axis(f"Shapley value ({first.unit})", low, high, round_ticks(low, high)),
        series=series,
        table=_table(runs, labels),
        intervals=f"Bars: {level} intervals over images; thick for each band alone, thin for all bands together.",
        guides=(Guide(0.0),),
        legend="Models" if len(runs) > 1 else "",
    )


def look_of(material: Material, runs: Sequence[Run], k: int) -> Look:
    """The model's look; the runs of one model share its colour and differ in the marker."""
    look = material.look(runs[k].result.model_name)
    before = sum(material.look(run.result.model_name).color == look.color for run in runs[:k])
    return replace(look, marker=MARKERS[before % len(MARKERS)]) if before else look


def _series(material: Material, run: Run, label: str, place: int, of: int, look: Look) -> Series:
    result = run.result
    step = min(0.16, 0.66 / of)
    where = places(result.bands)
    points = []
    for band, value in enumerate(result.shapley.tolist()):
        low, high = result.interval[band].tolist()
        says = (
            f"{label}\n{where[band]} cycles/pixel\n{number(value, 3)} {result.unit}"
            f"\n{percent(result.confidence)} interval {interval(low, high, 3)}"
        )
        outer = tuple(result.simultaneous[band].tolist())
        points.append(Point(band + (place - (of - 1) / 2) * step, value, (low, high), None, outer, says))
    return Series(material.key(result.model_name), label, look, tuple(points))


def _described(runs: Sequence[Run], labels: Sequence[str]) -> str:
    parts = []
    for run, label in zip(runs, labels, strict=True):
        result = run.result
        top = int(np.argmax(result.shapley))
        nothing = [place for place, (low, _) in zip(places(result.bands), result.interval, strict=True) if not low > 0]
        parts.append(
            f"{label}: largest in band {places(result.bands)[top]} cycles/pixel "
            f"({number(result.shapley[top])} {result.unit})"
            + (f", not above 0 by its interval in {', '.join(nothing)}" if nothing else ", above 0 in every band")
        )
    return "; ".join(parts) + "."


def _table(runs: Sequence[Run], labels: Sequence[str]) -> Table:
    first = runs[0].result
    sides = {min(run.result.image_size) for run in runs}
    columns = ["band", "cycles/pixel", *(["cycles/image"] if len(sides) == 1 else []), *labels]
    rows = []
    per_image = places_per_image(first.bands, min(sides))
    for band, place in enumerate(places(first.bands)):
        cells = [Cell(str(band), band), Cell(place, band), *([Cell(per_image[band], band)] if len(sides) == 1 else [])]
        for run in runs:
            low, high = run.result.interval[band].tolist()
            value = float(run.result.shapley[band])
            cells.append(Cell(number(value, 3), value, interval(low, high, 3)))
        rows.append(tuple(cells))
    after = len(columns) - len(labels)
    caption = f"Shapley values in {first.unit} with {percent(first.confidence)} intervals of each band alone"
    return Table(caption, tuple(columns), tuple(rows), frozenset(range(after, len(columns))))


def _differences(runs: Sequence[Run]) -> Table | None:
    """Paired differences of scores between runs on the same images: what they share cancels."""
    from spectrobe.studies.compare import compare

    whole = [run for run in runs if run.progress is None]
    pairs = list(combinations(whole, 2))[:MOST_PAIRS]
    rows = []
    for a, b in pairs:
        if a.result.model_name == b.result.model_name:
            continue
        found, _ = attempt(compare, a.result, b.result)
        if found is None:
            continue
        score = found.scores["signed"]
        rows.append(
            (
                Cell(a.result.model_name),
                Cell(b.result.model_name),
                estimate_cell(score),
                Cell(_verdict(score.low, score.high, a.result.model_name, b.result.model_name)),
            )
        )
    if not rows:
        return None
    caption = "Differences between models, image by image: score of the second minus score of the first"
    return Table(caption, ("first", "second", "difference", "what it says"), tuple(rows), frozenset({2}), True)


def _verdict(low: float, high: float, a: str, b: str) -> str:
    if low > 0:
        return f"{b} leans more on low frequencies"
    if high < 0:
        return f"{a} leans more on low frequencies"
    return "these images cannot tell them apart"
