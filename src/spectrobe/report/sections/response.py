"""How each model responds to spatial frequency: cut-offs, band noise, gradient; and whether that predicts anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, log2, log10
from typing import TYPE_CHECKING

import numpy as np

from spectrobe.report.blocks import Cell, Remarks, Section, Table
from spectrobe.report.charts.bands import octave_axis
from spectrobe.report.charts.chart import Axis, Chart, Interval, Panels, Point, Series, Tick, round_ticks, span
from spectrobe.report.material import Material, apart, grouped, told_apart
from spectrobe.report.numbers import estimate_cell, interval, number, plural
from spectrobe.report.runs import Run
from spectrobe.report.sections.profiles import look_of
from spectrobe.studies.response.wording import claim_sentences, sentences
from spectrobe.studies.words import percent

if TYPE_CHECKING:
    from spectrobe.game.intervals import Estimate
    from spectrobe.studies.response.result import Curve, ResponseResult

READING = (
    "Three ways to ask a model for its frequencies: what it keeps on images that hold only low (or only high) "
    "frequencies, how little noise in a band takes its accuracy half way to chance, and where the gradient of its loss "
    "has power. Unlike the profile above, none of them says what a band adds to the others."
)
DIFFERING = ("data_name", "n_images")
_UNITS = {
    "gradient norm": "nats per unit of pixel change",
    "gradient centroid": "log2 cycles/pixel",
    "channel centre": "cycles/pixel",
    "channel bandwidth": "octaves",
    "channel peak": "1 / noise power",
}
_ACCURACY = Axis("accuracy", 0.0, 1.0, round_ticks(0.0, 1.0, 5))


@dataclass(frozen=True)
class _Line:
    """One curve of one model: what it is, where its places lie (cycles/pixel), its numbers and their intervals."""

    run: int
    name: str
    frequency: np.ndarray
    curve: Curve
    line: str = "solid"


def section(material: Material) -> Section | None:
    """Charts for each set of runs with the same bands, one table of single numbers, and the study's own sentences."""
    groups = grouped(material.of("response"), shared)
    blocks: list[object] = apart(groups, shared, SHARED)
    for number_, runs in enumerate(groups):
        labels = told_apart(runs, DIFFERING)
        blocks += [_panels(material, runs, labels, f"response-{number_}"), _numbers(runs, labels)]
        told = [f"{label}: {said.strip()}" for run, label in zip(runs, labels, strict=True) for said in _said(run)]
        blocks.append(Remarks("What these curves say", tuple(told), closed=len(runs) > 1))
    return (
        Section("response", "Response", "How models respond to frequency", tuple(blocks), READING) if blocks else None
    )


def _said(run: Run) -> list[str]:
    """The study's own sentences, but for what it cost, and for a tested claim, which has a section of its own."""
    elsewhere = [] if run.result.claim is None else claim_sentences(run.result)
    return [sentence for sentence in sentences(run.result)[:-1] if sentence not in elsewhere]


SHARED = ("bands", "confidence", "images")


def shared(run: Run) -> tuple[object, ...]:
    """Runs that agree in these, named by SHARED, share charts."""
    return str(run.result.bands), run.result.confidence, run.result.data_name


def _panels(material: Material, runs: Sequence[Run], labels: Sequence[str], identity: str) -> Panels:
    cut, noise, gradient = _cutoffs(runs), _noise(runs), _gradient(runs)
    drawn = [
        (cut, "low-pass (solid) and high-pass (dashed)", _ACCURACY, "cut-off"),
        (noise, "sensitivity to band noise", _log_axis(noise), "band"),
    ]
    if gradient:
        drawn.append((gradient, "power of the gradient", _share_axis(gradient), "band"))
    first = runs[0].result
    return Panels(
        identity=identity,
        title="Response against spatial frequency" + f": {labels[0]}" * (len(runs) == 1),
        charts=tuple(
            _chart(material, runs, labels, lines, f"{identity}-{k}", title, y, place)
            for k, (lines, title, y, place) in enumerate(drawn)
        ),
        table=_table([*cut, *noise, *gradient], labels, percent(first.confidence)),
        intervals=f"Bars: {percent(first.confidence)} intervals over {plural(first.n_images, 'image')}.",
        legend="Models" if len(runs) > 1 else "",
    )


def _cutoffs(runs: Sequence[Run]) -> list[_Line]:
    found = []
    for k, run in enumerate(runs):
        cutoffs = run.result.cutoffs
        found.append(_Line(k, "low-pass accuracy", cutoffs.frequency, cutoffs.low_pass))
        found.append(_Line(k, "high-pass accuracy", cutoffs.frequency, cutoffs.high_pass, "dashed"))
    return found


def _noise(runs: Sequence[Run]) -> list[_Line]:
    return [
        _Line(k, "sensitivity (1 / noise power)", run.result.frequency, run.result.masking.sensitivity)
        for k, run in enumerate(runs)
    ]


