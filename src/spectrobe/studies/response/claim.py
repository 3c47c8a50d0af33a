"""Does response times perturbation spectrum predict what a perturbation costs? Tested on perturbations held out.

A predictor is a number (or a few) for each perturbation. It becomes a predicted drop of accuracy by a straight line
that is fitted to the perturbations of all *other* kinds: a kind (noise, blur, weather, digital; an attack by its name)
is left out as a whole. All predictors get the same line, so that none is better off for its units; baselines that use
no response say what there was to predict without it. What is random is the images and the perturbations: intervals
resample images, and with them every response, spectrum and drop, and perturbations by name, all severities together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spectrobe.game.intervals import Estimate
from spectrobe.seeding import numpy_generator

CLEAN, SEVERITY, POWER, BAND_POWER = "clean accuracy", "severity", "noise power", "noise power, mean apart"
BASELINES = "all baselines"
MASKING, GRADIENT, DIRECT = "masking response", "gradient response", "masking response, no line fitted"
YES, NO, UNSHOWN = "adds", "makes it worse", "not shown"
FEWEST_OTHERS, FEWEST_KINDS = 7, 3
"""So many perturbations must be left to fit lines to when a kind is left out, and so many kinds there must be."""
_LEAST = 1e-12

KINDS: Mapping[str, str] = {
    **dict.fromkeys(("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise"), "noise"),
    **dict.fromkeys(("defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "gaussian_blur"), "blur"),
    **dict.fromkeys(("snow", "frost", "fog", "brightness", "spatter"), "weather"),
    **dict.fromkeys(("contrast", "elastic_transform", "pixelate", "jpeg_compression", "saturate"), "digital"),
}
"""Corruptions in the groups of Hendrycks & Dietterich 2019 (arXiv 1903.12261); anything else is a kind of its own."""


@dataclass(frozen=True)
class Prediction:
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
class Claim:
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


@dataclass(frozen=True)
class Evidence:
    """What the test is made of; R data sets, the measured one first, resampled ones behind it.

    names: P strings, the perturbations; bases: the same without their severity or strength.   severity: (P,), NaN where
    there is none.   drop: (R, P).   clean: (R,).   power: (R, P, M) mean square of the change per band.   mean_power:
    (R, P), of its mean.   masking: (R, M) sensitivity per band, None without.   slope: (R,).   gradient: (R, M + 1)
    gradient energy per bin, the mean's own last; None without.   chance: accuracy of a guess.
    """

    names: tuple[str, ...]
    bases: tuple[str, ...]
    severity: np.ndarray
    drop: np.ndarray
    clean: np.ndarray
    power: np.ndarray
    mean_power: np.ndarray
    masking: np.ndarray | None
    slope: np.ndarray | None
    gradient: np.ndarray | None
    chance: float


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
    features = _features(evidence)
    held_out = {
        name: _held_out(columns, evidence.drop, evidence.clean, kinds)
        for name, columns in features.items()
        if columns is not None
    }
    if evidence.masking is not None and evidence.slope is not None:
        held_out[DIRECT] = _direct(evidence)
    predictions = {
        name: _prediction(predicted, features.get(name), evidence.drop, drawn, confidence)
        for name, predicted in held_out.items()
    }
    for name, columns in features.items():
        if columns is None:
            predictions[name] = _missing(len(kinds), "some have no severity, or all have one", confidence)
    errors = {name: _errors(predicted, evidence.drop, drawn) for name, predicted in held_out.items()}
    verdicts = {name: _verdict(name, errors, confidence) for name in (MASKING, GRADIENT) if name in held_out}
    order = [name for name in (*features, DIRECT) if name in predictions]
    return Claim(
        evidence.names,
        kinds,
        evidence.drop[0],
        drop_interval,
        {name: predictions[name] for name in order},
        verdicts,
    )


def dose(sensitivity: np.ndarray, power: np.ndarray) -> np.ndarray:
    """Response times spectrum: sum over bands of sensitivity (R, M) times power (R, P, M): (R, P)."""
    return np.asarray(np.einsum("rm,rpm->rp", sensitivity, power))


def _features(evidence: Evidence) -> dict[str, np.ndarray | None]:
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
    if evidence.masking is not None:
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
    """log10, (R, P) -> (R, P, 1); a perturbation that does nothing is taken for a very weak one."""
    return np.asarray(np.log10(np.maximum(values, _LEAST)))[:, :, None]


def _held_out(features: np.ndarray, drop: np.ndarray, clean: np.ndarray, kinds: Sequence[str]) -> np.ndarray:
    """Drops predicted by lines fitted to the other kinds, cut to what a drop can be: (R, P)."""
    r, p = drop.shape
    spread = features.std(axis=1, keepdims=True)
    scaled = (features - features.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1.0)
    design = np.concatenate([np.ones((r, p, 1)), scaled], axis=2)
    predicted = np.empty((r, p))
    for kind in dict.fromkeys(kinds):
        out = np.asarray([one == kind for one in kinds])
        # pinv: columns that carry the same thing are no reason to fail
        line = np.linalg.pinv(design[:, ~out], rcond=1e-6) @ drop[:, ~out, None]
        predicted[:, out] = (design[:, out] @ line)[:, :, 0]
    return np.clip(predicted, 0.0, clean[:, None])


def _direct(evidence: Evidence) -> np.ndarray:
    """Drops that the curve fitted to band noise gives at each perturbation's dose; no perturbation was used: (R, P)."""
    from spectrobe.studies.response.channel import falling

    if evidence.masking is None or evidence.slope is None:
        return np.full(evidence.drop.shape, np.nan)
    clean = evidence.clean[:, None]
    left = falling(clean, evidence.chance, dose(evidence.masking, evidence.power), evidence.slope[:, None])
    return np.asarray(clean - left)


