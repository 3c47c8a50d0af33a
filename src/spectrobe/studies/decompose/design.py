"""Which design a run takes that is to choose for itself (`--design auto`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from spectrobe.game.coalitions import AUTO, MAX_EXACT_BANDS, make_design
from spectrobe.game.intervals import images_for

SMALL, CHEAP, FEW_IMAGES = 4, 8, 100
"""Bands up to which the exact design is taken in any case, and without a tolerance; images below which it is, since the
temperatures that the permutation design shares take information from the lowest band (docs/how-to/planted.md)."""


@dataclass(frozen=True)
class DesignChoice:
    """Which design was taken and why, for run.json."""

    design: str
    why: str


def choose_design(
    design: str,
    n_bands: int,
    n_images: int,
    tolerance: float | None,
    confidence: float,
    pilot: Callable[[], tuple[float, int]],
) -> DesignChoice:
    """The design of a run on `n_images` images; "auto" goes by this rule, in this order:

    above 12 bands permutation; to 4 bands exact; below 100 images exact; without a tolerance, or where the pilot has no
    score to forecast, exact to 8 bands; else exact where showing the images every coalition costs no more forward
    passes than the tolerance needs in the permutation design, which is so where images are short.

    pilot: plays the permutation design on a few images: standard error of the score, and number of images.
    """
    if design != AUTO:
        return DesignChoice(design, "asked for")
    if n_bands > MAX_EXACT_BANDS:
        return DesignChoice("permutation", f"{n_bands} bands, of at most {MAX_EXACT_BANDS} in the exact design")
    if n_bands <= SMALL:
        return DesignChoice("exact", f"{n_bands} bands make {2**n_bands} coalitions")
    if n_images < FEW_IMAGES:
        return DesignChoice("exact", f"{n_images} images, fewer than the permutation design's {FEW_IMAGES}")
    if tolerance is None:
        return _without_forecast(n_bands, "no tolerance")
    stderr, n_pilot = pilot()
    if not np.isfinite(stderr):
        return _without_forecast(n_bands, "no score on the pilot")
    wanted = images_for(tolerance, stderr, n_pilot, confidence)
    exact, permutation = (make_design(name, n_bands).n_coalitions - 1 for name in ("exact", "permutation"))
    needs, price = wanted * permutation, min(wanted, n_images) * exact
    why = f"{price:,} forward passes in the exact design, the tolerance needs {needs:,} in the permutation design"
    return DesignChoice("exact" if price <= needs else "permutation", why)


def _without_forecast(n_bands: int, why: str) -> DesignChoice:
    return DesignChoice("exact" if n_bands <= CHEAP else "permutation", f"{why}, {n_bands} bands")
