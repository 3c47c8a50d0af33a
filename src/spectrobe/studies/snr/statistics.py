"""From energies per image and band to what is said about a perturbation: dB, robustness modulus, intervals, decay.

What is random is the images. Medians have the binomial order-statistic interval, which needs no assumption on the
distribution, is never narrower than asked (from 6 images on at 95 %), and holds where some images are infinite; ratios
of sums have a studentised bootstrap; slopes a bootstrap over images, all bands of an image drawn together.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from spectrobe.game.intervals import (
    N_REPLICATES,
    Estimate,
    Replicates,
    bootstrap_weights,
    studentised,
    weighted_covariance,
)
from spectrobe.seeding import numpy_generator
from spectrobe.spectrum import UNTOUCHED

ROBUST, NON_ROBUST, UNDECIDED = "robust", "non-robust", "undecided"
THRESHOLD = 0.5
"""Of the robustness modulus: 0 dB for noise that is uncorrelated with the image."""
_FEWEST_BANDS = 3
_CHUNK = 2**22


@dataclass(frozen=True)
class Energies:
    """signal |X|^2, noise |Delta|^2, cross Re<X, Delta>, bin_db: (N, M) each, the mean (DC) where it belongs."""

    signal: np.ndarray
    noise: np.ndarray
    cross: np.ndarray
    bin_db: np.ndarray


@dataclass(frozen=True)
class Summary:
    """A quantity per band over images: value, stderr (M,), interval (M, 2), replicates (B, M) under resampling."""

    value: np.ndarray
    stderr: np.ndarray
    interval: np.ndarray
    replicates: np.ndarray

    def estimate(self, band: int, confidence: float) -> Estimate:
        """One band's."""
        low, high = self.interval[band]
        return Estimate(float(self.value[band]), float(self.stderr[band]), float(low), float(high), confidence)


@dataclass(frozen=True)
class Decay:
    """How the SNR falls with frequency: least-squares lines through the bands' SNR in dB.

    db_per_octave: against log2 |f| (a power law).   db_per_cycle: against |f| (an exponential), in dB per cycle/pixel.
    aic_octave, aic_cycle: Akaike's criterion of both, lower is better.   aic_difference: exponential minus power law,
    above 0 where the power law fits better.   left_out: bands without a finite SNR or frequency.
    """

    db_per_octave: Estimate
    db_per_cycle: Estimate
    aic_octave: float
    aic_cycle: float
    aic_difference: Estimate
    left_out: tuple[int, ...] = ()


