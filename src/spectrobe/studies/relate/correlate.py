"""Correlations of all scores with one measure: values, intervals over recipes, permutation p-values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial as fix

import numpy as np

from spectrobe.game.intervals import Estimate
from spectrobe.studies.relate.permute import permuted, permuted_partial
from spectrobe.studies.relate.ranks import kendall, partial, signs, spearman
from spectrobe.studies.relate.relation import Correlation
from spectrobe.studies.relate.resampling import N_PERMUTATIONS, N_RESAMPLES, recipe_permutations, recipe_weights

CLEAN = "clean-accuracy"
FEWEST = 3
"""Models without which there is no correlation to speak of."""
_FEWEST_RESAMPLES = 100
_ROUNDING = 1e-9
_ITSELF = "this is clean accuracy itself"


@dataclass(frozen=True)
class Draws:
    """How much is drawn, and from which seed."""

    confidence: float = 0.95
    seed: int = 0
    n_resamples: int = N_RESAMPLES
    n_permutations: int = N_PERMUTATIONS


@dataclass(frozen=True)
class Models:
    """N models: their names, and the recipe of each; clean: clean accuracy (N,), NaN where unknown."""

    names: tuple[str, ...]
    recipes: tuple[str, ...]
    clean: np.ndarray

    @property
    def recipe(self) -> np.ndarray:
        """The recipes as whole numbers: (N,)."""
        return np.asarray(np.unique(np.asarray(self.recipes), return_inverse=True)[1])

    def some(self, keep: np.ndarray) -> Models:
        """Those of a mask (N,)."""
        chosen = np.flatnonzero(keep)
        names, recipes = (tuple(values[i] for i in chosen) for values in (self.names, self.recipes))
        return Models(names, recipes, self.clean[chosen])


@dataclass(frozen=True)
class _Untested:
    """A correlation and what permutations gave instead of it: (P,)."""

    correlation: Correlation
    null: np.ndarray


def spearman_and_kendall(
    scores: Mapping[str, np.ndarray], y: np.ndarray, models: Models, draws: Draws
) -> tuple[dict[str, Correlation], dict[str, Correlation]]:
    """Both correlations of every score (N,) with the measure y (N,), on the models that have both numbers."""
    rho: dict[str, _Untested] = {}
    tau: dict[str, _Untested] = {}
    for mask, names in _by_models(scores, np.isfinite(y)):
        some, own = models.some(mask), y[mask]
        if len(own) < FEWEST:
            rho |= dict.fromkeys(names, _nothing(f"only {len(own)} models have both numbers", draws))
            tau |= {name: rho[name] for name in names}
            continue
        x = np.stack([scores[name][mask] for name in names])
        nulls = permuted(x, own, recipe_permutations(some.recipe, draws.seed, draws.n_permutations))
        weights, b = recipe_weights(some.recipe, draws.seed, draws.n_resamples), signs(own)
        for row, name in enumerate(names):
            a = signs(x[row])
            values = (_correlation(fix(f, a, b), weights, draws.confidence) for f in (spearman, kendall))
            for found, value, null in zip((rho, tau), values, nulls, strict=True):
                found[name] = _Untested(value, null[:, row])
    return _tested(rho, draws), _tested(tau, draws)


def spearman_given_clean(
    scores: Mapping[str, np.ndarray], y: np.ndarray, models: Models, draws: Draws
) -> dict[str, Correlation]:
    """Spearman's of every score and the measure given clean accuracy, on the models that have all three numbers."""
    found: dict[str, _Untested] = {}
    for mask, names in _by_models(scores, np.isfinite(y) & np.isfinite(models.clean)):
        some, own = models.some(mask), y[mask]
        if len(own) <= FEWEST:
            many = f"only {len(own)} models have" if len(own) else "no model has"
            found |= dict.fromkeys(names, _nothing(f"{many} all three numbers", draws))
            continue
        x = np.stack([scores[name][mask] for name in names])
        index = recipe_permutations(some.recipe, draws.seed, draws.n_permutations)
        nulls = permuted_partial(x, own, some.clean, index)
        weights, b, c = recipe_weights(some.recipe, draws.seed, draws.n_resamples), signs(own), signs(some.clean)
        for row, name in enumerate(names):
            value = _correlation(fix(_given, signs(x[row]), b, c), weights, draws.confidence)
            found[name] = _nothing(_ITSELF, draws) if name == CLEAN else _Untested(value, nulls[:, row])
    return _tested(found, draws)


