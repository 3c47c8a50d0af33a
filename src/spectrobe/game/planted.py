"""A game whose answer is known: Shapley values of bands that hold Gaussian evidence, by one-dimensional quadrature.

Band i tells two classes s = +1 and -1 apart by u_i ~ N(s d_i / 2, 1), independent of the other bands: d_i is its d'
(sensitivity index of signal detection theory; Green & Swets 1966). A linear reader adds them up, L = sum of g_i u_i.
docs/how-to/planted.md has the derivation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import integrate, special

from spectrobe.errors import InputError
from spectrobe.game.coalitions import members
from spectrobe.game.shapley import shapley_values
from spectrobe.game.temperature import CAP

_REACH = 12.0  # standard deviations on either side; what lies beyond is less than 1e-32


def binary_information(dprime: float) -> float:
    """Mutual information in nats between a fair binary class and Gaussian evidence of sensitivity d'.

    log 2 - E[log(1 + exp(-L))] with the log-likelihood ratio L ~ N(d'^2 / 2, d'^2): 0 at d' = 0, towards log 2.
    """
    return usable(dprime**2 / 2, dprime**2, 1.0)


def usable(mean: float, variance: float, tau: float) -> float:
    """log 2 + E[log sigmoid(tau L)], L ~ N(mean, variance), in nats; by quadrature, to 1e-9."""
    if variance == 0 or tau == 0:
        return float(np.log(2) + special.log_expit(tau * mean))
    spread = np.sqrt(variance)

    def weighted(t: float) -> float:
        return float(special.log_expit(tau * (mean + spread * t)) * np.exp(-t * t / 2) / np.sqrt(2 * np.pi))

    bend = float(np.clip(-mean / spread, -_REACH, _REACH))  # where the sigmoid turns
    value, _ = integrate.quad(weighted, -_REACH, _REACH, points=[bend], epsabs=1e-11, epsrel=1e-11, limit=400)
    return float(np.log(2) + value)


def planted_values(dprime: Sequence[float], gains: Sequence[float] | None = None, n_bits: int = 1) -> np.ndarray:
    """Usable information of every coalition for a linear reader of the bands: float64 (2**M,), in nats.

    dprime: d' of each band.   gains: the reader's g_i; d' itself is the Bayes classifier (default).
    n_bits: the class is made of so many independent bits, each planted with these d'.

    A reader sees s L ~ N(sum g_i d_i / 2, sum g_i^2) over the bands of the coalition. The best inverse temperature is
    the one that makes it calibrated, sum g_i d_i / sum g_i^2 (at most 20, and 0 where that is negative).
    """
    d = np.asarray(dprime, dtype=np.float64)
    g = d if gains is None else np.asarray(gains, dtype=np.float64)
    if d.ndim != 1 or g.shape != d.shape:
        raise InputError(f"expected one d' and one gain a band, got shapes {d.shape} and {g.shape}")
    present = members(np.arange(2 ** len(d)), len(d))
    # rounded, so that the many coalitions that are worth the same are worth exactly the same, and computed once
    sums = np.round(np.stack([present @ (g * d) / 2, present @ g**2], axis=1), 12)
    kinds, which = np.unique(sums, axis=0, return_inverse=True)
    values = [usable(m, w, min(2 * m / w, CAP)) if m > 0 and w > 0 else 0.0 for m, w in kinds]
    return n_bits * np.asarray(values)[which.ravel()]


def planted_shapley(dprime: Sequence[float], gains: Sequence[float] | None = None, n_bits: int = 1) -> np.ndarray:
    """Shapley values of `planted_values`: float64 (M,), in nats."""
    return shapley_values(planted_values(dprime, gains, n_bits))
