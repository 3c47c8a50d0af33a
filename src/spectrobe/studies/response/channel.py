"""From accuracies under band noise to a sensitivity for each band, and from those to a channel.

A band's sensitivity s is the reciprocal of the noise power at which accuracy is half way from clean to chance. Accuracy
falls as chance + (clean - chance) / (1 + (s p)^slope) with the power p, the slope being the same in all bands. The
channel is a Gaussian over log2 frequency through the sensitivities, as in critical-band masking (Solomon & Pelli 1994,
doi 10.1038/369395a0; Subramanian et al. 2023, arXiv 2309.13190): its centre, its full width at half its height in
octaves, and its height. All fits are searches on grids, so that they have no starting point and no false optimum; they
take R data sets at once, the measured one first, resampled ones behind it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

_SLOPES = 0.4 * 2.0 ** (np.arange(33) / 8)  # 0.4 to 6.4
_BEYOND = 64.0
"""The half-way power is looked for up to this factor beyond the powers tried."""
_FAR = 4.0
"""A half-way power this factor beyond them is a guess, on which no channel is built."""
_STEPS = 97
_ROUNDS, _GRID = 5, 15
FEWEST_BANDS = 4
_WIDTH = 2 * math.sqrt(2 * math.log(2))  # full width at half maximum over sigma
_LEAST_FIT = 0.5
_CHUNK = 256


@dataclass(frozen=True)
class Sensitivity:
    """sensitivity: (R, M), 1 / half-way power.   slope: (R,).   extrapolated: bool (M,), no power tried took accuracy
    half way, or all did.
    """

    sensitivity: np.ndarray
    slope: np.ndarray
    extrapolated: np.ndarray


@dataclass(frozen=True)
class Channel:
    """log2_centre (cycles/pixel), bandwidth (octaves), peak: (R,); good: bool (R,).   reason: why the first failed."""

    log2_centre: np.ndarray
    bandwidth: np.ndarray
    peak: np.ndarray
    good: np.ndarray
    reason: str


def falling(clean: np.ndarray, chance: float, dose: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Accuracy at a dose s p: chance + (clean - chance) / (1 + dose^slope), elementwise."""
    return np.asarray(chance + (clean - chance) / (1 + dose**slope))


def fit_sensitivity(accuracy: np.ndarray, clean: np.ndarray, chance: float, power: np.ndarray) -> Sensitivity:
    """Least squares. accuracy (R, M, P), clean (R,), power (M, P), rising along P."""
    logs = np.linspace(-math.log2(power.max() * _BEYOND), -math.log2(power.min() / _BEYOND), _STEPS)
    table = 1 / (1 + (2.0 ** logs[:, None, None] * power) ** _SLOPES[:, None, None, None])  # (slopes, steps, M, P)
    found = [
        _best(accuracy[start : start + _CHUNK], clean[start : start + _CHUNK], chance, table, logs)
        for start in range(0, len(accuracy), _CHUNK)
    ]
    sensitivity = 2.0 ** np.concatenate([log for log, _ in found])
    half_way = 1 / sensitivity[0]
    extrapolated = (half_way > power.max(axis=1)) | (half_way < power.min(axis=1))
    return Sensitivity(sensitivity, np.concatenate([slope for _, slope in found]), extrapolated)


