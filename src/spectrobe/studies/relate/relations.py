"""Every score against one measure, all told; and what comes of choosing the best of the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from spectrobe.studies.relate.correlate import (
    FEWEST,
    Draws,
    Models,
    over_clean,
    spearman_and_kendall,
    spearman_given_clean,
)
from spectrobe.studies.relate.ranks import signs, spearman
from spectrobe.studies.relate.relation import Choice, Range, Relation
from spectrobe.studies.relate.resampling import left_out


def relations(
    scores: Mapping[str, np.ndarray], measure: str, y: np.ndarray, models: Models, subset: str, draws: Draws
) -> list[Relation]:
    """Every score (N,) against the measure y (N,), NaN where a model lacks a number; in the order of `scores`."""
    rho, tau = spearman_and_kendall(scores, y, models, draws)
    partial = spearman_given_clean(scores, y, models, draws)
    made = []
    for name, x in scores.items():
        known = np.isfinite(x) & np.isfinite(y)
        some, a, b = models.some(known), signs(x[known]), signs(y[known])
        enough = len(b) >= FEWEST
        one, recipe = (spearman(a, b, left_out(unit)) for unit in (np.arange(len(b)), some.recipe))
        made.append(
            Relation(
                score=name,
                measure=measure,
                subset=subset,
                n_models=len(b),
                n_recipes=len(set(some.recipes)),
                missing=tuple(model for model, has in zip(models.names, known, strict=True) if not has),
                spearman=rho[name],
                kendall=tau[name],
                partial=partial[name],
                over_clean=over_clean(name, x, y, models, draws),
                leave_one_out=_range(one, some.names) if enough else Range(),
                leave_recipe_out=_range(recipe, sorted(set(some.recipes))) if enough else Range(),
                held_out=held_out_r2([x[known]], y[known], some.recipe)[0],
            )
        )
    return made


def choose(scores: Mapping[str, np.ndarray], measure: str, y: np.ndarray, models: Models, subset: str) -> Choice | None:
    """The score of largest |rho|, chosen anew without each recipe and tried on it; None where there are too few models.

    Scores that a model lacks are not up for choice.
    """
    known = np.isfinite(y)
    complete = {name: x[known] for name, x in scores.items() if np.isfinite(x[known]).all()}
    some = models.some(known)
    if not complete or known.sum() < FEWEST or len(set(some.recipes)) < FEWEST:
        return None
    held_out, chosen = held_out_r2(list(complete.values()), y[known], some.recipe)
    if not chosen:
        return None
    names = list(complete)
    return Choice(
        measure=measure,
        subset=subset,
        n_scores=len(names),
        best=names[_best([signs(x) for x in complete.values()], signs(y[known]), np.ones(int(known.sum())))],
        without={recipe: names[k] for recipe, k in zip(sorted(set(some.recipes)), chosen, strict=True)},
        held_out=held_out,
    )


def held_out_r2(scores: Sequence[np.ndarray], y: np.ndarray, recipe: np.ndarray) -> tuple[float, list[int]]:
    """R2 of ranks predicted for each recipe's models from the other recipes' by the best of the scores, and which.

    The score of largest |rho| among the models kept, a line through their ranks; the models left out are placed between
    them. scores: (n,) each, y: (n,).
    """
    each, b = [signs(x) for x in scores], signs(y)
    error = total = 0.0
    chosen = []
    for keep in left_out(recipe):
        inside = keep > 0
        if inside.sum() < FEWEST:
            return np.nan, []
        best = _best(each, b, keep)
        rank_x, rank_y = each[best] @ keep, b @ keep
        along = float((rank_x[inside] ** 2).sum())
        slope = float((rank_x[inside] * rank_y[inside]).sum()) / along if along > 0 else 0.0
        error += float(((rank_y - slope * rank_x)[~inside] ** 2).sum())
        total += float((rank_y[~inside] ** 2).sum())
        chosen.append(best)
    return (1 - error / total if total > 0 else np.nan), chosen


def _best(scores: Sequence[np.ndarray], measure: np.ndarray, keep: np.ndarray) -> int:
    """Which of the scores has the largest |rho| with the measure on the models that count; all as signs (n, n)."""
    if len(scores) == 1:
        return 0
    return int(np.argmax([np.nan_to_num(abs(spearman(a, measure, keep[None])[0])) for a in scores]))


def _range(values: np.ndarray, names: Sequence[str]) -> Range:
    if not np.isfinite(values).any():
        return Range()
    low, high = int(np.nanargmin(values)), int(np.nanargmax(values))
    return Range(float(values[low]), float(values[high]), names[low], names[high])
