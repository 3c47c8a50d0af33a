"""The result in plain words, made from the numbers; it may say that these images cannot tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spectrobe.studies.words import percent

if TYPE_CHECKING:
    from spectrobe.studies.decompose.result import DecomposeResult

GAINS = {
    "usable-information": "usable information about the labels",
    "log-likelihood": "log-likelihood of the labels",
    "agreement": "agreement with its own answers",
}
"""What a model gains from bands, in words; other values go by their names."""


def sentence(result: DecomposeResult) -> str:
    """One sentence on what the profile means, for readers who have never heard of the method."""
    name, images, score = result.model_name, f"{result.n_images} images", result.score
    if np.isnan(score.value):
        return f"These {images} cannot tell what {name} relies on: {_why_not(result)}."
    if np.isnan(score.low):
        return f"These {images} cannot tell what {name} relies on: {score.reason}."
    told = (
        f"score {score.value:.2f}, {percent(score.confidence)} interval {score.low:.2f} to {score.high:.2f}, "
        "where 1 is the lowest band alone and 0 all bands alike"
    )
    if score.low > 0:
        half = halfway(result, from_above=False)
        return f"{name} leans on coarse structure, the low spatial frequencies ({told}){half}."
    if score.high < 0:
        half = halfway(result, from_above=True)
        return f"{name} leans on fine detail, the high spatial frequencies ({told}){half}."
    return (
        f"These {images} cannot tell whether {name} leans on coarse structure (low spatial frequencies) or on fine "
        f"detail (high ones): {told}; more images would narrow it."
    )


def summary(result: DecomposeResult) -> str:
    """A table of the profile, the totals, and the sentence."""
    edges = result.bands.cycles_per_pixel()
    lines = [
        f"{result.model_name} on {result.data_name}: {result.n_images} images, {result.value} ({result.unit}), "
        f"absence {result.absence}, {result.design} design",
        f"{'band':>4}  {'cycles/pixel':>13}  {'Shapley value':>13}  {percent(result.confidence)} interval",
    ]
    for i, (low, high) in enumerate(edges):
        place = "mean (DC)" if high == 0 else f"{low:.3f}-{high:.3f}"
        bounds = f"[{result.interval[i, 0]:+.3f}, {result.interval[i, 1]:+.3f}]"
        lines.append(f"{i:>4}  {place:>13}  {result.shapley[i]:>+13.3f}  {bounds}")
    lines += [
        f"v(all) - v(empty) = {result.information} {result.unit}; efficiency gap {result.efficiency_gap:.1e}; "
        f"{result.forward_passes:,} forward passes",
        *clipping(result),
        "scores: " + "; ".join(f"{name} {score}" for name, score in result.scores.items()),
        sentence(result),
    ]
    return "\n".join(lines + [f"warning: {warning}" for warning in result.warnings])


def clipping(result: DecomposeResult) -> list[str]:
    """How much of the coalition images was clipped: a line, none where nothing is."""
    share = result.clipped_share
    if share is None:
        return []
    return [f"coalition images are clipped to [0, 1]: {100 * share:.2g}% of their pixel values lay outside"]


def _gain(result: DecomposeResult) -> str:
    return GAINS.get(result.value, result.value)


def _why_not(result: DecomposeResult) -> str:
    total = result.information
    if total.low > 0:
        return result.score.reason or "its score is not defined"
    return (
        f"all bands together give it no {_gain(result)} beyond what it has with none of them "
        f"(v(all) - v(empty) {total.value:.2f} {result.unit}, {percent(total.confidence)} interval {total.low:.2f} to "
        f"{total.high:.2f})"
    )


def halfway(result: DecomposeResult, from_above: bool) -> str:
    """Below (or above) which edge half of the positive Shapley values lies; empty where that says nothing."""
    gains = np.maximum(result.shapley, 0)
    edges = result.bands.cycles_per_pixel()
    share = np.cumsum(gains[::-1] if from_above else gains) / gains.sum()
    band = int(np.searchsorted(share, 0.5))
    half = f": at least half of the {_gain(result)} that it gains lies"
    if from_above:
        edge = edges[len(edges) - 1 - band, 0]
        return f"{half} above {edge:.3g} cycles/pixel, in waves shorter than {1 / edge:.3g} pixels" if edge > 0 else ""
    edge = edges[band, 1]
    if edge == 0:
        return f"{half} in the mean, the average colour and brightness"
    return f"{half} below {edge:.3g} cycles/pixel, in waves longer than {1 / edge:.3g} pixels" if edge < 0.5 else ""
