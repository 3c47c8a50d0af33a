"""Does a model's response, times the spectrum of a perturbation, say what the perturbation costs?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from spectrobe.figures.style import Look, nth_look
from spectrobe.report.blocks import Cell, Section, Table, Text
from spectrobe.report.charts.chart import Axis, Chart, Guide, Panels, Point, Row, Series, round_ticks, span
from spectrobe.report.material import Material, apart, grouped, told_apart
from spectrobe.report.numbers import estimate_cell, interval, number, plural
from spectrobe.report.runs import Run
from spectrobe.report.sections.profiles import look_of
from spectrobe.report.sections.response import DIFFERING, SHARED, shared
from spectrobe.studies.response.claim import Claim, Prediction
from spectrobe.studies.response.predictors import MASKING
from spectrobe.studies.response.wording import claim_sentence, claim_sentences
from spectrobe.studies.words import percent

if TYPE_CHECKING:
    from spectrobe.studies.response.result import ResponseResult

READING = (
    "The response is measured without any perturbation: how little noise in a band takes accuracy half way to chance. "
    "Times what a perturbation changes in that band, and summed over bands, it should tell what the perturbation "
    "costs. Each cost is predicted by a line fitted to perturbations of the other kinds alone; so is it from baselines "
    "that know nothing of the response."
)
_NO_TABLE = Table("", (), ())


def section(material: Material) -> Section | None:
    """For each set of runs that can share charts: what was found, predicted and measured drops, errors."""
    groups = tested(material)
    blocks: list[object] = apart(groups, _shared, _SHARED)
    for number_, runs in enumerate(groups):
        labels = told_apart(runs, DIFFERING)
        for run, label in zip(runs, labels, strict=True):
            told = [sentence.strip() for sentence in (claim_sentence(run.result), *claim_sentences(run.result))]
            blocks.append(Text(tuple(told) if len(runs) == 1 else (f"{label}: {told[0]}", *told[1:])))
        blocks.append(_drops(runs, labels, f"drops-{number_}"))
        blocks.append(_errors(material, runs, labels, f"errors-{number_}"))
    title = "Does response times spectrum tell the cost?"
    return Section("prediction", "Prediction", title, tuple(blocks), READING) if blocks else None


def tested(material: Material) -> list[list[Run]]:
    """Runs of response that tested perturbations, those together that can share charts (here and of spectra)."""
    return grouped((run for run in material.of("response") if run.result.claim is not None), _shared)


_SHARED = (*SHARED, "number of images", "perturbations")


def _shared(run: Run) -> tuple[object, ...]:
    return *shared(run), run.result.n_images, ", ".join(run.result.claim.names)


def _drops(runs: Sequence[Run], labels: Sequence[str], identity: str) -> Panels:
    """For each model two panels: what was measured against what the response, and the best baseline, predict."""
    first: ResponseResult = runs[0].result
    level = percent(first.confidence)
    kinds = list(dict.fromkeys(runs[0].result.claim.kinds))
    looks = {kind: nth_look(k) for k, kind in enumerate(kinds)}
    charts: list[Chart] = []
    for run, label in zip(runs, labels, strict=True):
        claim: Claim = run.result.claim
        best = claim.verdicts[MASKING].best_baseline
        for name, what in ((MASKING, "response × spectrum"), (best, f"best baseline: {best}")):
            title = what if len(runs) == 1 else f"{label}, {what}"
            charts.append(_scatter(claim, name, looks, f"{identity}-{len(charts)}", title, level))
    return Panels(
        identity=identity,
        title="Measured against predicted cost of each perturbation" + f": {labels[0]}" * (len(runs) == 1),
        charts=tuple(charts),
        table=_drop_table(runs, labels),
        intervals=(
            f"Bars: {level} intervals over {plural(first.n_images, 'image')} of the measured drop. "
            "On the line prediction and measurement are the same."
        ),
        legend="Kinds of perturbations",
    )


def _scatter(claim: Claim, name: str, looks: Mapping[str, Look], identity: str, title: str, level: str) -> Chart:
    prediction = claim.predictions[name]
    series = []
    for kind, look in looks.items():
        points = []
        for i in (i for i, one in enumerate(claim.kinds) if one == kind):
            drop, guess, (low, high) = float(claim.drop[i]), float(prediction.predicted[i]), claim.drop_interval[i]
            says = (
                f"{claim.names[i]} ({kind})\nmeasured drop {number(drop, 3)}, {level} {interval(low, high, 3)}"
                f"\npredicted {number(guess, 3)}"
            )
            points.append(Point(guess, drop, (float(low), float(high)), says=says))
        series.append(Series(f"kind-{kind}", kind, look, tuple(points)))
    ends = [float(end) for end in (*claim.drop_interval.ravel(), *_predicted(claim))]
    low, high = span(ends, zero=True)
    ticks = round_ticks(low, high, 5)
    return Chart(
        identity=identity, title=title, description=_described(claim, name, prediction),
        x=Axis("predicted drop of accuracy", low, high, ticks), y=Axis("measured drop of accuracy", low, high, ticks),
        series=tuple(series), table=_NO_TABLE, guides=(Guide(0.0, slope=1.0),), small=True,
    )  # fmt: skip


def _predicted(claim: Claim) -> np.ndarray:
    names = (MASKING, claim.verdicts[MASKING].best_baseline)
    return np.concatenate([claim.predictions[name].predicted for name in names])


def _described(claim: Claim, name: str, prediction: Prediction) -> str:
    off = np.abs(prediction.predicted - claim.drop)
    worst = int(np.nanargmax(off))
    error, rank = prediction.error, prediction.rank_correlation
    ranks = "" if not isfinite(rank.value) else f"; rank correlation {number(rank.value)}"
    return (
        f"Measured drop of accuracy under {len(claim.names)} perturbations against the drop predicted by {name}, held "
        f"out: off by {number(error.value, 3)} on average ({interval(error.low, error.high, 3)}){ranks}. Furthest off "
        f"is {claim.names[worst]}: measured {number(claim.drop[worst], 3)}, predicted "
        f"{number(prediction.predicted[worst], 3)}."
    )


def _drop_table(runs: Sequence[Run], labels: Sequence[str]) -> Table:
    """A row a model and perturbation."""
    rows = []
    for run, label in zip(runs, labels, strict=True):
        claim: Claim = run.result.claim
        best = claim.verdicts[MASKING].best_baseline
        for i, name in enumerate(claim.names):
            drop, (low, high) = float(claim.drop[i]), claim.drop_interval[i]
            predicted = [float(claim.predictions[which].predicted[i]) for which in (MASKING, best)]
            rows.append(
                (Cell(name), *([Cell(label)] if len(runs) > 1 else []), Cell(claim.kinds[i]),
                 Cell(number(drop, 3), drop, interval(low, high, 3)), *(Cell(number(one, 3), one) for one in predicted))
            )  # fmt: skip
    columns = (
        "perturbation", *(["model"] if len(runs) > 1 else []), "kind", "measured drop",
        "predicted by response × spectrum", "by the best baseline",
    )  # fmt: skip
    caption = f"Drops of accuracy, with {percent(runs[0].result.confidence)} intervals over images, and predictions"
    return Table(caption, columns, tuple(rows), frozenset(range(len(columns) - 3, len(columns))), True)


def _errors(material: Material, runs: Sequence[Run], labels: Sequence[str], identity: str) -> Chart:
    """A row a predictor: how far off its predictions are, with an interval."""
    names = list(dict.fromkeys(name for run in runs for name in run.result.claim.known_errors))
    series, told, ends = [], [], [0.0]
    for k, (run, label) in enumerate(zip(runs, labels, strict=True)):
        points = []
        for name, error in run.result.claim.known_errors.items():
            says = f"{label}\n{name}\noff by {number(error.value, 3)}, {interval(error.low, error.high, 3)}"
            place = names.index(name) + 0.16 * (k - (len(runs) - 1) / 2)
            points.append(Point(error.value, place, x_interval=(error.low, error.high), says=says))
            ends += [error.low, error.high]
            told.append(f"{label}, {name} {number(error.value, 3)} ({interval(error.low, error.high, 3)})")
        look = look_of(material, runs, k)
        series.append(Series(material.key(run.result.model_name), label, look, tuple(points)))
    _, high = span(ends, zero=True)
    level = percent(runs[0].result.confidence)
    only = runs[0].result.claim.known_errors if len(runs) == 1 else {}
    notes = [number(only[name].value, 3) if name in only else "" for name in names]
    return Chart(
        identity=identity,
        title="How far off each predictor is" + f": {labels[0]}" * (len(runs) == 1),
        description=f"Mean distance between predicted and measured drop of accuracy: {'; '.join(told)}.",
        x=Axis("mean error of the predicted drop of accuracy", 0.0, high, round_ticks(0.0, high)),
        y=Axis("", 0, 1, ()),
        series=tuple(series),
        rows=tuple(Row(name, note) for name, note in zip(names, notes, strict=True)),
        intervals=f"Bars: {level} intervals over images and perturbations; less is better.",
        legend="Models" if len(runs) > 1 else "",
        table=_error_table(runs, labels, names),
    )


def _error_table(runs: Sequence[Run], labels: Sequence[str], names: Sequence[str]) -> Table:
    rows = []
    for run, label in zip(runs, labels, strict=True):
        for name in (name for name in names if name in run.result.claim.predictions):
            prediction: Prediction = run.result.claim.predictions[name]
            cells = [estimate_cell(prediction.error, 3), estimate_cell(prediction.rank_correlation)]
            rows.append((Cell(name), *([Cell(label)] if len(runs) > 1 else []), *cells))
    columns = ("predictor", *(["model"] if len(runs) > 1 else []), "mean error", "rank correlation with the drops")
    caption = f"Predictors, with {percent(runs[0].result.confidence)} intervals over images and perturbations"
    return Table(caption, columns, tuple(rows), frozenset({len(columns) - 2, len(columns) - 1}), True)
