"""Panels with training time on the x axis: a line a band with its interval, and estimates over time."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from spectrobe.bands import BandPartition
from spectrobe.figures.style import INK, width_inches
from spectrobe.game.intervals import Estimate

_SHADE = 0.15
BANDS = "band: cycles/pixel"
"""Title of a legend of bands."""


def band_colors(n_bands: int) -> list[str]:
    """Dark for the lowest band to bright for the highest: bands have an order, unlike models."""
    shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.88, n_bands))
    return [matplotlib.colors.to_hex(shade) for shade in shades]


def draw_bands_over(ax: Axes, x: np.ndarray, shapley: np.ndarray, interval: np.ndarray) -> None:
    """Shapley values (E, M) with their intervals (E, M, 2) at times x (E,): a line and its shade for each band."""
    ax.axhline(0, color=INK, linewidth=0.6)
    for band, color in enumerate(band_colors(shapley.shape[1])):
        ax.fill_between(x, interval[:, band, 0], interval[:, band, 1], color=color, alpha=_SHADE, linewidth=0)
        ax.plot(x, shapley[:, band], "o-", color=color, linewidth=1.1, markersize=2.8)


def draw_estimates_over(ax: Axes, x: np.ndarray, estimates: Sequence[Estimate], color: str = INK) -> None:
    """Estimates at times x, with their intervals; gaps where there is none."""
    low, value, high = (np.array([getattr(one, name) for one in estimates]) for name in ("low", "value", "high"))
    ax.fill_between(x, low, high, color=color, alpha=_SHADE, linewidth=0)
    ax.plot(x, value, "o-", color=color, linewidth=1.1, markersize=2.8)


def band_entries(bands: BandPartition) -> list[Line2D]:
    """A legend entry for each band, highest first, as the eye meets them in a list: its number, its edges.

    The title that goes with them is BANDS.
    """
    places = ["mean" if high == 0 else f"{low:.3g}-{high:.3g}" for low, high in bands.cycles_per_pixel()]
    named = list(enumerate(zip(places, band_colors(bands.n_bands), strict=True)))
    return [
        Line2D([], [], color=color, marker="o", markersize=3, label=f"{band}: {place}")
        for band, (place, color) in reversed(named)
    ]


def name_moments(ax: Axes, x: np.ndarray, names: Sequence[str]) -> None:
    """Names of checkpoints as ticks: what they share is left out, and as many as there is room for, the last always."""
    short = _without_what_is_shared(names)
    longest = max(map(len, short))
    slanted = longest > 5
    room = width_inches(ax) / (0.16 if slanted else 0.08 + 0.065 * longest)
    step = max(1, int(np.ceil(len(short) / max(room, 1))))
    shown = [i for i in range(len(short)) if (len(short) - 1 - i) % step == 0]
    ax.set_xticks(x[shown], [short[i] for i in shown])
    if slanted:
        for label in ax.get_xticklabels():
            label.set(rotation=35, horizontalalignment="right", rotation_mode="anchor")


def _without_what_is_shared(names: Sequence[str]) -> list[str]:
    """Names without the beginning and the end that all share; numbers stay whole, and no name becomes empty."""
    if len(set(names)) < 2:
        return list(names)
    start = _shared(names)
    rest = [name[start:] for name in names]
    end = _shared([name[::-1] for name in rest])
    short = [name[: len(name) - end] for name in rest]
    return short if all(short) else list(names)


def _shared(names: Sequence[str]) -> int:
    """How many characters all names begin with, up to the last that is no part of a number."""
    count = next((i for i, found in enumerate(zip(*names, strict=False)) if len(set(found)) > 1), min(map(len, names)))
    while count and (names[0][count - 1].isdigit() or names[0][count - 1] == "."):
        count -= 1
    return count
