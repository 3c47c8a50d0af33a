"""The five questions of docs/protocol.md and its rule for the defaults, answered by the rules written there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy import stats

import spectrobe as sb
from spectrobe.game.coalitions import Design, ExactDesign, PermutationDesign
from spectrobe.game.fit import Payoffs, fit
from spectrobe.game.scores import clipped_share, score_functions
from spectrobe.game.table import PayoffTable
from spectrobe.game.values import make_value
from spectrobe.seeding import numpy_generator
from spectrobe.studies.relate.relation import Relation

PRIMARY = {
    "A": ("area/pgd_linf", "accuracy/pgd_linf:eps=1/255", "accuracy/pgd_linf:eps=2/255"),
    "C": ("mean-corruption-accuracy", "corruptions-severity-3"),
}
"""The measure that decides, and what takes its place where the zoo has no spread under it."""
ONLY = (
    "signed/*", "published/log-likelihood/*", "published-procedure", "low-band/usable-information/zero",
    "low-band/usable-information/mean", "entropy/log-likelihood/mean", "entropy/usable-information/mean",
    "centroid/usable-information/mean", "perturbation-aware/usable-information/mean",
    "surviving-information/usable-information/mean", "information/usable-information/mean", "high-pass accuracy",
    "gradient norm",
)  # fmt: skip
"""Patterns of the twenty scores and, with clean accuracy, four baselines."""
BASELINES = ("clean-accuracy", "information/usable-information/mean", "high-pass accuracy", "gradient norm")
DEFAULT = "signed/usable-information/mean"
UNDER = ("perturbation-aware/usable-information/mean", "surviving-information/usable-information/mean")
WITHOUT = "without at"
FEWEST_WITH_SPREAD, LOW, HIGH = 12, 0.05, 0.95
SMALL_P, GOOD_TAU = 0.05, 0.9
SUBSETS, DRAWS = (10, 20, 50, 100, 200, 300), 20


@dataclass(frozen=True)
class Verdict:
    """Question 1 for one measure. predicts: by the protocol's three conditions; why: those that fail."""

    best: Relation
    predicts: bool
    why: tuple[str, ...]
    more_than: Mapping[str, sb.Estimate]
    without_at: Relation | None
    held_out: float


def spread(result: sb.RelateResult, measure: str) -> int:
    """How many models keep between 5 and 95 % of their own clean accuracy."""
    share = result.measures[measure].values / result.clean.values
    return int(((share >= LOW) & (share <= HIGH)).sum())


def deciding(result: sb.RelateResult, letter: str) -> str | None:
    """The measure that decides for "A" or "C": the first with spread; None where there is none."""
    for measure in PRIMARY[letter]:
        if measure in result.measures and spread(result, measure) >= min(FEWEST_WITH_SPREAD, result.n_models):
            return measure
    return None


def predicts(relation: Relation) -> tuple[bool, tuple[str, ...]]:
    """Whether a score predicts by the protocol, and which conditions fail."""
    given, out = relation.partial, relation.leave_recipe_out
    kept = (
        (relation.spearman.p_max <= SMALL_P, f"p over all scores is {relation.spearman.p_max:.2g}"),
        (given.low > 0 or given.high < 0, "given clean accuracy, its interval holds 0, or there is none"),
        (out.low > 0 or out.high < 0, "rho changes sign when a recipe is left out"),
    )
    failing = tuple(why for holds, why in kept if not holds)
    return not failing, failing


def question_1(result: sb.RelateResult, measure: str) -> Verdict | None:
    """Which score goes best with a measure, and whether that counts."""
    best = result.best(measure)
    if best is None:
        return None
    holds, why = predicts(best)
    there = [name for name in BASELINES if name in result.scores]
    more = {name: result.difference(best.score, name, measure) for name in there}
    choice = result.choice(measure)
    without = result.relation(best.score, measure, WITHOUT) if WITHOUT in result.subsets else None
    return Verdict(best, holds, why, more, without, choice.held_out if choice is not None else np.nan)