def decibels(signal: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """10 log10(signal / noise): infinite for untouched bands, -infinite without a signal, NaN for neither."""
    with np.errstate(divide="ignore", invalid="ignore"):
        db = 10 * np.log10(signal / noise)
    return np.where((noise < UNTOUCHED * signal), np.inf, db)


def modulus(signal: np.ndarray, noise: np.ndarray, cross: np.ndarray) -> np.ndarray:
    """Feature robustness modulus max(Re<X, Y>, 0)^2 / (|X|^2 max(|X|^2, |Y|^2)) with Y = X + Delta: in [0, 1].

    Uncorrelated noise: SNR / (1 + SNR); attenuation by h: h^2; a removed band: 0. NaN where clean and perturbed are
    empty.
    """
    kept = np.maximum(signal + cross, 0.0)
    perturbed = np.maximum(signal + noise + 2 * cross, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mu = kept / signal * (kept / np.maximum(signal, perturbed))
    mu = np.where((signal == 0) & (noise > 0), 0.0, mu)
    return np.clip(mu, 0.0, 1.0)


def median_summary(values: np.ndarray, confidence: float, seed: int) -> Summary:
    """Median over images of each column of (N, M), images without a value (NaN) left out."""
    m = values.shape[1]
    value, interval = np.full(m, np.nan), np.full((m, 2), np.nan)
    for band in range(m):
        column = np.sort(values[~np.isnan(values[:, band]), band])
        if len(column):
            value[band] = _middle(column)
            interval[band] = column[list(order_statistics(len(column), confidence))]
    replicates = _resampled_medians(values, seed)
    return Summary(value, _spread(replicates), interval, replicates)


def order_statistics(n: int, confidence: float) -> tuple[int, int]:
    """Which of n sorted values (from 0) bound the median with this confidence or more; the outermost if n is small."""
    below = int(stats.binom.ppf((1 - confidence) / 2, n, 0.5))
    if stats.binom.cdf(below, n, 0.5) > (1 - confidence) / 2:
        below -= 1
    first = max(below, 0)
    return first, n - 1 - first


def fewest_images(confidence: float) -> int:
    """How many images the interval of a median needs at least."""
    return int(np.ceil(1 - np.log2(1 - confidence)))


def forecast_stderr(db: np.ndarray, n_images: int) -> float:
    """Largest standard error over bands that the median of `n_images` images will have, from a few: db (n, M)."""
    usable = db[:, np.isfinite(db).all(axis=0)]
    if usable.shape[1] == 0:
        return 0.0
    # of a median, for normal data; the spread from the quartiles, which outliers do not move
    spread = np.subtract(*np.quantile(usable, [0.75, 0.25], axis=0)) / 1.349
    return float(1.2533 * spread.max() / np.sqrt(n_images))


def ratio_of_sums(energies: Energies, confidence: float, seed: int) -> tuple[Summary, Summary]:
    """SNR in dB and modulus of the energies summed over images, instead of medians of per-image values."""
    n, m = energies.signal.shape
    weights = np.concatenate([np.ones((1, n)), bootstrap_weights(n, seed)])
    db, mu = [], []
    for band in range(m):
        columns = np.stack([energies.signal[:, band], energies.noise[:, band], energies.cross[:, band]], axis=1)
        columns = columns[~np.isnan(columns).any(axis=1)]
        mean = columns.mean(axis=0)
        # each in units of its own mean: the derivatives in `studentised` are taken by finite steps
        own = columns / np.where(mean == 0, 1.0, mean)
        db.append(_pooled_db(own[:, :2], mean, weights, confidence))
        mu.append(_pooled_modulus(columns / (mean[0] or 1.0), weights, confidence))
    return _gathered(db), _gathered(mu)


def categories(interval: np.ndarray) -> tuple[str, ...]:
    """robust, non-robust or undecided for each band, by the modulus's interval (M, 2) against 1/2."""
    return tuple(ROBUST if low > THRESHOLD else NON_ROBUST if high < THRESHOLD else UNDECIDED for low, high in interval)


def exceptions(category: Sequence[str]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What keeps the robust bands from being a low-frequency prefix, both empty when they are one.

    First the non-robust bands below a robust one, then the robust bands above a non-robust one. Undecided bands fit
    both.
    """
    robust = [band for band, kind in enumerate(category) if kind == ROBUST]
    lost = [band for band, kind in enumerate(category) if kind == NON_ROBUST]
    below = tuple(band for band in lost if robust and band < robust[-1])
    above = tuple(band for band in robust if lost and band > lost[0])
    return below, above


def decay(curve: Summary, frequency: np.ndarray, confidence: float) -> Decay:
    """Fit both lines to the bands with a finite SNR; frequency (M,) in cycles/pixel, NaN for the mean's own band."""
    usable = np.isfinite(curve.value) & (frequency > 0)
    left_out = tuple(int(band) for band in np.flatnonzero(~usable))
    if usable.sum() < _FEWEST_BANDS:
        reason = f"a line needs {_FEWEST_BANDS} bands of finite SNR, there are {int(usable.sum())}"
        none = Estimate.undefined(reason, confidence)
        return Decay(none, none, np.nan, np.nan, none, left_out)
    y = np.concatenate([curve.value[None], curve.replicates])[:, usable]
    octave, aic_octave = _line(np.log2(frequency[usable]), y)
    cycle, aic_cycle = _line(frequency[usable], y)
    return Decay(
        _bootstrapped(octave, confidence),
        _bootstrapped(cycle, confidence),
        float(aic_octave[0]),
        float(aic_cycle[0]),
        _bootstrapped(aic_cycle - aic_octave, confidence),
        left_out,
    )


def _line(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope and AIC (slope, intercept and variance fitted) of least-squares lines: x (m,), y (R, m) -> (R,), (R,)."""
    centred = x - x.mean()
    with np.errstate(invalid="ignore"):
        level = y - y.mean(axis=1, keepdims=True)
        slope = level @ centred / (centred @ centred)
        rest = np.mean((level - slope[:, None] * centred) ** 2, axis=1)
    # exact lines have no noise to speak of; the floor keeps the logarithm finite
    return slope, len(x) * np.log(np.maximum(rest, 1e-20)) + 2 * 3


def _bootstrapped(values: np.ndarray, confidence: float) -> Estimate:
    """values: the estimate first, then its replicates; a percentile interval."""
    usable = values[1:][np.isfinite(values[1:])]
    if len(usable) < 0.9 * (len(values) - 1):
        reason = "in some resamplings of the images a band has no finite SNR"
        return Estimate(float(values[0]), np.nan, np.nan, np.nan, confidence, reason)
    low, high = np.quantile(usable, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Estimate(float(values[0]), float(usable.std(ddof=1)), float(low), float(high), confidence)


def _middle(column: np.ndarray) -> float:
    """Median of sorted values, infinite ones included."""
    low, high = column[(len(column) - 1) // 2], column[len(column) // 2]
    return float(low) if low == high else float((low + high) / 2)


def _resampled_medians(values: np.ndarray, seed: int) -> np.ndarray:
    n, m = values.shape
    picks = numpy_generator(seed, n, "snr bootstrap").integers(n, size=(N_REPLICATES, n))
    missing = bool(np.isnan(values).any())
    step = max(1, _CHUNK // (n * m))
    with np.errstate(invalid="ignore"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)  # a band without energy has no median
        drawn = (values[picks[start : start + step]] for start in range(0, N_REPLICATES, step))
        parts: list[np.ndarray] = [np.nanmedian(d, axis=1) if missing else np.median(d, axis=1) for d in drawn]
    return np.concatenate(parts)


def _spread(replicates: np.ndarray) -> np.ndarray:
    """Standard deviation of the replicates, NaN for bands with infinite ones."""
    with np.errstate(invalid="ignore"):
        return np.asarray(replicates.std(axis=0, ddof=1))


_Pooled = tuple[Estimate, np.ndarray]


def _pooled_db(own: np.ndarray, mean: np.ndarray, weights: np.ndarray, confidence: float) -> _Pooled:
    value = float(decibels(mean[0], mean[1]))
    if not np.isfinite(value):
        return Estimate(value, np.nan, value, value, confidence), np.full(len(weights) - 1, value)
    replicates = _replicates(own, weights)
    found = studentised(
        lambda phi: 10 * np.log10(np.maximum(phi[..., 0], 1e-12) / np.maximum(phi[..., 1], 1e-12)) + value,
        replicates,
        confidence,
    )
    return found, 10 * np.log10(replicates.phi[1:, 0] / replicates.phi[1:, 1]) + value


def _pooled_modulus(columns: np.ndarray, weights: np.ndarray, confidence: float) -> _Pooled:
    def statistic(means: np.ndarray) -> np.ndarray:
        return modulus(means[..., 0], means[..., 1], means[..., 2])

    replicates = _replicates(columns, weights)
    found = studentised(statistic, replicates, confidence)
    bounds = (max(found.low, 0.0), min(found.high, 1.0))
    return Estimate(found.value, found.stderr, *bounds, confidence, found.reason), statistic(replicates.phi[1:])


def _replicates(columns: np.ndarray, weights: np.ndarray) -> Replicates:
    if len(columns) != weights.shape[1]:  # images without energy in this band are left out
        n = len(columns)
        weights = np.concatenate([np.ones((1, n)), bootstrap_weights(n, n)])
    return Replicates(weights @ columns / len(columns), weighted_covariance(columns, columns, weights))


def _gathered(found: Sequence[_Pooled]) -> Summary:
    return Summary(
        np.asarray([estimate.value for estimate, _ in found]),
        np.asarray([estimate.stderr for estimate, _ in found]),
        np.asarray([(estimate.low, estimate.high) for estimate, _ in found]),
        np.stack([replicates for _, replicates in found], axis=1),
    )
