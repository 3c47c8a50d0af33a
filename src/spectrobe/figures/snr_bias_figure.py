"""The spectral SNR of perturbations: what they leave of each frequency band, with intervals over images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from spectrobe.errors import InputError
from spectrobe.figures.style import INK, MARKERS, MUTED, PAGE_WIDTH, figure_of, looks, restyle, styled, width_inches
from spectrobe.studies.snr.wording import sentence

if TYPE_CHECKING:
    from spectrobe.studies.snr.result import SnrResult, SnrStudy

Color = tuple[float, float, float]

TOGETHER = 6
"""So many curves share one panel; more are set side by side, a panel for each perturbation's name."""
COLUMNS = 4  # of small panels
AXIS = "coarse structure ←   mean spatial frequency of each band (cycles/pixel)   → fine detail"
NARROW_AXIS, ROOMY = "mean spatial frequency (cycles/pixel)", 4.5  # inches of axes that have room for the other
ANSWER_WIDTH = 110  # characters a line of the sentence under the headline
DODGE = 0.045  # octaves between curves that share a panel
_FILL = {"robust": 1.0, "undecided": 0.35, "non-robust": 0.0}  # of the curve's colour, the rest white
_MEANING = {
    "robust": "robust: more than half of the band is left",
    "undecided": "undecided",
    "non-robust": "non-robust: less than half",
}


@dataclass(frozen=True)
class _Curve:
    result: SnrResult
    color: Color
    marker: str


def snr_bias(
    result_or_results: SnrResult | SnrStudy | Sequence[SnrResult | SnrStudy], ax: Axes | None = None
) -> Figure:
    """SNR in dB against spatial frequency, with intervals over images, and the robustness modulus below it.

    One result has its answer in a sentence under the headline.
    Filled markers are bands that are robust, pale ones undecided, open ones non-robust (by the modulus). Bands that a
    perturbation does not touch have no finite SNR: a triangle at the upper edge stands for them. Severities of one
    perturbation share a colour, from light to dark. More than six curves get a panel for each perturbation's name.

    ax: draw the SNR alone into these axes, whose layout is the caller's; at most six curves.
    Raises InputError when results differ in bands or confidence.
    """
    curves = _curves(_results(result_or_results))
    with styled():
        if ax is not None:
            if len(curves) > TOGETHER:
                raise InputError(f"expected at most {TOGETHER} results in axes of your own, got {len(curves)}")
            restyle(ax)
            _draw_snr(ax, curves)
            _frequency_axis(ax, curves, AXIS if width_inches(ax) > ROOMY else NARROW_AXIS)
            _cycles_per_image(ax, curves)
            below = ax.transAxes + ScaledTranslation(0, -0.42, figure_of(ax).dpi_scale_trans)
            ax.legend(
                handles=[*_entries(curves), _interval_entry(curves)],
                loc="upper left",
                bbox_to_anchor=(0, 0),
                bbox_transform=below,
            )
            return figure_of(ax)
        figure = _one_panel(curves) if len(curves) <= TOGETHER else _small_panels(curves)
        headline = figure.suptitle(_question(curves), ha="left", weight="bold", size=10)
        figure.draw_without_rendering()  # settles the layout, so that the headline can start where the axes do
        headline.set_x(figure.axes[0].get_position().x0)
        return figure


def _one_panel(curves: Sequence[_Curve]) -> Figure:
    figure = Figure(figsize=(PAGE_WIDTH, 4.4 + 0.08 * len(curves)), layout="constrained")
    snr, modulus = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    _draw_snr(snr, curves)
    snr.tick_params(axis="x", labelbottom=False, length=0)
    _cycles_per_image(snr, curves)
    if len(curves) == 1:
        snr.set_title(fill(sentence(curves[0].result), ANSWER_WIDTH), weight="normal", size=8, pad=6)
    _draw_modulus(modulus, curves)
    _frequency_axis(modulus, curves)
    _legend(figure, _entries(curves), curves)
    return figure


