"""Does response times perturbation spectrum predict what a perturbation costs? Tested on perturbations held out.

What each predictor says is in `predictors.py`. What is random is the images and the perturbations: intervals resample
images, and with them every response, spectrum and drop, and perturbations by name, all severities together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spectrobe.game.intervals import Estimate
from spectrobe.seeding import numpy_generator
from spectrobe.studies.frozen import Frozen
from spectrobe.studies.response.predictors import (
    BAND_POWER,
    BASELINES,
    CLEAN,
    DIRECT,
    GRADIENT,
    MASKING,
    POWER,
    SEVERITY,
    Evidence,
    features_of,
    predicted_directly,
    predicted_held_out,
    with_baselines,
)
from spectrobe.studies.response.resampled import Spread, rank_correlation

YES, NO, UNSHOWN = "adds", "makes it worse", "not shown"
FEWEST_OTHERS, FEWEST_KINDS = 7, 3
"""So many perturbations must be left to fit lines to when a kind is left out, and so many kinds there must be."""

KINDS: Mapping[str, str] = {
    **dict.fromkeys(("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise"), "noise"),
    **dict.fromkeys(("defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "gaussian_blur"), "blur"),
    **dict.fromkeys(("snow", "frost", "fog", "brightness", "spatter"), "weather"),
    **dict.fromkeys(("contrast", "elastic_transform", "pixelate", "jpeg_compression", "saturate"), "digital"),
}
"""Corruptions in the groups of Hendrycks & Dietterich 2019 (arXiv 1903.12261); anything else is a kind of its own."""


@dataclass(frozen=True)
class Prediction(Frozen):
    """What one predictor makes of the perturbations.

    predicted: float64 (P,), drop of accuracy predicted for each, held out.   rank_correlation: Spearman's, of the
    predictor as it is (of the held-out predictions, where it is several numbers) with the drops.   error: mean absolute
    error of the held-out predictions, in accuracy.   reason: why it could not be had.
    """

    predicted: np.ndarray
    rank_correlation: Estimate
    error: Estimate
    reason: str = ""


@dataclass(frozen=True)
class Verdict:
    """Whether a response adds anything.

    best_baseline: the one of least error.   alone: its error less the response's.   together: the error of all
    baselines together less that with the response besides.   answer: "adds", "makes it worse", or "not shown", by the
    interval of `together`.
    """

    best_baseline: str
    alone: Estimate
    together: Estimate
    answer: str


@dataclass(frozen=True)
class Claim(Frozen):
    """The test: P perturbations.

    names, kinds: P strings.   drop: float64 (P,), clean accuracy less accuracy.   drop_interval: (P, 2).
    predictions: predictor -> Prediction; verdicts: response -> Verdict.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    drop: np.ndarray
    drop_interval: np.ndarray
    predictions: Mapping[str, Prediction]
    verdicts: Mapping[str, Verdict]

    @property
    def known_errors(self) -> dict[str, Estimate]:
        """Predictor -> its error, where it has one."""
        return {name: one.error for name, one in self.predictions.items() if np.isfinite(one.error.value)}


def why_untested(bases: Sequence[str]) -> str:
    """Why so few perturbations cannot test the claim; empty where they can."""
    kinds = [kind_of(base) for base in bases]
    others = min((len(kinds) - kinds.count(kind) for kind in kinds), default=0)
    if len(set(kinds)) >= FEWEST_KINDS and others >= FEWEST_OTHERS:
        return ""
    return (
        f"it needs perturbations of at least {FEWEST_KINDS} kinds, {FEWEST_OTHERS} of them left when one kind is held "
        f"out; measured were {len(kinds)} of {len(set(kinds))} (--perturb imagenet-c:3 gives 15 of 4)"
    )


def kind_of(base: str) -> str:
    """What a perturbation is left out together with."""
    return KINDS.get(base, base)


def check_claim(evidence: Evidence, drop_interval: np.ndarray, confidence: float, seed: int) -> Claim:
    """The test, on perturbations of which `why_untested` finds nothing to say."""
    kinds = tuple(kind_of(base) for base in evidence.bases)
    drawn = _draws(evidence.bases, len(evidence.drop), seed)
    features = features_of(evidence)
    spread = Spread.of(len(set(evidence.bases)), confidence)
    held_out = {
        name: predicted_held_out(columns, evidence.drop, evidence.clean, kinds)
        for name, columns in features.items()
        if columns is not None
    }
    held_out[DIRECT] = predicted_directly(evidence)
    predictions = {
        name: _prediction(predicted, features.get(name), evidence.drop, drawn, spread)
        for name, predicted in held_out.items()
    }
    for name, columns in features.items():
        if columns is None:
            predictions[name] = _missing(len(kinds), "some have no severity, or all have one", confidence)
    errors = {name: _errors(predicted, evidence.drop, drawn) for name, predicted in held_out.items()}
    verdicts = {name: _verdict(name, errors, spread) for name in (MASKING, GRADIENT) if name in held_out}
    order = [name for name in (*features, DIRECT) if name in predictions]
    return Claim(
        evidence.names,
        kinds,
        evidence.drop[0],
        drop_interval,
        {name: predictions[name] for name in order},
        verdicts,
    )


def _draws(bases: Sequence[str], r: int, seed: int) -> np.ndarray:
    """How often each perturbation is in each data set: once in the first, as often as its name is drawn in others."""
    names = list(dict.fromkeys(bases))
    draws = numpy_generator(seed, len(bases), "perturbations")
    counts = draws.multinomial(len(names), np.full(len(names), 1 / len(names)), size=r - 1)
    of_each = counts[:, [names.index(base) for base in bases]]
    return np.concatenate([np.ones((1, len(bases))), of_each])


def _errors(predicted: np.ndarray, drop: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Mean absolute error in each data set: (R,)."""
    return np.asarray((np.abs(predicted - drop) * drawn).sum(1) / drawn.sum(1))


def _prediction(
    predicted: np.ndarray,
    features: np.ndarray | None,
    drop: np.ndarray,
    drawn: np.ndarray,
    spread: Spread,
) -> Prediction:
    error = spread.estimate(_errors(predicted, drop, drawn), low=0.0)
    if features is not None and features.shape[2] == 0:
        same = Estimate.undefined("it says the same of every perturbation", spread.confidence)
        return Prediction(predicted[0], same, error)
    index = features[:, :, 0] if features is not None and features.shape[2] == 1 else predicted
    return Prediction(predicted[0], spread.estimate(rank_correlation(index, drop, drawn), -1.0, 1.0), error)


def _missing(n: int, reason: str, confidence: float) -> Prediction:
    none = Estimate.undefined(reason, confidence)
    return Prediction(np.full(n, np.nan), none, none, reason)


def _verdict(name: str, errors: Mapping[str, np.ndarray], spread: Spread) -> Verdict:
    single = [base for base in (CLEAN, SEVERITY, POWER, BAND_POWER) if base in errors]
    best = min(single, key=lambda base: float(errors[base][0]))
    alone = spread.estimate(errors[best] - errors[name])
    together = spread.estimate(errors[BASELINES] - errors[with_baselines(name)])
    answer = YES if together.low > 0 else NO if together.high < 0 else UNSHOWN
    return Verdict(best, alone, together, answer)
