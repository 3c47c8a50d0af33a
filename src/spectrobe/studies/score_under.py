"""How much of what a model leans on survives a perturbation? A decomposition weighted by a measured spectral SNR."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spectrobe.errors import InputError
from spectrobe.game.intervals import Estimate, Replicates, studentised
from spectrobe.game.scores import clipped_share

if TYPE_CHECKING:
    from spectrobe.bands import BandPartition
    from spectrobe.studies.decompose.result import DecomposeResult
    from spectrobe.studies.snr.result import SnrResult, SnrStudy


@dataclass(frozen=True)
class ScoreUnder:
    """One model's scores under one perturbation.

    perturbation_aware: sum of phi+_i mu_i, the share of what the model leans on that survives, 0 to 1.
    surviving_information: sum of phi_i mu_i in `unit`, not normalised: how much there is to lean on.
    modulus: (M,) the mu_i used, read-only float64.
    """

    model_name: str
    perturbation: str
    perturbation_aware: Estimate
    surviving_information: Estimate
    unit: str
    modulus: np.ndarray

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        from dataclasses import asdict

        return asdict(self)


def score_under(result: DecomposeResult, snr: SnrResult | SnrStudy) -> dict[str, ScoreUnder]:
    """Perturbation-aware scores of a decomposition: one for each perturbation of `snr`, by its name.

    mu_i is the feature robustness modulus of band i, with the mean (DC) where the decomposition has it. Intervals are
    the studentised bootstrap over the decomposition's images with mu held fixed: they say how sure we are of the model
    under this measured perturbation. How sure we are of mu stands in the SNR run, whose images may be others.
    Raises InputError when the band partitions differ or a band has no modulus.
    """
    replicates = result.replicates()
    found = {}
    for name, one in snr.results.items():
        mu = modulus_of(one, result.bands)
        mu.setflags(write=False)
        aware, surviving = scores_at(mu, result, replicates)
        found[name] = ScoreUnder(result.model_name, name, aware, surviving, result.unit, mu)
    return found


def scores_at(mu: np.ndarray, result: DecomposeResult, replicates: Replicates) -> tuple[Estimate, Estimate]:
    """Perturbation-aware score and surviving information at a modulus (M,); replicates: `result.replicates()`."""
    surviving = studentised(lambda phi: phi @ mu, replicates, result.confidence)
    if result.information.low > 0:
        return studentised(lambda phi: clipped_share(phi) @ mu, replicates, result.confidence), surviving
    why = f"v(all) - v(empty) is not above 0 by its {100 * result.confidence:g}% interval"
    return Estimate.undefined(why, result.confidence), surviving


def summary(scores: Mapping[str, ScoreUnder]) -> str:
    """A line a perturbation."""
    first = next(iter(scores.values()))
    width = max(12, *map(len, scores))
    lines = [
        f"{first.model_name}: what it leans on, and how much of it survives",
        f"{'perturbation':<{width}}  {'perturbation-aware':>22}  surviving information ({first.unit})",
    ]
    for name, score in scores.items():
        lines.append(f"{name:<{width}}  {score.perturbation_aware!s:>22}  {score.surviving_information}")
    return "\n".join(lines)


def modulus_of(snr: SnrResult, bands: BandPartition) -> np.ndarray:
    """The modulus for a game's bands: (M,); InputError for another partition, or a band without one."""
    mu = np.array(snr.modulus_for(bands))
    missing = np.flatnonzero(np.isnan(mu))
    if len(missing):
        raise InputError(
            f"{snr.perturbation}: band(s) {missing.tolist()} have no energy, so no modulus: use other bands"
        )
    return mu
