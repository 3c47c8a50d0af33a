"""A score against measured robustness: a point a model, named, with both intervals, and the correlation above."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spectrobe.errors import InputError
from spectrobe.figures.style import (
    COLUMN_WIDTH,
    INK,
    MUTED,
    PAGE_WIDTH,
    PALETTE,
    TICK_SIZE,
    Look,
    figure_of,
    restyle,
    styled,
)
from spectrobe.studies.relate.wording import correlation

if TYPE_CHECKING:
    from spectrobe.game.intervals import Estimate
    from spectrobe.studies.relate.relation import Relation
    from spectrobe.studies.relate.result import RelateResult

MOST_PANELS = 6
PANEL_HEIGHT, LEGEND_HEIGHT = 2.9, 0.3  # inches
NAME_SIZE = 5.5  # points
_DIRECTIONS = [(np.cos(a), np.sin(a)) for a in np.linspace(0, 2 * np.pi, 16, endpoint=False) + np.pi / 8]

LONGEST_LABEL = 40
"""Letters that the axis of a small panel has room for."""


@dataclass(frozen=True)
class _Point:
    """One model in one panel."""

    name: str
    x: Estimate
    y: Estimate
    look: Look


def score_robustness(
    result: RelateResult,
    score: str | None = None,
    measure: str | Sequence[str] | None = None,
    subset: str = "",
    ax: Axes | None = None,
) -> Figure:
    """A panel a measured robustness: a score against it, intervals both ways, every model named.

    score: one of `result.scores` by its name; None: for each measure the one that goes best with it, which the title
    says.   measure: one, or several; None: the headline measures, six at most.   subset: as in `result.subsets`.
    ax: axes of yours for a single panel. Models of one recipe have a colour where a recipe has several.
    Raises InputError for unknown names, or nothing to draw.
    """
    measures = _headlines(result) if measure is None else [measure] if isinstance(measure, str) else list(measure)
    shown = [_chosen(result, score, name, subset) for name in measures]
    relations = [one for one in shown if one is not None]
    if not relations:
        raise InputError("expected a score that can be related to a measure, got none in this result")
    if ax is not None and len(relations) > 1:
        raise InputError(f"expected one measure for axes of your own, got {len(relations)}: name it")
    with styled():
        looks = _looks(result)
        if ax is not None:
            restyle(ax)
            _name_points(ax, _draw(ax, result, relations[0], looks, best=score is None))
            return figure_of(ax)
        columns = min(2, len(relations))
        rows = -(-len(relations) // columns)
        legend = _legend(looks, result)
        size = (PAGE_WIDTH if columns > 1 else COLUMN_WIDTH * 1.3, rows * PANEL_HEIGHT + LEGEND_HEIGHT * bool(legend))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for unused in axes[len(relations) :]:
            unused.set_axis_off()
        if legend:
            figure.legend(handles=legend, loc="outside lower center", ncols=min(len(legend), 6), handletextpad=0.1)
        panels = list(zip(axes, relations, strict=False))
        drawn = [(panel, _draw(panel, result, one, looks, best=score is None)) for panel, one in panels]
        figure.draw_without_rendering()  # places the axes, which names are fitted into
        for panel, points in drawn:
            _name_points(panel, points)
        return figure


def _headlines(result: RelateResult) -> list[str]:
    names = [name for name, one in result.measures.items() if one.headline] or list(result.measures)
    return names[:MOST_PANELS]


def _chosen(result: RelateResult, score: str | None, measure: str, subset: str) -> Relation | None:
    if score is None:
        if measure not in result.measures or subset not in result.subsets:
            result.relation("", measure, subset)  # says which there are
        return result.best(measure, subset)
    return result.relation(score, measure, subset)


def _looks(result: RelateResult) -> dict[str, Look]:
    """Recipe -> look: a colour for recipes of several models, grey for the others."""
    several = [name for name in dict.fromkeys(result.recipes) if result.recipes.count(name) > 1]
    markers = "osD^vP"
    found = {name: Look(MUTED, "o") for name in result.recipes}
    if len(several) == 1 and len(set(result.recipes)) == 1:
        several = []
    for k, name in enumerate(several):
        found[name] = Look(PALETTE[k % len(PALETTE)], markers[k // len(PALETTE) % len(markers)])
    return found


def _legend(looks: dict[str, Look], result: RelateResult) -> list[Line2D]:
    return [
        Line2D([], [], color=look.color, marker=look.marker, linestyle="", markersize=4, label=name)
        for name, look in looks.items()
        if look.color != MUTED
    ]


def _draw(ax: Axes, result: RelateResult, relation: Relation, looks: dict[str, Look], best: bool) -> list[_Point]:
    points = _points(result, relation, looks)
    for point in points:
        color = point.look.color
        if np.isfinite([point.x.low, point.x.high]).all():
            ax.hlines(point.y.value, point.x.low, point.x.high, color=color, linewidth=0.7, alpha=0.6)
        if np.isfinite([point.y.low, point.y.high]).all():
            ax.vlines(point.x.value, point.y.low, point.y.high, color=color, linewidth=0.7, alpha=0.6)
        ax.plot(point.x.value, point.y.value, point.look.marker, color=color, markersize=3.5)
    ax.margins(0.12)
    ax.set_xlabel(_broken(relation.score))
    ax.set_ylabel(_broken(relation.measure))
    ax.set_title(_title(result, relation, best), fontsize=TICK_SIZE, fontweight="normal", color=INK, linespacing=1.3)
    return points


def _points(result: RelateResult, relation: Relation, looks: dict[str, Look]) -> list[_Point]:
    scores = result.scores_for(relation.measure)[relation.score].estimates
    measured = result.measures[relation.measure].estimates
    kept = result.subsets[relation.subset]
    return [
        _Point(name, x, y, looks[recipe])
        for name, recipe, x, y in zip(result.models, result.recipes, scores, measured, strict=True)
        if name in kept and np.isfinite([x.value, y.value]).all()
    ]


def _title(result: RelateResult, relation: Relation, best: bool) -> str:
    choice = result.choice(relation.measure, relation.subset)
    of = f"best of {choice.n_scores} scores" if best and choice is not None else "one score"
    rho = relation.spearman
    p = f"p = {rho.p_max:.2g} for all scores tried" if best else f"p = {rho.p:.2g}"
    where = f"{relation.n_models} models {relation.subset}".rstrip()
    claim = "" if result.claims and relation.n_models >= 10 else "; too few for a claim"
    return f"Spearman {correlation(rho)}, {p}\n{of}, {where}{claim}"


def _name_points(ax: Axes, points: Sequence[_Point]) -> None:
    """Write each model's name beside its point, where it covers least; greedy, points from left to right."""
    points = sorted(points, key=lambda point: point.x.value)
    figure = figure_of(ax)
    to_pixels = ax.transData.transform
    at = np.array([to_pixels((point.x.value, point.y.value)) for point in points])
    scale = figure.dpi / 72
    frame = ax.get_window_extent()
    taken = [(x - 3 * scale, y - 3 * scale, x + 3 * scale, y + 3 * scale) for x, y in at]
    for point, (x, y) in zip(points, at, strict=True):
        ends = to_pixels([(point.x.low, point.y.low), (point.x.high, point.y.high)])
        (left, bottom), (right, top) = np.where(np.isfinite(ends), ends, (x, y))
        taken += [(left, y - scale, right, y + scale), (x - scale, bottom, x + scale, top)]
    for point, (x, y) in zip(points, at, strict=True):
        width, height = 0.52 * NAME_SIZE * scale * len(point.name), NAME_SIZE * scale
        places = list(_places(x, y, width, height, scale))
        costs = [_cost(box, taken, frame) + 0.02 * k * height for k, box in enumerate(places)]
        box = places[int(np.argmin(costs))]
        taken.append(box)
        dx, dy = (box[0] - x) / scale, ((box[1] + box[3]) / 2 - y) / scale
        far = np.hypot(max(box[0] - x, x - box[2], 0), max(box[1] - y, y - box[3], 0)) > 6 * scale
        arrow: dict[str, Any] | None = {"arrowstyle": "-", "color": MUTED, "linewidth": 0.3} if far else None
        name = ax.annotate(
            point.name,
            (point.x.value, point.y.value),
            (dx, dy),
            textcoords="offset points",
            fontsize=NAME_SIZE,
            va="center",
            ha="left",
            arrowprops=arrow,
            color=INK,
        )
        name.set_in_layout(False)


