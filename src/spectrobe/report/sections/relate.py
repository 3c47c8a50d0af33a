"""Scores against measured robustness over a set of models: what goes with what, and how far it can be believed."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from spectrobe.report.blocks import Cell, Section, Table, Text
from spectrobe.report.charts.chart import NEUTRAL, Axis, Chart, Panels, Point, Series, round_ticks, span
from spectrobe.report.material import Material
from spectrobe.report.numbers import estimate_cell, interval, number
from spectrobe.studies.relate.wording import headline, sentence
from spectrobe.studies.words import percent

if TYPE_CHECKING:
    from spectrobe.studies.relate.relation import Relation
    from spectrobe.studies.relate.result import RelateResult

MOST_PANELS = 6
READING = (
    "One point a model. A rank correlation (Spearman) of 1 means that the score orders the models as the measure does, "
    "0 that it says nothing. Many scores were tried: p-values allow for that, and a score must beat clean accuracy, "
    "which needs no frequencies at all."
)


def section(material: Material) -> Section | None:
    """For each study its sentences, a panel a measure with the score that goes best with it, and every correlation."""
    blocks: list[object] = []
    for number_, run in enumerate(material.of("relate")):
        result: RelateResult = run.result
        blocks.append(Text((f"{headline(result)}.", *(sentence(result, name) for name in result.measures))))
        shown = [best for name in _headlines(result) if (best := result.best(name)) is not None]
        blocks += [_panels(result, shown, f"relate-{number_}")] if shown else []
        blocks.append(_table(result))
    return (
        Section("relate", "Scores and robustness", "Which score goes with robustness", tuple(blocks), READING)
        if blocks
        else None
    )


def _headlines(result: RelateResult) -> list[str]:
    names = [name for name, column in result.measures.items() if column.headline]
    return (names or list(result.measures))[:MOST_PANELS]


def _panels(result: RelateResult, relations: list[Relation], identity: str) -> Panels:
    charts = tuple(_chart(result, one, f"{identity}-{k}") for k, one in enumerate(relations))
    return Panels(
        identity=identity,
        title="Each measure against the score that goes best with it",
        charts=charts,
        table=_models(result, relations),
        intervals=f"Bars: {percent(result.confidence)} intervals over images, in both directions, where there are any.",
    )


def _chart(result: RelateResult, one: Relation, identity: str) -> Chart:
    score, measure = result.scores_for(one.measure)[one.score], result.measures[one.measure]
    points = []
    for name, x, y in zip(result.models, score.estimates, measure.estimates, strict=True):
        if isfinite(x.value) and isfinite(y.value):
            says = (
                f"{name}\n{one.score} {number(x.value)}, {interval(x.low, x.high)}"
                f"\n{one.measure} {number(y.value, 3)}, {interval(y.low, y.high, 3)}"
            )
            points.append(Point(x.value, y.value, (y.low, y.high), (x.low, x.high), says=says))
    x_low, x_high = span([end for p in points for end in (p.x, *(p.x_interval or ()))], zero=False)
    y_low, y_high = span([end for p in points for end in (p.y, *(p.y_interval or ()))], zero=False)
    rho = one.spearman
    return Chart(
        identity=identity,
        title=one.measure,
        description=(
            f"{one.measure} against {one.score}, {one.n_models} models: Spearman {number(rho.value)}, "
            f"{interval(rho.low, rho.high)}."
        ),
        x=Axis(one.score, x_low, x_high, round_ticks(x_low, x_high, 5)),
        y=Axis("", y_low, y_high, round_ticks(y_low, y_high, 5)),
        series=(Series("", "models", NEUTRAL, tuple(points)),),
        table=Table("", (), ()),
        small=True,
    )


def _models(result: RelateResult, relations: list[Relation]) -> Table:
    """The numbers of the panels: a row a model."""
    scores = {one.score: result.scores_for(one.measure)[one.score] for one in relations}
    columns = [*scores.values(), *(result.measures[one.measure] for one in relations)]
    rows = tuple(
        (Cell(name), Cell(recipe), *(estimate_cell(column.estimates[i], 3) for column in columns))
        for i, (name, recipe) in enumerate(zip(result.models, result.recipes, strict=True))
    )
    names = ("model", "recipe", *(column.name for column in columns))
    return Table("The numbers of these points", names, rows, frozenset(range(2, len(names))), True)


def _table(result: RelateResult) -> Table:
    """Every correlation of all models: a row a score and measure."""
    rows = tuple(
        (Cell(one.score), Cell(one.measure), Cell(str(one.n_models), one.n_models), estimate_cell(one.spearman),
         Cell(f"{one.spearman.p_max:.2g}", one.spearman.p_max), estimate_cell(one.partial),
         estimate_cell(one.over_clean))
        for one in result.relations
        if not one.subset
    )  # fmt: skip
    columns = (
        "score", "measure", "models", "Spearman", "p, all scores tried", "Spearman given clean accuracy",
        "over clean accuracy",
    )  # fmt: skip
    caption = f"Every rank correlation, with {percent(result.confidence)} intervals over recipes"
    return Table(caption, columns, rows, frozenset(range(2, len(columns))), True)
