"""One number a model, from its profile: how much it leans on low frequencies, and how much information it takes at all.

A score is a function of Shapley values (..., M) -> (...), made for one band partition. Scores of different partitions
are never compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy.special import entr

from spectrobe.bands import BandPartition
from spectrobe.game.intervals import Estimate, Replicates, mean_estimate, percentile, studentised

ScoreFunction = Callable[[np.ndarray], np.ndarray]
DEFAULT_SCORE = "signed"
NEEDS_INFORMATION = ("signed", "signed-unclipped", "centroid", "bandwidth", "entropy")
"""Scores of the normalised profile, which has no meaning when v(all) - v(empty) is not above zero."""
FOLDED = ("published",)
"""Scores that fold (an absolute value) or jump (a minimum): studentised intervals hold them 77-88 % of the time."""

MEANINGS = {
    "signed": "1 = all in the lowest band, 0 = flat, negative = high bands; of the profile clipped at zero.",
    "signed-unclipped": "The same without clipping, which biases noisy bands that hold nothing.",
    "published": "The formula of Luo et al. (TMLR 2024), for comparison: it folds the sign.",
    "information": "v(all) - v(empty), what all bands together give the model.",
    "low-band": "The Shapley value of the lowest band (with the mean's own band, if there is one).",
    "centroid": "Mean of the clipped profile over the bands, in octaves relative to Nyquist.",
    "bandwidth": "Standard deviation of the clipped profile over the bands, in octaves.",
    "entropy": "Entropy of the clipped profile in nats: 0 = one band alone, log M = all M bands alike.",
}
"""What each score says, in a sentence."""


def score_functions(bands: BandPartition) -> Mapping[str, ScoreFunction]:
    """Every score by name, for one partition; `MEANINGS` says what each is."""
    beta = falling_weights(bands)
    octave = band_octaves(bands)
    lowest = lowest_bands(bands)
    return {
        "signed": lambda phi: _against_flat(clipped_share(phi), beta),
        "signed-unclipped": lambda phi: _against_flat(_share(phi, phi.sum(-1)), beta),
        "published": published_score,
        "information": lambda phi: phi.sum(-1),
        "low-band": lambda phi: phi[..., :lowest].sum(-1),
        "centroid": lambda phi: clipped_share(phi) @ octave,
        "bandwidth": lambda phi: _spread(clipped_share(phi), octave),
        "entropy": lambda phi: entr(clipped_share(phi)).sum(-1),
    }


def score_estimate(name: str, statistic: ScoreFunction, replicates: Replicates, confidence: float = 0.95) -> Estimate:
    """The score called `name`, or a difference of such scores, with its interval."""
    interval = percentile if name in FOLDED else studentised
    return interval(statistic, replicates, confidence)


def score_estimates(
    bands: BandPartition, rows: np.ndarray, information: Estimate, replicates: Replicates
) -> dict[str, Estimate]:
    """Every score with its interval, as results hold them.

    rows: per-image Shapley values (N, M).   information: v(all) - v(empty).   Two scores are means over images and have
    Student's interval, as the Shapley values do; the others a bootstrap's.
    """
    confidence = information.confidence
    lowest = rows[:, : lowest_bands(bands)].sum(axis=1)
    found = {"information": information, "low-band": mean_estimate(lowest, confidence)}
    for name, statistic in score_functions(bands).items():
        if name not in found:
            found[name] = score_estimate(name, statistic, replicates, confidence)
    return found


def lowest_bands(bands: BandPartition) -> int:
    """How many bands make up the lowest ring: 2 where the mean has its own, else 1."""
    return 1 + (bands.dc == "own")


def falling_weights(bands: BandPartition) -> np.ndarray:
    """beta_i = mean of 0.75^(8 r) over the band divided by band 0's: (M,); 0.75^i for 8 linear bands, 1 for own DC."""
    edges, rate = np.asarray(bands.edges), 8 * np.log(0.75)
    integral = (np.exp(rate * edges[1:]) - np.exp(rate * edges[:-1])) / (rate * np.diff(edges))
    beta = integral / integral[0]
    return np.concatenate([[1.0], beta]) if bands.dc == "own" else beta


def band_octaves(bands: BandPartition) -> np.ndarray:
    """log2 of each band's centre r: (M,), 0 at Nyquist; DC's own band counts as the lowest ring."""
    edges = np.asarray(bands.edges)
    octave = np.log2((edges[:-1] + edges[1:]) / 2)
    return np.concatenate([octave[:1], octave]) if bands.dc == "own" else octave


def clipped_share(phi: np.ndarray) -> np.ndarray:
    """phi+ = max(phi, 0) / sum of max(phi, 0): (..., M), NaN where nothing is positive."""
    positive = np.maximum(phi, 0.0)
    return _share(positive, positive.sum(-1))


def share_rows(rows: np.ndarray) -> np.ndarray:
    """What each of N images adds to `clipped_share` of their mean, to first order: (..., N, M), mean 0 over images.

    rows: per-image Shapley values (..., N, M).   The variance of the share is that of its rows over N (the delta
    method, which takes bands at or below zero to stay there).   NaN where nothing is positive.
    """
    phi = rows.mean(axis=-2, keepdims=True)
    own = np.where(phi > 0, rows, 0.0)
    total = np.maximum(phi, 0.0).sum(axis=-1, keepdims=True)
    return _share(own - clipped_share(phi) * own.sum(axis=-1, keepdims=True), total[..., 0])


def signed_rows(rows: np.ndarray, bands: BandPartition) -> np.ndarray:
    """The same for the score "signed": (..., N, M) -> (..., N)."""
    beta = falling_weights(bands)
    return np.asarray(share_rows(rows) @ beta / (1 - beta.mean()))


def published_score(phi: np.ndarray) -> np.ndarray:
    """Luo et al.'s score: |<beta / |beta|, phi'> - eta| / (1 - eta), phi' = (phi - min) / sum, beta_i = 0.75^i."""
    m = phi.shape[-1]
    shifted = phi - phi.min(-1, keepdims=True)
    beta = 0.75 ** np.arange(m)
    length = np.linalg.norm(beta)
    eta = beta.sum() / (m * length)
    return np.asarray(np.abs(_share(shifted, shifted.sum(-1)) @ beta / length - eta) / (1 - eta))


def _share(part: np.ndarray, total: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(total[..., None] > 0, part / total[..., None], np.nan)


def _against_flat(share: np.ndarray, beta: np.ndarray) -> np.ndarray:
    return np.asarray((share @ beta - beta.mean()) / (1 - beta.mean()))


def _spread(share: np.ndarray, position: np.ndarray) -> np.ndarray:
    centre = share @ position
    return np.asarray(np.sqrt(np.maximum(share @ position**2 - centre**2, 0.0)))
