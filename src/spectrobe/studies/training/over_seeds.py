"""Curves over epochs, repeated with several seeds: their mean, and bands that hold all of it at once.

A few seeds say little about the spread at one epoch, so the spread is pooled over conditions: three seeds at five rates
of label noise give ten degrees of freedom within rates instead of two, eight once what a seed does at every rate is
taken out. A condition that spreads more than the pool, averaged over the curve, is given its own, larger scale.

The bands are max-t bands: estimate +- q * stderr, with one q for all points of a condition's curves (every epoch and
every frequency band). q is the quantile of max |t| over curves without effect, drawn from a Gaussian with the
covariance of the residual curves and put through the same formulas, so that it knows how epochs hang together and that
the spread itself is an estimate (max-t: Hothorn et al. 2008; parametric bootstrap: Efron & Tibshirani 1993, ch. 6).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spectrobe.seeding import numpy_generator

DRAWS = 2_000
_BLOCK = 250
_APART = 0.5


@dataclass(frozen=True)
class Band:
    """One curve of K points for each of R conditions, with its simultaneous band; float64.

    mean, stderr, low, high: (R, K).   critical: (R,), the q of each condition.
    """

    mean: np.ndarray
    stderr: np.ndarray
    low: np.ndarray
    high: np.ndarray
    critical: np.ndarray


def mean_band(curves: np.ndarray, rows: np.ndarray | None = None, confidence: float = 0.95, seed: int = 0) -> Band:
    """The mean over seeds in each condition: curves (R, S, K) -> Band of R conditions.

    rows: (R, N, K), what each of N images adds, averaged over seeds: the images are then random too. Points at which a
    curve is NaN have no band, and one curve that nothing is known to spread has a mean alone.
    """
    return _where_known(curves, rows, confidence, seed, against_first=False)


def difference_band(
    curves: np.ndarray, rows: np.ndarray | None = None, confidence: float = 0.95, seed: int = 0
) -> Band:
    """Every other condition minus the first, seed by seed: curves (R, S, K) -> Band of R - 1 conditions.

    What a seed adds in all conditions alike (its first weights, its order of images) drops out.
    rows: (R - 1, N, K), differences of each of N images, averaged over seeds.   Else as in `mean_band`.
    """
    return _where_known(curves, rows, confidence, seed, against_first=True)


def leaves_from(low: np.ndarray, high: np.ndarray) -> int | None:
    """The first of E epochs (counted from 0) from which on a band (E,) stays on one side of zero; None if it does not.

    A band that holds all epochs at once errs in at most 1 - confidence of the cases in which there is no effect, and so
    does this rule, which asks for more than one epoch outside.
    """
    above, below = low > 0, high < 0
    for side in (above, below):
        if side[-1]:
            inside = np.flatnonzero(~side)
            return int(inside[-1]) + 1 if len(inside) else 0
    return None


def _where_known(
    curves: np.ndarray, rows: np.ndarray | None, confidence: float, seed: int, against_first: bool
) -> Band:
    """The band at the points at which all curves are numbers, NaN elsewhere."""
    known, n = np.isfinite(curves).all(axis=(0, 1)), len(curves) - against_first
    mean, stderr, low, high = (np.full((n, len(known)), np.nan) for _ in range(4))
    if not known.any():
        return Band(mean, stderr, low, high, np.full(n, np.nan))
    rows = None if rows is None else rows[..., known]
    found = _band(curves[..., known], rows, confidence, seed, against_first)
    mean[:, known] = found.mean
    if rows is not None or curves.shape[1] > 1:
        for target, part in zip((stderr, low, high), (found.stderr, found.low, found.high), strict=True):
            target[:, known] = part
    return Band(mean, stderr, low, high, found.critical)


def _band(curves: np.ndarray, rows: np.ndarray | None, confidence: float, seed: int, against_first: bool) -> Band:
    n, points = len(curves) - against_first, curves.shape[2]
    images = np.zeros((n, points)) if rows is None else rows.var(axis=1, ddof=1) / rows.shape[1]
    mean, stderr = (part[0] for part in _summary(curves[None], images, against_first))
    draws, largest = numpy_generator(seed, "bands over seeds"), []
    noise = _Noise(curves, with_seeds=not against_first)
    centred = None if rows is None else (rows - rows.mean(axis=1, keepdims=True)) / rows.shape[1]
    for _ in range(DRAWS // _BLOCK):
        null, spread = _summary(noise.draw(draws), images, against_first)
        if centred is not None:
            weights = draws.standard_normal((_BLOCK, centred.shape[1]))
            null = null + np.stack([weights @ one for one in centred], axis=1)
        largest.append(_ratio(np.abs(null), spread).max(axis=2))
    critical = np.quantile(np.concatenate(largest), confidence, axis=0)
    half = critical[:, None] * stderr
    return Band(mean, stderr, mean - half, mean + half, critical)


class _Noise:
    """Curves that differ by seed alone, as those given do: what a seed does everywhere, and what in one condition.

    A dozen residual curves span few directions, and the largest of many points is smaller in few directions than in
    many: half of the variance is therefore drawn anew at every point (tests/studies/training hold the error rate).
    """

    def __init__(self, curves: np.ndarray, with_seeds: bool) -> None:
        self.shape = curves.shape
        conditions, seeds, points = curves.shape
        of_seed = (curves - curves.mean(axis=1, keepdims=True)).mean(axis=0)
        own = curves - curves.mean(axis=1, keepdims=True) - of_seed
        alone = conditions == 1
        self.everywhere = _scaled(of_seed, seeds - 1) if with_seeds and not alone else np.zeros((seeds, points))
        if alone:
            own = of_seed[None]
        self.own = _scaled(own.reshape(-1, points), (seeds - 1) * max(conditions - 1, 1))

    def draw(self, draws: np.random.Generator) -> np.ndarray:
        """(B, R, S, K)."""
        conditions, seeds, _ = self.shape
        return np.asarray(
            _like(self.own, (_BLOCK, conditions, seeds), draws) + _like(self.everywhere, (_BLOCK, 1, seeds), draws)
        )


def _scaled(residuals: np.ndarray, freedom: int) -> np.ndarray:
    """Curves (J, K) whose cross products are the covariance."""
    return np.asarray(residuals / np.sqrt(max(freedom, 1)))


def _like(root: np.ndarray, shape: tuple[int, ...], draws: np.random.Generator) -> np.ndarray:
    """Gaussian curves with these spreads: root (J, K) -> (*shape, K)."""
    together = draws.standard_normal((*shape, len(root))) @ root
    apart = draws.standard_normal((*shape, root.shape[1])) * np.sqrt(np.square(root).sum(axis=0))
    return np.asarray(np.sqrt(1 - _APART) * together + np.sqrt(_APART) * apart)


def _summary(curves: np.ndarray, images: np.ndarray, against_first: bool) -> tuple[np.ndarray, np.ndarray]:
    """Means over seeds and their standard errors: (B, R, S, K) -> (B, R', K) each."""
    own = curves[:, 1:] - curves[:, :1] if against_first else curves
    seeds = own.shape[2]
    variance = own.var(axis=2, ddof=1) if seeds > 1 else np.zeros(own.shape[:2] + own.shape[3:])
    pooled = variance.mean(axis=1, keepdims=True)
    scale = _ratio(variance.mean(axis=2, keepdims=True), pooled.mean(axis=2, keepdims=True))
    return own.mean(axis=2), np.sqrt(np.maximum(scale, 1.0) * pooled / seeds + images)


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b; 0 where b is 0."""
    return np.asarray(np.divide(a, b, out=np.zeros(np.broadcast_shapes(a.shape, b.shape)), where=b > 0))
