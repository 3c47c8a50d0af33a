"""The profile over the checkpoints of a training run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from spectrobe.figures.over_training import BANDS, band_entries, draw_bands_over, draw_estimates_over, name_moments
from spectrobe.figures.style import INK, MUTED, PAGE_WIDTH, figure_of, restyle, styled
from spectrobe.studies.paths import short_name

if TYPE_CHECKING:
    from spectrobe.studies.track.result import TrackResult


def track(result: TrackResult, ax: Axes | None = None) -> Figure:
    """Shapley value of every band over checkpoints with intervals over images; below it the information and the score.

    Shades are pointwise intervals. Checkpoints stand at equal distances, whatever the training between them.
    ax: draw the profile alone into these axes, whose layout is the caller's, instead of a new figure.
    """
    x = np.arange(len(result.names), dtype=np.float64)
    with styled():
        if ax is not None:
            restyle(ax)
            _profile(ax, x, result)
            name_moments(ax, x, result.names)
            level = f"{100 * result.results[0].confidence:g} % intervals over images, each band alone"
            shade = Patch(color=MUTED, alpha=0.25, linewidth=0, label=level)
            ax.legend(handles=[*band_entries(result.bands), shade], title=BANDS, ncols=2)
            return figure_of(ax)
        figure = Figure(figsize=(PAGE_WIDTH, 5.2), layout="constrained")
        profile, information, score = figure.subplots(3, 1, sharex=True, height_ratios=[3, 1.2, 1.2])
        _profile(profile, x, result)
        first = result.results[0]
        profile.set_title(_settings(result), weight="normal", size=7.5, color=MUTED, pad=6)
        draw_estimates_over(information, x, result.information)
        information.set_ylabel(f"v(all) - v(empty)\n({first.unit})")
        information.set_ylim(bottom=min(0.0, *(e.low for e in result.information)))
        draw_estimates_over(score, x, result.scores)
        score.axhline(0, color=INK, linewidth=0.6)
        score.set_ylabel("score\n(1 low, 0 flat)")
        score.set_xlabel("checkpoint")
        entries = band_entries(result.bands)
        profile.legend(handles=entries, loc="upper left", bbox_to_anchor=(1, 1), title=BANDS)
        figure.align_ylabels()
        question = f"Which spatial frequencies did {_cut(result.model_name)} rely on as it trained?"
        headline = figure.suptitle(question, ha="left", weight="bold", size=min(10, 720 / len(question)))
        figure.draw_without_rendering()  # settles the layout, so that names and headline know what room there is
        name_moments(score, x, result.names)
        headline.set_x(profile.get_position().x0)
        return figure


def _profile(ax: Axes, x: np.ndarray, result: TrackResult) -> None:
    draw_bands_over(ax, x, result.shapley, result.interval)
    ax.set_ylabel(f"Shapley value ({result.results[0].unit})")
    ax.set_xlim(-0.35, len(x) - 0.65)


def _settings(result: TrackResult) -> str:
    first = result.results[0]
    lines = (
        (f"{len(result.names)} checkpoints", f"{first.n_images} images of {_cut(first.data_name)}"),
        (first.value, f"absence {first.absence}", f"{first.design} design",
         f"{100 * first.confidence:g} % intervals over images"),
    )  # fmt: skip
    return "\n".join("  ·  ".join(parts) for parts in lines)


def _cut(name: str) -> str:
    name = short_name(name)
    return name if len(name) <= 40 else f"{name[:37]}..."
