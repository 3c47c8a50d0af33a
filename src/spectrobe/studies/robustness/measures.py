"""What robustness is summed up in, from who was right: proportions, corruption errors, areas, distances.

All take per-image numbers and give Estimates over images. A share of images has a Wilson score interval: Student's t
has no width where all images are right or all are wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from spectrobe.game.intervals import Estimate, mean_estimate, wilson


def share_estimate(rows: np.ndarray, confidence: float = 0.95) -> Estimate:
    """Mean of per-image numbers in [0, 1], rows (N,): Wilson where each counts 0 or 1, else Student's t cut to [0, 1].

    Rows without any spread get Wilson's interval too: it has a width there, and is too wide rather than too narrow.
    """
    rows = np.asarray(rows, dtype=np.float64)
    n, mean = len(rows), float(rows.mean())
    if bool(np.isin(rows, (0.0, 1.0)).all()):
        return wilson(int(rows.sum()), n, confidence)
    if float(np.ptp(rows)) < 1e-12:
        around = wilson(round(mean * n), n, confidence)
        return Estimate(mean, 0.0, min(around.low, mean), max(around.high, mean), confidence)
    t = mean_estimate(rows, confidence)
    return Estimate(t.value, t.stderr, max(t.low, 0.0), min(t.high, 1.0), confidence)


def median_estimate(distances: np.ndarray, confidence: float = 0.95) -> Estimate:
    """Median of distances (N,) of 0 or more, infinite where nothing was found; interval between two order statistics.

    The binomial distribution says which two, whatever the distances' own one (David & Nagaraja 2003, 7.1). With fewer
    images than it takes (6 for 95 %), from 0 to infinity. stderr: the interval's width over that of a normal one.
    """
    ordered = np.sort(np.asarray(distances, dtype=np.float64))
    n = len(ordered)
    rank = int(stats.binom.ppf((1 - confidence) / 2, n, 0.5))  # P(Bin < rank) <= (1 - confidence) / 2
    low, high = (0.0, np.inf) if rank == 0 else (float(ordered[rank - 1]), float(ordered[n - rank]))
    width = high - low if np.isfinite(high) else np.inf
    z = float(stats.norm.ppf(0.5 + confidence / 2))
    return Estimate(float(np.median(ordered)), width / (2 * z), low, high, confidence)


def area_rows(right: np.ndarray, eps: Sequence[float]) -> np.ndarray:
    """Area under each image's own accuracy against eps, by trapezoids, over the range from 0 to the last eps: (N,).

    right: bool (N, K), the column of eps = 0 (clean) first.    eps: K numbers from 0 upwards. Divided by the range, the
    area is in [0, 1], 1 for an image that is right at every eps; its mean is the mean accuracy over the range.
    """
    heights = right.astype(np.float64)
    return np.asarray((heights[:, 1:] + heights[:, :-1]) / 2 @ np.diff(eps) / eps[-1])


def relative_errors(
    errors: np.ndarray, reference: np.ndarray, confidence: float = 0.95
) -> tuple[Estimate, list[Estimate]]:
    """mCE: each corruption's error over the reference model's, averaged; and the ratio of each corruption.

    errors, reference: (N, C) share of severities at which an image is wrong, of both models on the same images.
    Hendrycks & Dietterich 2019 (arXiv 1903.12261), as ratios rather than percentages. Standard errors by the delta
    method on paired images, intervals by Student's t. A corruption without any error of the reference is undefined.
    """
    below = reference.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = errors.mean(axis=0) / below
        influence = (errors - ratio * reference) / below
    known = below > 0
    each = [
        _around(float(ratio[c]), influence[:, c], confidence)
        if known[c]
        else Estimate.undefined("the reference makes no error under it", confidence)
        for c in range(errors.shape[1])
    ]
    if not known.all():
        return Estimate.undefined("the reference makes no error under some corruption", confidence), each
    return _around(float(ratio.mean()), influence.mean(axis=1), confidence), each


def _around(value: float, influence: np.ndarray, confidence: float) -> Estimate:
    spread = mean_estimate(influence, confidence)
    half = (spread.high - spread.low) / 2
    return Estimate(value, spread.stderr, max(value - half, 0.0), value + half, confidence)
