"""The answers to docs/protocol.md as Markdown, for docs/evidence.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

import spectrobe as sb
from benchmarks.zoo import answers
from benchmarks.zoo import questions as q
from spectrobe.studies.relate.relation import Range
from spectrobe.studies.relate.wording import correlation


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def zoo(entries: Mapping[str, Mapping[str, Any]]) -> str:
    """What the models reach."""
    head = ["model", "recipe", "seed", "clean", "PGD-20 2/255", "4/255", "8/255"]
    rows = [
        [name, e["group"], e["seed"], f"{e['accuracy']:.3f}", *(f"{e[f'pgd20_{k}']:.3f}" for k in (2, 4, 8))]
        for name, e in entries.items()
    ]
    found = answers.zoo(entries)
    standard = ", ".join(f"{value:.3f}" for value in found["standard"].values()) or "none"
    strongest = "none" if found["strongest"] is None else f"{found['strongest']:.3f}"
    should = "as it should be" if found["as it should be"] else "not as it should be"
    return (
        f"{table(head, rows)}\n\nUnder PGD-20 at 8/255 the strongest adversarially trained model keeps {strongest} "
        f"(above 0.2 was asked for), the standard ones {standard} (below 0.05): the zoo is {should}."
    )


def spread(result: sb.RelateResult) -> str:
    """How many models each measure tells apart."""
    rows = []
    for name, measure in result.measures.items():
        values = measure.values
        share = "" if measure.kind == "distance" else q.spread(result, name)
        rows.append(
            [name, f"{np.nanmin(values):.3f}", f"{np.nanmedian(values):.3f}", f"{np.nanmax(values):.3f}", share]
        )
    head = ["measure", "lowest", "median", "highest", "models between 5 and 95 % of their clean accuracy"]
    return table(head, rows)


def scores(result: sb.RelateResult, measure: str, subset: str = "") -> str:
    """Every score against one measure, the strongest first."""
    found = [one for one in result.relations if (one.measure, one.subset) == (measure, subset)]
    rows = []
    for one in sorted(found, key=lambda one: -np.nan_to_num(abs(one.spearman.value))):
        out, recipe = one.leave_one_out, one.leave_recipe_out
        rows.append(
            [
                one.score,
                one.n_models,
                correlation(one.spearman),
                _p(one.spearman.p),
                _p(one.spearman.p_max),
                correlation(one.kendall),
                correlation(one.partial),
                _range(out),
                _range(recipe),
                "" if np.isnan(one.held_out) else f"{one.held_out:.2f}",
            ]
        )
    head = [
        "score",
        "n",
        "Spearman",
        "p",
        "p, all",
        "Kendall",
        "given clean",
        "one model less",
        "one recipe less",
        "R2",
    ]
    return table(head, rows)


def question_1(result: sb.RelateResult, letter: str, measure: str) -> str:
    """Which score predicts best, in words."""
    found = q.question_1(result, measure)
    if found is None:
        return f"{letter} ({measure}): no score can be related to it."
    said = f"**{letter}** ({measure}): {found.best.score}, Spearman {correlation(found.best.spearman)}; it "
    said += "predicts" if found.predicts else f"does not count as predicting ({'; '.join(found.why)})"
    if found.without_at is not None:
        alone = found.without_at.spearman
        said += f"; without `at` {correlation(alone)}"
        if alone.low <= 0 <= alone.high:
            said += " (as far as adversarially trained models are among them)"
    more = ", ".join(f"{name} by {_difference(gain)}" for name, gain in found.more_than.items())
    return f"{said}. |rho| higher than that of {more}. R2 of the choice, recipes left out: {found.held_out:.2f}."


def question_2(result: sb.RelateResult, measures: Sequence[str]) -> str:
    """Whether scores under the perturbation beat the one-size scores."""
    rows: list[list[object]] = []
    for measure in measures:
        for name, differences in q.question_2(result, measure).items():
            one = result.relation(name, measure)
            holds, _ = q.predicts(one)
            for other, gain in differences.items():
                cells = [measure, name, correlation(one.spearman), "yes" if holds else "no"]
                rows.append([*cells, other, _difference(gain), q.verdict(gain)])
    return table(["measure", "score", "Spearman", "predicts", "against", "|rho| higher by", "beats it"], rows)


def question_3(found: Mapping[tuple[str, str, int], float]) -> str:
    """How many forward passes keep the order of the models."""
    passes = sorted({p for _, _, p in found})
    keys = list(dict.fromkeys((design, score) for design, score, _ in found))
    rows = [
        [
            f"{score}, {design}",
            *(f"{found[design, score, p]:.2f}" if (design, score, p) in found else "" for p in passes),
        ]
        for design, score in keys
    ]
    fewest = "; ".join(
        f"{score}, {design}: {'none of these' if p is None else f'{p:,}'}"
        for (design, score), p in q.fewest_passes(found).items()
    )
    head = ["mean tau at forward passes a model", *(f"{p:,}" for p in passes)]
    return f"{table(head, rows)}\n\nFewest with a mean tau of at least {q.GOOD_TAU}: {fewest}."


def question_4(own: float, others: np.ndarray, difference: sb.Estimate) -> str:
    """Whether two seeds are closer than two recipes."""
    seeds = answers.SEEDS
    share = float((others <= own).mean())
    answer = "yes" if share <= 0.05 else "no"
    apart = "tells them apart" if difference.low > 0 or difference.high < 0 else "does not tell them apart"
    return (
        f"{seeds[0]} and {seeds[1]}: distance {own:.3f}; {len(others)} pairs of other recipes: {others.min():.3f} to "
        f"{others.max():.3f}, of which {share:.0%} are as close. Closer: {answer}. Their scores differ by "
        f"{difference.value:.3f} [{difference.low:.3f}, {difference.high:.3f}]: `compare` {apart}."
    )


def question_5(found: Mapping[str, tuple[Mapping[tuple[str, str], float], float]]) -> str:
    """Whether the absences agree on the order of the models."""
    rows: list[list[object]] = []
    for score, (taus, w) in found.items():
        agree = "yes" if min(taus.values()) >= 0.8 else "no"
        rows.append([score, *(f"{tau:.2f}" for tau in taus.values()), f"{w:.2f}", agree])
    pairs = [f"tau {a}, {b}" for a, b in next(iter(found.values()))[0]]
    return table(["score", *pairs, "Kendall's W", "agree"], rows)


def defaults(result: sb.RelateResult, measures: Sequence[str]) -> str:
    """What the rule for the defaults says."""
    new = q.new_default(result, measures)
    if new == q.DEFAULT:
        return f"The rule keeps the default: `{q.DEFAULT}`."
    return f"The rule makes `{new}` the default in place of `{q.DEFAULT}`."


def report(
    result: sb.RelateResult,
    entries: Mapping[str, Mapping[str, Any]],
    results: Mapping[str, Mapping[str, sb.DecomposeResult]],
) -> Iterator[tuple[str, str, Any]]:
    """The whole of it, a part at a time: a name, what it says as Markdown, and its numbers.

    results: absence -> model -> decomposition.
    """
    own = results["mean"]
    yield "zoo", "### The zoo\n\n" + zoo(entries), answers.zoo(entries)
    yield "spread", "### Spread\n\n" + spread(result), answers.spread(result)
    decided = {letter: q.deciding(result, letter) for letter in q.PRIMARY}
    measures = [measure for measure in decided.values() if measure is not None]
    tables = []
    for letter, measure in decided.items():
        if measure is None:
            tables.append(f"### {letter}\n\nNo measure has the spread that the protocol asks for: nothing is decided.")
            continue
        tables.append(f"### Scores against {measure}\n\n{scores(result, measure)}")
        if q.WITHOUT in result.subsets:
            tables.append(f"#### The same without `at`\n\n{scores(result, measure, q.WITHOUT)}")
    said = [question_1(result, letter, measure) for letter, measure in decided.items() if measure is not None]
    text = "\n\n".join([*tables, "### 1. Which score predicts best?", *said])
    yield "question-1", text, {measure: answers.question_1(result, measure) for measure in measures}
    if measures:
        text = "### 2. Scores under the perturbation\n\n" + question_2(result, measures)
        yield "question-2", text, answers.question_2(result, measures)
    taus = q.question_3(own)
    text = "### 3. How few forward passes keep the order?\n\n" + question_3(taus)
    yield "question-3", text, answers.question_3(taus)
    residual = {name: one for name, one in own.items() if entries[name]["architecture"] == "resnet"}
    if set(answers.SEEDS) <= set(residual):
        recipes = {name: entries[name]["group"] for name in residual}
        four = q.question_4(residual, recipes, answers.SEEDS)
        text = "### 4. Two seeds and two recipes\n\n" + question_4(*four)
        yield "question-4", text, answers.question_4(*four)
    five = q.question_5(results)
    yield "question-5", "### 5. Do the absences agree?\n\n" + question_5(five), answers.question_5(five)
    if len(measures) == len(decided):
        text = "### Defaults\n\n" + defaults(result, measures)
        yield "defaults", text, {"was": q.DEFAULT, "rule says": q.new_default(result, measures)}
    others = {measure: result.best(measure) for measure in result.measures if measure not in measures}
    best = {measure: one for measure, one in others.items() if one is not None}
    rows = [[name, one.score, correlation(one.spearman), _p(one.spearman.p_max)] for name, one in best.items()]
    head = ["measure", "score", "Spearman", "p, all"]
    text = "### Other measures: the score that goes best with each\n\n" + table(head, rows)
    yield "other-measures", text, {name: one.to_dict() for name, one in best.items()}


def _range(found: Range) -> str:
    return "" if np.isnan(found.low) else f"{found.low:.2f} to {found.high:.2f}"


def _difference(estimate: sb.Estimate) -> str:
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def _p(p: float) -> str:
    return "" if np.isnan(p) else f"{p:.4f}" if p < 0.01 else f"{p:.2f}"