def question_2(result: sb.RelateResult, measure: str) -> dict[str, dict[str, sb.Estimate]]:
    """Each score under the perturbation, against the default and against the best of the one-size scores."""
    columns = result.scores_for(measure)
    one_size = [
        one
        for one in result.relations
        if (one.measure, one.subset) == (measure, "")
        and columns[one.score].kind == "score"
        and one.score not in UNDER
        and np.isfinite(one.spearman.value)
    ]
    best = [one.score for one in sorted(one_size, key=lambda one: -abs(one.spearman.value))[:1]]
    others = dict.fromkeys((DEFAULT, *best))
    return {
        name: {other: result.difference(name, other, measure) for other in others if other in columns}
        for name in UNDER
        if name in columns
    }


def verdict(difference: sb.Estimate) -> str:
    """yes, no or undecided, by the interval."""
    return "yes" if difference.low > 0 else "no" if difference.high < 0 else "undecided"


def question_3(results: Mapping[str, sb.DecomposeResult]) -> dict[tuple[str, str, int], float]:
    """(design, score, forward passes) -> mean Kendall's tau with the order of all images, over draws of images.

    results: model -> exact decomposition, absence mean. The same images are drawn for every model.
    """
    orders: dict[tuple[str, str, int], list[list[float]]] = {}
    whole: dict[str, list[float]] = {}
    for result in results.values():
        table = _in_memory(result)
        functions = {name: score_functions(result.bands)[name] for name in ("signed", "low-band")}
        for name, function in functions.items():
            whole.setdefault(name, []).append(float(function(result.with_value("usable-information").shapley)))
        for n in (n for n in SUBSETS if n < len(table)):
            for draw in range(DRAWS):
                rows = numpy_generator(0, "images", n, draw).permutation(len(table))[:n]
                designs: tuple[Design, ...] = (ExactDesign(table.n_bands), PermutationDesign(table.n_bands, draw))
                for design in designs:
                    phi = _shapley(table, rows, design)
                    passes = n * (design.n_coalitions - 1)
                    for name, function in functions.items():
                        key = ("exact" if isinstance(design, ExactDesign) else "permutation", name, passes)
                        orders.setdefault(key, [[] for _ in range(DRAWS)])[draw].append(float(function(phi)))
    return {
        key: float(np.mean([stats.kendalltau(found, whole[key[1]]).statistic for found in draws]))
        for key, draws in orders.items()
    }


def fewest_passes(found: Mapping[tuple[str, str, int], float]) -> dict[tuple[str, str], int | None]:
    """(design, score) -> the fewest forward passes whose mean tau is at least .9; None where none is."""
    keys = dict.fromkeys((design, score) for design, score, _ in found)
    enough = {key: [p for (d, s, p), tau in found.items() if (d, s) == key and tau >= GOOD_TAU] for key in keys}
    return {key: min(passes, default=None) for key, passes in enough.items()}


def question_4(
    results: Mapping[str, sb.DecomposeResult], recipes: Mapping[str, str], seeds: tuple[str, str]
) -> tuple[float, np.ndarray, sb.Estimate]:
    """Distance of two seeds' profiles; of all pairs of other recipes; and the seeds' difference in score, paired."""
    shares = {name: clipped_share(result.shapley) for name, result in results.items()}
    pairs = [(a, b) for a, b in combinations(shares, 2) if recipes[a] != recipes[b]]
    distances = np.asarray([np.linalg.norm(shares[a] - shares[b]) for a, b in pairs])
    own = float(np.linalg.norm(shares[seeds[0]] - shares[seeds[1]]))
    return own, distances, sb.compare(results[seeds[0]], results[seeds[1]]).scores["signed"]