def _draws(bases: Sequence[str], r: int, seed: int) -> list[np.ndarray]:
    """Places of the perturbations in each data set: all of them in the first, names drawn anew in the others."""
    members = [np.flatnonzero([one == base for one in bases]) for base in dict.fromkeys(bases)]
    draws = numpy_generator(seed, len(bases), "perturbations")
    picks = draws.integers(len(members), size=(r - 1, len(members)))
    return [np.arange(len(bases)), *(np.concatenate([members[i] for i in pick]) for pick in picks)]


def _errors(predicted: np.ndarray, drop: np.ndarray, drawn: Sequence[np.ndarray]) -> np.ndarray:
    """Mean absolute error in each data set: (R,)."""
    wrong = np.abs(predicted - drop)
    return np.asarray([row[places].mean() for row, places in zip(wrong, drawn, strict=True)])


def _prediction(
    predicted: np.ndarray, features: np.ndarray | None, drop: np.ndarray, drawn: Sequence[np.ndarray], confidence: float
) -> Prediction:
    error = _centred(_errors(predicted, drop, drawn), confidence, low=0.0)
    if features is not None and features.shape[2] == 0:
        same = Estimate.undefined("it says the same of every perturbation", confidence)
        return Prediction(predicted[0], same, error)
    index = features[:, :, 0] if features is not None and features.shape[2] == 1 else predicted
    ranks = [spearman(a[places], b[places]) for a, b, places in zip(index, drop, drawn, strict=True)]
    return Prediction(predicted[0], _centred(np.asarray(ranks), confidence, -1.0, 1.0), error)


def _missing(n: int, reason: str, confidence: float) -> Prediction:
    none = Estimate.undefined(reason, confidence)
    return Prediction(np.full(n, np.nan), none, none, reason)


def _verdict(name: str, errors: Mapping[str, np.ndarray], confidence: float) -> Verdict:
    single = [base for base in (CLEAN, SEVERITY, POWER, BAND_POWER) if base in errors]
    best = min(single, key=lambda base: float(errors[base][0]))
    alone = _centred(errors[best] - errors[name], confidence)
    together = _centred(errors[BASELINES] - errors[with_baselines(name)], confidence)
    answer = YES if together.low > 0 else NO if together.high < 0 else UNSHOWN
    return Verdict(best, alone, together, answer)


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation, NaN where one of both is constant."""
    x, y = (_ranks(values) - (len(values) + 1) / 2 for values in (a, b))
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / scale if scale > 0 else np.nan


def _ranks(values: np.ndarray) -> np.ndarray:
    """1 for the least; ties share the mean of their ranks. (scipy's takes a hundred times as long for a few values.)"""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(count) - (count - 1) / 2)[place])


def _centred(values: np.ndarray, confidence: float, low: float = -np.inf, high: float = np.inf) -> Estimate:
    """The first value with a percentile interval of the others, moved so that their mean is the first.

    Resampled images put their noise on top of that which the measured ones have; that shifts errors up and correlations
    down, which the move takes back.
    """
    value, drawn = float(values[0]), values[1:][np.isfinite(values[1:])]
    if not np.isfinite(value) or len(drawn) < 100:
        return Estimate.undefined("too few resamples have it", confidence)
    ends = np.quantile(drawn, [0.5 - confidence / 2, 0.5 + confidence / 2]) - drawn.mean() + value
    bounded = np.clip(ends, low, high)
    return Estimate(value, float(drawn.std(ddof=1)), float(bounded[0]), float(bounded[1]), confidence)
