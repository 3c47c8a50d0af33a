"""Native SNR of what networks were trained on, and how robust they came out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spectrobe.figures.over_training import band_colors
from spectrobe.figures.style import FAINT, INK, MARKERS, MUTED, PAGE_WIDTH, figure_of, restyle, shortened, styled

if TYPE_CHECKING:
    from spectrobe.studies.feature_snr.result import FeatureSnrResult

_SIZE, _DASH = 5.0, 0.02
_ROOM, _LEAST_ROOM = 0.12, 0.02
_TRAINED = "trained on (cycles/pixel), tried with"
_X = "native modulus of the bands trained on\n(0 gone, 1 intact)"


def snr_training(result: FeatureSnrResult, ax: Axes | None = None) -> Figure:
    """Accuracy under each perturbation against the native modulus of the bands trained on; apart, with injected noise.

    A marker a perturbation, a colour a group of bands; points are means over seeds with bars from lowest to highest; a
    dash is the accuracy on clean images. The lower row, on grey, is the condition with injected noise.
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
        figure = Figure(figsize=(PAGE_WIDTH, 1.3 + 2.3 * rows), layout="constrained")
        panels = figure.subplots(rows, 2, sharex=True, sharey="col", squeeze=False)
        for v, name in enumerate(("on images of the bands trained on", "on images of all bands")):
            _panel(panels[0, v], result, v, injected=False)
            panels[0, v].set_title(f"{name}\n{_relation(result, v)}", size=7.5, weight="normal")
            if rows > 1:
                _panel(panels[1, v], result, v, injected=True)
                panels[1, v].set_facecolor("#F2F2F2")
                panels[1, v].set_title(
                    f"apart: noise of {result.settings.inject_db:g} dB injected in training", size=7.5, weight="normal"
                )
            panels[-1, v].set_xlabel(_X)
        for row in panels:
            row[0].set_ylabel("accuracy under perturbation")
        panels[0, 1].legend(handles=_entries(result), title=_TRAINED, loc="upper left", bbox_to_anchor=(1, 1))
        start = "Demo, no evidence: " if result.demo else ""
        figure.suptitle(
            f"{start}are networks trained on bands of higher SNR more robust?\n",
            ha="left",
            weight="bold",
            size=9,
            x=0.01,
        )
        figure.text(0.01, 0.955, _settings(result), size=7, color=MUTED, va="top")
        return figure


def _panel(ax: Axes, result: FeatureSnrResult, view: int, injected: bool) -> None:
    clean = result.injected_clean if injected else result.clean
    accuracy = result.injected_accuracy if injected else result.accuracy
    if clean is None or accuracy is None:
        return
    ax.axhline(1 / result.n_classes, color=FAINT, linewidth=0.8)
    wide = (1 + 2 * _ROOM) * float(np.ptp(result.modulus)) + 2 * _LEAST_ROOM
    for g, color in enumerate(band_colors(len(result.groups))):
        before = float(clean[view, :, g].mean())
        for p in range(len(result.perturbations)):
            x, seeds = float(result.modulus[g, p]), accuracy[view, :, g, p]
            ax.plot([x - _DASH * wide, x + _DASH * wide], [before] * 2, color=color, linewidth=1)
            ax.plot([x, x], [float(seeds.min()), float(seeds.max())], color=color, linewidth=0.9)
            ax.plot(
                [x], [float(seeds.mean())], MARKERS[p % len(MARKERS)], color=color, markersize=_SIZE,
                markerfacecolor="white" if injected else color,
            )  # fmt: skip
    low, high = float(result.modulus.min()), float(result.modulus.max())
    room = _ROOM * (high - low) + _LEAST_ROOM
    ax.set_xlim(low - room, high + room)


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
    dash = Line2D([], [], color=INK, linewidth=1, label="dash: clean images")
    return [*groups, *marks, bar, dash, Line2D([], [], color=FAINT, linewidth=1.2, label="line: chance")]


def _settings(result: FeatureSnrResult) -> str:
    settings = result.settings
    parts = (
        f"{result.model_name}, {settings.seeds} seeds",
        f"{result.n_train:,} images of {shortened(result.data_name, 40)}",
        f"measured on {result.n_images:,} held-out images", "clean accuracy held fixed",
    )  # fmt: skip
    return "  ·  ".join(parts)
