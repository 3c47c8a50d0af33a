"""Profiles over epochs at several rates of label noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from spectrobe.figures.over_training import BANDS, band_colors, band_entries
from spectrobe.figures.profile_figure import band_slots, frequency_axis
from spectrobe.figures.style import INK, MUTED, PAGE_WIDTH, figure_of, restyle, shortened, styled
from spectrobe.studies.label_noise.wording import over
from spectrobe.studies.words import percent

if TYPE_CHECKING:
    from spectrobe.studies.label_noise.result import LabelNoiseResult

_SHADE, _HEIGHT = 0.15, 4.8


def label_noise(result: LabelNoiseResult, ax: Axes | None = None) -> Figure:
    """Shapley value of every band over epochs, a panel a rate; below, shares of the profile, information and score.

    Lines are means over seeds, shades their simultaneous intervals; in panels of noise only those of bands that left
    the clean curve, which dotted lines repeat, at the epoch that a ring marks. Shares are those of the last epoch, with
    bars from the lowest to the highest seed.
    ax: draw the panel of the highest rate alone into these axes, whose layout is the caller's.
    """
    with styled():
        if ax is not None:
            restyle(ax)
            _panel(ax, result, len(result.rates) - 1)
            ax.set_title(f"{_labels(result.rates[-1])} labels" if result.rates[-1] else _labels(0), size=8)
            ax.set_ylabel(f"Shapley value ({result.unit})")
            ax.set_xlabel("epoch")
            ax.legend(handles=[*band_entries(result.bands), *_marks(result)], title=BANDS, ncols=2)
            return figure_of(ax)
        figure = Figure(figsize=(PAGE_WIDTH, _HEIGHT), layout="constrained")
        above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[1.25, 1])[:, 0]
        panels = np.atleast_1d(above.subplots(1, len(result.rates), sharey=True, sharex=True))
        for r, panel in enumerate(panels):
            _panel(panel, result, r)
            panel.set_title(_labels(result.rates[r]), size=8)
            panel.set_xlabel("epoch")
        panels[0].set_ylabel(f"Shapley value ({result.unit})")
        panels[-1].legend(
            handles=[*band_entries(result.bands), *_marks(result)], title=BANDS, loc="upper left",
            bbox_to_anchor=(1, 1),
        )  # fmt: skip
        shares, information, score = below.subplots(1, 3)
        _shares(shares, result)
        _over_epochs(information, result, result.information_band)
        information.set_ylabel(f"{result.settings.value.replace('-', ' ')}\nv(all) - v(empty) ({result.unit})")
        _over_epochs(score, result, result.score_band)
        score.axhline(0, color=INK, linewidth=0.6)
        score.set_ylabel("score (1 low, 0 flat)")
        score.legend(handles=rate_entries(result), title="wrong labels", loc="upper left", bbox_to_anchor=(1, 1))
        headline = figure.suptitle(_question(result), ha="left", weight="bold", size=9, x=0.01)
        headline.set_wrap(True)
        above.suptitle(_settings(result), ha="left", x=0.01, size=7, color=MUTED)
        return figure


def _shares(ax: Axes, result: LabelNoiseResult) -> None:
    """What part of the profile each band is at the last epoch, rates side by side in its slot."""
    n_bands, n_rates = result.bands.n_bands, len(result.rates)
    band_slots(ax, n_bands)
    for r, color in enumerate(rate_shades(n_rates)):
        x, shares = np.arange(n_bands) + (r - (n_rates - 1) / 2) * 0.7 / n_rates, result.shares[r, :, -1]
        ax.vlines(x, shares.min(axis=0), shares.max(axis=0), color=color, linewidth=0.8)
        ax.plot(x, shares.mean(axis=0), "o-", color=color, linewidth=0.8, markersize=2, clip_on=False)
    frequency_axis(ax, result.bands)
    ax.set_ylim(bottom=0)
    ax.set_ylabel(f"share of the profile\nat epoch {result.epochs[-1]}")


def _question(result: LabelNoiseResult) -> str:
    start = "Demo, no evidence: to" if result.demo else "To"
    return f"{start} which frequency bands do wrong labels move the profile?"


def _labels(rate: float) -> str:
    return "clean labels" if rate == 0 else f"{100 * rate:g} % wrong"


def _panel(ax: Axes, result: LabelNoiseResult, r: int) -> None:
    ax.axhline(0, color=INK, linewidth=0.6)
    left = {one.band: one.epoch for one in result.departures if one.rate == result.rates[r]}
    for band, color in enumerate(band_colors(result.bands.n_bands)):
        low, high = result.profile_low[r, :, band], result.profile_high[r, :, band]
        if r == 0 or band in left:
            ax.fill_between(result.epochs, low, high, color=color, alpha=_SHADE, linewidth=0)
        ax.plot(result.epochs, result.profile[r, :, band], color=color, linewidth=1.1)
        if r:
            ax.plot(result.epochs, result.profile[0, :, band], ":", color=color, linewidth=0.8)
        if band in left:
            at = left[band]
            ring = ax.plot([at], [result.profile[r, at - 1, band]], "o", color=color, markersize=5, zorder=3)
            ring[0].set_markerfacecolor("white")
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))


def _marks(result: LabelNoiseResult) -> list[Artist]:
    shade = Patch(color=MUTED, alpha=0.25, linewidth=0, label=f"{100 * result.settings.confidence:g} % intervals")
    if len(result.rates) == 1:
        return [shade]
    ring = Line2D([], [], color=INK, marker="o", markersize=5, markerfacecolor="white", linestyle="none")
    ring.set_label("leaves the clean curve")
    return [Line2D([], [], color=INK, linestyle=":", linewidth=0.9, label="clean labels"), ring, shade]


def rate_shades(count: int) -> list[str]:
    """Dark for clean labels to bright for the highest rate: rates have an order."""
    return [matplotlib.colors.to_hex(shade) for shade in matplotlib.colormaps["inferno"](np.linspace(0, 0.8, count))]


def rate_entries(result: LabelNoiseResult) -> list[Line2D]:
    """A legend entry for each rate; the title that goes with them is "wrong labels"."""
    colors = rate_shades(len(result.rates))
    return [
        Line2D([], [], color=color, label=f"{100 * rate:g} %") for color, rate in zip(colors, result.rates, strict=True)
    ]


def _over_epochs(ax: Axes, result: LabelNoiseResult, band: np.ndarray) -> None:
    for r, color in enumerate(rate_shades(len(result.rates))):
        mean, low, high = band[:, r]
        ax.fill_between(result.epochs, low, high, color=color, alpha=_SHADE, linewidth=0)
        ax.plot(result.epochs, mean, color=color, linewidth=1.2)
    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))


def _settings(result: LabelNoiseResult) -> str:
    settings = result.settings
    of_noise = "panels of wrong labels: shades only of bands that left the clean curve"
    lines = [
        (f"{result.model_name}, {settings.seeds} seeds",
         f"{result.n_train:,} images of {shortened(result.data_name, 40)}", f"{settings.kind} noise"),
        (f"profiles on {result.n_images:,} held-out images",
         f"shades: simultaneous {percent(settings.confidence)} intervals over {over(result)}"),
        ((of_noise,) if len(result.rates) > 1 else ())
        + (("bars of shares: lowest to highest seed",) if settings.seeds > 1 else ()),
    ]  # fmt: skip
    return "\n".join("  ·  ".join(parts) for parts in lines if parts)
