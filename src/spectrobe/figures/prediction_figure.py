"""Whether response times spectrum tells the cost of perturbations: predicted and measured drops, and every error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spectrobe.errors import InputError
from spectrobe.figures.style import (
    INK,
    LABEL_SIZE,
    PAGE_WIDTH,
    figure_of,
    looks,
    nth_look,
    restyle,
    shortened,
    styled,
    width_inches,
)
from spectrobe.studies.paths import short_name
from spectrobe.studies.response.predictors import MASKING

if TYPE_CHECKING:
    from spectrobe.studies.response.claim import Claim
    from spectrobe.studies.response.result import ResponseResult

PANEL, ROW, HEAD = 3.0, 0.25, 0.9  # inches: the drops; a predictor; axis and title of the errors
_NARROW = 3.0  # inches of axes
LONGEST_NAME = 30  # letters of a model's name


def prediction(result: ResponseResult, ax: Axes | None = None, panel: str = "errors") -> Figure:
    """What perturbations cost, against what is predicted of it without them.

    Panels: "response" and "baseline" (measured drops of accuracy against those predicted by response times spectrum,
    and by the best baseline, held out; bars: intervals over images) and "errors" (a row a predictor: its mean distance
    from the measured drops; bars: intervals over images and perturbations).
    ax: draw one panel, named by `panel`, into these axes, whose layout is the caller's.
    Raises InputError for several results, for one that tested no perturbations, and for an unknown panel.
    """
    if isinstance(result, Sequence):
        raise InputError(f"expected one result of response, got {len(result)}: a figure shows one model")
    claim = result.claim
    if claim is None:
        raise InputError("expected a response run that tested perturbations, got one that tested none")
    best = claim.verdicts[MASKING].best_baseline
    titles = {"response": "By response × spectrum", "baseline": f"By the best baseline: {best}"}
    with styled():
        if ax is not None:
            if panel not in (*titles, "errors"):
                raise InputError(f"expected a panel out of {', '.join((*titles, 'errors'))}, got {panel!r}")
            restyle(ax)
            if panel == "errors":
                _draw_errors(ax, result, claim)
            else:
                draw_drops(ax, claim, MASKING if panel == "response" else best)
                ax.set_title(titles[panel], size=8, weight="normal", pad=6)
            return figure_of(ax)
        rows = len(claim.known_errors)
        figure = Figure(figsize=(PAGE_WIDTH, PANEL + ROW * rows + HEAD), layout="constrained")
        above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[PANEL, ROW * rows + HEAD / 2])[:, 0]
        for one, name, title in zip(above.subplots(1, 2), (MASKING, best), titles.values(), strict=True):
            draw_drops(one, claim, name, legend=False)
            one.set_title(title, size=8, weight="normal", pad=6)
        handles, kinds = above.axes[0].get_legend_handles_labels()
        above.legend(handles, kinds, loc="outside lower left", ncols=4)
        _draw_errors(below.subplots(), result, claim)
        model = shortened(short_name(result.model_name), LONGEST_NAME)
        title = f"Measured and predicted cost of perturbations: {model}"
        figure.suptitle(title, x=0.01, ha="left", weight="bold", size=10)
        return figure


def draw_drops(ax: Axes, claim: Claim, name: str, legend: bool = True) -> None:
    """Measured drops of accuracy against those that a predictor says, held out, a marker for each kind."""
    predicted = claim.predictions[name].predicted
    ends = [float(end) for end in (*claim.drop_interval.ravel(), *predicted[np.isfinite(predicted)])]
    low_end, high_end = min(*ends, 0.0), max(*ends, 0.05)
    ax.plot([low_end, high_end], [low_end, high_end], color=INK, linewidth=0.6, label="as predicted")
    for k, kind in enumerate(dict.fromkeys(claim.kinds)):
        some = np.asarray([one == kind for one in claim.kinds])
        look = nth_look(k)
        low, high = claim.drop_interval[some].T
        ax.vlines(predicted[some], low, high, color=look.color, linewidth=0.7, alpha=0.6)
        ax.plot(
            predicted[some], claim.drop[some], look.marker, color=look.color, markersize=3, linestyle="", label=kind
        )
    room = 0.05 * (high_end - low_end)
    ax.set_xlim(low_end - room, high_end + room)  # the same on both axes: the line of no error is the diagonal
    ax.set_ylim(low_end - room, high_end + room)
    ax.set_xlabel("predicted drop of accuracy, held out")
    ax.set_ylabel("measured drop")
    if legend:
        ax.legend(loc="best", handlelength=1.2, handletextpad=0.4, borderaxespad=0.2)


def _draw_errors(ax: Axes, result: ResponseResult, claim: Claim) -> None:
    errors = claim.known_errors
    look = looks([result.model_name])[result.model_name]
    for row, error in enumerate(errors.values()):
        ax.hlines(row, error.low, error.high, color=look.color, linewidth=2.4)
        ax.plot(
            error.value, row, look.marker, color=look.color, markersize=5, markeredgecolor="white", markeredgewidth=0.7
        )
    ax.set_yticks(range(len(errors)), list(errors), size=LABEL_SIZE)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(errors) - 0.5, -0.5)
    ax.set_xlim(left=0)
    ax.spines["left"].set_visible(False)
    level = f"{100 * result.confidence:g} % intervals over {result.n_images} images and the perturbations"
    ax.set_xlabel(f"mean error of the predicted drop\nbars: {level}")
    if width_inches(ax) < _NARROW:  # a single column: centred under the names too
        ax.set_xlabel(f"mean error of the predicted drop\n{level}", x=1.0, ha="right")