def _best(
    accuracy: np.ndarray, clean: np.ndarray, chance: float, table: np.ndarray, logs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    room, above = clean - chance, np.ascontiguousarray(np.moveaxis(accuracy - chance, 1, 0))  # (R,), (M, R, P)
    best, slopes = np.full(len(accuracy), np.inf), np.full(len(accuracy), np.nan)
    place = np.zeros(accuracy.shape[:2])
    for slope, shapes in zip(_SLOPES, table, strict=True):
        # squared error of each band at each step, (M, R, steps), up to a term that no fit changes
        products = np.matmul(above, np.moveaxis(shapes, 0, 2))
        error = room[:, None] ** 2 * np.square(shapes).sum(2).T[:, None] - 2 * room[:, None] * products
        at = error.argmin(axis=2)
        total = np.take_along_axis(error, at[:, :, None], 2)[:, :, 0].sum(0)
        better = total < best
        best, slopes = np.where(better, total, best), np.where(better, slope, slopes)
        place[better] = _between(error, at).T[better]
    return np.interp(place, np.arange(len(logs)), logs), slopes


def _between(error: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The minimum of the parabola through the least of (M, R, steps) and its neighbours, in steps; ends stay."""
    inner = np.clip(at, 1, error.shape[2] - 2)
    left, middle, right = (np.take_along_axis(error, (inner + d)[:, :, None], 2)[:, :, 0] for d in (-1, 0, 1))
    curvature = left - 2 * middle + right
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.where(curvature > 0, (left - right) / (2 * curvature), 0.0)
    return np.where(at == inner, at + np.clip(shift, -1, 1), at)


def fit_channel(log2_frequency: np.ndarray, sensitivity: np.ndarray, strongest: float) -> Channel:
    """Least squares of a Gaussian through sensitivities (R, M) against log2 frequency (M,).

    strongest: the highest power tried.
    """
    u, s = log2_frequency, sensitivity
    n = len(s)
    if len(u) < FEWEST_BANDS:
        return _none(n, f"a channel of three parameters needs at least {FEWEST_BANDS} bands, there are {len(u)}")
    span = float(u[-1] - u[0])
    lowest = np.full(n, u[0] - span / 2), np.full(n, math.log2(0.15))
    highest = np.full(n, u[-1] + span / 2), np.full(n, math.log2(2 * span))
    (c_low, w_low), (c_high, w_high) = lowest, highest
    for _ in range(_ROUNDS):
        grid = np.linspace(0, 1, _GRID)
        c = c_low[:, None] + (c_high - c_low)[:, None] * grid
        w = w_low[:, None] + (w_high - w_low)[:, None] * grid
        shape = np.exp(-0.5 * ((u - c[:, :, None, None]) / 2.0 ** w[:, None, :, None]) ** 2)  # (R, c, w, M)
        norm = np.square(shape).sum(3)
        explained = np.einsum("rcwm,rm->rcw", shape, s) ** 2 / np.maximum(norm, 1e-300)
        i, j = np.unravel_index(explained.reshape(n, -1).argmax(1), (_GRID, _GRID))
        rows = np.arange(n)
        centre, width = c[rows, i], w[rows, j]
        dc, dw = 2 * (c_high - c_low) / (_GRID - 1), 2 * (w_high - w_low) / (_GRID - 1)
        c_low, c_high = np.maximum(centre - dc, lowest[0]), np.minimum(centre + dc, highest[0])
        w_low, w_high = np.maximum(width - dw, lowest[1]), np.minimum(width + dw, highest[1])
    sigma = 2.0**width
    shape = np.exp(-0.5 * ((u - centre[:, None]) / sigma[:, None]) ** 2)
    peak = (shape * s).sum(1) / np.maximum(np.square(shape).sum(1), 1e-300)
    rest = np.square(s - peak[:, None] * shape).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        fit = 1 - rest / np.square(s - s.mean(1, keepdims=True)).sum(1)
    inside = (centre >= u[0]) & (centre <= u[-1])
    good = inside & (sigma * _WIDTH < 2 * span) & (fit >= _LEAST_FIT)
    good &= 1 / s.max(axis=1) < _FAR * strongest
    told = _reason(1 / float(s[0].max()), strongest, u, float(centre[0]), float(sigma[0]), float(fit[0]))
    return Channel(centre, sigma * _WIDTH, peak, good, told)


def _reason(half_way: float, strongest: float, u: np.ndarray, centre: float, sigma: float, fit: float) -> str:
    if not half_way < _FAR * strongest:
        return f"no noise tried (powers up to {strongest:g}) takes accuracy near half way to chance: try stronger noise"
    if centre < u[0]:
        return "sensitivity is highest in the lowest band: the channel's centre is not among the bands measured"
    if centre > u[-1]:
        return "sensitivity is highest in the highest band: the channel's centre is not among the bands measured"
    if sigma * _WIDTH >= 2 * (u[-1] - u[0]):
        return "all bands are about as sensitive: there is no channel among them"
    if not fit >= _LEAST_FIT:
        return f"a Gaussian explains {max(fit, 0):.0%} of how sensitivity varies over bands: that is no channel"
    return ""


def _none(n: int, reason: str) -> Channel:
    nan = np.full(n, np.nan)
    return Channel(nan, nan, nan, np.zeros(n, dtype=bool), reason)
