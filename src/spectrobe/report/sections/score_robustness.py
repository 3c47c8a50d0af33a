"""Score against robustness: does what a model leans on go with what perturbations leave of its accuracy?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING

from spectrobe.report.blocks import Cell, Section, Table, Text
from spectrobe.report.charts.chart import Axis, Chart, Panels, Point, Series, round_ticks, span
from spectrobe.report.material import Material, grouped, unfinished_mark
from spectrobe.report.numbers import estimate_cell, interval, number
from spectrobe.report.sections.profiles import shared
from spectrobe.studies.words import percent

if TYPE_CHECKING:
    from spectrobe.game.intervals import Estimate
    from spectrobe.report.runs import Run
    from spectrobe.studies.robustness.result import RobustnessResult

FEWEST = 2
"""Models: one point is no relation."""
READING = (
    "One point a model, with intervals in both directions. A few models can line up by chance: with fewer than about "
    "ten, take this as a picture and not as a relation."
)


@dataclass(frozen=True)
class _Pair:
    """A decomposition and a robustness run of one model."""

    decomposed: Run
    robustness: Run

    @property
    def label(self) -> str:
        """The model, and how far its runs have come where they are not finished."""
        marks = dict.fromkeys(filter(None, map(unfinished_mark, (self.decomposed, self.robustness))))
        return self.decomposed.model_name + "".join(marks)


def section(material: Material) -> Section | None:
    """A panel a measure of robustness that at least two models have."""
    blocks: list[object] = []
    for number_, runs in enumerate(grouped(material.of("decompose"), shared)):
        pairs = _pairs(runs, material.of("robustness"))
        measures = [
            name for name in _names(pairs) if sum(name in _measures(p.robustness.result) for p in pairs) >= FEWEST
        ]
        if measures:
            blocks.append(_panels(material, pairs, measures, f"relation-{number_}"))
    if len(blocks) > 1:
        note = (
            "Models whose profiles were measured otherwise have charts of their own, as above: scores do not compare."
        )
        blocks.insert(0, Text((note,), "note"))
    return (
        Section("relation", "Score and robustness", "Score against robustness", tuple(blocks), READING)
        if blocks
        else None
    )


def _pairs(decomposed: Sequence[Run], robustness: Sequence[Run]) -> list[_Pair]:
    """The first run of each kind of each model whose score is defined; of robustness rather one on the same data."""
    found: dict[str, _Pair] = {}
    for run in decomposed:
        name = run.result.model_name
        own = [other for other in robustness if other.result.model_name == name]
        own.sort(key=lambda other: bool(other.result.data_name != run.result.data_name))
        partner = own[0] if own else None
        if partner is not None and name not in found and not isnan(run.result.score.value):
            found[name] = _Pair(run, partner)
    return list(found.values())


def _names(pairs: Sequence[_Pair]) -> list[str]:
    return list(dict.fromkeys(name for pair in pairs for name in _measures(pair.robustness.result)))


def _measures(result: RobustnessResult) -> dict[str, Estimate]:
    """Measures of robustness, all of them accuracies: higher is more robust."""
    found: dict[str, Estimate] = {}
    error = result.mean_corruption_error
    if error is not None and not isnan(error.value):
        found["mean accuracy under corruptions"] = type(error)(
            1 - error.value, error.stderr, 1 - error.high, 1 - error.low, error.confidence
        )
    found |= {f"accuracy in the worst case, {name}": e for name, e in result.worst_case.items()}
    found |= {f"mean accuracy over epsilon, {name}": e for name, e in result.area.items() if not isnan(e.value)}
    if result.clean is not None:
        found["accuracy on clean images"] = result.clean
    return found


def _panels(material: Material, pairs: Sequence[_Pair], measures: Sequence[str], identity: str) -> Panels:
    ends = [end for pair in pairs for end in (pair.decomposed.result.score.low, pair.decomposed.result.score.high)]
    low, high = span(ends, zero=False, room=0.1)
    x = Axis("score (1: lowest band alone, 0: all alike)", low, high, round_ticks(low, high, 5))
    charts = tuple(_chart(material, pairs, name, f"{identity}-{k}", x) for k, name in enumerate(measures))
    level = percent(pairs[0].decomposed.result.confidence)
    return Panels(
        identity=identity, title="Score against measures of robustness", charts=charts,
        table=_table(pairs, measures, level), intervals=f"Bars: {level} intervals over images, in both directions.",
        legend="Models",
    )  # fmt: skip


def _chart(material: Material, pairs: Sequence[_Pair], measure: str, identity: str, x: Axis) -> Chart:
    series, told = [], []
    for pair in pairs:
        score, name, label = pair.decomposed.result.score, pair.decomposed.model_name, pair.label
        robust = _measures(pair.robustness.result).get(measure)
        if robust is None or isnan(robust.value):
            continue
        says = (
            f"{label}\nscore {number(score.value)}, {interval(score.low, score.high)}"
            f"\n{measure} {number(robust.value, 3)}, {interval(robust.low, robust.high, 3)}"
        )
        point = Point(score.value, robust.value, (robust.low, robust.high), (score.low, score.high), says=says)
        series.append(Series(material.key(name), label, material.look(name), (point,)))
        told.append(f"{label}: score {number(score.value)}, {number(robust.value)}")
    return Chart(
        identity=identity, title=measure, description=f"{measure} against the score. {'; '.join(told)}.", x=x,
        y=Axis("accuracy", 0.0, 1.0, round_ticks(0.0, 1.0, 5)), series=tuple(series), table=Table("", (), ()),
        small=True,
    )  # fmt: skip


def _table(pairs: Sequence[_Pair], measures: Sequence[str], level: str) -> Table:
    rows = tuple(
        (Cell(pair.label), estimate_cell(pair.decomposed.result.score),
         *(estimate_cell(_measures(pair.robustness.result).get(name), 3) for name in measures))
        for pair in pairs
    )  # fmt: skip
    columns = ("model", "score", *measures)
    return Table(
        f"Scores and robustness, with {level} intervals", columns, rows, frozenset(range(1, len(columns))), True
    )
