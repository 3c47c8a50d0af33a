"""Native SNR of what networks were trained on, and how robust they came out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from spectrobe.figures.over_training import band_colors
from spectrobe.figures.style import FAINT, INK, MARKERS, MUTED, PAGE_WIDTH, figure_of, restyle, shortened, styled

if TYPE_CHECKING:
    from spectrobe.studies.feature_snr.result import FeatureSnrResult

_SIZE, _SMALLEST, _DASH = 6.5, 4.2, 10.0
_ROOM, _LEAST_ROOM = 0.08, 0.3
_TITLE = 6.8
_SOFT = 0.005
_TICKS = (0.0, 0.02, 0.1, 0.2, 0.5, 0.8, 0.9, 0.95, 0.98, 1.0)
_NEAR = 0.115
_TRAINED = "trained on (cycles/pixel), tried with"
_X = "native modulus of bands trained on\n(0 gone, 1 intact; logit scale)"
_NOTE = "Images of all bands hold a group's own bands weaker than in training (one gain for all). Bars across: modulus."


def snr_training(result: FeatureSnrResult, ax: Axes | None = None) -> Figure:
    """Accuracy under each perturbation against the native modulus of the bands trained on; apart, with injected noise.

    A marker a perturbation, a colour a group of bands; points are means over seeds with bars from lowest to highest;
    bars across are the modulus's interval over images; a dash is the accuracy on clean images. x is on a logit scale,
    as moduli crowd near 1; markers of higher bands are smaller, so that none hides another. The lower row, on grey, is
    the condition with injected noise.
    ax: draw the panel of images of the same bands alone into these axes, whose layout is the caller's.
    """
    with styled():
        if ax is not None:
            restyle(ax)
            _panel(ax, result, 0, injected=False)
            _axes(ax, result, 0)
            ax.legend(handles=_entries(result), title=_TRAINED, ncols=2)
            return figure_of(ax)
        rows = 1 + (result.injected_accuracy is not None)
        figure = Figure(figsize=(PAGE_WIDTH, 1.45 + 2.3 * rows), layout="constrained")
        panels = figure.subplots(rows, 2, sharex=True, sharey=True, squeeze=False)
        for v, name in enumerate(("on images of the bands trained on", "on images of all bands")):
            _panel(panels[0, v], result, v, injected=False)
            panels[0, v].set_title(f"{name}\n{_relation(result, v)}", size=_TITLE, weight="normal")
            if rows > 1:
                _panel(panels[1, v], result, v, injected=True)
                panels[1, v].set_facecolor("#F2F2F2")
                panels[1, v].set_title(
                    f"apart: noise of {result.settings.inject_db:g} dB injected in training",
                    size=_TITLE,
                    weight="normal",
                )
            panels[-1, v].set_xlabel(_X)
        for row in panels:
            row[0].set_ylabel("accuracy under perturbation")
        panels[0, 1].legend(handles=_entries(result), title=_TRAINED, loc="upper left", bbox_to_anchor=(1, 1))
        start = "Demo, no evidence: " if result.demo else ""
        figure.suptitle(
            f"{start}Are networks trained on bands of higher SNR more robust?\n\n",
            ha="left",
            weight="bold",
            size=9,
            x=0.01,
        )
        height = figure.get_figheight()
        figure.text(0.01, 1 - 0.27 / height, f"{_settings(result)}\n{_NOTE}", size=7, color=MUTED, va="top")
        return figure


def _panel(ax: Axes, result: FeatureSnrResult, view: int, injected: bool) -> None:
    clean = result.injected_clean if injected else result.clean
    accuracy = result.injected_accuracy if injected else result.accuracy
    if clean is None or accuracy is None:
        return
    ax.axhline(1 / result.n_classes, color=FAINT, linewidth=0.8)
    sizes = np.linspace(_SIZE, _SMALLEST, len(result.groups))
    for g, color in enumerate(band_colors(len(result.groups))):
        before = float(clean[view, :, g].mean())
        for p in range(len(result.perturbations)):
            x, seeds = float(result.modulus[g, p]), accuracy[view, :, g, p]
            y = float(seeds.mean())
            ax.plot([x], [before], "_", color=color, markersize=_DASH)
            ax.plot([x, x], [float(seeds.min()), float(seeds.max())], color=color, linewidth=0.9)
            ax.plot(result.modulus_interval[g, p], [y, y], color=color, linewidth=0.9)
            ax.plot(
                [x], [y], MARKERS[p % len(MARKERS)], color=color, markersize=sizes[g],
                markerfacecolor="white" if injected else color, markeredgecolor=color if injected else "white",
                markeredgewidth=1 if injected else 0.3,
            )  # fmt: skip
    _scale(ax, result.modulus)


def _scale(ax: Axes, modulus: np.ndarray) -> None:
    """A logit scale for x, finite at 0 and 1, about all moduli, with ticks where there is room for them."""
    ax.set_xscale("function", functions=(_logit, _expit))
    low, high = (float(_logit(end)) for end in (modulus.min(), modulus.max()))
    room = _ROOM * (high - low) + _LEAST_ROOM
    low, high = low - room, high + room
    shown = [tick for tick in _TICKS if low <= float(_logit(tick)) <= high]
    apart = [shown[-1]] if shown else []
    for tick in shown[-2::-1]:
        if float(_logit(apart[-1]) - _logit(tick)) > _NEAR * (high - low):
            apart.append(tick)
    ax.set_xticks(apart, [f"{tick:g}" for tick in apart])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlim(*_expit(np.array([low, high])).tolist())


def _logit(x: Any) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log((np.asarray(x) + _SOFT) / (1 + _SOFT - np.asarray(x))))


def _expit(y: Any) -> np.ndarray:
    return np.asarray((1 + 2 * _SOFT) / (1 + np.exp(-np.asarray(y))) - _SOFT)


def _axes(ax: Axes, result: FeatureSnrResult, view: int) -> None:
    ax.set_xlabel(_X)
    ax.set_ylabel("accuracy under perturbation")
    ax.set_title(_relation(result, view), size=7.5, weight="normal")


def _relation(result: FeatureSnrResult, view: int) -> str:
    relation = tuple(result.relations.values())[view]
    if np.isnan(relation.partial):
        return "partial rank correlation not defined"
    return f"partial rank correlation {relation.partial:+.2f}, p = {relation.p:.3f}"


def _entries(result: FeatureSnrResult) -> list[Line2D]:
    places = result.bands.cycles_per_pixel()
    groups = [
        Line2D([], [], color=color, linewidth=3, label=f"{name} ({low:.3g}-{high:.3g})")
        for name, color, (low, high) in zip(result.groups, band_colors(len(places)), places, strict=True)
    ]
    marks = [
        Line2D(
            [],
            [],
            color=INK,
            marker=MARKERS[p % len(MARKERS)],
            linestyle="none",
            markersize=4,
            label=shortened(name, 28),
        )
        for p, name in enumerate(result.perturbations)
    ]
    bar = Line2D([], [], color=INK, marker="|", markersize=8, linestyle="none", label="bar: lowest to highest seed")
    percent = f"{100 * result.settings.confidence:g} %"
    across = Line2D([], [], color=INK, linewidth=0.9, label=f"bar across: {percent} interval")
    dash = Line2D([], [], color=INK, marker="_", markersize=_DASH, linestyle="none", label="dash: clean images")
    return [*groups, *marks, bar, across, dash, Line2D([], [], color=FAINT, linewidth=1.2, label="line: chance")]


def _settings(result: FeatureSnrResult) -> str:
    settings = result.settings
    parts = (
        f"{result.model_name}, {settings.seeds} seeds",
        f"{result.n_train:,} images of {shortened(result.data_name, 40)}",
        f"measured on {result.n_images:,} held-out images", "clean accuracy held fixed",
    )  # fmt: skip
    return "  ·  ".join(parts)
