"""The result in plain words, made from the numbers; it may say that these images cannot tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from spectrobe.studies.decomposition import DecomposeResult


def sentence(result: DecomposeResult) -> str:
    """One sentence on what the profile means."""
    score, images = result.score, f"{result.n_images} images"
    if np.isnan(score.value):
        return (
            f"These {images} cannot tell: {result.model_name} takes no {_what(result)} from them that is above zero by its "
            f"{result.confidence:.0%} interval, so there is no profile to speak of."
        )
    interval = f"score {score.value:.2f}, {result.confidence:.0%} interval {score.low:.2f} to {score.high:.2f}"
    if score.low > 0:
        return f"{result.model_name} leans on low frequencies ({interval}): {_half_below(result)}."
    if score.high < 0:
        return f"{result.model_name} leans on high frequencies ({interval}): {_half_below(result)}."
    return f"These {images} cannot tell whether {result.model_name} leans on low or on high frequencies ({interval})."


def summary(result: DecomposeResult) -> str:
    """A table of the profile, the totals, and the sentence."""
    edges = result.bands.cycles_per_pixel()
    lines = [
        f"{result.model_name} on {result.data_name}: {result.n_images} images, {result.value} ({result.unit}), "
        f"absence {result.absence}, {result.design} design",
        f"{'band':>4}  {'cycles/pixel':>13}  {'Shapley value':>13}  {result.confidence:.0%} interval",
    ]
    for i, (low, high) in enumerate(edges):
        place = "mean (DC)" if high == 0 else f"{low:.3f}-{high:.3f}"
        bounds = f"[{result.interval[i, 0]:+.3f}, {result.interval[i, 1]:+.3f}]"
        lines.append(f"{i:>4}  {place:>13}  {result.shapley[i]:>+13.3f}  {bounds}")
    lines += [
        f"v(all) - v(empty) = {result.information} {result.unit}; efficiency gap {result.efficiency_gap:.1e}; "
        f"{result.forward_passes:,} forward passes",
        "scores: " + "; ".join(f"{name} {score}" for name, score in result.scores.items()),
        sentence(result),
    ]
    return "\n".join(lines + [f"warning: {warning}" for warning in result.warnings])


def _what(result: DecomposeResult) -> str:
    return {"usable-information": "usable information", "log-likelihood": "log-likelihood"}.get(
        result.value, result.value
    )


def _half_below(result: DecomposeResult) -> str:
    """Where half of the positive Shapley values is reached."""
    share = np.cumsum(np.maximum(result.shapley, 0))
    band = int(np.searchsorted(share / share[-1], 0.5))
    top = result.bands.cycles_per_pixel()[band, 1]
    return f"half of the {_what(result)} it takes lies below {top:.3g} cycles/pixel"
