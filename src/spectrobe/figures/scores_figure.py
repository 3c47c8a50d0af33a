"""The score of each model: a row a model, between fine detail and coarse structure."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spectrobe.figures.profile_figure import interval_entries, result_labels, result_looks, results_of
from spectrobe.figures.style import FAINT, INK, LABEL_SIZE, MUTED, PAGE_WIDTH, figure_of, restyle, styled, width_inches
from spectrobe.game.scores import falling_weights

if TYPE_CHECKING:
    from spectrobe.studies.decompose.result import DecomposeResult

_HEAD, _ROW = 0.9, 0.42  # inches
_WIDE = 4.5  # inches that a name with its score takes
_ROOM = 0.06  # of the axis, beyond the furthest interval


def scores(result_or_results: DecomposeResult | Sequence[DecomposeResult], ax: Axes | None = None) -> Figure:
    """The score of one result or several with its interval over images: 1 all from the lowest band, 0 all bands alike.

    The axis ends where the score can end, or further out where an interval does. A score that is not defined has a row
    without a point, which says so.
    ax: draw into these axes, whose layout is the caller's, instead of a new figure.
    Raises InputError when results differ in bands, value, or confidence: such scores cannot be compared.
    """
    results = results_of(result_or_results)
    with styled():
        if ax is not None:
            restyle(ax)
            _draw(ax, results)
            ax.legend(handles=_entries(results), loc="upper left", bbox_to_anchor=(0, -0.35))
            return figure_of(ax)
        figure = Figure(figsize=(PAGE_WIDTH, _HEAD + _ROW * len(results)), layout="constrained")
        panel = figure.subplots()
        _draw(panel, results)
        figure.legend(handles=_entries(results), loc="outside lower left")
        return figure


def _draw(ax: Axes, results: Sequence[DecomposeResult]) -> None:
    rows = np.arange(len(results))
    ax.axvline(0, color=FAINT, linewidth=0.8)
    for row, result, look in zip(rows, results, result_looks(results), strict=True):
        score = result.score
        if not isnan(score.value):
            ax.hlines(row, score.low, score.high, color=look.color, linewidth=2.4)
            ax.plot(
                score.value, row, look.marker, color=look.color, markersize=5, markeredgecolor="white",
                markeredgewidth=0.7,
            )  # fmt: skip
    low, high = _ends(results)
    ax.set_xlim(low - _ROOM * (high - low), high + _ROOM * (high - low))
    ax.set_ylim(len(results) - 0.6, -0.8)
    ax.set_yticks([])
    wide = width_inches(ax) > _WIDE
    for row, text in zip(rows, result_labels(results), strict=True):  # above its row, where there is room for a name
        label = text if wide else text.rpartition(": ")[0]  # without the score in numbers
        place = ax.get_yaxis_transform()
        ax.annotate(
            label, (0, row), xycoords=place, xytext=(0, 7), textcoords="offset points", size=LABEL_SIZE,
            parse_math=False,
        )  # fmt: skip
    ax.spines["left"].set_visible(False)
    ax.set_xlabel("fine detail  ←  0, all bands alike  →  1, lowest band alone", color=INK)


def _ends(results: Sequence[DecomposeResult]) -> tuple[float, float]:
    """The lowest and the highest score that there can be, and further where intervals reach."""
    weights = falling_weights(results[0].bands)
    lowest = float((weights.min() - weights.mean()) / (1 - weights.mean()))
    known = [end for result in results for end in (result.score.low, result.score.high) if not isnan(end)]
    return min([lowest, *known]), max([1.0, *known])


def _entries(results: Sequence[DecomposeResult]) -> list[object]:
    [bar, *_] = interval_entries(results[0].confidence, MUTED)
    bar.set_label(f"{100 * results[0].confidence:g} % interval over images")
    return [bar]
