"""The spectral SNR of perturbations: what they leave of each frequency band, with intervals over images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from spectrobe.errors import InputError
from spectrobe.figures.snr_curves import (
    AXIS,
    FILL,
    TOGETHER,
    Curve,
    curves_of,
    cycles_per_image,
    draw_modulus,
    draw_snr,
    family_of,
    frequency_axis,
    mixed,
    name_ends,
)
from spectrobe.figures.style import INK, LABEL_SIZE, MUTED, PAGE_WIDTH, figure_of, restyle, styled, width_inches
from spectrobe.studies.snr.wording import counts, sentence

if TYPE_CHECKING:
    from spectrobe.studies.snr.result import SnrResult, SnrStudy

COLUMNS = 4  # of small panels
HEADLINE = 10  # points
NARROW_AXIS, ROOMY = "mean spatial frequency (cycles/pixel)", 4.5  # inches of axes that have room for the other
ANSWER_WIDTH = 110  # characters a line of the sentence under the headline
_MEANING = {
    "robust": "robust: more than half of the band is left",
    "undecided": "undecided",
    "non-robust": "non-robust: less than half (drowned, removed or dimmed)",
}


def snr_bias(
    result_or_results: SnrResult | SnrStudy | Sequence[SnrResult | SnrStudy], ax: Axes | None = None
) -> Figure:
    """SNR in dB against spatial frequency, with intervals over images, and the robustness modulus below it.

    One result has its answer in a sentence under the headline, more than six how many were answered how.
    Filled markers are bands that are robust, pale ones undecided, open ones non-robust (by the modulus). Bands that a
    perturbation does not touch have no finite SNR: a triangle at the upper edge stands for them. Severities of one
    perturbation share a colour, from light to dark. More than six curves get a panel for each perturbation's name.

    ax: draw the SNR alone into these axes, whose layout is the caller's; at most six curves.
    Raises InputError when results differ in bands or confidence.
    """
    curves = curves_of(_results(result_or_results))
    with styled():
        if ax is not None:
            if len(curves) > TOGETHER:
                raise InputError(f"expected at most {TOGETHER} results in axes of your own, got {len(curves)}")
            restyle(ax)
            draw_snr(ax, curves)
            frequency_axis(ax, curves, AXIS if width_inches(ax) > ROOMY else NARROW_AXIS)
            cycles_per_image(ax, curves)
            below = ax.transAxes + ScaledTranslation(0, -0.42, figure_of(ax).dpi_scale_trans)
            ax.legend(
                handles=[*_entries(curves), _interval_entry(curves)],
                loc="upper left",
                bbox_to_anchor=(0, 0),
                bbox_transform=below,
            )
            return figure_of(ax)
        figure = _one_panel(curves) if len(curves) <= TOGETHER else _small_panels(curves)
        several = len(curves) > TOGETHER
        answer = fill(counts([curve.result for curve in curves]), ANSWER_WIDTH) if several else ""
        room = "\n" * (answer.count("\n") + bool(answer))  # below the headline, for the answer
        headline = figure.suptitle(_question(curves) + room, ha="left", weight="bold", size=HEADLINE)
        figure.draw_without_rendering()  # settles the layout, so that the headline can start where the axes do
        headline.set_x(figure.axes[0].get_position().x0)
        x, top = headline.get_position()
        figure.text(x, top - 1.5 * HEADLINE / 72 / figure.get_figheight(), answer, va="top", size=8)
        return figure


def _one_panel(curves: Sequence[Curve]) -> Figure:
    figure = Figure(figsize=(PAGE_WIDTH, 4.4 + 0.08 * len(curves)), layout="constrained")
    snr, modulus = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    draw_snr(snr, curves)
    snr.tick_params(axis="x", labelbottom=False, length=0)
    cycles_per_image(snr, curves)
    if len(curves) == 1:
        snr.set_title(fill(sentence(curves[0].result), ANSWER_WIDTH), weight="normal", size=8, pad=6)
    draw_modulus(modulus, curves)
    frequency_axis(modulus, curves)
    _legend(figure, _entries(curves), curves)
    return figure


def _small_panels(curves: Sequence[Curve]) -> Figure:
    names = list(dict.fromkeys(family_of(curve.result.perturbation) for curve in curves))
    columns = min(COLUMNS, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(PAGE_WIDTH, 1.5 + 1.45 * rows), layout="constrained")
    panels: list[Axes] = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel().tolist()
    for name, panel in zip(names, panels, strict=False):
        own = [curve for curve in curves if family_of(curve.result.perturbation) == name]
        draw_snr(panel, own, among=curves, labelled=False)
        panel.set_title(name, size=7.5, weight="normal", pad=3)
        if len(own) > 1:
            name_ends(panel, own)
        frequency_axis(panel, curves, label="", every=2)
        panel.tick_params(labelbottom=True)  # in every row: the last one may be shorter
    for unused in panels[len(names) :]:
        unused.remove()
    figure.supylabel("SNR (dB)", size=LABEL_SIZE)
    _legend(figure, _category_entries(), curves)
    return figure


def _legend(figure: Figure, entries: list[Line2D], curves: Sequence[Curve]) -> None:
    """Below the panels, under a line that says what was measured."""
    legend = figure.legend(handles=entries, loc="outside lower left", ncols=2, title=_settings(curves))
    legend.set_alignment("left")
    legend.get_title().set(size=7, color=MUTED)


def _entries(curves: Sequence[Curve]) -> list[Line2D]:
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


def _interval_entry(curves: Sequence[Curve]) -> Line2D:
    first = curves[0].result
    name = f"bars: {100 * first.confidence:g} % interval over {first.n_images} images"
    return Line2D([], [], color=MUTED, linewidth=1.2, label=name)


def _category_entries() -> list[Line2D]:
    zero = "0 dB: perturbation as strong as the image"
    entries = [Line2D([], [], color=INK, linewidth=0.6, label=zero)]
    for kind, meaning in _MEANING.items():
        face = mixed(to_rgb(MUTED), FILL[kind])
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


def _question(curves: Sequence[Curve]) -> str:
    names = {curve.result.perturbation for curve in curves}
    return f"Which spatial frequencies survive {names.pop() if len(names) == 1 else 'these perturbations'}?"


def _settings(curves: Sequence[Curve]) -> str:
    results = [curve.result for curve in curves]
    counts = sorted({result.n_images for result in results})
    images = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    names = " / ".join(dict.fromkeys(result.data_name for result in results))
    first, sides = results[0].settings, {min(result.image_size) for result in results}
    side = f", 1 cycle/pixel is {sides.pop()} cycles/image" if len(sides) == 1 else ""
    across = f"from left to right: mean spatial frequency of each band, cycles/pixel{side}"
    return (
        f"{images} images of {names}  ·  bands {first.bands}, mean {first.dc}  ·  {first.summary}, "
        f"{100 * first.confidence:g} % intervals over images" + (f"\n{across}" if len(results) > TOGETHER else "")
    )


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
