"""Rank correlations of weighted models, all from who lies above whom: S_ij = sign(x_i - x_j).

With w_i the number of times model i counts (a bootstrap's draws, or 0 for one left out), the midrank of i less the mean
rank is (S w)_i / 2, and pairs are weighted by w_i w_j: Spearman's rho and Kendall's tau-b of a resample, ties and all,
without sorting it.
"""

from __future__ import annotations

import numpy as np

_NOTHING = 1e-12


def signs(x: np.ndarray) -> np.ndarray:
    """sign(x_i - x_j) of finite numbers (..., N): float64 (..., N, N)."""
    return np.asarray(np.sign(x[..., :, None] - x[..., None, :]))


def spearman(a: np.ndarray, b: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Spearman's rho of two sets of signs (N, N) for each row of weights (R, N): (R,), NaN where one does not vary."""
    return pearson(weights @ a.T, weights @ b.T, weights)


def kendall(a: np.ndarray, b: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Kendall's tau-b (Kendall 1945, doi 10.1093/biomet/33.3.239), likewise: (R,)."""
    both, left, right = (_pairs(m, weights) for m in (a * b, a * a, b * b))
    return ratio(both, left * right)


def pearson(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted Pearson correlation of columns that have weighted mean zero: x, y, weights (..., N) -> (...)."""
    return ratio((weights * x * y).sum(-1), (weights * x * x).sum(-1) * (weights * y * y).sum(-1))


def partial(xy: np.ndarray, xz: np.ndarray, yz: np.ndarray) -> np.ndarray:
    """Partial correlation of x and y given z from the three pairwise ones; NaN where z says all about x or y.

    Of Spearman's it is the correlation of what is left of the ranks once a line in the rank of z is taken off; of
    Kendall's see Kendall 1942, doi 10.1093/biomet/32.3-4.277.
    """
    left = (1 - xz**2) * (1 - yz**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.where(left > _NOTHING, (xy - xz * yz) / np.sqrt(np.maximum(left, 0)), np.nan)
    return np.asarray(np.clip(found, -1, 1))


def _pairs(m: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sum over pairs of w_i w_j m_ij."""
    return np.asarray(((weights @ m) * weights).sum(-1))


def ratio(top: np.ndarray, below: np.ndarray) -> np.ndarray:
    """top / sqrt(below) within [-1, 1], NaN where there is nothing below."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(below > _NOTHING, np.clip(top / np.sqrt(below), -1, 1), np.nan))