def _small_panels(curves: Sequence[_Curve]) -> Figure:
    names = list(dict.fromkeys(_family(curve.result.perturbation) for curve in curves))
    rows = -(-len(names) // COLUMNS)
    figure = Figure(figsize=(PAGE_WIDTH, 1.0 + 1.35 * rows), layout="constrained")
    panels: list[Axes] = figure.subplots(rows, COLUMNS, sharex=True, sharey=True, squeeze=False).ravel().tolist()
    for name, panel in zip(names, panels, strict=False):
        own = [curve for curve in curves if _family(curve.result.perturbation) == name]
        _draw_snr(panel, own, among=curves, labelled=False)
        panel.set_title(name, size=7.5, weight="normal", pad=3)
        if len(own) > 1:
            _name_ends(panel, own)
        _frequency_axis(panel, curves, label="", every=2)
        lowest = panel in panels[max(0, len(names) - COLUMNS) : len(names)]
        panel.tick_params(labelbottom=lowest)
        panel.set_xlabel("cycles/pixel" if lowest else "")
        panel.set_ylabel("SNR (dB)" if panel in panels[::COLUMNS] else "")
    for unused in panels[len(names) :]:
        unused.remove()
    _legend(figure, _category_entries(), curves)
    return figure


def _legend(figure: Figure, entries: list[Line2D], curves: Sequence[_Curve]) -> None:
    """Below the panels, under a line that says what was measured."""
    legend = figure.legend(handles=entries, loc="outside lower left", ncols=2, title=_settings(curves))
    legend.set_alignment("left")
    legend.get_title().set(size=7, color=MUTED)


def _draw_snr(ax: Axes, curves: Sequence[_Curve], among: Sequence[_Curve] = (), labelled: bool = True) -> None:
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


def _draw_modulus(ax: Axes, curves: Sequence[_Curve]) -> None:
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


def _markers(ax: Axes, x: np.ndarray, y: np.ndarray, curve: _Curve, there: np.ndarray, size: float) -> None:
    """A marker for each band, filled by its category."""
    for kind, share in _FILL.items():
        some = there & np.asarray([one == kind for one in curve.result.category])
        face = _mixed(curve.color, share)
        ax.plot(x[some], y[some], curve.marker, color=curve.color, markerfacecolor=face, markersize=size, linestyle="")


def _positions(result: SnrResult, k: int, n: int) -> np.ndarray:
    """log2 of each band's mean frequency, curves of one panel a little apart; NaN for the mean's own band."""
    return np.asarray(np.log2(result.frequency) + DODGE * (k - (n - 1) / 2))


def _lowest(curves: Sequence[_Curve]) -> float:
    """Where the axis begins, in log2 of cycles/pixel."""
    return float(np.log2(np.nanmin(curves[0].result.frequency))) - 0.3


def _frequency_axis(ax: Axes, curves: Sequence[_Curve], label: str = AXIS, every: int = 1) -> None:
    """A tick an octave, or every so many, Nyquist always among them."""
    octaves = _octaves(curves)[::-1][::every][::-1]
    ax.set_xticks(np.log2(octaves), [f"{octave:.3g}" for octave in octaves])
    ax.set_xlabel(label)


def _cycles_per_image(ax: Axes, curves: Sequence[_Curve]) -> None:
    """The same ticks in cycles/image above, for the shorter side; left out where image sizes differ."""
    sides = {min(curve.result.image_size) for curve in curves}
    if len(sides) != 1:
        return
    side, octaves = sides.pop(), _octaves(curves)
    above = ax.secondary_xaxis("top")
    above.set_xticks(np.log2(octaves), [f"{octave * side:.3g}" for octave in octaves])
    above.tick_params(length=2.5, pad=1)
    above.set_xlabel(f"cycles/image ({side} pixels)", labelpad=3)


def _octaves(curves: Sequence[_Curve]) -> np.ndarray:
    """1/2 cycles/pixel (Nyquist) and the octaves below it, down to the lowest band."""
    return np.asarray(2.0 ** np.arange(np.ceil(_lowest(curves)), 0))


def _name_ends(ax: Axes, curves: Sequence[_Curve]) -> None:
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


def _entries(curves: Sequence[_Curve]) -> list[Line2D]:
    """Curves in the first column, markers' meanings in the second."""
    own = [
        Line2D(
            [], [], color=curve.color, marker=curve.marker, markersize=4.5, linewidth=1.2, label=_label(curve.result)
        )
        for curve in curves
    ]
    kinds = _category_entries()
    rows = max(len(own), len(kinds))
    for column in (own, kinds):
        column += [Line2D([], [], linestyle="", label=" ")] * (rows - len(column))
    return [*own, *kinds]


def _interval_entry(curves: Sequence[_Curve]) -> Line2D:
    first = curves[0].result
    name = f"bars: {100 * first.confidence:g} % interval over {first.n_images} images"
    return Line2D([], [], color=MUTED, linewidth=1.2, label=name)


def _category_entries() -> list[Line2D]:
    zero = "0 dB: perturbation as strong as the image"
    entries = [Line2D([], [], color=INK, linewidth=0.6, label=zero)]
    for kind, meaning in _MEANING.items():
        face = _mixed(to_rgb(MUTED), _FILL[kind])
        entries.append(
            Line2D([], [], linestyle="", marker="o", markersize=4.5, color=MUTED, markerfacecolor=face, label=meaning)
        )
    return entries


def _label(result: SnrResult) -> str:
    slope = result.decay.db_per_octave
    if not np.isfinite(slope.value):
        return result.perturbation
    bounds = f" [{slope.low:.1f}, {slope.high:.1f}]" if np.isfinite(slope.low) else ""
    return f"{result.perturbation}: {slope.value:.1f}{bounds} dB/octave"


def _question(curves: Sequence[_Curve]) -> str:
    names = {curve.result.perturbation for curve in curves}
    return f"Which spatial frequencies survive {names.pop() if len(names) == 1 else 'these perturbations'}?"


def _settings(curves: Sequence[_Curve]) -> str:
    results = [curve.result for curve in curves]
    counts = sorted({result.n_images for result in results})
    images = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    names = " / ".join(dict.fromkeys(result.data_name for result in results))
    first, sides = results[0].settings, {min(result.image_size) for result in results}
    side = f"1 cycle/pixel is {sides.pop()} cycles/image" if len(sides) == 1 and len(results) > TOGETHER else ""
    return (
        f"{images} images of {names}  ·  bands {first.bands}, mean {first.dc}  ·  {first.summary}, "
        f"{100 * first.confidence:g} % intervals over images" + (f"\n{side}" if side else "")
    )


def _mixed(color: Color, share: float) -> Color:
    """A share of a colour, the rest white."""
    red, green, blue = (share * part + 1 - share for part in color)
    return red, green, blue


def _family(perturbation: str) -> str:
    return perturbation.partition(":")[0]


def _curves(results: Sequence[SnrResult]) -> list[_Curve]:
    """A colour for each perturbation's name, lighter for its milder settings (which come first)."""
    families = [_family(result.perturbation) for result in results]
    crowded = len(results) > TOGETHER
    look = looks(families[:1] if crowded else families)
    curves = []
    for k, (result, family) in enumerate(zip(results, families, strict=True)):
        place, of = families[:k].count(family), families.count(family)
        share = 0.35 + 0.65 * (place + 1) / of
        full = look[families[0] if crowded else family]
        marker = "o" if crowded else MARKERS[place % len(MARKERS)] if of > 1 else full.marker
        curves.append(_Curve(result, _mixed(to_rgb(full.color), share), marker))
    return curves


def _results(given: Any) -> list[SnrResult]:
    several = given if isinstance(given, Sequence) else [given]
    results: list[SnrResult] = []
    for one in several:
        if not isinstance(getattr(one, "results", None), Mapping):
            raise InputError(f"expected results of spectral_snr or snr_study, got {type(one).__name__}")
        results += one.results.values()
    if not results:
        raise InputError("expected at least one result to draw, got none")
    for what in ("bands", "confidence"):
        kinds = list(dict.fromkeys(str(getattr(result, what)) for result in results))
        if len(kinds) > 1:
            raise InputError(f"expected results with the same {what} in one figure, got {' and '.join(kinds)}")
    return results
