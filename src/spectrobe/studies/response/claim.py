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
from scipy import stats

from spectrobe.game.intervals import Estimate
from spectrobe.seeding import numpy_generator
from spectrobe.studies.frozen import Frozen
from spectrobe.studies.response.channel import falling

CLEAN, SEVERITY, POWER, BAND_POWER = "clean accuracy", "severity", "noise power", "noise power, mean apart"
BASELINES = "all baselines"
MASKING, GRADIENT, DIRECT = "masking response", "gradient response", "masking response, no line fitted"
YES, NO, UNSHOWN = "adds", "makes it worse", "not shown"
FEWEST_OTHERS, FEWEST_KINDS = 7, 3
"""So many perturbations must be left to fit lines to when a kind is left out, and so many kinds there must be."""
_LEAST, _RIDGE, _CHUNK = 1e-9, 1e-9, 2**21

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
    spread = Spread.of(len(set(evidence.bases)), confidence)
    held_out = {
        name: _held_out(columns, evidence.drop, evidence.clean, kinds)
        for name, columns in features.items()
        if columns is not None
    }
    held_out[DIRECT] = _direct(evidence)
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


@dataclass(frozen=True)
class Spread:
    """How resampled values become an interval.

    factor: by which percentile intervals are widened, since a bootstrap of few names is too narrow: sqrt(G / (G - 1))
    times t over normal quantile, for G names (Hesterberg 2015, doi 10.1080/00031305.2015.1089789).
    """

    confidence: float
    factor: float

    @classmethod
    def of(cls, names: int, confidence: float) -> Spread:
        """For so many names of perturbations."""
        quantile = 0.5 + confidence / 2
        t = float(stats.t.ppf(quantile, names - 1) / stats.norm.ppf(quantile))
        return cls(confidence, t * float(np.sqrt(names / (names - 1))))

    def estimate(self, values: np.ndarray, low: float = -np.inf, high: float = np.inf) -> Estimate:
        """The first value with a percentile interval of the others, moved so that their mean is the first.

        Resampled images put their noise on top of that which the measured ones have; that shifts errors up and
        correlations down, which the move takes back.
        """
        value, drawn = float(values[0]), values[1:][np.isfinite(values[1:])]
        if not np.isfinite(value) or len(drawn) < 100:
            return Estimate.undefined("too few resamples have it", self.confidence)
        tails = [0.5 - self.confidence / 2, 0.5 + self.confidence / 2]
        ends = np.clip(value + self.factor * (np.quantile(drawn, tails) - drawn.mean()), low, high)
        stderr = self.factor * float(drawn.std(ddof=1))
        return Estimate(value, stderr, float(ends[0]), float(ends[1]), self.confidence)


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


def _held_out(features: np.ndarray, drop: np.ndarray, clean: np.ndarray, kinds: Sequence[str]) -> np.ndarray:
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


def _direct(evidence: Evidence) -> np.ndarray:
    """Drops that the curve fitted to band noise gives at each perturbation's dose; no perturbation was used: (R, P)."""
    clean = evidence.clean[:, None]
    left = falling(clean, evidence.chance, dose(evidence.masking, evidence.power), evidence.slope[:, None])
    return np.asarray(clean - left)


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


def rank_correlation(a: np.ndarray, b: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of values of which each is there `count` times, (R, P) all: (R,).

    NaN where one of both is constant.
    """
    x, y = (_ranks(values, count) - (count.sum(1, keepdims=True) + 1) / 2 for values in (a, b))
    with np.errstate(invalid="ignore"):
        products = [(one * other * count).sum(1) for one, other in ((x, y), (x, x), (y, y))]
        return np.asarray(products[0] / np.sqrt(products[1] * products[2]))


def _ranks(values: np.ndarray, count: np.ndarray) -> np.ndarray:
    """1 for the least, ties sharing the mean of their ranks: (R, P)."""
    ranks = np.empty(values.shape)
    step = max(1, _CHUNK // values.shape[1] ** 2)
    for start in range(0, len(values), step):
        some = values[start : start + step]
        order = np.sign(some[:, :, None] - some[:, None, :])  # 1 where the first is the larger one
        ranks[start : start + step] = np.einsum("rpq,rq->rp", (order + 1) / 2, count[start : start + step]) + 0.5
    return ranks
