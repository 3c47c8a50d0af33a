"""The answer: a paragraph of plain words, every model's score, and what to know before believing it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import isnan

import numpy as np

from spectrobe.game.scores import falling_weights
from spectrobe.report.blocks import Cell, Remarks, Section, Table, Text
from spectrobe.report.charts.chart import Axis, Chart, Guide, Point, Row, Series, Tick
from spectrobe.report.material import Material, grouped, told_apart
from spectrobe.report.numbers import NOT_DEFINED, estimate_cell, interval, number
from spectrobe.report.runs import Run
from spectrobe.report.sections.profiles import DIFFERING, look_of, shared
from spectrobe.report.words import answer, details
from spectrobe.studies.words import percent

_FEW = 4  # remarks that are not folded away


def section(material: Material) -> Section:
    """Always there."""
    blocks: list[object] = [Text((answer(material),), "lead"), Text(tuple(details(material)))]
    for number_, runs in enumerate(grouped(material.of("decompose"), shared)):
        blocks.append(_scores(material, runs, f"score-{number_}"))
    items = tuple(dict.fromkeys(remarks(material.runs)))
    if items:
        blocks.append(Remarks("What to know about these runs", items, closed=len(items) > _FEW))
    return Section("answer", "Answer", "The answer", tuple(blocks))


def remarks(runs: Iterable[Run]) -> Iterator[str]:
    """Unfinished runs, warnings, failures, images left out: a line each."""
    for run in runs:
        name = getattr(run.result, "model_name", "") or run.kind
        if run.progress:
            why = f"; {run.progress.why}" if run.progress.why else "; what is there is shown"
            yield f"{run.kind}: this run is not finished ({run.progress}){why}. The call that began it goes on."
        for result in run.parts:
            yield from (f"{name}: {warning}" for warning in getattr(result, "warnings", ()))
            skipped = getattr(result, "skipped", {})
            if skipped:
                yield f"{name}: {len(skipped)} image(s) left out, the first: {next(iter(skipped.values()))}"
        for failed, why in (getattr(run.result, "failed", None) or {}).items():
            yield f"{name}: {failed} could not be measured: {why}"


def _scores(material: Material, runs: Sequence[Run], identity: str) -> Chart:
    """A row a model: the score and its interval, between the two ends that it can reach."""
    first = runs[0].result
    labels = told_apart(runs, DIFFERING)
    series = tuple(_series(material, runs, k, label) for k, label in enumerate(labels))
    weights = falling_weights(first.bands)
    lowest = float((weights.min() - weights.mean()) / (1 - weights.mean()))
    ends = [end for run in runs for end in (run.result.score.low, run.result.score.high) if not isnan(end)]
    low, high = min([lowest, *ends]), max([1.0, *ends])
    ticks = [Tick(at, number(at, 1) if at else "0") for at in np.arange(-2, 2.01, 0.5).tolist() if low <= at <= high]
    level = percent(first.confidence)
    told = [f"{label} {_told(run)}" for label, run in zip(labels, runs, strict=True)]
    return Chart(
        identity=identity,
        title="Fine detail or coarse structure? The score" + " of each model" * (len(runs) > 1),
        description=f"The score with its {level} interval over images, a row a model: {'; '.join(told)}.",
        x=Axis("", low - 0.03 * (high - low), high + 0.03 * (high - low), tuple(ticks)),
        y=Axis("", 0, 1, ()),
        series=series,
        rows=tuple(Row(label, _told(run)) for label, run in zip(labels, runs, strict=True)),
        guides=(Guide(0.0, "all bands alike", vertical=True),),
        ends=("← fine detail", "coarse structure →"),
        intervals=f"Bars: {level} intervals over images. 1: all from the lowest band; 0: the same from every band.",
        table=_table(runs, labels, level),
    )


def _told(run: Run) -> str:
    score = run.result.score
    return NOT_DEFINED if isnan(score.value) else f"{number(score.value)}, {interval(score.low, score.high)}"


def _series(material: Material, runs: Sequence[Run], k: int, label: str) -> Series:
    result, score = runs[k].result, runs[k].result.score
    says = f"{label}\nscore {_told(runs[k])}\n{result.n_images} images"
    point = Point(score.value, float(k), x_interval=(score.low, score.high), says=says)
    return Series(material.key(result.model_name), label, look_of(material, runs, k), (point,))


def _table(runs: Sequence[Run], labels: Sequence[str], level: str) -> Table:
    names = list(runs[0].result.scores)
    rows = [
        (Cell(label), Cell(f"{run.result.n_images:,}", run.result.n_images),
         *(estimate_cell(run.result.scores[name]) for name in names), estimate_cell(run.result.accuracy))
        for label, run in zip(labels, runs, strict=True)
    ]  # fmt: skip
    columns = ("model", "images", *names, "accuracy")
    caption = f"Every score with its {level} interval over images, and the accuracy on the intact images"
    return Table(caption, columns, tuple(rows), frozenset(range(1, len(columns))), True)
