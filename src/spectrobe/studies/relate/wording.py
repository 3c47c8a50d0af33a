"""A result of relate in plain words and as flat rows, made from the numbers; it may say that nothing can be said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from spectrobe.studies.words import percent

if TYPE_CHECKING:
    from spectrobe.game.intervals import Estimate
    from spectrobe.studies.relate.relation import Range, Relation
    from spectrobe.studies.relate.result import RelateResult

SMALL_P = 0.05


def summary(result: RelateResult) -> str:
    """What was related, a sentence a measure (and subset), and what to know."""
    lines = [headline(result), ""]
    for subset in result.subsets:
        for measure in result.measures:
            lines.append(sentence(result, measure, subset))
    return "\n".join([*lines, *remarks(result)])


def headline(result: RelateResult) -> str:
    """How many of what."""
    recipes = len(set(result.recipes))
    return (
        f"{result.n_models} models of {recipes} recipes, {len(result.scores)} scores, {len(result.measures)} measured "
        f"robustnesses; {percent(result.confidence)} intervals and p-values over recipes"
    )


def sentence(result: RelateResult, measure: str, subset: str = "") -> str:
    """Which score goes best with a measure, and how far that can be believed."""
    best = result.best(measure, subset)
    where = f"{measure}{f' ({subset})' if subset else ''}"
    if best is None:
        return f"{where}: no score can be related to it."
    choice = result.choice(measure, subset)
    rho = best.spearman
    tried = choice.n_scores if choice is not None else 1
    said = f"{where}: of {tried} scores {best.score} goes best with it, Spearman {correlation(rho)}, "
    said += f"p = {rho.p_max:.2g} allowing for all scores tried; given clean accuracy {correlation(best.partial)}"
    if choice is not None and np.isfinite(choice.held_out):
        said += (
            f". Chosen without a recipe and tried on it, scores predict ranks with R2 {choice.held_out:.2f}, and "
            f"{round(choice.agreement * len(choice.without))} of {len(choice.without)} times it is this one"
        )
    if not result.claims or best.n_models < 10:
        return f"{said}. With {best.n_models} models nothing is claimed."
    if not rho.p_max <= SMALL_P:
        return f"{said}. These models cannot tell it from chance."
    return f"{said}. {_against_clean(best)}"


def _against_clean(best: Relation) -> str:
    gain = best.over_clean
    if np.isnan(gain.low):
        return "Whether it says more than clean accuracy cannot be told."
    amount = f"|rho| higher by {gain.value:.2f} [{gain.low:.2f}, {gain.high:.2f}]"
    if gain.low > 0:
        return f"It says more than clean accuracy: {amount}."
    return f"It is not shown to say more than clean accuracy: {amount}."


def correlation(estimate: Estimate) -> str:
    """A correlation with its interval."""
    if np.isnan(estimate.value):
        return "not defined"
    if np.isnan(estimate.low):
        return f"{estimate.value:.2f} [no interval]"
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def remarks(result: RelateResult) -> list[str]:
    """Warnings, and who was left out: a line each."""
    lines = [f"warning: {warning}" for warning in result.warnings]
    lines += [f"left out: {name}: {why}" for name, why in result.left_out.items()]
    lacking: dict[tuple[str, ...], list[str]] = {}
    for one in result.relations:
        if one.missing and one.measure not in lacking.setdefault(one.missing, []):
            lacking[one.missing].append(one.measure)
    return lines + [
        f"without {', '.join(models)} for some scores of {', '.join(measures[:3])}"
        + (f" and {len(measures) - 3} more" if len(measures) > 3 else "")
        + ": a number is missing"
        for models, measures in lacking.items()
    ]


def frame_rows(result: RelateResult) -> list[dict[str, Any]]:
    """A dict a relation."""
    rows = []
    for one in result.relations:
        row: dict[str, Any] = {
            "score": one.score,
            "measure": one.measure,
            "subset": one.subset,
            "models": one.n_models,
            "recipes": one.n_recipes,
        }
        for kind in ("spearman", "kendall", "partial"):
            found = getattr(one, kind)
            row |= {kind: found.value, f"{kind}_low": found.low, f"{kind}_high": found.high}
            row |= {f"{kind}_p": found.p, f"{kind}_p_max": found.p_max, f"{kind}_null": found.null}
        row |= {"over_clean": one.over_clean.value}
        row |= {"over_clean_low": one.over_clean.low, "over_clean_high": one.over_clean.high}
        row |= _range("leave_one_out", one.leave_one_out) | _range("leave_recipe_out", one.leave_recipe_out)
        rows.append(row | {"held_out_r2": one.held_out, "missing": ", ".join(one.missing)})
    return rows


def _range(name: str, found: Range) -> dict[str, Any]:
    return {
        f"{name}_low": found.low,
        f"{name}_high": found.high,
        f"{name}_low_without": found.low_without,
        f"{name}_high_without": found.high_without,
    }
