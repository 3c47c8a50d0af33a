"""The stored grid of inverse temperatures, and the best one for a mean log-likelihood curve.

The curve tau -> log softmax(tau z)_y is concave and smooth, so a cubic spline through 32 stored points gives it back
(error measured in the tests). Splines are linear in the stored values: the mean curve's spline is the splines' mean.
"""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

TEMPERATURES = np.concatenate([[0.0], np.geomspace(0.01, 1, 19), np.geomspace(1, 20, 13)[1:]])
"""The 32 inverse temperatures of a payoff table: 0, then geometric from 0.01 over 1 (index 19) to 20."""
TEMPERATURES.setflags(write=False)
CAP = float(TEMPERATURES[-1])
UNIT = 19  # index of tau = 1, the model's own temperature

# The spline runs in u = log(1 + tau / 0.1), where knots are nearly evenly spaced: linear in tau near 0, where
# curves are straight lines, logarithmic where they bend. In tau itself errors at the optimum are six times larger.
_BEND = 0.1
_KNOTS = np.log1p(TEMPERATURES / _BEND)
_SPLINE = CubicSpline(_KNOTS, np.eye(len(_KNOTS)))  # of the stored values: u -> the weight of each
_SLOPES = _SPLINE(_KNOTS, 1)  # values -> slopes at the knots


def best_temperature(curves: np.ndarray) -> np.ndarray:
    """The inverse temperature in [0, 20] that maximises each curve: (..., 32) -> float64 (...)."""
    shape = curves.shape[:-1]
    values = np.asarray(curves, dtype=np.float64).reshape(-1, len(_KNOTS))
    slopes = values @ _SLOPES.T
    rising = slopes > 0
    # concave in tau: rising, then falling; the first knot that does not rise closes the interval with the maximum
    after = np.where(rising.all(axis=1), len(_KNOTS) - 1, np.argmin(rising, axis=1))
    before = np.maximum(after - 1, 0)
    rows = np.arange(len(values))
    width = _KNOTS[before + 1] - _KNOTS[before]
    low, high = values[rows, before], values[rows, before + 1]
    d_low, d_high = slopes[rows, before] * width, slopes[rows, before + 1] * width
    t = _argmax_hermite(low, high, d_low, d_high)
    tau = _BEND * np.expm1(_KNOTS[before] + t * width)
    tau = np.where(after == 0, 0.0, np.where(rising.all(axis=1), CAP, tau))
    return np.asarray(np.clip(tau, 0.0, CAP).reshape(shape))


def at_temperature(curves: np.ndarray, tau: np.ndarray) -> np.ndarray:
    """Each curve's value at its own inverse temperature: (..., 32), tau broadcasting to (...) -> float64 (...)."""
    return np.asarray(np.einsum("...t,...t->...", curves, interpolation_weights(tau)))


def interpolation_weights(tau: np.ndarray, derivative: int = 0) -> np.ndarray:
    """Weights w with curve(tau) = w @ stored values: (...) -> float64 (..., 32).

    Or with its first or second derivative, in log(1 + tau / 0.1).
    """
    return np.asarray(_SPLINE(np.log1p(np.asarray(tau) / _BEND), derivative))


def _argmax_hermite(low: np.ndarray, high: np.ndarray, d_low: np.ndarray, d_high: np.ndarray) -> np.ndarray:
    """Where in [0, 1] the cubic with these end values and slopes is largest, given d_low > 0 >= d_high."""
    a = 6 * (low - high) + 3 * (d_low + d_high)
    b = 6 * (high - low) - 4 * d_low - 2 * d_high
    root = np.sqrt(np.maximum(b**2 - 4 * a * d_low, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        # the form that stays stable when the quadratic term vanishes; the falling root of a t^2 + b t + d_low
        t = 2 * d_low / (-b + root)
    return np.asarray(np.clip(np.nan_to_num(t, nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0))
