"""Fourier heat maps: how often models err under one wave of each frequency and direction, on one scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from spectrobe.errors import InputError
from spectrobe.figures.style import MUTED, PAGE_WIDTH, PALETTE, figure_of, restyle, shortened, styled
from spectrobe.studies.paths import short_name

if TYPE_CHECKING:
    from spectrobe.studies.response.result import HeatMap, ResponseResult

COLUMNS, ROW, MARGIN = 3, 2.5, 0.6  # maps side by side; inches of a row, and of title and note
_LONGEST_NAME = 32  # letters of a model's name
_SHADES = LinearSegmentedColormap.from_list("errors", ["#FFFFFF", PALETTE[0]])


def fourier_heat_map(result_or_results: ResponseResult | Sequence[ResponseResult], ax: Axes | None = None) -> Figure:
    """Error rate under one wave a place: horizontal and vertical frequency in cycles/pixel, cycles/image above.

    A map a model, all on one scale from 0; the widest interval of a place is named under them.
    ax: draw the map of one result into these axes, whose layout is the caller's.
    Raises InputError for a result without a heat map, for maps of other norms, and for several results with `ax`.
    """
    results = list(result_or_results) if isinstance(result_or_results, Sequence) else [result_or_results]
    maps = [_map_of(one) for one in results]
    if len({one.norm for one in maps}) > 1:
        raise InputError("expected heat maps of one norm: waves of other strengths do not compare")
    most, widest = max(float(one.error.value.max()) for one in maps) or 1.0, _widest(maps, results[0].confidence)
    with styled():
        if ax is not None:
            if len(results) > 1:
                raise InputError(f"expected one result for the axes given, got {len(results)}")
            restyle(ax)
            image = draw_heat_map(ax, results[0], most)
            scale_beside(ax, image)
            ax.set_title(heat_map_title(results[0]).replace(" of L2", "\nof L2"), loc="center", size=8, weight="normal")
            ax.set_xlabel(f"horizontal (cycles/pixel)\n{widest.replace(' (', chr(10) + '(')}")
            return figure_of(ax)
        rows, columns = -(-len(results) // COLUMNS), min(COLUMNS, len(results))
        figure = Figure(figsize=(PAGE_WIDTH, ROW * rows + MARGIN), layout="constrained")
        axes = list(figure.subplots(rows, columns, squeeze=False).flat)
        for one, result in zip(axes, results, strict=False):
            image = draw_heat_map(one, result, most)
            one.set_title(shortened(short_name(result.model_name), _LONGEST_NAME), size=8, weight="normal", pad=6)
        for unused in axes[len(results) :]:
            unused.remove()
        bar = figure.colorbar(image, ax=axes[: len(results)], shrink=0.85, pad=0.02, label="error rate")
        bar.outline.set_visible(False)
        figure.suptitle(heat_map_title(results[0]), x=0.01, ha="left", weight="bold", size=10)
        figure.supxlabel(widest, x=0.01, ha="left", size=7, color=MUTED)
        return figure


def draw_heat_map(ax: Axes, result: ResponseResult, most: float | None = None) -> AxesImage:
    """The map of one result, darkest at `most` (by default its own highest error rate); InputError without one."""
    found, step = _map_of(result), result.settings.heat_map.step if result.settings.heat_map else 1
    height, width = result.image_size
    plane, darkest = found.plane(result.image_size, step), most or float(found.error.value.max()) or 1.0
    rows, columns = plane.shape
    # half a step beyond the outermost frequencies, since a cell is centred on its own
    x, y = step * columns / 2 / width, step * rows / 2 / height
    image = ax.imshow(
        plane, cmap=_SHADES, vmin=0, vmax=darkest, extent=(-x, x, y, -y), interpolation="nearest", aspect="equal"
    )
    ax.set_xticks([-0.5, 0, 0.5])
    ax.set_yticks([-0.5, 0, 0.5])
    ax.set_xlabel("horizontal frequency (cycles/pixel)")
    ax.set_ylabel("vertical")
    above = ax.secondary_xaxis("top")
    above.set_xticks([-0.5, 0, 0.5], [f"{-width / 2:g}", "0", f"{width / 2:g}"])
    above.set_xlabel("cycles/image", labelpad=2)
    return image


def scale_beside(ax: Axes, image: AxesImage) -> None:
    """What its shades mean, at the side of a single map."""
    figure_of(ax).colorbar(image, ax=ax, shrink=0.85, pad=0.03).outline.set_visible(False)


def heat_map_title(result: ResponseResult) -> str:
    """What the map shows, and how strong the waves are."""
    return f"Error rate under one wave of L2 norm {_map_of(result).norm:g}"


def _map_of(result: ResponseResult) -> HeatMap:
    if result.heat_map is None:
        raise InputError(f"expected response runs with a heat map (heat_map=4), got one without: {result.model_name}")
    return result.heat_map


def _widest(maps: Sequence[HeatMap], confidence: float) -> str:
    """How far the truth may lie from a place's number, at most."""
    width = max(np.diff(one.error.interval, axis=1).max() / 2 for one in maps)
    images = ", ".join(map(str, sorted({one.n_images for one in maps})))
    return f"{100 * confidence:g} % intervals: at most ± {width:.2f} ({images} images)"
