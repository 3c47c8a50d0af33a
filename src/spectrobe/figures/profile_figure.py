"""The Shapley profile: how much each frequency band gives a model, with intervals over images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from spectrobe.bands import BandPartition
from spectrobe.errors import InputError
from spectrobe.figures.style import (
    FAINT,
    INK,
    MARKERS,
    MUTED,
    PAGE_WIDTH,
    Look,
    figure_of,
    looks,
    restyle,
    shortened,
    styled,
    width_inches,
)
from spectrobe.studies.paths import short_name

if TYPE_CHECKING:
    from spectrobe.studies.decompose.result import DecomposeResult

MOST_LETTERS = 44
"""Of a model's name in a legend or a narrow title; longer ones lose their middle."""
GROUP_WIDTH = 0.66  # of a band's slot, shared by the models drawn side by side in it


def profile(result_or_results: DecomposeResult | Sequence[DecomposeResult], ax: Axes | None = None) -> Figure:
    """Shapley value per band with intervals over images: one result, or several side by side in each band.

    The thick bar is the pointwise interval of a band, the thin one the simultaneous interval of all bands. Bands have
    slots of equal width; the edges are marked in cycles/pixel below and in cycles/image (shorter side) above.
    Where the results hold the data's power per band, it is drawn in a thin panel of its own below.

    ax: draw the profile alone into these axes, whose layout is the caller's, instead of a new figure.
    Raises InputError when results differ in bands, value, or confidence: such profiles cannot be compared.
    """
    results = results_of(result_or_results)
    with styled():
        if ax is not None:
            restyle(ax)
            draw_profile(ax, results)
            frequency_axis(ax, results[0].bands)
            ax.set_title(_short_title(results), size=8, pad=6, parse_math=False)
            below = ax.transAxes + ScaledTranslation(0, -0.42, figure_of(ax).dpi_scale_trans)  # ticks and label: .42 in
            ax.legend(handles=_entries(results), loc="upper left", bbox_to_anchor=(0, 0), bbox_transform=below)
            return figure_of(ax)
        with_power = [result for result in results if result.power_db is not None][:1]
        figure, panels = _new_panels(len(with_power), n_entries=len(results) + 2)
        draw_profile(panels[0], results)
        for result in with_power:
            draw_power(panels[1], result)
        frequency_axis(panels[-1], results[0].bands)
        panels[0].set_title(_settings(results), weight="normal", size=7.5, color=MUTED, pad=6)
        figure.legend(handles=_entries(results, columns=2), loc="outside lower left", ncols=2)
        headline = figure.suptitle(question(results), ha="left", weight="bold", size=headline_size(results, 10))
        figure.draw_without_rendering()  # settles the layout, so that the headline can start where the axes do
        headline.set_x(panels[0].get_position().x0)
        return figure


def draw_profile(ax: Axes, results: Sequence[DecomposeResult], above: bool = True) -> None:
    """The points and their intervals, cycles/image above or not; the axis below and the legend are the caller's."""
    band_slots(ax, results[0].bands.n_bands)
    ax.axhline(0, color=INK, linewidth=0.6)
    step = min(0.24, GROUP_WIDTH / len(results))
    for k, (result, look) in enumerate(zip(results, result_looks(results), strict=True)):
        x = np.arange(result.bands.n_bands) + (k - (len(results) - 1) / 2) * step
        draw_points(ax, x, result, look)
    low, high = value_range(results)
    ax.set_ylim(low - 0.06 * (high - low), high + 0.06 * (high - low))
    ax.set_ylabel(f"Shapley value ({results[0].unit})")
    if above:
        cycles_per_image_axis(ax, results)


def draw_points(ax: Axes, x: np.ndarray, result: DecomposeResult, look: Look) -> None:
    """One result's Shapley values at x (M,), with pointwise (thick) and simultaneous (thin) intervals."""
    simultaneous, pointwise = np.asarray(result.simultaneous), np.asarray(result.interval)
    ax.vlines(x, simultaneous[:, 0], simultaneous[:, 1], color=look.color, linewidth=0.8)
    ax.vlines(x, pointwise[:, 0], pointwise[:, 1], color=look.color, linewidth=2.4)
    ax.plot(
        x, result.shapley, look.marker, color=look.color, markersize=4.5, markeredgecolor="white", markeredgewidth=0.7
    )


