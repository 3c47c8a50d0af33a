"""The share of each band in the profile over epochs, at several rates of label noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from spectrobe.errors import InputError
from spectrobe.figures.label_noise_figure import rate_entries, rate_shades
from spectrobe.figures.style import PAGE_WIDTH, figure_of, restyle, styled

if TYPE_CHECKING:
    from spectrobe.studies.label_noise.result import LabelNoiseResult

COLUMNS, ROW, MARGIN = 4, 1.5, 0.8  # panels side by side; inches of a row, and of title and legend
_ASIDE = 0.12  # epochs between the bars of two rates


def label_noise_shares(result: LabelNoiseResult, ax: Axes | None = None, band: int = 0) -> Figure:
    """What part of the profile each band is over epochs, max(phi, 0) over its sum: a panel a band, a line a rate.

    Lines are means over seeds, bars go from the lowest to the highest seed and are no intervals: whether a share left
    the clean curve is told by `result.moves`.
    ax: draw one band alone into these axes, whose layout is the caller's. InputError for a band that there is not.
    """
    n_bands = result.bands.n_bands
    with styled():
        if ax is not None:
            if not 0 <= band < n_bands:
                raise InputError(f"expected a band from 0 to {n_bands - 1}, got {band}")
            restyle(ax)
            _panel(ax, result, band)
            ax.set_ylabel("share of the profile")
            ax.set_xlabel("epoch")
            ax.legend(handles=rate_entries(result), title=f"wrong labels ({_bars(result)})")
            return figure_of(ax)
        rows = -(-n_bands // COLUMNS)
        figure = Figure(figsize=(PAGE_WIDTH, ROW * rows + MARGIN), layout="constrained")
        grid = figure.subplots(rows, COLUMNS, sharex=True, sharey=True, squeeze=False)
        for place, panel in enumerate(grid.flat):
            if place < n_bands:
                _panel(panel, result, place)
            else:
                panel.remove()
            panel.set_xlabel("epoch")
        for row in grid:
            row[0].set_ylabel("share of the profile")
        figure.legend(
            handles=rate_entries(result), title=f"wrong labels ({_bars(result)})", loc="outside lower left",
            ncols=len(result.rates), alignment="left",
        )  # fmt: skip
        title = "Demo, no evidence: shares" if result.demo else "Shares"
        figure.suptitle(f"{title} of bands in the profile under label noise", x=0.01, ha="left", weight="bold", size=9)
        return figure


def _bars(result: LabelNoiseResult) -> str:
    seeds = result.settings.seeds
    return f"bars: lowest to highest of {seeds} seeds, no interval" if seeds > 1 else "one seed, no interval"


def _panel(ax: Axes, result: LabelNoiseResult, band: int) -> None:
    shares = result.shares[..., band]  # (R, S, E)
    for r, color in enumerate(rate_shades(len(result.rates))):
        x = result.epochs + _ASIDE * (r - (len(result.rates) - 1) / 2)
        ax.vlines(x, shares[r].min(axis=0), shares[r].max(axis=0), color=color, linewidth=0.8)
        ax.plot(x, shares[r].mean(axis=0), "o-", color=color, linewidth=0.9, markersize=2)
    low, high = result.bands.cycles_per_pixel()[band]
    ax.set_title("mean" if high == 0 else f"{low:.3g}-{high:.3g} cycles/pixel", size=8, weight="normal")
    ax.set_ylim(bottom=0)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