def question_5(
    results: Mapping[str, Mapping[str, sb.DecomposeResult]], value: str = "usable-information"
) -> dict[str, tuple[dict[tuple[str, str], float], float]]:
    """Score -> Kendall's tau between the orders of models under each pair of absences, and Kendall's W over all.

    results: absence -> model -> decomposition. From these rather than from `relate`, where only what may be chosen is
    tried. Models without a number under some absence do not count; fewer than two left give NaN.
    """
    valued = {a: [one.with_value(value) for one in by_model.values()] for a, by_model in results.items()}
    found = {}
    for score in ("signed", "low-band"):
        columns = np.asarray([[one.scores[score].value for one in models] for models in valued.values()])
        columns = columns[:, np.isfinite(columns).all(axis=0)]
        enough = columns.shape[1] > 1
        taus = {
            (a, b): float(stats.kendalltau(columns[i], columns[j]).statistic) if enough else np.nan
            for (i, a), (j, b) in combinations(enumerate(results), 2)
        }
        found[score] = taus, kendalls_w(columns) if enough else np.nan
    return found


def kendalls_w(columns: np.ndarray) -> float:
    """Kendall's coefficient of concordance of raters (R, N), corrected for ties: 1 = one order, 0 = none shared."""
    ranks = stats.rankdata(columns, axis=1)
    m, n = ranks.shape
    apart = ((ranks.sum(axis=0) - m * (n + 1) / 2) ** 2).sum()
    ties = sum(int((counts**3 - counts).sum()) for counts in (np.unique(r, return_counts=True)[1] for r in ranks))
    return float(12 * apart / (m**2 * (n**3 - n) - m * ties))


def new_default(result: sb.RelateResult, measures: Sequence[str]) -> str:
    """The score that becomes the default: first another value and absence of `signed`, then another score."""
    signed = [name for name in result.scores_for(measures[0]) if name.startswith("signed/")]
    chosen = _better(result, DEFAULT, signed, measures)
    free = [
        name
        for name, column in result.scores_for(measures[0]).items()
        if column.kind == "score" and name not in UNDER and not name.startswith("signed/")
    ]
    return _better(result, chosen, free, measures)


def _better(result: sb.RelateResult, default: str, candidates: Sequence[str], measures: Sequence[str]) -> str:
    """The candidate that is above the default under one measure and not below it under another; else the default."""
    able = []
    for name in candidates:
        if name == default:
            continue
        gains = [result.difference(name, default, measure) for measure in measures]
        if any(gain.low > 0 for gain in gains) and not any(gain.high < 0 for gain in gains):
            able.append((min(abs(result.relation(name, measure).spearman.value) for measure in measures), name))
    return max(able)[1] if able else default


def _in_memory(result: sb.DecomposeResult) -> PayoffTable:
    """The whole exact table in one piece, masks falling from the full coalition."""
    chunks = list(result.table().chunks())
    merged = {}
    for name in ("position", "label", "band_power", "coalition", "log_q", "predicted", "margin", "confidence"):
        merged[name] = np.concatenate([getattr(chunk, name) for chunk in chunks])
    ids, digest = ([text for chunk in chunks for text in getattr(chunk, name)] for name in ("ids", "digest"))
    return replace(chunks[0], ids=tuple(ids), digest=tuple(digest), **merged)


def _shapley(table: PayoffTable, rows: np.ndarray, design: Design) -> np.ndarray:
    """What a design would have found on some images of an exact table: (M,)."""
    picked = table.rows(rows)
    masks = np.stack([design.coalitions(image_id) for image_id in picked.ids])
    cell = (1 << table.n_bands) - 1 - masks
    at = np.arange(len(rows))[:, None]
    cells = {name: getattr(picked, name)[at, cell] for name in ("log_q", "predicted", "margin", "confidence")}
    order = np.argsort(picked.position)
    payoffs = Payoffs.of(replace(picked, coalition=masks, **cells).rows(order))
    return np.asarray(fit(payoffs, design, make_value("usable-information")).rows.mean(axis=0))
