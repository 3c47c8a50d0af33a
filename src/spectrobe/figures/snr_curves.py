"""What the figure of spectral SNR is drawn with: a curve a result, its points by category, its axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from spectrobe.figures.style import INK, MARKERS, MUTED, looks

if TYPE_CHECKING:
    from spectrobe.studies.snr.result import SnrResult

Color = tuple[float, float, float]

TOGETHER = 6
"""So many curves share one panel; more are set side by side, a panel for each perturbation's name."""
AXIS = "coarse structure ←   mean spatial frequency of each band (cycles/pixel)   → fine detail"
DODGE = 0.045  # octaves between curves that share a panel
FILL = {"robust": 1.0, "undecided": 0.35, "non-robust": 0.0}  # of the curve's colour, the rest white


@dataclass(frozen=True)
class Curve:
    result: SnrResult
    color: Color
    marker: str


def curves_of(results: Sequence[SnrResult]) -> list[Curve]:
    """A colour for each perturbation's name, lighter for its milder settings (which come first)."""
    families = [family_of(result.perturbation) for result in results]
    crowded = len(results) > TOGETHER
    look = looks(families[:1] if crowded else families)
    curves = []
    for k, (result, family) in enumerate(zip(results, families, strict=True)):
        place, of = families[:k].count(family), families.count(family)
        share = 0.35 + 0.65 * (place + 1) / of
        full = look[families[0] if crowded else family]
        marker = "o" if crowded else MARKERS[place % len(MARKERS)] if of > 1 else full.marker
        curves.append(Curve(result, mixed(to_rgb(full.color), share), marker))
    return curves


def family_of(perturbation: str) -> str:
    return perturbation.partition(":")[0]


def draw_snr(ax: Axes, curves: Sequence[Curve], among: Sequence[Curve] = (), labelled: bool = True) -> None:
    """Points, intervals and the 0 dB line; among: the curves whose range the axis must hold."""
    low, high = _range([curve.result for curve in among or curves])
    ax.set_ylim(low, high)
    ax.set_xlim(_lowest(curves), -0.55)
    ax.axhline(0, color=INK, linewidth=0.6)
    if labelled:
        ax.set_ylabel("SNR (dB)")
    for k, curve in enumerate(curves):
        result, x = curve.result, _positions(curve.result, k, len(curves))
        finite = np.isfinite(result.db) & np.isfinite(x)
        bounds = np.clip(result.interval, low, high)
        ax.vlines(x[finite], bounds[finite, 0], bounds[finite, 1], color=curve.color, linewidth=1.2)
        ax.plot(x, np.where(finite, result.db, np.nan), color=curve.color, linewidth=0.6, alpha=0.5)
        _markers(ax, x, result.db, curve, finite, 4.5 if labelled else 3.2)
        untouched = (result.db == np.inf) & np.isfinite(x)
        if untouched.any():  # outside the axes an empty line would have an infinite extent
            ax.plot(
                x[untouched], np.full(int(untouched.sum()), high), "^", color=curve.color, markersize=4, clip_on=False
            )


def draw_modulus(ax: Axes, curves: Sequence[Curve]) -> None:
    ax.set_ylim(-0.04, 1.04)
    ax.set_yticks([0, 0.5, 1], ["0\ngone", "1/2", "1\nintact"])
    ax.set_ylabel("robustness modulus")
    ax.set_xlim(_lowest(curves), -0.55)
    ax.axhline(0.5, color=INK, linewidth=0.6)
    for k, curve in enumerate(curves):
        result, x = curve.result, _positions(curve.result, k, len(curves))
        there = np.isfinite(x)
        bounds = result.modulus_interval
        ax.vlines(x[there], bounds[there, 0], bounds[there, 1], color=curve.color, linewidth=1.2)
        ax.plot(x, result.modulus, color=curve.color, linewidth=0.6, alpha=0.5)
        _markers(ax, x, result.modulus, curve, there, 4.5)


def _markers(ax: Axes, x: np.ndarray, y: np.ndarray, curve: Curve, there: np.ndarray, size: float) -> None:
    """A marker for each band, filled by its category."""
    for kind, share in FILL.items():
        some = there & np.asarray([one == kind for one in curve.result.category])
        face = mixed(curve.color, share)
        ax.plot(x[some], y[some], curve.marker, color=curve.color, markerfacecolor=face, markersize=size, linestyle="")


def _positions(result: SnrResult, k: int, n: int) -> np.ndarray:
    """log2 of each band's mean frequency, curves of one panel a little apart; NaN for the mean's own band."""
    return np.asarray(np.log2(result.frequency) + DODGE * (k - (n - 1) / 2))


def _lowest(curves: Sequence[Curve]) -> float:
    """Where the axis begins, in log2 of cycles/pixel."""
    return float(np.log2(np.nanmin(curves[0].result.frequency))) - 0.3


def frequency_axis(ax: Axes, curves: Sequence[Curve], label: str = AXIS, every: int = 1) -> None:
    """A tick an octave, or every so many, Nyquist always among them."""
    octaves = _octaves(curves)[::-1][::every][::-1]
    ax.set_xticks(np.log2(octaves), [f"{octave:.3g}" for octave in octaves])
    ax.set_xlabel(label)


def cycles_per_image(ax: Axes, curves: Sequence[Curve]) -> None:
    """The same ticks in cycles/image above, for the shorter side; left out where image sizes differ."""
    sides = {min(curve.result.image_size) for curve in curves}
    if len(sides) != 1:
        return
    side, octaves = sides.pop(), _octaves(curves)
    above = ax.secondary_xaxis("top")
    above.set_xticks(np.log2(octaves), [f"{octave * side:.3g}" for octave in octaves])
    above.tick_params(length=2.5, pad=1)
    above.set_xlabel(f"cycles/image ({side} pixels)", labelpad=3)


def _octaves(curves: Sequence[Curve]) -> np.ndarray:
    """1/2 cycles/pixel (Nyquist) and the octaves below it, down to the lowest band."""
    return np.asarray(2.0 ** np.arange(np.ceil(_lowest(curves)), 0))


def name_ends(ax: Axes, curves: Sequence[Curve]) -> None:
    """Lightest and darkest curve of a panel, in words."""
    first, last = (curve.result.perturbation.partition(":")[2] for curve in (curves[0], curves[-1]))
    ax.annotate(
        f"light to dark: {first} to {last}", (0, 0), (3, 3), "axes fraction", "offset points", size=6, color=MUTED
    )


def _range(results: Sequence[SnrResult]) -> tuple[float, float]:
    """Of the finite numbers drawn, 0 included, with room at both ends; never beyond -60 to 100 dB."""
    numbers = np.concatenate([np.ravel([*result.db, *np.ravel(result.interval)]) for result in results])
    numbers = np.clip(numbers[np.isfinite(numbers)], -60, 100)
    low, high = min(0.0, float(numbers.min(initial=0))), max(0.0, float(numbers.max(initial=0)))
    span = max(high - low, 10.0)
    return low - 0.06 * span, high + 0.08 * span


def mixed(color: Color, share: float) -> Color:
    """A share of a colour, the rest white."""
    red, green, blue = (share * part + 1 - share for part in color)
    return red, green, blue
