"""All that a model is shown of one image, in order: clean, masked, cut off, perturbed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

CLEAN, MASKED, LOW, HIGH = "clean", "masked", "low-pass", "high-pass"
UNDER, UNDER_LOW, UNDER_HIGH = "under", "low-pass under", "high-pass under"
PERTURBED = "perturbed"


@dataclass(frozen=True)
class View:
    """One of them.

    part: one of the names above.   name: the perturbation, where there is one.   band: of the noise; of a cut-off, the
    first band above it: low-pass images hold the bands below, high-pass ones this band and those above.
    power: of the noise.
    """

    part: str
    name: str = ""
    band: int = -1
    power: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def all_views(
    n_bands: int, powers: Sequence[float], under: str | None, perturbations: Sequence[str]
) -> tuple[View, ...]:
    """In the order in which they are played."""
    cuts = range(1, n_bands)
    views = [View(CLEAN)]
    views += [View(MASKED, band=band, power=power) for band in range(n_bands) for power in powers]
    views += [View(part, band=cut) for cut in cuts for part in (LOW, HIGH)]
    if under is not None:
        views += [View(UNDER, under)]
        views += [View(part, under, cut) for cut in cuts for part in (UNDER_LOW, UNDER_HIGH)]
    return (*views, *(View(PERTURBED, name) for name in perturbations))


def of_part(views: Sequence[View], part: str) -> list[int]:
    """Places of a part's views."""
    return [index for index, view in enumerate(views) if view.part == part]
