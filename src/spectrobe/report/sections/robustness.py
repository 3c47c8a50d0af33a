"""What is left of each model's accuracy under perturbations: curves against severity and epsilon, and every number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import isfinite, log2
from typing import TYPE_CHECKING

from spectrobe.perturbations.attacks.norms import written_eps
from spectrobe.report.blocks import Cell, Section, Table
from spectrobe.report.charts.chart import Axis, Chart, Panels, Point, Series, Tick, round_ticks
from spectrobe.report.material import Material, apart, grouped, told_apart
from spectrobe.report.numbers import estimate_cell, interval, number, plural
from spectrobe.report.runs import Run
from spectrobe.report.sections.profiles import look_of
from spectrobe.studies.words import percent

if TYPE_CHECKING:
    from spectrobe.game.intervals import Estimate
    from spectrobe.studies.robustness.conditions import Condition
    from spectrobe.studies.robustness.result import RobustnessResult

READING = (
    "Accuracy is the share of images classified as labelled. Attacks look for the worst change within their epsilon: "
    "with more effort their accuracy could only be lower."
)
NORMS = {"linf": "L∞", "l2": "L2"}
DIFFERING = ("data_name", "n_images")
CURVES_FROM = 2
"""So many severities, or epsilons, make a curve; fewer stand in the table alone."""
_NAMED = 2
"""So many corruptions of a mean are named where models were measured under different ones."""
_Y = Axis("accuracy", 0.0, 1.0, round_ticks(0.0, 1.0, 5))

Place = Callable[[float], float]


def section(material: Material) -> Section | None:
    """Panels of curves and one sortable table, for each set of runs on the same data with one confidence."""
    groups = grouped(material.of("robustness"), _shared)
    if not groups:
        return None
    blocks = apart(groups, _shared, _SHARED)
    for number_, runs in enumerate(groups):
        labels = told_apart(runs, DIFFERING)
        curves = _panels(material, runs, labels, f"robustness-{number_}")
        blocks += [curves] if curves.charts else []
        blocks += [_conditions(runs, labels), _sums(runs, labels)]
    return Section("robustness", "Robustness", "What is left under perturbations", tuple(blocks), READING)


_SHARED = ("images", "the confidence of their intervals")


def _shared(run: Run) -> tuple[str, float]:
    return run.result.data_name, run.result.confidence


def _panels(material: Material, runs: Sequence[Run], labels: Sequence[str], identity: str) -> Panels:
    charts: list[Chart] = []
    families = list(dict.fromkeys(name for run in runs for name in _families(run.result, "severity")))
    severity = _means(runs, labels) + [
        (family, {label: _points(run.result, family, "severity") for run, label in zip(runs, labels, strict=True)})
        for family in families
    ]
    attacks = list(dict.fromkeys(name for run in runs for name in _families(run.result, "eps")))
    epsilon = [
        (family, {label: _points(run.result, family, "eps") for run, label in zip(runs, labels, strict=True)})
        for family in attacks
    ]
    for kind, curves in (("severity", severity), ("epsilon", epsilon)):
        for title, points in curves:
            if max(map(len, points.values())) > CURVES_FROM:  # with the clean images
                norm = _norm(runs, title) if kind == "epsilon" else ""
                charts.append(_chart(material, runs, points, f"{identity}-{len(charts)}", title, kind, norm))
    level = percent(runs[0].result.confidence)
    return Panels(
        identity=identity,
        title="Accuracy against severity and epsilon" + f": {labels[0]}" * (len(runs) == 1),
        charts=tuple(charts),
        table=_curve_table(charts, level),
        intervals=f"Bars: {level} intervals over {_images(runs)} (Wilson; Student's t for means of corruptions).",
        legend="Models" if len(runs) > 1 else "",
    )


def _means(runs: Sequence[Run], labels: Sequence[str]) -> list[tuple[str, dict[str, list[tuple[float, Estimate]]]]]:
    """Means over corruptions, apart for models that were measured under different ones."""
    measured = [_families(run.result, "severity") for run in runs]
    alike = [frozenset(c.name for members in some.values() for c in members) for some in measured]
    apart = list(dict.fromkeys(names for names, some in zip(alike, measured, strict=True) if len(some) > 1))
    found = []
    for names in apart:
        families = sorted(measured[alike.index(names)])
        which = f" ({', '.join([*families[:_NAMED], *['...'] * (len(families) > _NAMED)])})" if len(apart) > 1 else ""
        curves = {label: _severities(run.result) if own == names else []
                  for run, label, own in zip(runs, labels, alike, strict=True)}  # fmt: skip
        found.append((f"mean of {len(families)} corruptions{which}", curves))
    return found


def _images(runs: Sequence[Run]) -> str:
    counts = sorted({run.result.n_images for run in runs})
    return plural(counts[0], "image") if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,} images"


def _chart(
    material: Material,
    runs: Sequence[Run],
    points: Mapping[str, Sequence[tuple[float, Estimate]]],
    identity: str,
    title: str,
    kind: str,
    norm: str,
) -> Chart:
    levels = sorted({at for some in points.values() for at, _ in some})
    place, ticks = _severity_axis(levels) if kind == "severity" else _epsilon_axis(levels, norm)
    low, high = place(levels[0]), place(levels[-1])
    series = []
    for k, (label, some) in enumerate(points.items()):
        aside = 0.06 * (k - (len(points) - 1) / 2)
        drawn = tuple(
            Point(place(at) + aside, e.value, (e.low, e.high), says=_says(label, title, kind, at, e)) for at, e in some
        )
        series.append(
            Series(material.key(runs[k].result.model_name), label, look_of(material, runs, k), drawn, "solid")
        )
    unit = f"epsilon ({NORMS.get(norm, norm)})" if kind == "epsilon" else "severity"
    return Chart(
        identity=identity, title=title, description=_described(points, kind),
        x=Axis(unit, low - 0.3, high + 0.3, ticks), y=_Y, series=tuple(series), table=Table("", (), ()), small=True,
    )  # fmt: skip


def _says(label: str, title: str, kind: str, at: float, e: Estimate) -> str:
    where = "clean" if at == 0 else f"{kind} {at:g}" if kind == "severity" else f"epsilon {written_eps(at)}"
    level = percent(e.confidence)
    return f"{label}\n{title}, {where}\naccuracy {number(e.value, 3)}\n{level} interval {interval(e.low, e.high, 3)}"


def _described(points: Mapping[str, Sequence[tuple[float, Estimate]]], kind: str) -> str:
    told = []
    for label, some in points.items():
        if some:
            (start, first), (end, last) = some[0], some[-1]
            told.append(
                f"{label}: accuracy {number(first.value)} at {kind} {start:g}, {number(last.value)} at {end:.3g} "
                f"({interval(last.low, last.high)})"
            )
    return "; ".join(told) + "."


def _severity_axis(levels: Sequence[float]) -> tuple[Place, tuple[Tick, ...]]:
    return (lambda at: at), tuple(Tick(at, "clean" if at == 0 else f"{at:g}") for at in levels)


def _epsilon_axis(levels: Sequence[float], norm: str) -> tuple[Place, tuple[Tick, ...]]:
    """Doublings are a step; 0, which has no logarithm, stands a step before the smallest."""
    zero = log2(next(at for at in levels if at > 0)) - 1

    def place(at: float) -> float:
        return log2(at) if at > 0 else zero

    written = [(at, "0" if at == 0 else written_eps(at) if norm == "linf" else f"{at:.3g}") for at in levels]
    return place, tuple(Tick(place(at), text) for at, text in written)


def _severities(result: RobustnessResult) -> list[tuple[float, Estimate]]:
    return _with_clean(result, [(float(level), estimate) for level, estimate in result.severity_accuracy.items()])


def _points(result: RobustnessResult, family: str, axis: str) -> list[tuple[float, Estimate]]:
    members = _families(result, axis).get(family, [])
    return _with_clean(result, [(float(getattr(c, axis)), result.accuracy[c.name]) for c in members]) if members else []


def _with_clean(result: RobustnessResult, points: list[tuple[float, Estimate]]) -> list[tuple[float, Estimate]]:
    return points if result.clean is None or not points else [(0.0, result.clean), *points]


def _families(result: RobustnessResult, axis: str) -> dict[str, list[Condition]]:
    """Family -> its measured conditions with a severity (or an eps), ascending."""
    found: dict[str, list[Condition]] = {}
    for condition in result.conditions:
        if getattr(condition, axis) and isfinite(result.accuracy[condition.name].value):
            found.setdefault(condition.family, []).append(condition)
    return {family: sorted(members, key=lambda c: float(getattr(c, axis))) for family, members in found.items()}


def _norm(runs: Sequence[Run], family: str) -> str:
    return next((str(c.norm) for run in runs for c in run.result.conditions if c.family == family), "")


def _curve_table(charts: Sequence[Chart], level: str) -> Table:
    rows = [
        (Cell(chart.title), Cell(series.name), Cell(says[1].rpartition(", ")[2]), Cell(number(point.y, 3), point.y),
         Cell(says[-1].partition("interval ")[2]))
        for chart in charts
        for series in chart.series
        for point in series.points
        for says in [point.says.split("\n")]
    ]  # fmt: skip
    columns = ("perturbation", "model", "at", "accuracy", f"{level} interval")
    return Table("The numbers of these curves", columns, tuple(rows), frozenset({3}), True)


def _conditions(runs: Sequence[Run], labels: Sequence[str]) -> Table:
    """A row a condition, clean first; a column a model."""
    names = list(dict.fromkeys(name for run in runs for name in run.result.accuracy))
    rows = []
    if any(run.result.clean is not None for run in runs):
        rows.append((Cell("clean"), Cell(""), *(_accuracy(run.result.clean) for run in runs)))
    kinds = {c.name: c.kind for run in runs for c in run.result.conditions}
    for name in names:
        accuracies = [_accuracy(run.result.accuracy.get(name)) for run in runs]
        rows.append((Cell(name), Cell(kinds.get(name, "")), *accuracies))
    level = percent(runs[0].result.confidence)
    columns = ("under", "kind", *labels)
    caption = f"Accuracy under each perturbation, with {level} intervals over images"
    return Table(caption, columns, tuple(rows), frozenset(range(2, len(columns))), True)


def _accuracy(estimate: Estimate | None) -> Cell:
    tint = None if estimate is None or not isfinite(estimate.value) else round(5 * estimate.value)
    return estimate_cell(estimate, 3, tint)


def _sums(runs: Sequence[Run], labels: Sequence[str]) -> Table:
    """Mean corruption error, mCE, worst cases, areas, median distances: a row each, a column a model."""
    found = [dict(_summary(run.result)) for run in runs]
    names = list(dict.fromkeys(name for some in found for name in some))
    rows = tuple((Cell(name), *(estimate_cell(some.get(name), 3) for some in found)) for name in names)
    columns = ("summary", *labels)
    return Table("Summaries, with their intervals", columns, rows, frozenset(range(1, len(columns))))


def _summary(result: RobustnessResult) -> Iterator[tuple[str, Estimate]]:
    if result.mean_corruption_error is not None:
        yield "mean corruption error, not normalised", result.mean_corruption_error
    if result.mce is not None:
        yield f"mCE relative to {result.reference}", result.mce
    for name, estimate in result.worst_case.items():
        yield f"accuracy in the worst case, {name}", estimate
    for family, area in result.area.items():
        yield f"area under accuracy, {family} ({area.reason})", area
    for name, distance in result.median_distance.items():
        yield f"median distance, {name}", distance