def draw_power(ax: Axes, result: DecomposeResult) -> None:
    """The data's own power per band, the mean left out, as a grey line with its own axis in dB of the total."""
    n_bands = result.bands.n_bands
    band_slots(ax, n_bands)
    ax.plot(np.arange(n_bands), result.power_db, "o-", color=MUTED, linewidth=1, markersize=2.5)
    ax.set_ylabel("dB", color=MUTED)
    low, high = np.nanmin(result.power_db), np.nanmax(result.power_db)
    span = max(high - low, 1.0)
    ax.set_ylim(low - 0.15 * span, high + 0.6 * span)  # the upper part holds the label
    label = "power of the images per band, mean left out (dB of the total)"
    ax.annotate(label, (1, 1), (-4, -2), "axes fraction", "offset points", ha="right", va="top", size=7, color=MUTED)


def band_slots(ax: Axes, n_bands: int) -> None:
    """One slot of equal width a band, set apart by faint lines at the edges; no ticks yet."""
    ax.set_xlim(-0.5, n_bands - 0.5)
    ax.tick_params(axis="x", length=0, labelbottom=False)
    for edge in range(1, n_bands):
        ax.axvline(edge - 0.5, color=FAINT, linewidth=0.6, zorder=0)


def frequency_axis(ax: Axes, bands: BandPartition) -> None:
    """Band edges in cycles/pixel as the ticks below."""
    positions, edges = _edges(bands)
    ticks, labels = list(positions), _thinned([f"{edge / 2:.3g}" for edge in edges], ax, bands.n_bands)
    if bands.dc == "own":
        ticks, labels = [0.0, *ticks], ["mean", *labels]
    ax.set_xticks(ticks, labels)
    ax.tick_params(axis="x", length=2.5, labelbottom=True)
    ax.set_xlabel("spatial frequency (cycles/pixel)")


def cycles_per_image_axis(ax: Axes, results: Sequence[DecomposeResult]) -> None:
    """Band edges in cycles/image above, for the shorter side; left out where the image sizes differ."""
    sides = {min(result.image_size) for result in results}
    if len(sides) != 1:
        return
    side = sides.pop()
    bands = results[0].bands
    positions, edges = _edges(bands)
    above = ax.secondary_xaxis("top")
    above.set_xticks(positions, _thinned([f"{edge / 2 * side:.3g}" for edge in edges], ax, bands.n_bands))
    above.tick_params(length=2.5, pad=1)
    above.set_xlabel(f"cycles/image ({side} pixels)", labelpad=3)


def _thinned(labels: list[str], ax: Axes, n_bands: int) -> list[str]:
    """Every label, or every second, fourth, ... where they would touch; counted from the highest edge."""
    slot_inches = width_inches(ax) / n_bands
    keep = 1
    while keep * slot_inches < 0.06 * max(map(len, labels)):
        keep *= 2
    return [label if (len(labels) - 1 - i) % keep == 0 else "" for i, label in enumerate(labels)]


def value_range(results: Sequence[DecomposeResult]) -> tuple[float, float]:
    """Lowest and highest number drawn, 0 included."""
    numbers = np.concatenate(
        [np.ravel([*r.shapley, *np.ravel(r.interval), *np.ravel(r.simultaneous)]) for r in results]
    )
    numbers = numbers[np.isfinite(numbers)]
    low, high = min(0.0, float(numbers.min(initial=0))), max(0.0, float(numbers.max(initial=0)))
    return (low, high) if high > low else (-1.0, 1.0)


def interval_entries(confidence: float, color: str = MUTED) -> list[Line2D]:
    """Legend entries for the two kinds of interval bars."""
    kinds = ((2.4, "pointwise (thick)"), (0.8, "simultaneous (thin)"))
    name = f"{100 * confidence:g} % interval over images"
    return [Line2D([], [], color=color, linewidth=width, label=f"{name}, {kind}") for width, kind in kinds]


def score_text(result: DecomposeResult) -> str:
    """The score with its interval, or that there is none."""
    score = result.score
    if not isfinite(score.value):
        return "score undefined"
    return f"score {score.value:.2f} [{score.low:.2f}, {score.high:.2f}]"


