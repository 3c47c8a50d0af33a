"""How much of a data set one measurement may take, and by which design, so that it stays within its forward passes."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral

from spectrobe.errors import InputError
from spectrobe.game.coalitions import AUTO, DESIGNS, MAX_EXACT_BANDS, make_design

LEAST_IMAGES = {"exact": 20, "permutation": 100}
"""Fewer images are not worth measuring. The permutation design shares fitted temperatures between coalitions, which
takes information from the lowest band: .045 nats at 20 images, .014 at 100 (benchmarks/planted_truth.py)."""


@dataclass(frozen=True)
class Plan:
    """What one measurement plays.

    design: "exact" or "permutation".   n_images: how many of the n_available.   forward_passes: in all, the one of the
    absence image included.   most: the budget.
    """

    design: str
    n_images: int
    n_available: int
    forward_passes: int
    most: int

    def __str__(self) -> str:
        return (
            f"{self.design} design on {self.n_images:,} of {self.n_available:,} images: {self.forward_passes:,} "
            f"forward passes each time, of at most {self.most:,}"
        )


def make_plan(n_available: int, n_bands: int, most: int, design: str = AUTO) -> Plan:
    """The design and the number of images that tell most within `most` forward passes.

    "auto" takes the exact design when it can take every image, else the permutation design, whose variance is 4 to 10
    times lower for the same number of forward passes, from 100 images on; else the exact design on fewer images.
    Raises InputError, naming the least budget that works, for one that affords too few images.
    """
    if design not in (AUTO, *DESIGNS):
        raise InputError(f"expected design {', '.join((AUTO, *DESIGNS))}, got {design!r}")
    if not isinstance(most, Integral) or isinstance(most, bool):
        raise InputError(f"expected a whole number of forward passes, got {most!r}")
    if n_available < 2:
        raise InputError(f"expected at least 2 images, got {n_available}: intervals over images need more")
    kinds = [design] if design != AUTO else [d for d in DESIGNS if d != "exact" or n_bands <= MAX_EXACT_BANDS]
    plans = {kind: _most_images(kind, n_available, n_bands, int(most)) for kind in kinds}
    if design == AUTO:
        if n_available < LEAST_IMAGES["permutation"] and "exact" in plans:
            plans.pop("permutation")
        every = [plan for plan in plans.values() if plan.design == "exact" and plan.n_images == n_available]
        order = every or [plans[kind] for kind in ("permutation", "exact") if kind in plans]
    else:
        order = list(plans.values())
    for plan in order:
        if plan.n_images >= min(LEAST_IMAGES[plan.design], n_available):
            return plan
    costs = {kind: _passes(kind, min(LEAST_IMAGES[kind], n_available), n_bands) for kind in plans}
    kind = min(costs, key=lambda name: costs[name])
    raise InputError(
        f"expected at least {costs[kind]:,} forward passes for {n_bands} bands ({kind} design on "
        f"{min(LEAST_IMAGES[kind], n_available)} images), got {most:,}: raise the budget, or take fewer bands"
    )


def _passes(design: str, n_images: int, n_bands: int) -> int:
    """Forward passes of a game whose empty image is the same for all and is played once."""
    return make_design(design, n_bands).passes(n_images, shared_empty=True)


def _most_images(design: str, n_available: int, n_bands: int, most: int) -> Plan:
    each = _passes(design, 1, n_bands) - 1
    n_images = max(0, min(n_available, (most - 1) // each))
    return Plan(design, n_images, n_available, n_images * each + 1, most)