def _gradient(runs: Sequence[Run]) -> list[_Line]:
    results: list[ResponseResult] = [run.result for run in runs]
    return [
        _Line(k, "share of the gradient's power", result.frequency, result.gradient.share)
        for k, result in enumerate(results)
        if result.gradient is not None
    ]


def _log_axis(lines: Sequence[_Line]) -> Axis:
    """log10, a tick a power of ten."""
    logs = [log10(value) for one in lines for value in (*one.curve.value, *np.ravel(one.curve.interval)) if value > 0]
    low, high = span(logs, zero=False, room=0.08)
    powers = range(int(np.ceil(low)), int(np.floor(high)) + 1)
    return Axis("1 / noise power", low, high, tuple(Tick(p, f"{10.0**p:g}") for p in powers))


def _share_axis(lines: Sequence[_Line]) -> Axis:
    _, high = span([float(end) for one in lines for end in np.ravel(one.curve.interval)], zero=True)
    return Axis("share of the gradient's power", 0.0, high, round_ticks(0.0, high, 5))


def _chart(
    material: Material,
    runs: Sequence[Run],
    labels: Sequence[str],
    lines: Sequence[_Line],
    identity: str,
    title: str,
    y: Axis,
    place: str,
) -> Chart:
    scale = log10 if y.label.startswith("1 /") else float
    x = octave_axis(
        [float(f) for one in lines for f in one.frequency], [run.result.image_size for run in runs],
        f"{place} (cycles/pixel)",
    )  # fmt: skip
    series = []
    for one in lines:
        run, label = runs[one.run], labels[one.run]
        aside = 0.05 * (one.run - (len(runs) - 1) / 2)
        points = tuple(_points(one, label, aside, scale, percent(run.result.confidence)))
        look = look_of(material, runs, one.run)
        series.append(Series(material.key(run.result.model_name), label, look, points, one.line))
    return Chart(identity, title, _described(lines, labels), x, y, tuple(series), Table("", (), ()), small=True)


def _points(one: _Line, label: str, aside: float, scale: object, level: str) -> list[Point]:
    points = []
    for f, value, (low, high) in zip(one.frequency, one.curve.value, one.curve.interval, strict=True):
        if not (isfinite(f) and f > 0 and isfinite(value)):
            continue
        says = f"{label}\n{one.name} at {f:.3g} cycles/pixel\n{number(value, 3)}, {level} {interval(low, high, 3)}"
        ends = _scaled((float(low), float(high)), scale)
        points.append(Point(log2(f) + aside, _scaled((float(value),) * 2, scale)[0], ends, says=says))
    return points


def _scaled(ends: Interval, scale: object) -> Interval:
    if scale is not log10:
        return ends
    low, high = (log10(end) if end > 0 else float("nan") for end in ends)
    return low, high


def _described(lines: Sequence[_Line], labels: Sequence[str]) -> str:
    told = []
    for one in lines:
        known = [(f, value) for f, value in zip(one.frequency, one.curve.value, strict=True) if isfinite(f + value)]
        if known:
            (start, first), (end, last) = known[0], known[-1]
            told.append(
                f"{labels[one.run]}, {one.name}: {number(first, 3)} at {start:.3g} cycles/pixel, {number(last, 3)} at "
                f"{end:.3g}"
            )
    return "; ".join(told) + "."


def _table(lines: Sequence[_Line], labels: Sequence[str], level: str) -> Table:
    rows = [
        (Cell(one.name), Cell(labels[one.run]), Cell(f"{f:.3g}", float(f)), Cell(number(value, 3), float(value)),
         Cell(interval(low, high, 3)))
        for one in lines
        for f, value, (low, high) in zip(one.frequency, one.curve.value, one.curve.interval, strict=True)
    ]  # fmt: skip
    columns = ("measure", "model", "cycles/pixel", "value", f"{level} interval")
    return Table("The numbers of these curves", columns, tuple(rows), frozenset({2, 3}), True)


def _numbers(runs: Sequence[Run], labels: Sequence[str]) -> Table:
    """Single numbers: a row each, a column a model."""
    names = list(dict.fromkeys(name for run in runs for name in run.result.numbers))
    rows = tuple((Cell(_with_unit(name)), *(_number(run.result.numbers.get(name)) for run in runs)) for name in names)
    columns = ("number", *labels)
    caption = f"Single numbers, with {percent(runs[0].result.confidence)} intervals over images"
    return Table(caption, columns, rows, frozenset(range(1, len(columns))))


def _with_unit(name: str) -> str:
    return f"{name} ({_UNITS[name]})" if name in _UNITS else name


def _number(estimate: Estimate | None) -> Cell:
    """With as many digits as its size deserves: powers run to hundreds."""
    large = estimate is not None and abs(estimate.value) >= 10
    return estimate_cell(estimate, 0 if large else 3)
