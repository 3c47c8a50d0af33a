"""Coalitions as bit masks (band i present = bit i), and the two designs that say which ones each image is shown."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from spectrobe.errors import InputError
from spectrobe.game import shapley
from spectrobe.seeding import numpy_generator

MAX_EXACT_BANDS, MAX_FORCED_BANDS, MAX_PERMUTATION_BANDS = 12, 16, 20


def members(masks: np.ndarray, n_bands: int) -> np.ndarray:
    """Bit masks (...) -> bool (..., M): which bands are present."""
    return np.asarray((np.asarray(masks)[..., None] >> np.arange(n_bands)) & 1 == 1)


def sizes(masks: np.ndarray) -> np.ndarray:
    """Number of bands present in each mask: int64 (...)."""
    masks = np.asarray(masks, dtype=np.int64)
    return sum(((masks >> bit) & 1 for bit in range(32)), np.zeros_like(masks))


class Design(ABC):
    """Which coalitions an image is shown, which of them share one temperature, and how Shapley values follow.

    Each image is shown `n_coalitions` coalitions; the full one comes first, the empty one last.
    """

    name: str
    n_bands: int
    n_coalitions: int
    n_groups: int

    @abstractmethod
    def coalitions(self, image_id: str) -> np.ndarray:
        """The masks that this image is shown: int64 (K,), full first, empty last."""

    @abstractmethod
    def groups(self, masks: np.ndarray) -> np.ndarray:
        """The group of each mask; coalitions of one group share one temperature: int64, below `n_groups`."""

    @abstractmethod
    def shapley_rows(self, masks: np.ndarray, payoffs: np.ndarray) -> np.ndarray:
        """Per-image Shapley values: masks (N, K), payoffs (N, K) -> (N, M); their mean over images estimates phi."""


@dataclass(frozen=True)
class ExactDesign(Design):
    """Every image is shown all 2^M coalitions; each has its own temperature."""

    n_bands: int
    name = "exact"

    @property
    def n_coalitions(self) -> int:  # type: ignore[override]  # a constant of the design, derived
        return 1 << self.n_bands

    @property
    def n_groups(self) -> int:  # type: ignore[override]  # a constant of the design, derived
        return 1 << self.n_bands

    def coalitions(self, image_id: str) -> np.ndarray:
        return np.arange(2**self.n_bands - 1, -1, -1)

    def groups(self, masks: np.ndarray) -> np.ndarray:
        return np.asarray(masks, dtype=np.int64)

    def shapley_rows(self, masks: np.ndarray, payoffs: np.ndarray) -> np.ndarray:
        return shapley.shapley_values(payoffs[:, ::-1])


@dataclass(frozen=True)
class PermutationDesign(Design):
    """Each image is shown the chain of coalitions of one random order of the bands, and of the reverse order.

    An antithetic pair (Mitchell et al., JMLR 2022, arXiv 2104.12199). The mean over images is unbiased. Coalitions are
    each seen on few images, so those of one size and one lowest present band share a temperature.
    """

    n_bands: int
    seed: int = 0
    name = "permutation"

    @property
    def n_coalitions(self) -> int:  # type: ignore[override]  # a constant of the design, derived
        return 2 * self.n_bands

    @property
    def n_groups(self) -> int:  # type: ignore[override]  # a constant of the design, derived
        return self.n_bands * self.n_bands + 1

    def order(self, image_id: str) -> np.ndarray:
        """The random order of the bands for one image: int64 (M,)."""
        return numpy_generator(self.seed, image_id, "order of bands").permutation(self.n_bands)

    def coalitions(self, image_id: str) -> np.ndarray:
        order = self.order(image_id)
        forward, backward = np.cumsum(1 << order), np.cumsum(1 << order[::-1])
        return np.concatenate([forward[::-1], backward[-2::-1], [0]])

    def groups(self, masks: np.ndarray) -> np.ndarray:
        masks = np.asarray(masks, dtype=np.int64)
        present = members(masks, self.n_bands)
        lowest = np.argmax(present, axis=-1)
        return np.where(masks == 0, 0, 1 + (sizes(masks) - 1) * self.n_bands + lowest)

    def shapley_rows(self, masks: np.ndarray, payoffs: np.ndarray) -> np.ndarray:
        # the forward chain is 0..M-1, the backward one 0 (the full set), then M..2M-2; the empty set is last
        m = self.n_bands
        chains = (np.r_[0:m, 2 * m - 1], np.r_[0, m : 2 * m - 1, 2 * m - 1])
        rows = np.zeros((len(masks), m))
        for chain in chains:
            added = masks[:, chain[:-1]] ^ masks[:, chain[1:]]
            band = np.log2(added).astype(np.int64)
            gain = payoffs[:, chain[:-1]] - payoffs[:, chain[1:]]
            rows[np.arange(len(masks))[:, None], band] += gain / 2  # each band once a chain
        return rows


DESIGNS = ("exact", "permutation")


def make_design(name: str, n_bands: int, seed: int = 0, force: bool = False) -> Design:
    """The design called `name`; InputError with the price when it is too large."""
    if name not in DESIGNS:
        raise InputError(f"expected design {' or '.join(map(repr, DESIGNS))}, got {name!r}")
    if n_bands < 2:
        raise InputError(f"expected at least 2 bands, since a game needs two players, got {n_bands}")
    if name == "permutation":
        if n_bands > MAX_PERMUTATION_BANDS:
            raise InputError(f"expected at most {MAX_PERMUTATION_BANDS} bands in the permutation design, got {n_bands}")
        return PermutationDesign(n_bands, seed)
    price = f"{2**n_bands:,} forward passes an image"
    if n_bands > MAX_FORCED_BANDS:
        raise InputError(
            f"the exact design takes at most {MAX_FORCED_BANDS} bands, got {n_bands} ({price}): "
            "use design='permutation'"
        )
    if n_bands > MAX_EXACT_BANDS and not force:
        raise InputError(
            f"the exact design with {n_bands} bands costs {price}: use design='permutation' "
            f"({2 * n_bands - 1} an image), or force=True (--force) up to {MAX_FORCED_BANDS} bands"
        )
    return ExactDesign(n_bands)