def _places(
    x: float, y: float, width: float, height: float, scale: float
) -> Sequence[tuple[float, float, float, float]]:
    """Boxes around a point where a name of this size could stand, the nearest first."""
    found = []
    for distance in (4.0, 9.0, 15.0, 22.0):
        for cos, sin in _DIRECTIONS:
            middle_x = x + cos * (distance * scale + width / 2)
            middle_y = y + sin * (distance * scale + height / 2)
            found.append((middle_x - width / 2, middle_y - height / 2, middle_x + width / 2, middle_y + height / 2))
    return found


def _cost(box: tuple[float, float, float, float], taken: Sequence[tuple[float, ...]], frame: Any) -> float:
    """Area that a box covers of others, and far more for what sticks out of the axes."""
    covered = sum(
        max(0.0, min(box[2], other[2]) - max(box[0], other[0]))
        * max(0.0, min(box[3], other[3]) - max(box[1], other[1]))
        for other in taken
    )
    out = max(0.0, frame.x0 - box[0]) + max(0.0, box[2] - frame.x1) + max(0.0, frame.y0 - box[1])
    return float(covered + 50 * (out + max(0.0, box[3] - frame.y1)))


def _broken(name: str) -> str:
    """A name over as many lines as its axis needs, broken after its marks."""
    lines = [""]
    for part in re.split(r"(?<=[:;/])", name):
        if lines[-1] and len(lines[-1] + part) > LONGEST_LABEL:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)
