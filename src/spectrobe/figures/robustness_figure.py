"""Accuracy against severity and against epsilon, and under everything else, with intervals over images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import isfinite, log2
from typing import TYPE_CHECKING, Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spectrobe.errors import InputError
from spectrobe.figures.style import FAINT, MUTED, PAGE_WIDTH, Look, figure_of, looks, nth_look, restyle, styled
from spectrobe.perturbations.attacks.norms import written_eps
from spectrobe.studies.paths import short_name

if TYPE_CHECKING:
    from spectrobe.game.intervals import Estimate
    from spectrobe.studies.robustness.conditions import Condition
    from spectrobe.studies.robustness.result import RobustnessResult

FEW = 6
"""So many corruptions of one model are told apart by colour; more become thin lines beside their mean."""
NORM_NAMES = {"linf": "L∞", "l2": "L2"}
PANEL, ROW, MARGIN = 2.3, 0.17, 0.75  # inches: height of the curves, of a row of dots, and of titles and axes
DODGE = 0.08  # of a step, between curves, so that their intervals are told apart
_ABOVE: Any = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0}
LINE_STYLES: tuple[Literal["-", "--", ":", "-."], ...] = ("-", "--", ":", "-.")


@dataclass
class _Curve:
    """One line: label, look, points (x, estimate) by x; thin: without intervals and legend."""

    label: str
    look: Look
    points: list[tuple[float, Estimate]]
    style: Literal["-", "--", ":", "-."] = "-"
    thin: bool = False


@dataclass
class _Panel:
    """What one panel shows."""

    x_label: str
    curves: list[_Curve] = field(default_factory=list)


def robustness(result_or_results: RobustnessResult | Sequence[RobustnessResult], ax: Axes | None = None) -> Figure:
    """Accuracy with intervals: against severity, against epsilon for each norm, and a row for every other condition.

    One result shows each corruption (or their mean, beyond six) and each family of attacks in a colour of its own;
    several results have a colour each, and the mean over their corruptions. Severity 0 and epsilon 0 are the clean
    images.

    ax: draw the first of these alone into these axes, whose layout is the caller's, instead of a new figure.
    Raises InputError for no results, or results of different confidences.
    """
    results = _results(result_or_results)
    with styled():
        panels = [panel for panel in (_severities(results), *_epsilons(results)) if panel.curves]
        rows = _single(results)
        if ax is not None:
            restyle(ax)
            if panels:
                _draw_panel(ax, panels[0], first=True)
                ax.legend(handles=[*_legend(panels[0]), _interval_entry(results)], **_ABOVE)
            else:
                _draw_rows(ax, results, rows)
            return figure_of(ax)
        heights = [PANEL] * bool(panels) + [ROW * len(rows) + 0.25] * bool(rows)
        legend = 0.16 * max((len(_legend(panel)) for panel in panels), default=0)
        figure = Figure(figsize=(PAGE_WIDTH, sum(heights) + MARGIN * len(heights) + legend), layout="constrained")
        parts = list(figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0])
        if panels:
            axes = parts[0].subplots(1, len(panels), sharey=True, squeeze=False)[0]
            for k, (ax, panel) in enumerate(zip(axes, panels, strict=True)):
                _draw_panel(ax, panel, first=k == 0)
        if rows:
            _draw_rows(parts[-1].subplots(), results, rows)
        title = _title(results)
        figure.suptitle(title, x=0.01, ha="left", weight="bold", size=min(10, 700 / len(title)))
        return figure


def _severities(results: Sequence[RobustnessResult]) -> _Panel:
    """Accuracy against severity, where there is more than one."""
    panel = _Panel("severity")
    look_of = looks(result.model_name for result in results)
    for result in results:
        families = _families(result, "severity")
        levels = {c.severity for columns in families.values() for c in columns}
        if len(levels) < 2:
            continue
        alone = len(results) == 1
        many = len(families) > FEW
        for k, (name, conditions) in enumerate(families.items() if alone else ()):
            look = Look(MUTED, "o") if many else nth_look(k)
            points = _with_clean(result, [(float(c.severity or 0), result.accuracy[c.name]) for c in conditions])
            panel.curves.append(_Curve(name, look, points, thin=many))
        if many or not alone:
            mean = [(float(level), estimate) for level, estimate in result.severity_accuracy.items()]
            what = f"mean of {len(families)} corruptions"
            label = f"{what} (thin: each)" if alone else f"{short_name(result.model_name)}, {what}"
            panel.curves.append(_Curve(label, look_of[result.model_name], _with_clean(result, mean)))
    return panel


def _epsilons(results: Sequence[RobustnessResult]) -> Iterator[_Panel]:
    """Accuracy against epsilon, a panel a norm, for families with more than one."""
    look_of = looks(result.model_name for result in results)
    for norm, name in NORM_NAMES.items():
        panel = _Panel(f"epsilon, {name} norm")
        for result in results:
            families = {f: cs for f, cs in _families(result, "eps").items() if cs[0].norm == norm and len(cs) > 1}
            for k, (family, conditions) in enumerate(families.items()):
                points = _with_clean(result, [(float(c.eps or 0), result.accuracy[c.name]) for c in conditions])
                if len(results) == 1:
                    panel.curves.append(_Curve(family, nth_look(k), points))
                else:
                    style = LINE_STYLES[k % len(LINE_STYLES)]
                    label = f"{short_name(result.model_name)}, {family}"
                    panel.curves.append(_Curve(label, look_of[result.model_name], points, style))
        yield panel


def _single(results: Sequence[RobustnessResult]) -> list[str]:
    """The conditions that no curve shows, in order."""
    on_curves: set[str] = set()
    for result in results:
        severities = _families(result, "severity")
        if len({c.severity for columns in severities.values() for c in columns}) > 1:
            on_curves |= {c.name for columns in severities.values() for c in columns}
        for columns in _families(result, "eps").values():
            if len(columns) > 1 and columns[0].norm in NORM_NAMES:
                on_curves |= {c.name for c in columns}
    measured = {c.name: c for result in results for c in result.conditions if isfinite(result.accuracy[c.name].value)}
    rest = [name for name in measured if name not in on_curves]
    # minimum-norm attacks leave no accuracy, only distances: a row for them only where there is nothing else to show
    telling = [name for name in rest if measured[name].kind != "minimum-norm"]
    if telling or on_curves:
        return telling
    return rest or [condition.name for condition in results[0].conditions]  # all failed: rows without a point


def _draw_panel(ax: Axes, panel: _Panel, first: bool) -> None:
    place = _log_axis(ax, panel) if panel.x_label.startswith("epsilon") else _integer_axis(ax, panel)
    drawn = [curve for curve in panel.curves if not curve.thin]
    for curve in panel.curves:
        aside = 0.0 if curve.thin else DODGE * (drawn.index(curve) - (len(drawn) - 1) / 2)
        x = [place(at) + aside for at, _ in curve.points]
        y = [estimate.value for _, estimate in curve.points]
        if curve.thin:
            ax.plot(x, y, color=curve.look.color, linewidth=0.5, alpha=0.6)
            continue
        ends = [(estimate.low, estimate.high) for _, estimate in curve.points]
        ax.vlines(x, [low for low, _ in ends], [high for _, high in ends], color=curve.look.color, linewidth=1.2)
        ax.plot(x, y, curve.style, color=curve.look.color, marker=curve.look.marker, markersize=3.5, linewidth=1)
    _name_extremes(ax, [curve for curve in panel.curves if curve.thin], place)
    ax.set_xlabel(panel.x_label)
    ax.set_ylim(-0.03, 1.03)
    if first:
        ax.set_ylabel("accuracy")
    ax.legend(handles=_legend(panel), **_ABOVE)


def _name_extremes(ax: Axes, thin: Sequence[_Curve], place: Callable[[float], float]) -> None:
    """Of lines that no legend names, the highest and the lowest are named where they end."""
    ends = sorted((curve.points[-1][1].value, curve.points[-1][0], curve.label) for curve in thin if curve.points)
    for value, at, label in dict.fromkeys([*ends[:1], *ends[-1:]]):
        ax.annotate(label, (place(at), value), (5, 0), textcoords="offset points", va="center", size=6.5, color=MUTED)


def _legend(panel: _Panel) -> list[Line2D]:
    return [
        Line2D([], [], color=c.look.color, marker=c.look.marker, linestyle=c.style, markersize=3.5, label=c.label)
        for c in panel.curves
        if not c.thin
    ]


def _interval_entry(results: Sequence[RobustnessResult]) -> Line2D:
    name = f"bars: {100 * results[0].confidence:g} % interval over {results[0].n_images} images"
    return Line2D([], [], color=MUTED, linewidth=1.2, label=name)


def _draw_rows(ax: Axes, results: Sequence[RobustnessResult], names: Sequence[str]) -> None:
    """A row a condition, a point with its interval for each result; lines mark the clean accuracies."""
    look_of = looks(result.model_name for result in results)
    for k, result in enumerate(results):
        look = look_of[result.model_name]
        shift = 0.18 * (k - (len(results) - 1) / 2)
        if result.clean is not None:
            ax.axvline(result.clean.value, color=look.color, linewidth=0.8, linestyle="--")
        known = [(i, result.accuracy[name]) for i, name in enumerate(names) if name in result.accuracy]
        y = [i + shift for i, estimate in known if isfinite(estimate.value)]
        there = [estimate for _, estimate in known if isfinite(estimate.value)]
        ax.hlines(y, [e.low for e in there], [e.high for e in there], color=look.color, linewidth=1.2)
        ax.plot(
            [e.value for e in there],
            y,
            look.marker,
            color=look.color,
            markersize=3.5,
            label=short_name(result.model_name),
        )
    for i in range(len(names)):
        ax.axhline(i, color=FAINT, linewidth=0.5, zorder=0)
    ax.set_yticks(range(len(names)), list(names))
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlim(-0.03, 1.03)
    cleans = any(result.clean is not None for result in results)
    ax.set_xlabel("accuracy (dashed: clean)" if cleans else "accuracy")
    if len(results) > 1:
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0, ncols=len(results))


def _integer_axis(ax: Axes, panel: _Panel) -> Callable[[float], float]:
    ticks = sorted({at for curve in panel.curves for at, _ in curve.points})
    ax.set_xticks(ticks, ["clean" if at == 0 else f"{at:g}" for at in ticks])
    return lambda at: at


def _log_axis(ax: Axes, panel: _Panel) -> Callable[[float], float]:
    """Doublings are a step; 0, which has no logarithm, stands a step before the smallest."""
    eps = sorted({at for curve in panel.curves for at, _ in curve.points} | {0.0})
    zero = log2(eps[1]) - 1

    def place(at: float) -> float:
        return log2(at) if at > 0 else zero

    ax.set_xticks(
        [place(at) for at in eps],
        ["0" if at == 0 else f"{at:.3g}" if "L2" in panel.x_label else written_eps(at) for at in eps],
    )
    return place


def _families(result: RobustnessResult, axis: str) -> dict[str, list[Condition]]:
    """Family -> its measured conditions with a severity (or an eps), ascending."""
    found: dict[str, list[Condition]] = {}
    for condition in result.conditions:
        if getattr(condition, axis) and isfinite(result.accuracy[condition.name].value):
            found.setdefault(condition.family, []).append(condition)
    return {family: sorted(members, key=lambda c: getattr(c, axis)) for family, members in found.items()}


def _with_clean(result: RobustnessResult, points: list[tuple[float, Estimate]]) -> list[tuple[float, Estimate]]:
    return points if result.clean is None else [(0.0, result.clean), *points]


def _title(results: Sequence[RobustnessResult]) -> str:
    models = list(dict.fromkeys(short_name(result.model_name) for result in results))
    what = f"What is left of {models[0]}'s accuracy" if len(models) == 1 else "What is left of these models' accuracy"
    names = " / ".join(dict.fromkeys(short_name(result.data_name) for result in results))
    return f"{what}: {results[0].n_images} images of {names}, {100 * results[0].confidence:g} % intervals"


def _results(result_or_results: RobustnessResult | Sequence[RobustnessResult]) -> list[RobustnessResult]:
    results = list(result_or_results) if isinstance(result_or_results, Sequence) else [result_or_results]
    if not results:
        raise InputError("expected at least one result to draw, got none")
    kinds = list(dict.fromkeys(str(result.confidence) for result in results))
    if len(kinds) > 1:
        raise InputError(f"expected results with the same confidence in one figure, got {' and '.join(kinds)}")
    return results