def _given(a: np.ndarray, b: np.ndarray, c: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Spearman's of a and b given c, from their signs, for each row of weights."""
    return partial(spearman(a, b, weights), spearman(a, c, weights), spearman(b, c, weights))


def over_clean(name: str, x: np.ndarray, y: np.ndarray, models: Models, draws: Draws) -> Estimate:
    """Spearman's rho of a score less that of clean accuracy, each counted in the direction that it has."""
    if name == CLEAN:
        return Estimate.undefined(_ITSELF, draws.confidence)
    return difference(x, models.clean, y, models.recipe, draws)


def difference(x: np.ndarray, other: np.ndarray, y: np.ndarray, recipe: np.ndarray, draws: Draws) -> Estimate:
    """|rho| of x and y less |rho| of `other` and y: (N,) each, resampled together, signs as they are in all models."""
    known = np.isfinite(x) & np.isfinite(other) & np.isfinite(y)
    if known.sum() < FEWEST:
        return Estimate.undefined(f"only {known.sum()} models have all three numbers", draws.confidence)
    weights = recipe_weights(recipe[known], draws.seed, draws.n_resamples)
    a, c, b = (signs(numbers[known]) for numbers in (x, other, y))
    ones = np.ones((1, len(b)))
    up, down = np.sign(spearman(a, b, ones)[0]), np.sign(spearman(c, b, ones)[0])

    def gained(w: np.ndarray) -> np.ndarray:
        return np.asarray(up * spearman(a, b, w) - down * spearman(c, b, w))

    return _interval(float(gained(ones)[0]), gained(weights), draws.confidence)


def _by_models(scores: Mapping[str, np.ndarray], known: np.ndarray) -> list[tuple[np.ndarray, list[str]]]:
    """Scores that the same models have, together: (mask (N,), names)."""
    found: dict[bytes, tuple[np.ndarray, list[str]]] = {}
    for name, x in scores.items():
        mask = np.isfinite(x) & known
        found.setdefault(mask.tobytes(), (mask, []))[1].append(name)
    return list(found.values())


def _correlation(statistic: Callable[[np.ndarray], np.ndarray], weights: np.ndarray, confidence: float) -> Correlation:
    value = float(statistic(np.ones((1, weights.shape[1])))[0])
    if not np.isfinite(value):
        return Correlation.undefined("not every one of these numbers varies over the models", confidence)
    if abs(value) > 1 - _ROUNDING:
        why = "the orders agree without exception, which no resample can put in doubt: see p"
        return Correlation(value, np.nan, np.nan, np.nan, confidence, why)
    return Correlation(**vars(_interval(value, statistic(weights), confidence)))


def _interval(value: float, drawn: np.ndarray, confidence: float) -> Estimate:
    """Percentile bootstrap: of those tried on 10 to 30 models, recipes or not, the narrowest that held what it said."""
    if not np.isfinite(value):
        return Estimate.undefined("not every one of these numbers varies over the models", confidence)
    drawn = drawn[np.isfinite(drawn)]
    if len(drawn) < _FEWEST_RESAMPLES:
        return Estimate(value, np.nan, np.nan, np.nan, confidence, "too few resamples vary to give it an interval")
    low, high = np.quantile(drawn, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Estimate(value, float(drawn.std(ddof=1)), float(low), float(high), confidence)


def _nothing(reason: str, draws: Draws) -> _Untested:
    return _Untested(Correlation.undefined(reason, draws.confidence), np.zeros(draws.n_permutations))


def _tested(found: Mapping[str, _Untested], draws: Draws) -> dict[str, Correlation]:
    """The correlations with their p-values, one by one and allowed for all scores by the max statistic.

    Westfall & Young 1993, single step: the largest absolute correlation of each permutation over all scores.
    """
    nulls = {name: np.nan_to_num(np.abs(one.null)) for name, one in found.items()}
    largest = np.max(list(nulls.values()), axis=0, initial=0.0)
    return {
        name: replace(
            one.correlation,
            p=_share_above(nulls[name], one.correlation.value),
            p_max=_share_above(largest, one.correlation.value),
            null=float(np.quantile(nulls[name], draws.confidence)),
        )
        if np.isfinite(one.correlation.value)
        else one.correlation
        for name, one in found.items()
    }


def _share_above(null: np.ndarray, value: float) -> float:
    """Permutation p-value; the data as they are count as one of the permutations."""
    return float((1 + (null >= abs(value) - _ROUNDING).sum()) / (1 + len(null)))
