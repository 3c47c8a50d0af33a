"""How sure we are. What is random is the images (and, in the permutation design, each image's order of the bands).

Means by Student's t on per-image payoffs; scores, which are not means, by a studentised bootstrap (Efron & Tibshirani
1993, ch. 12) whose standard errors come from the delta method, those that fold or jump by percentiles; simultaneous
intervals by max-t (Hothorn et al. 2008).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from spectrobe.errors import InputError
from spectrobe.seeding import numpy_generator

N_REPLICATES = 999
_FEWEST_REPLICATES = 100
_ROUNDING, _LEAST_SHARE = 1e-12, 1e-2
_NOT_FINITE = "the score is not finite on these images"
_NO_INTERVAL = "too few resamples of these images have this score to give it an interval"


@dataclass(frozen=True)
class Estimate:
    """A number with its standard error and confidence interval; `float(estimate)` is the number.

    reason: why the value is NaN, or what to know about it; empty otherwise.
    """

    value: float
    stderr: float
    low: float
    high: float
    confidence: float = 0.95
    reason: str = ""

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        if np.isnan(self.value):
            return f"not defined ({self.reason})" if self.reason else "not defined"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"

    @classmethod
    def undefined(cls, reason: str, confidence: float = 0.95) -> Estimate:
        """A number that does not exist, with the reason."""
        return cls(np.nan, np.nan, np.nan, np.nan, confidence, reason)


@dataclass(frozen=True)
class MeanIntervals:
    """Means of the columns of per-image rows: all float64; mean, stderr (M,), pointwise and simultaneous (M, 2)."""

    mean: np.ndarray
    stderr: np.ndarray
    pointwise: np.ndarray
    simultaneous: np.ndarray


def check_confidence(confidence: float) -> None:
    """Raise InputError unless 0.5 <= confidence < 1."""
    if not 0.5 <= confidence < 1:
        raise InputError(f"expected a confidence between 0.5 and 1, such as 0.95, got {confidence!r}")


def mean_intervals(rows: np.ndarray, confidence: float = 0.95, seed: int = 0) -> MeanIntervals:
    """Student-t intervals of the mean of each column: rows (N, M), N >= 2."""
    n, m = rows.shape
    mean = rows.mean(axis=0)
    stderr = rows.std(axis=0, ddof=1) / np.sqrt(n)
    t = stats.t.ppf(0.5 + confidence / 2, n - 1)
    max_t = max(t, _max_t_quantile(rows, confidence, seed)) if m > 1 else t
    return MeanIntervals(mean, stderr, _around(mean, t * stderr), _around(mean, max_t * stderr))


def mean_estimate(rows: np.ndarray, confidence: float = 0.95) -> Estimate:
    """Student-t interval of the mean of (N,) per-image numbers."""
    found = mean_intervals(rows[:, None], confidence)
    low, high = found.pointwise[0]
    return Estimate(float(found.mean[0]), float(found.stderr[0]), float(low), float(high), confidence)


def wilson(successes: int, n: int, confidence: float = 0.95) -> Estimate:
    """A share of n images with its Wilson score interval (Wilson 1927, doi 10.1080/01621459.1927.10502953)."""
    z = float(stats.norm.ppf(0.5 + confidence / 2))
    share = successes / n
    shrink = 1 + z**2 / n
    centre = (share + z**2 / (2 * n)) / shrink
    half = z / shrink * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    stderr = float(np.sqrt(share * (1 - share) / n))
    # at 0 and 1 the formula gives the end itself but for rounding
    low = 0.0 if successes == 0 else float(centre - half)
    high = 1.0 if successes == n else float(centre + half)
    return Estimate(share, stderr, low, high, confidence)


def bootstrap_weights(n_images: int, seed: int, n_replicates: int = N_REPLICATES) -> np.ndarray:
    """How often each image is drawn in each replicate: float64 (B, N), rows summing to N.

    They depend on the seed and N alone, so that two models measured on the same images are resampled together.
    """
    draws = numpy_generator(seed, n_images, "bootstrap")
    return draws.multinomial(n_images, np.full(n_images, 1 / n_images), size=n_replicates).astype(np.float64)


@dataclass(frozen=True)
class Replicates:
    """What the studentised bootstrap needs of one game, real data first, then B replicates.

    phi: (1 + B, M) Shapley values, temperatures refitted.   covariance: (1 + B, M, M) of phi.
    """

    phi: np.ndarray
    covariance: np.ndarray

    def paired(self, other: Replicates, cross: np.ndarray) -> Replicates:
        """Both games side by side, (1 + B, 2 M); cross: (1 + B, M, M) covariance between their Shapley values."""
        top = np.concatenate([self.covariance, cross], axis=2)
        bottom = np.concatenate([np.swapaxes(cross, 1, 2), other.covariance], axis=2)
        return Replicates(np.concatenate([self.phi, other.phi], axis=1), np.concatenate([top, bottom], axis=1))


def weighted_covariance(rows: np.ndarray, others: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Covariance of the weighted means of rows (N, M) and others (N, M), a row of weights (R, N) each: (R, M, M)."""
    n, m = rows.shape
    products = (rows[:, :, None] * others[:, None, :]).reshape(n, m * others.shape[1])
    mean_a, mean_b = weights @ rows / n, weights @ others / n
    second = (weights @ products / n).reshape(-1, m, others.shape[1])
    return np.asarray((second - mean_a[:, :, None] * mean_b[:, None, :]) / (n - 1))


