"""Intervals over images and perturbations for the test of a claim, and a rank correlation with counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from spectrobe.game.intervals import Estimate

_CHUNK = 2**21  # numbers compared at a time


@dataclass(frozen=True)
class Spread:
    """How resampled values become an interval.

    factor: by which percentile intervals are widened, since a bootstrap of few names is too narrow: sqrt(G / (G - 1))
    times t over normal quantile, for G names (Hesterberg 2015, doi 10.1080/00031305.2015.1089789).
    """

    confidence: float
    factor: float

    @classmethod
    def of(cls, names: int, confidence: float) -> Spread:
        """For so many names of perturbations."""
        quantile = 0.5 + confidence / 2
        t = float(stats.t.ppf(quantile, names - 1) / stats.norm.ppf(quantile))
        return cls(confidence, t * float(np.sqrt(names / (names - 1))))

    def estimate(self, values: np.ndarray, low: float = -np.inf, high: float = np.inf) -> Estimate:
        """The first value with a percentile interval of the others, moved so that their mean is the first.

        Resampled images put their noise on top of that which the measured ones have; that shifts errors up and
        correlations down, which the move takes back.
        """
        value, drawn = float(values[0]), values[1:][np.isfinite(values[1:])]
        if not np.isfinite(value) or len(drawn) < 100:
            return Estimate.undefined("too few resamples have it", self.confidence)
        tails = [0.5 - self.confidence / 2, 0.5 + self.confidence / 2]
        ends = np.clip(value + self.factor * (np.quantile(drawn, tails) - drawn.mean()), low, high)
        stderr = self.factor * float(drawn.std(ddof=1))
        return Estimate(value, stderr, float(ends[0]), float(ends[1]), self.confidence)


def rank_correlation(a: np.ndarray, b: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of values of which each is there `count` times, (R, P) all: (R,).

    NaN where one of both is constant.
    """
    x, y = (_ranks(values, count) - (count.sum(1, keepdims=True) + 1) / 2 for values in (a, b))
    with np.errstate(invalid="ignore"):
        products = [(one * other * count).sum(1) for one, other in ((x, y), (x, x), (y, y))]
        return np.asarray(products[0] / np.sqrt(products[1] * products[2]))


def _ranks(values: np.ndarray, count: np.ndarray) -> np.ndarray:
    """1 for the least, ties sharing the mean of their ranks: (R, P)."""
    ranks = np.empty(values.shape)
    step = max(1, _CHUNK // values.shape[1] ** 2)
    for start in range(0, len(values), step):
        some = values[start : start + step]
        order = np.sign(some[:, :, None] - some[:, None, :])  # 1 where the first is the larger one
        ranks[start : start + step] = np.einsum("rpq,rq->rp", (order + 1) / 2, count[start : start + step]) + 0.5
    return ranks