def question(results: Sequence[DecomposeResult]) -> str:
    """The question that the figure answers."""
    names = {short_name(result.model_name) for result in results}
    return f"Which spatial frequencies {f'does {names.pop()}' if len(names) == 1 else 'do these models'} rely on?"


def headline_size(results: Sequence[DecomposeResult], size: float) -> float:
    """`size` in points, or less where the question is too long for the page."""
    return min(size, 720 / len(question(results)))


def _settings(results: Sequence[DecomposeResult]) -> str:
    parts = [
        f"{_joined(result.n_images for result in results)} images of {_joined(result.data_name for result in results)}",
        results[0].value,
        f"bands {results[0].bands}",
        f"absence {_joined(result.absence for result in results)}",
        f"{_joined(result.design for result in results)} design",
    ]
    return "  ·  ".join(parts)


def _short_title(results: Sequence[DecomposeResult]) -> str:
    names = [shortened(short_name(results[0].model_name), MOST_LETTERS - 8)] if len(results) == 1 else []
    return "\n".join([*names, results[0].value])


def _entries(results: Sequence[DecomposeResult], columns: int = 1) -> list[Line2D]:
    """Legend entries: each model with its score, then the two kinds of bars; with two columns these have the second."""
    models = [
        Line2D([], [], linestyle="", color=look.color, marker=look.marker, markersize=5, label=label)
        for look, label in zip(result_looks(results), result_labels(results), strict=True)
    ]
    bars = interval_entries(results[0].confidence)
    if columns == 2:
        rows = max(len(models), len(bars))
        for column in (models, bars):
            column += [Line2D([], [], linestyle="", label=" ")] * (rows - len(column))
    return [*models, *bars]


def result_looks(results: Sequence[DecomposeResult]) -> list[Look]:
    """A look for each result; the runs of one model share its colour and differ in the marker."""
    look_of = looks(result.model_name for result in results)
    found: list[Look] = []
    for result in results:
        look = look_of[result.model_name]
        repeats = sum(earlier.color == look.color for earlier in found)
        found.append(replace(look, marker=MARKERS[repeats % len(MARKERS)]))
    return found


def result_labels(results: Sequence[DecomposeResult]) -> list[str]:
    """Model and score; where one model is drawn more than once, also the settings in which the results differ."""
    names = [shortened(short_name(result.model_name), MOST_LETTERS) for result in results]
    differing = [
        setting
        for setting in ("data_name", "absence", "design", "n_images")
        if len(set(names)) < len(names) and len({getattr(result, setting) for result in results}) > 1
    ]
    return [
        ", ".join([name, *(str(getattr(result, setting)) for setting in differing)]) + f": {score_text(result)}"
        for name, result in zip(names, results, strict=True)
    ]


def _new_panels(n_power: int, n_entries: int) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(PAGE_WIDTH, 3.2 + 0.75 * n_power + 0.08 * n_entries), layout="constrained")
    heights = [4, 1][: 1 + n_power]
    panels = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)
    return figure, panels[:, 0].tolist()


def _joined(items: Any) -> str:
    return " / ".join(dict.fromkeys(str(item) for item in items))


def _edges(bands: BandPartition) -> tuple[np.ndarray, np.ndarray]:
    """Where the edges of the bands lie on the x axis, and what they are in r; the mean's own band has none."""
    first = 1 if bands.dc == "own" else 0
    return np.arange(first, bands.n_bands + 1) - 0.5, np.asarray(bands.edges)


def results_of(result_or_results: DecomposeResult | Sequence[DecomposeResult]) -> list[DecomposeResult]:
    """The results of one figure, in a list; InputError where they cannot share it."""
    results = list(result_or_results) if isinstance(result_or_results, Sequence) else [result_or_results]
    if not results:
        raise InputError("expected at least one result to draw, got none")
    for what in ("bands", "value", "confidence"):
        kinds = list(dict.fromkeys(str(getattr(result, what)) for result in results))
        if len(kinds) > 1:
            raise InputError(f"expected results with the same {what} in one figure, got {' and '.join(kinds)}")
    return results
