"""The two factors of response times spectrum: where a model responds, and where each perturbation has its power."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spectrobe.errors import InputError
from spectrobe.figures.octaves import finish_octaves
from spectrobe.figures.style import INK, PAGE_WIDTH, figure_of, looks, name_intervals, restyle, shortened, styled
from spectrobe.studies.paths import short_name
from spectrobe.studies.response.spectra import as_shares, perturbation_spectra, strongest

if TYPE_CHECKING:
    from spectrobe.studies.response.result import Curve, ResponseResult

COLUMNS, ROW, MARGIN = 3, 1.75, 0.6  # panels side by side; inches of a row, and of title and legend
_LONGEST_NAME = 60  # letters of a model's name


def response_spectra(result: ResponseResult, ax: Axes | None = None, perturbation: str | None = None) -> Figure:
    """Response to band noise beside the power of each tested perturbation, at its highest strength, as shares of sums.

    A panel a perturbation, frequencies in cycles/pixel and cycles/image, intervals over images.
    ax: draw one panel into these axes, whose layout is the caller's: of `perturbation`, by default the first.
    Raises InputError for several results, for one that tested no perturbations, and for a perturbation it did not
    test; SpectrobeError where the result has lost its rows.
    """
    if isinstance(result, Sequence):
        raise InputError(f"expected one result of response, got {len(result)}: a figure shows one model")
    powers = {name: as_shares(curve) for name, curve in strongest(perturbation_spectra(result)).items()}
    with styled():
        if ax is not None:
            name = perturbation or next(iter(powers))
            if name not in powers:
                raise InputError(f"expected a perturbation out of {', '.join(powers)}, got {name!r}")
            restyle(ax)
            _draw(ax, result, name, powers[name], powers)
            name_intervals(ax, result.confidence, result.n_images)
            return figure_of(ax)
        rows = -(-len(powers) // COLUMNS)
        figure = Figure(figsize=(PAGE_WIDTH, ROW * rows + MARGIN), layout="constrained")
        axes = list(figure.subplots(rows, COLUMNS, squeeze=False).flat)
        for one, (name, power) in zip(axes, powers.items(), strict=False):
            _draw(one, result, name, power, powers)
        for unused in axes[len(powers) :]:
            unused.remove()
        handles, names = axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower left", ncols=2)
        title = f"Response and power over the bands: {result.n_images} images, {100 * result.confidence:g} % intervals"
        figure.suptitle(title, x=0.01, ha="left", weight="bold", size=10)
        return figure


def _draw(ax: Axes, result: ResponseResult, name: str, power: Curve, among: dict[str, Curve]) -> None:
    model = shortened(short_name(result.model_name), _LONGEST_NAME)
    response, x = as_shares(result.masking.sensitivity), np.log2(result.frequency)
    color = looks([result.model_name])[result.model_name].color
    for curve, shade, style, label in (
        (response, color, "-", f"response of {model}"),
        (power, INK, "--", "power of the perturbation"),
    ):
        ax.vlines(x, curve.interval[:, 0], curve.interval[:, 1], color=shade, linewidth=1.0)
        ax.plot(x, curve.value, style, marker="o", color=shade, markersize=3, linewidth=0.8, label=label)
    highest = max(float(np.nanmax(curve.interval)) for curve in (response, *among.values()))
    ax.set_ylim(-0.02, 1.06 * min(highest, 1.0))
    ax.set_ylabel("share over the bands")
    finish_octaves(ax, result, name, "band (cycles/pixel)")
