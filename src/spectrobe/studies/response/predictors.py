"""What each predictor says a perturbation costs: from a line fitted to the other kinds, or from no perturbation at all.

A predictor is a number (or a few) for each perturbation. It becomes a predicted drop of accuracy by a straight line
that is fitted to the perturbations of all *other* kinds: a kind (noise, blur, weather, digital; an attack by its name)
is left out as a whole. All predictors get the same line, so that none is better off for its units; baselines that use
no response say what there was to predict without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spectrobe.studies.response.channel import falling

CLEAN, SEVERITY, POWER, BAND_POWER = "clean accuracy", "severity", "noise power", "noise power, mean apart"
BASELINES = "all baselines"
MASKING, GRADIENT, DIRECT = "masking response", "gradient response", "masking response, no line fitted"
_LEAST, _RIDGE = 1e-9, 1e-9


@dataclass(frozen=True)
class Evidence:
    """What the test is made of; R data sets, the measured one first, resampled ones behind it.

    names: P strings, the perturbations; bases: the same without their severity or strength.   severity: (P,), NaN where
    there is none.   drop: (R, P).   clean: (R,).   power: (R, P, M) mean square of the change per band.   mean_power:
    (R, P), of its mean.   masking: (R, M) sensitivity per band.   slope: (R,), of the masking curve.   gradient:
    (R, M + 1) gradient energy per bin, the mean's own last; None without.   chance: accuracy of a guess.
    """

    names: tuple[str, ...]
    bases: tuple[str, ...]
    severity: np.ndarray
    drop: np.ndarray
    clean: np.ndarray
    power: np.ndarray
    mean_power: np.ndarray
    masking: np.ndarray
    slope: np.ndarray
    gradient: np.ndarray | None
    chance: float


def dose(sensitivity: np.ndarray, power: np.ndarray) -> np.ndarray:
    """Response times spectrum: sum over bands of sensitivity (R, M) times power (R, P, M): (R, P)."""
    return np.asarray(np.einsum("rm,rpm->rp", sensitivity, power))


def features_of(evidence: Evidence) -> dict[str, np.ndarray | None]:
    """(R, P, k) of every predictor that a line is fitted to, None where it cannot be had."""
    r, p = evidence.drop.shape
    bands = evidence.power.sum(2)
    known = np.isfinite(evidence.severity).all() and np.ptp(evidence.severity) > 0
    severity = np.broadcast_to(evidence.severity, (r, p))[:, :, None] if known else None
    total, apart = _log(bands + evidence.mean_power), _log(bands)
    baselines = np.concatenate([part for part in (severity, total, apart) if part is not None], axis=2)
    found: dict[str, np.ndarray | None] = {
        CLEAN: np.zeros((r, p, 0)), SEVERITY: severity, POWER: total, BAND_POWER: apart, BASELINES: baselines,
    }  # fmt: skip
    found[MASKING] = _log(dose(evidence.masking, evidence.power))
    if evidence.gradient is not None:
        spectrum = np.concatenate([evidence.power, evidence.mean_power[:, :, None]], axis=2)
        found[GRADIENT] = _log(dose(evidence.gradient, spectrum))
    for name in (MASKING, GRADIENT):
        columns = found.get(name)
        if columns is not None:
            found[with_baselines(name)] = np.concatenate([baselines, columns], axis=2)
    return found


def with_baselines(name: str) -> str:
    """What a response is called that is taken together with all baselines."""
    return f"{BASELINES} and {name}"


def _log(values: np.ndarray) -> np.ndarray:
    """log10, (R, P) -> (R, P, 1); a perturbation that does nothing is taken for one far weaker than all others."""
    floor = np.maximum(_LEAST * values.max(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return np.asarray(np.log10(np.maximum(values, floor)))[:, :, None]


def predicted_held_out(features: np.ndarray, drop: np.ndarray, clean: np.ndarray, kinds: Sequence[str]) -> np.ndarray:
    """Drops predicted by lines fitted to the other kinds, cut to what a drop can be: (R, P)."""
    r, p = drop.shape
    spread = features.std(axis=1, keepdims=True)
    scaled = (features - features.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1.0)
    design = np.concatenate([np.ones((r, p, 1)), scaled], axis=2)
    predicted = np.empty((r, p))
    for kind in dict.fromkeys(kinds):
        out = np.asarray([one == kind for one in kinds])
        known = design[:, ~out]
        turned = np.swapaxes(known, 1, 2)
        # a trace of ridge: columns that carry the same thing are no reason to fail
        square = turned @ known + _RIDGE * np.eye(design.shape[2])
        line = np.linalg.solve(square, turned @ drop[:, ~out, None])
        predicted[:, out] = (design[:, out] @ line)[:, :, 0]
    return np.clip(predicted, 0.0, clean[:, None])


def predicted_directly(evidence: Evidence) -> np.ndarray:
    """Drops that the curve fitted to band noise gives at each perturbation's dose; no perturbation was used: (R, P)."""
    clean = evidence.clean[:, None]
    left = falling(clean, evidence.chance, dose(evidence.masking, evidence.power), evidence.slope[:, None])
    return np.asarray(clean - left)
