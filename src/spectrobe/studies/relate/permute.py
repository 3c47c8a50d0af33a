"""Rank correlations when models' numbers change places: what no relation at all looks like."""

from __future__ import annotations

import numpy as np

from spectrobe.studies.relate.ranks import ratio, signs

_BLOCK_BYTES = 32 * 2**20


def permuted(x: np.ndarray, y: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spearman's rho and Kendall's tau-b of scores x (S, n) and y[index], index (P, n): two arrays (P, S)."""
    a, n = signs(x), len(y)
    ranks = a.sum(-1)
    rho, tau = np.empty((len(index), len(x))), np.empty((len(index), len(x)))
    block = max(1, _BLOCK_BYTES // (8 * n * n))
    for start in range(0, len(index), block):
        b = signs(y[index[start : start + block]])
        rows, other, flat = slice(start, start + len(b)), b.sum(-1), b.reshape(len(b), -1)
        rho[rows] = ratio(other @ ranks.T, np.outer((other**2).sum(-1), (ranks**2).sum(-1)))
        tau[rows] = ratio(flat @ a.reshape(len(x), -1).T, np.outer(np.abs(flat).sum(-1), np.abs(a).sum((1, 2))))
    return rho, tau


def permuted_partial(x: np.ndarray, y: np.ndarray, z: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Partial Spearman's of x (S, n) and y given z when what z leaves of y's ranks is permuted: (P, S).

    Freedman & Lane 1983, doi 10.1080/07350015.1983.10509354, on ranks.
    """
    ranks = signs(np.concatenate([x, y[None], z[None]])).sum(-1)
    a, b, c = ranks[:-2], ranks[-2], ranks[-1]
    along = (c @ c) or 1.0  # a constant z takes nothing off
    a = a - np.outer(a @ c / along, c)
    left = (b - (b @ c) / along * c)[index]
    left = left - left.mean(-1, keepdims=True)
    left = left - np.outer(left @ c / along, c)
    return ratio(left @ a.T, np.outer((left**2).sum(-1), (a**2).sum(-1)))
