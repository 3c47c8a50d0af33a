"""Which orders of the bands an image is shown in the permutation design, and the chains of coalitions they make.

All of an image's orders come from one random order: cyclic shifts of it put each band into each part of the order once
(stratified positions), and reverse orders are antithetic (Mitchell et al., JMLR 2022, arXiv 2104.12199). Each order
alone is uniform, so the mean over images is unbiased whatever the scheme.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Orders:
    """A scheme. shifts: orders shifted against each other by M / shifts places.   reverse: each one backwards too."""

    n_bands: int
    shifts: int = 1
    reverse: bool = True

    @property
    def n_chains(self) -> int:
        """Orders an image."""
        return self.shifts * (1 + self.reverse)

    @cached_property
    def places(self) -> np.ndarray:
        """Coalitions as places of the image's random order: bool (K, M), all first, none last, each one once."""
        return self._template[0]

    @cached_property
    def chains(self) -> np.ndarray:
        """Where each order's coalitions stand in `places`, from all bands to none: int64 (n_chains, M + 1)."""
        return self._template[1]

    @cached_property
    def _template(self) -> tuple[np.ndarray, np.ndarray]:
        m = self.n_bands
        orders = [np.roll(np.arange(m), -round(shift * m / self.shifts)) for shift in range(self.shifts)]
        if self.reverse:
            orders = [order for forward in orders for order in (forward, forward[::-1])]
        known: dict[bytes, int] = {}
        kept: list[np.ndarray] = []
        chains = np.empty((self.n_chains, m + 1), dtype=np.int64)
        for chain, order in zip(chains, orders, strict=True):
            for left in range(m, 0, -1):
                place = np.isin(np.arange(m), order[:left])
                if place.tobytes() not in known:  # shifted and reversed chains meet
                    known[place.tobytes()] = len(kept)
                    kept.append(place)
                chain[m - left] = known[place.tobytes()]
        chains[:, m] = len(kept)
        return np.stack([*kept, np.zeros(m, dtype=bool)]), chains
