"""One photograph and what each frequency band holds of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from torch import Tensor

from spectrobe.bands import BandPartition
from spectrobe.errors import InputError
from spectrobe.figures.style import MUTED, PAGE_WIDTH, figure_of, styled, width_inches
from spectrobe.spectrum import band_images

GAINS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
WINDOW = 64  # pixels; a larger piece shrunk to a panel's size would lose its high bands to the shrinking
ENLARGE = 4
PANELS_PER_ROW = 9
NARROW = 0.62  # inches; in narrower panels a band's range takes two lines

Window = tuple[int, int, int, int]  # top, left, height, width in pixels


def band_strip(
    image: Tensor, bands: BandPartition | int, axes: Sequence[Axes] | None = None, window: Window | None = None
) -> Figure:
    """One photograph's band images in a row: intact first, then band by band from low to high frequency.

    Bands are cut from the whole image; of each a window is shown, framed in the intact image, because a large image
    shrunk to a panel would lose its high bands. A band without the mean is shown around mid-grey, with its gain in the
    label: the largest of 1, 2, 5, 10, ... at which at most 0.5 % of its values are cut off.

    image: (C, H, W) in [0, 1], C = 1 or 3.    axes: M + 1 axes to draw into, instead of a new figure.
    window: (top, left, height, width); by default the 64 x 64 pixels with the most detail, or all of a small image.
    Raises InputError on other images, a window that is not inside, or another number of axes.
    """
    bands = BandPartition.of(bands)
    check_image(image)
    parts = band_images(image.detach().float()[None], bands)[0]
    window = _checked(window, image) if window is not None else most_detail(image, parts)
    with styled():
        if axes is None:
            axes, panel_width = _new_axes(bands.n_bands + 1, image, window)
        else:
            panel_width = min(map(width_inches, axes), default=0.0)
        if len(axes) != bands.n_bands + 1:
            raise InputError(f"expected {bands.n_bands + 1} axes (intact and one a band), got {len(axes)}")
        _show_intact(axes[0], image, window)
        top, left, height, width = window
        for band, (low, high) in enumerate(bands.cycles_per_pixel()):
            piece = _pixels(parts[band, :, top : top + height, left : left + width])
            gain, note = 1, ""
            if band > 0:  # the mean is in band 0, or is band 0
                gain = largest_gain(piece)
                piece, note = 0.5 + gain * piece, f"contrast × {gain}"
            name = "mean" if low == high else f"{low:.3g}–{high:.3g}"
            if panel_width < NARROW:
                name, note = name.replace("–", "–\n"), note.replace("contrast ", "")
            _show(axes[band + 1], piece, name, note)
        return figure_of(axes[0])


def largest_gain(part: NDArray[np.float64]) -> int:
    """The largest gain of GAINS at which at most 0.5 % of 0.5 + gain * part falls outside [0, 1]."""
    reach = float(np.quantile(np.abs(part), 0.995))
    return max((gain for gain in GAINS if gain * reach <= 0.5), default=1)


def most_detail(image: Tensor, parts: Tensor) -> Window:
    """The window of at most 64 x 64 pixels with the most energy outside the lowest band; parts: (M, C, H, W)."""
    height, width = (min(WINDOW, side) for side in image.shape[-2:])
    detail = (parts.sum(0) - parts[0]).square().sum(0)
    local = F.avg_pool2d(detail[None], (height, width), stride=4)[0]
    top, left = divmod(int(local.argmax()), local.shape[-1])
    return 4 * top, 4 * left, height, width


def check_image(image: Tensor) -> None:
    """Raise InputError unless `image` is (C, H, W) in [0, 1] with C = 1 or 3."""
    if not isinstance(image, Tensor) or image.ndim != 3 or image.shape[0] not in (1, 3):
        got = tuple(image.shape) if isinstance(image, Tensor) else type(image).__name__
        raise InputError(f"expected one image (C, H, W) with C = 1 or 3, got {got}")
    if not (image.min() >= 0 and image.max() <= 1):
        raise InputError(f"expected pixels in [0, 1], got {float(image.min()):.3g} to {float(image.max()):.3g}")


def _checked(window: Window, image: Tensor) -> Window:
    top, left, height, width = window
    inside = 0 <= top < top + height <= image.shape[-2] and 0 <= left < left + width <= image.shape[-1]
    if not inside:
        raise InputError(f"expected a window inside {image.shape[-2]} x {image.shape[-1]} pixels, got {window}")
    return window


def _pixels(image: Tensor) -> NDArray[np.float64]:
    """(C, H, W) -> (H, W, 3) float64, grey repeated."""
    return image.detach().cpu().double().expand(3, -1, -1).permute(1, 2, 0).numpy()


def _show_intact(ax: Axes, image: Tensor, window: Window) -> None:
    _show(ax, _pixels(image), "intact", "")
    top, left, height, width = window
    if (height, width) != tuple(image.shape[-2:]):
        scale = ENLARGE
        corner = (left * scale - 0.5, top * scale - 0.5)
        ax.add_patch(Rectangle(corner, width * scale, height * scale, fill=False, edgecolor="black", linewidth=1.6))
        ax.add_patch(Rectangle(corner, width * scale, height * scale, fill=False, edgecolor="white", linewidth=0.8))


def _show(ax: Axes, pixels: NDArray[np.float64], name: str, note: str) -> None:
    # Whole-number enlargement first: resampling single pixels to the panel would put moire into the highest band.
    squares = np.clip(pixels, 0, 1).repeat(ENLARGE, axis=0).repeat(ENLARGE, axis=1)
    ax.imshow(squares, interpolation="antialiased")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    ax.set_title(name, weight="normal", loc="center", size=6.5, pad=2.5)
    ax.set_xlabel(note, size=6, color=MUTED, labelpad=2.5)


def _new_axes(n_panels: int, image: Tensor, window: Window) -> tuple[list[Axes], float]:
    rows = -(-n_panels // PANELS_PER_ROW)
    columns = -(-n_panels // rows)
    aspect = max(image.shape[-2] / image.shape[-1], window[2] / window[3])
    height = rows * (PAGE_WIDTH / columns * min(aspect, 2.0) + 0.3) + 0.25
    figure = Figure(figsize=(PAGE_WIDTH, height), layout="constrained")
    panels: list[Axes] = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for unused in panels[n_panels:]:
        unused.remove()
    framed = window[2:] != tuple(image.shape[-2:])
    piece = f"the framed {window[2]} × {window[3]} pixels" if framed else "the image"
    note = f"Each band of {piece} (its range in cycles/pixel), around mid-grey unless the band holds the mean"
    figure.supxlabel(note, size=7)
    return panels[:n_panels], PAGE_WIDTH / columns
