"""Linear maps of a game's table: Shapley values, pairwise interactions, Moebius transform.

A table holds v(S) for all 2^M coalitions along its last axis; the index of S is the sum of 2^i over its members.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln

from spectrobe.errors import InputError


def shapley_values(table: ArrayLike) -> np.ndarray:
    """Shapley value of each player: (..., 2**M) -> float64 (..., M); they sum to v(all) - v(empty).

    phi_i = sum over S without i of [v(S + i) - v(S)] / (M C(M-1, |S|)) (Shapley 1953). Raises InputError unless the
    last axis is a power of two.
    """
    values, n_players = _as_table(table)
    return np.asarray(values @ _shapley_matrix(n_players).T)


def interactions(table: ArrayLike) -> np.ndarray:
    """Pairwise Shapley interactions (Grabisch & Roubens 1999): (..., 2**M) -> (..., M, M), symmetric, NaN diagonal."""
    values, n_players = _as_table(table)
    out = np.full((*values.shape[:-1], n_players, n_players), np.nan)
    masks = np.arange(2**n_players)
    for i in range(n_players):
        for j in range(i):
            without = masks[(masks >> i & 1 == 0) & (masks >> j & 1 == 0)]
            delta = (
                values[..., without | 1 << i | 1 << j]
                - values[..., without | 1 << i]
                - values[..., without | 1 << j]
                + values[..., without]
            )
            out[..., i, j] = out[..., j, i] = delta @ _weights(_popcount(without), n_players - 1)
    return out


def moebius(table: ArrayLike) -> np.ndarray:
    """Moebius transform (Harsanyi dividends): (..., 2**M) -> (..., 2**M); v(S) = sum of dividends of S's subsets."""
    values, n_players = _as_table(table)
    out = values.copy()
    for player in range(n_players):
        pairs = out.reshape(*values.shape[:-1], -1, 2, 2**player)
        pairs[..., 1, :] -= pairs[..., 0, :]
    return out


def _as_table(table: ArrayLike) -> tuple[np.ndarray, int]:
    values = np.asarray(table, dtype=np.float64)
    size = values.shape[-1] if values.ndim else 0
    n_players = size.bit_length() - 1
    if size < 2 or size != 2**n_players:
        raise InputError(f"expected a table (..., 2**M) of all coalitions, M >= 1, got shape {values.shape}")
    return values, n_players


def _popcount(masks: np.ndarray) -> np.ndarray:
    return np.array([int(mask).bit_count() for mask in masks])


def _weights(coalition_sizes: np.ndarray, n_players: int) -> np.ndarray:
    """1 / (n C(n-1, s)) in log space, where binomials would overflow from about n = 60."""
    s = coalition_sizes.astype(np.float64)
    return np.asarray(np.exp(gammaln(s + 1) + gammaln(n_players - s) - gammaln(n_players + 1)))


@lru_cache(maxsize=8)
def _shapley_matrix(n_players: int) -> np.ndarray:
    """The M x 2^M matrix A with phi = A v."""
    masks = np.arange(2**n_players)
    size = _popcount(masks)
    matrix = np.empty((n_players, 2**n_players))
    for player in range(n_players):
        present = masks >> player & 1 == 1
        matrix[player, present] = _weights(size[present] - 1, n_players)
        matrix[player, ~present] = -_weights(size[~present], n_players)
    matrix.setflags(write=False)
    return matrix
