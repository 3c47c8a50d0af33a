"""Does higher native SNR of what was trained on go with higher accuracy under perturbation, at equal clean accuracy?"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from spectrobe.seeding import numpy_generator

_MOST, _DRAWN = 5_000, 4_999


@dataclass(frozen=True)
class Relation:
    """Rank correlation (Spearman) over groups and perturbations, accuracies averaged over seeds.

    plain: of native modulus and accuracy under the perturbation.   partial: with clean accuracy held fixed.
    seeds: the partial one of each seed alone.   p: two-sided, of the partial one, by permutation.
    points: how many.
    """

    plain: float
    partial: float
    seeds: tuple[float, ...]
    p: float
    points: int


def relate(modulus: np.ndarray, accuracy: np.ndarray, clean: np.ndarray, seed: int = 0) -> Relation:
    """modulus (G, P), accuracy (S, G, P) under each perturbation, clean (S, G).

    The test permutes, perturbation by perturbation, which group has which native SNR (all ways where there are at most
    5,000, else 4,999 drawn): accuracies and clean accuracies stay together. Groups are few, and perturbations of the
    same networks hang together, so that p is a guide and not a proof.
    """
    y, c = accuracy.mean(axis=0), np.broadcast_to(clean.mean(axis=0)[:, None], modulus.shape)
    found = partial_spearman(modulus.ravel(), y.ravel(), c.ravel())
    each = tuple(
        partial_spearman(
            modulus.ravel(), accuracy[s].ravel(), np.broadcast_to(clean[s][:, None], modulus.shape).ravel()
        )
        for s in range(len(accuracy))
    )
    return Relation(
        _pearson(stats.rankdata(modulus.ravel()), stats.rankdata(y.ravel())), found, each,
        _p(modulus, y, c, found, seed), modulus.size,
    )  # fmt: skip


def partial_spearman(x: np.ndarray, y: np.ndarray, covariate: np.ndarray) -> float:
    """Rank correlation of x and y (n,), both freed from the covariate's ranks by least squares; NaN without spread."""
    ranks = [stats.rankdata(part) for part in (x, y, covariate)]
    base = np.stack([np.ones(len(x)), ranks[2]], axis=1)
    free = [part - base @ np.linalg.lstsq(base, part, rcond=None)[0] for part in ranks[:2]]
    return _pearson(*free)


def _pearson(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / scale if scale > 1e-9 * len(a) else math.nan


def _p(modulus: np.ndarray, y: np.ndarray, c: np.ndarray, found: float, seed: int) -> float:
    if math.isnan(found):
        return math.nan
    groups, perturbations = modulus.shape
    orders = [np.array(order) for order in itertools.permutations(range(groups))]
    ways = len(orders) ** perturbations
    if ways <= _MOST:
        choices = np.array(list(itertools.product(range(len(orders)), repeat=perturbations)))
    else:
        choices = numpy_generator(seed, "permuted groups").integers(len(orders), size=(_DRAWN, perturbations))
    ranks = stats.rankdata(modulus.ravel()).reshape(modulus.shape)
    places = np.stack(orders)[choices].transpose(0, 2, 1)  # (ways, G, P): whose SNR stands at each group
    moved = np.take_along_axis(np.broadcast_to(ranks, places.shape), places, axis=1).reshape(len(places), -1)
    other = _correlations(moved, stats.rankdata(y.ravel()), stats.rankdata(c.ravel()))
    reached = int((np.abs(other) >= abs(found) - 1e-9).sum())
    return reached / ways if ways <= _MOST else (1 + reached) / (1 + _DRAWN)


def _correlations(x: np.ndarray, y: np.ndarray, covariate: np.ndarray) -> np.ndarray:
    """Correlation of each row of x (B, n) with y (n,), both freed from the covariate: (B,), 0 without spread."""
    basis, _ = np.linalg.qr(np.stack([np.ones(len(y)), covariate], axis=1))
    free = x - (x @ basis) @ basis.T
    own = y - basis @ (basis.T @ y)
    scale = np.linalg.norm(free, axis=1) * np.linalg.norm(own)
    return np.asarray(np.divide(free @ own, scale, out=np.zeros(len(x)), where=scale > 1e-9 * len(y)))
