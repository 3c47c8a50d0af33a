"""The response of a model over spatial frequency: gradient, band noise, cut-offs, heat map, and what they predict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isnan, sqrt
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from spectrobe.errors import InputError
from spectrobe.figures.heat_map_figure import draw_heat_map, heat_map_title, scale_beside
from spectrobe.figures.octaves import finish_octaves
from spectrobe.figures.prediction_figure import LONGEST_NAME, draw_drops
from spectrobe.figures.profile_figure import draw_profile
from spectrobe.figures.profile_figure import frequency_axis as band_axis
from spectrobe.figures.style import (
    INK,
    MARKERS,
    PAGE_WIDTH,
    PALETTE,
    figure_of,
    name_intervals,
    restyle,
    shortened,
    styled,
)
from spectrobe.studies.paths import short_name
from spectrobe.studies.response.predictors import MASKING

if TYPE_CHECKING:
    from spectrobe.studies.decompose.result import DecomposeResult
    from spectrobe.studies.response.result import Curve, ResponseResult

Color = tuple[float, float, float]
Draw = Callable[[Axes, "ResponseResult"], None]

ROW, MARGIN = 2.45, 0.5  # inches
COLUMNS = 2
_SHORT_NAME = 24  # letters of a name that leaves room behind it
LOW_COLOR, HIGH_COLOR, ONE_COLOR = PALETTE[0], PALETTE[1], PALETTE[2]
DODGE = 0.05  # octaves between curves of one panel
WIDE = 5  # ratio from which an axis is logarithmic


def response(
    result: ResponseResult, ax: Axes | None = None, panel: str = "cut-offs", profile: DecomposeResult | None = None
) -> Figure:
    """Everything a response run measured, with intervals over images, frequencies in cycles/pixel and cycles/image.

    Panels: "gradient" (energy per bin of the loss's gradient), "noise" (accuracy under band noise), "channel"
    (sensitivity to it, and the fitted channel), "cut-offs", "heat map" (error rate under Fourier basis noise) and
    "claim" (measured and predicted drops of accuracy); those that were not measured are left out.
    profile: a decomposition, whose Shapley values get a panel too.
    ax: draw one panel, named by `panel`, into these axes, whose layout is the caller's.
    Raises InputError for a panel that this result does not have, and for several results: a figure shows one model.
    """
    if isinstance(result, Sequence):
        raise InputError(f"expected one result of response, got {len(result)}: a figure shows one model")
    panels = _panels(result)
    with styled():
        if ax is not None:
            if panel not in panels:
                raise InputError(f"expected a panel out of {', '.join(panels)}, which this result has, got {panel!r}")
            restyle(ax)
            panels[panel](ax, result)
            if panel != "heat map":
                name_intervals(ax, result.confidence, result.n_images)
            return figure_of(ax)
        count = len(panels) + (profile is not None)
        rows = -(-count // COLUMNS)
        figure = Figure(figsize=(PAGE_WIDTH, ROW * rows + MARGIN), layout="constrained")
        # a layout of its own for each row: the heat map's colour bar would push the others' axes aside
        parts = list(figure.subfigures(rows, 1, squeeze=False)[:, 0])
        axes = [one for part in parts for one in part.subplots(1, COLUMNS)]
        for one, draw in zip(axes, panels.values(), strict=False):
            draw(one, result)
        if profile is not None:
            _draw_profile(axes[count - 1], profile)
        for unused in axes[count:]:
            unused.remove()
        figure.suptitle(_title(result), x=0.01, ha="left", weight="bold", size=10)
        return figure


def _panels(result: ResponseResult) -> dict[str, Draw]:
    found: dict[str, Draw] = {}
    if result.gradient is not None:
        found["gradient"] = _draw_gradient
    found |= {"noise": _draw_noise, "channel": _draw_channel, "cut-offs": _draw_cutoffs}
    if result.heat_map is not None:
        found["heat map"] = _draw_heat_map
    if result.claim is not None:
        found["claim"] = _draw_claim
    return found


def _draw_gradient(ax: Axes, result: ResponseResult) -> None:
    if result.gradient is None:
        return
    _points(ax, np.log2(result.frequency), result.gradient.per_bin, to_rgb(ONE_COLOR), "o")
    low, high = result.gradient.per_bin.interval.min(), result.gradient.per_bin.interval.max()
    if not low > 0 or high < WIDE * low:
        ax.set_ylim(bottom=min(0.0, low))
    else:
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0,) if high > 100 * low else (1.0, 2.0, 5.0)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_locator(NullLocator())
    ax.set_ylabel("energy per frequency bin")
    finish_octaves(ax, result, "Gradient of the loss")


def _draw_noise(ax: Axes, result: ResponseResult) -> None:
    """A line for each power, darker for stronger noise."""
    masking = result.masking
    n = len(masking.powers)
    x = np.log2(result.frequency)
    for k, power in enumerate(masking.powers):
        places = np.arange(result.bands.n_bands) * n + k
        curve = type(masking.accuracy)(
            masking.accuracy.value[places], masking.accuracy.stderr[places], masking.accuracy.interval[places]
        )
        color = _mixed(to_rgb(LOW_COLOR), 0.3 + 0.7 * (k + 1) / n)
        aside = DODGE * (k - (n - 1) / 2)
        _points(ax, x + aside, curve, color, MARKERS[k % len(MARKERS)], label=f"{sqrt(power):.3g}")
    _clean_line(ax, result)
    ax.legend(title="standard deviation", loc="lower left", ncols=2, columnspacing=0.8, handlelength=1.2)
    finish_octaves(ax, result, "Accuracy under noise in one band")


def _draw_channel(ax: Axes, result: ResponseResult) -> None:
    """Sensitivities, open where they are beyond the noise tried, and the fitted channel."""
    masking = result.masking
    x, color = np.log2(result.frequency), to_rgb(LOW_COLOR)
    if np.isfinite(masking.sensitivity.value).all():
        value, bounds = masking.sensitivity.value, masking.sensitivity.interval
        ax.vlines(x, bounds[:, 0], bounds[:, 1], color=color, linewidth=1.2)
        for beyond, face, label in ((False, color, "measured"), (True, (1.0, 1.0, 1.0), "beyond the noise tried")):
            some = masking.extrapolated == beyond
            if some.any():
                ax.plot(
                    x[some],
                    value[some],
                    "o",
                    color=color,
                    markerfacecolor=face,
                    markersize=4,
                    linestyle="",
                    label=label,
                )
    title = "Sensitivity to that noise"
    if not isnan(masking.centre.value):
        grid = np.linspace(x[0], x[-1], 200)
        sigma = masking.bandwidth.value / (2 * sqrt(2 * np.log(2)))
        shape = np.exp(-0.5 * ((grid - np.log2(masking.centre.value)) / sigma) ** 2)
        ax.plot(grid, masking.peak.value * shape, color=INK, linewidth=0.9, label="fitted channel")
        title = f"Channel: {masking.centre.value:.3g} cycles/pixel, {masking.bandwidth.value:.2g} octaves wide"
    else:
        ax.plot([], [], linestyle="", label="no channel could be fitted")
    shown = np.nanmax([*masking.sensitivity.value, masking.peak.value, 0.0])
    ax.set_ylim(0, 1.7 * shown if shown > 0 else 1)  # intervals of what is hardly known reach far beyond
    ax.set_ylabel("1 / power that halves accuracy")
    ax.legend(loc="upper left", handlelength=1.2, borderaxespad=0.2)
    finish_octaves(ax, result, title)


def _draw_cutoffs(ax: Axes, result: ResponseResult) -> None:
    """Low-pass and high-pass; open and dashed under the perturbation."""
    cutoffs = result.cutoffs
    x = np.log2(cutoffs.frequency)
    curves = (
        ("only below the cut-off", cutoffs.low_pass, LOW_COLOR, False),
        ("only above it", cutoffs.high_pass, HIGH_COLOR, False),
        (f"below, {cutoffs.under}", cutoffs.low_pass_under, LOW_COLOR, True),
        (f"above, {cutoffs.under}", cutoffs.high_pass_under, HIGH_COLOR, True),
    )
    for k, (label, curve, color, under) in enumerate(curves):
        if curve is not None:
            aside = DODGE * (k - 1.5)
            _points(ax, x + aside, curve, to_rgb(color), "os"[k % 2], label=label, hollow=under)
    _clean_line(ax, result)
    ax.set_ylim(-0.03, 1.4)  # the upper part holds the legend
    ax.set_yticks(np.arange(6) / 5)
    ax.legend(loc="upper left", ncols=2, columnspacing=0.8, handlelength=1.6, borderaxespad=0.2)
    finish_octaves(ax, result, "Accuracy when frequencies are cut off", label="cut-off (cycles/pixel)")


def _draw_heat_map(ax: Axes, result: ResponseResult) -> None:
    image = draw_heat_map(ax, result)
    ax.set_title(heat_map_title(result), size=8, weight="normal", pad=6)
    scale_beside(ax, image)


def _draw_claim(ax: Axes, result: ResponseResult) -> None:
    """Measured against predicted drops of accuracy; how far off response times spectrum and the best baseline are."""
    claim = result.claim
    if claim is None:
        return
    draw_drops(ax, claim, MASKING)
    best = claim.verdicts[MASKING].best_baseline
    error, other = (claim.predictions[name].error.value for name in (MASKING, best))
    title = f"Sensitivity x spectrum: off by {error:.3f},\nbest baseline ({best}): by {other:.3f}"
    ax.set_title(title, size=8, weight="normal", pad=6)


def _draw_profile(ax: Axes, profile: DecomposeResult) -> None:
    draw_profile(ax, [profile])
    band_axis(ax, profile.bands)
    ax.set_title("Shapley profile", size=8, weight="normal", pad=6)


def _points(
    ax: Axes, x: np.ndarray, curve: Curve, color: Color, marker: str, label: str = "", hollow: bool = False
) -> None:
    """Points with intervals, joined by a line; hollow: open markers and a dashed line."""
    ax.vlines(x, curve.interval[:, 0], curve.interval[:, 1], color=color, linewidth=1.0)
    style = "--" if hollow else "-"
    face = (1.0, 1.0, 1.0) if hollow else color
    ax.plot(
        x,
        curve.value,
        style,
        marker=marker,
        color=color,
        markerfacecolor=face,
        markersize=3.2,
        linewidth=0.8,
        label=label,
    )


def _clean_line(ax: Axes, result: ResponseResult) -> None:
    """Clean accuracy."""
    ax.axhline(result.accuracy.value, color=INK, linewidth=0.6)
    ax.annotate(
        "clean", (1, result.accuracy.value), (-2, 2), ("axes fraction", "data"), "offset points", ha="right", size=6.5
    )
    ax.set_ylim(-0.03, 1.03)
    ax.set_ylabel("accuracy")


def _title(result: ResponseResult) -> str:
    model = shortened(short_name(result.model_name), LONGEST_NAME)
    measured = f"{result.n_images} images, {100 * result.confidence:g} % intervals"
    return f"Frequency response of {model}:{' ' if len(model) < _SHORT_NAME else chr(10)}{measured}"


def _mixed(color: Color, share: float) -> Color:
    """A share of a colour, the rest white."""
    red, green, blue = (share * part + 1 - share for part in color)
    return red, green, blue
