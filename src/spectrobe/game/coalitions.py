"""Coalitions as bit masks (band i present = bit i), and the two designs that say which ones each image is shown."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spectrobe.errors import InputError
from spectrobe.game import shapley
from spectrobe.game.orders import Orders
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

    def passes(self, n_images: int, shared_empty: bool) -> int:
        """Forward passes of a game; shared_empty: the empty coalition is the same for all images and is played once."""
        return n_images * (self.n_coalitions - shared_empty) + shared_empty

    @abstractmethod
    def coalitions(self, image_id: str) -> np.ndarray:
        """The masks that this image is shown: int64 (K,), full first, empty last."""

    @abstractmethod
    def groups(self, masks: np.ndarray) -> np.ndarray:
        """The group of each mask; coalitions of one group share one temperature: int64, below `n_groups`."""

    @abstractmethod
    def shapley_weights(self, masks: np.ndarray) -> np.ndarray:
        """The weight of each cell in the Shapley value of each band: masks (N, K) -> float64 (N, K, M)."""

    def shapley_rows(self, masks: np.ndarray, payoffs: np.ndarray) -> np.ndarray:
        """Per-image Shapley values: masks (N, K), payoffs (N, K) -> (N, M); their mean over images estimates phi."""
        return np.asarray(np.einsum("nk,nkm->nm", payoffs, self.shapley_weights(masks)))


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

    def shapley_weights(self, masks: np.ndarray) -> np.ndarray:
        matrix = shapley.shapley_values(np.eye(self.n_groups))
        return np.broadcast_to(matrix[::-1], (len(masks), *matrix.shape))

    def shapley_rows(self, masks: np.ndarray, payoffs: np.ndarray) -> np.ndarray:
        return shapley.shapley_values(payoffs[:, ::-1])  # without the weights of each image, which are all alike


@dataclass(frozen=True)
class PermutationDesign(Design):
    """Each image is shown the chains of coalitions of a few orders of the bands, all made from one random order.

    shifts, reverse: which orders (`Orders`); by default the order and its reverse. The mean over images is unbiased.
    Coalitions are each seen on few images, so those of one size and one lowest present band share a temperature.
    """

    n_bands: int
    seed: int = 0
    shifts: int = 1
    reverse: bool = True
    name = "permutation"

    @cached_property
    def orders(self) -> Orders:
        """The scheme of orders."""
        return Orders(self.n_bands, self.shifts, self.reverse)

    @property
    def n_coalitions(self) -> int:  # type: ignore[override]  # a constant of the design, derived
        return len(self.orders.places)

    @property
    def n_groups(self) -> int:  # type: ignore[override]  # a constant of the design, derived
        return self.n_bands * self.n_bands + 1

    def order(self, image_id: str) -> np.ndarray:
        """The random order of the bands for one image: int64 (M,)."""
        return numpy_generator(self.seed, image_id, "order of bands").permutation(self.n_bands)

    def coalitions(self, image_id: str) -> np.ndarray:
        return np.asarray(self.orders.places @ (1 << self.order(image_id)))

    def groups(self, masks: np.ndarray) -> np.ndarray:
        masks = np.asarray(masks, dtype=np.int64)
        present = members(masks, self.n_bands)
        lowest = np.argmax(present, axis=-1)
        return np.where(masks == 0, 0, 1 + (sizes(masks) - 1) * self.n_bands + lowest)

    def shapley_weights(self, masks: np.ndarray) -> np.ndarray:
        weights = np.zeros((*masks.shape, self.n_bands))
        image = np.arange(len(masks))[:, None]
        for chain in self.orders.chains:
            more, less = chain[:-1], chain[1:]
            band = np.log2(masks[:, more] ^ masks[:, less]).astype(np.int64)  # each one once a chain
            weights[image, more, band] += 1 / self.orders.n_chains
            weights[image, less, band] -= 1 / self.orders.n_chains
        return weights


DESIGNS = ("exact", "permutation")
AUTO = "auto"
"""Not a design: leaves the choice to the study."""


def check_design(name: str, n_bands: int, force: bool = False) -> None:
    """Raise InputError unless `name` is a design that so many bands allow, or "auto"."""
    if name not in (AUTO, *DESIGNS):
        raise InputError(f"expected design {', '.join(map(repr, DESIGNS))} or {AUTO!r}, got {name!r}")
    make_design("permutation" if name == AUTO else name, n_bands, force=force)


def refuse_auto(name: str, why: str) -> None:
    """Raise InputError where a study needs a design that is known beforehand."""
    if name == AUTO:
        raise InputError(f"expected design {' or '.join(map(repr, DESIGNS))}, got {AUTO!r}: {why}")


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