def studentised(
    statistic: Callable[[np.ndarray], np.ndarray], replicates: Replicates, confidence: float = 0.95
) -> Estimate:
    """Studentised bootstrap interval of a smooth function of the Shapley values: statistic (..., M) -> (...).

    NaN bounds, with the reason, where fewer than 100 replicates have the statistic.
    """
    values, stderr = _with_stderr(statistic, replicates)
    value, error = float(values[0]), float(stderr[0])
    if not np.isfinite(value):
        return Estimate.undefined(_NOT_FINITE, confidence)
    if error <= _ROUNDING * max(1.0, abs(value)):
        return Estimate(value, error, value, value, confidence, "no spread between images")
    # a replicate that drew hardly anything but one image has an error of rounding, or nearly none
    usable = np.isfinite(values[1:]) & (stderr[1:] > _LEAST_SHARE * error)
    if usable.sum() < _FEWEST_REPLICATES:
        return Estimate(value, error, np.nan, np.nan, confidence, _NO_INTERVAL)
    t = (values[1:][usable] - value) / stderr[1:][usable]
    low_t, high_t = np.quantile(t, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Estimate(value, error, value - float(high_t) * error, value - float(low_t) * error, confidence)


def percentile(
    statistic: Callable[[np.ndarray], np.ndarray], replicates: Replicates, confidence: float = 0.95
) -> Estimate:
    """Percentile bootstrap interval (Efron & Tibshirani 1993, ch. 13) of a function that folds or jumps.

    There the delta method has no derivative to go by; the standard error is the replicates' standard deviation.
    """
    values = statistic(replicates.phi)
    value, drawn = float(values[0]), values[1:][np.isfinite(values[1:])]
    if not np.isfinite(value):
        return Estimate.undefined(_NOT_FINITE, confidence)
    if len(drawn) < _FEWEST_REPLICATES:
        return Estimate(value, np.nan, np.nan, np.nan, confidence, _NO_INTERVAL)
    low, high = np.quantile(drawn, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Estimate(value, float(drawn.std(ddof=1)), float(low), float(high), confidence)


def one_sided_p(statistic: Callable[[np.ndarray], np.ndarray], replicates: Replicates) -> float:
    """Studentised bootstrap p-value of "the statistic is not below zero" against "it is below zero"."""
    values, stderr = _with_stderr(statistic, replicates)
    if not np.isfinite(values[0]) or stderr[0] <= _ROUNDING * max(1.0, abs(values[0])):
        return 0.0 if values[0] < -_ROUNDING else 1.0
    usable = np.isfinite(values[1:]) & (stderr[1:] > _LEAST_SHARE * stderr[0])
    t = (values[1:][usable] - values[0]) / stderr[1:][usable]
    return float((1 + (t <= values[0] / stderr[0]).sum()) / (1 + usable.sum()))


def holm(p_values: list[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given (Holm 1979)."""
    order = np.argsort(p_values)
    adjusted = np.empty(len(p_values))
    running = 0.0
    for rank, i in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = running
    return [float(p) for p in adjusted]


def images_for(half_width: float, stderr: float, n_pilot: int, confidence: float = 0.95) -> int:
    """How many images the standard error of a pilot says are needed for an interval of +- half_width."""
    z = stats.norm.ppf(0.5 + confidence / 2)
    return max(2, int(np.ceil(n_pilot * (z * stderr / half_width) ** 2)))


def _around(mean: np.ndarray, half: np.ndarray) -> np.ndarray:
    return np.stack([mean - half, mean + half], axis=-1)


def _max_t_quantile(rows: np.ndarray, confidence: float, seed: int) -> float:
    """Quantile of max |t| of a multivariate t with the rows' correlation; columns without spread are left out."""
    n = len(rows)
    spread = rows.std(axis=0, ddof=1)
    live = rows[:, spread > _ROUNDING * np.abs(rows).max()]  # images that are all alike have a spread of rounding
    if live.shape[1] < 2:
        return 0.0
    correlation = np.corrcoef(live, rowvar=False)
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    draws = numpy_generator(seed, "max-t")
    normal = draws.standard_normal((20_000, live.shape[1])) @ root.T
    scale = np.sqrt(draws.chisquare(n - 1, size=20_000) / (n - 1))
    return float(np.quantile(np.abs(normal).max(axis=1) / scale, confidence))


def _with_stderr(
    statistic: Callable[[np.ndarray], np.ndarray], replicates: Replicates
) -> tuple[np.ndarray, np.ndarray]:
    """The statistic and its standard error by the delta method, for the data and each replicate: (1 + B,) each."""
    gradient = _gradient(statistic, replicates.phi)
    variance = np.einsum("bi,bij,bj->b", gradient, replicates.covariance, gradient)
    return statistic(replicates.phi), np.sqrt(np.maximum(variance, 0.0))


def _gradient(statistic: Callable[[np.ndarray], np.ndarray], phi: np.ndarray) -> np.ndarray:
    """Central differences of the statistic at each row of phi: (R, M) -> (R, M)."""
    step = 1e-5 * np.maximum(np.abs(phi).max(axis=1), 1e-12)
    out = np.empty_like(phi)
    for i in range(phi.shape[1]):
        shift = np.zeros_like(phi)
        shift[:, i] = step
        out[:, i] = (statistic(phi + shift) - statistic(phi - shift)) / (2 * step)
    return np.asarray(np.nan_to_num(out))
