"""The answers to docs/protocol.md as numbers, a JSON-able mapping a question: what docs/evidence.md quotes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

import spectrobe as sb
from benchmarks.zoo import questions as q
from spectrobe.studies.relate.relation import Relation

STANDARD, STRONGEST = "standard", "resnet-at-8"
SEEDS = ("resnet-standard", "resnet-standard-seed1")


def zoo(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Whether the zoo is as it should be: the strongest adversarially trained model, and the standard ones."""
    at_8 = {name: entry["pgd20_8"] for name, entry in entries.items()}
    standard = {name: at_8[name] for name, entry in entries.items() if entry["recipe"] == STANDARD}
    strongest = at_8.get(STRONGEST)
    as_it_should = strongest is not None and strongest > 0.2 and all(value < 0.05 for value in standard.values())
    return {"models": dict(entries), "strongest": strongest, "standard": standard, "as it should be": as_it_should}


def spread(result: sb.RelateResult) -> dict[str, Any]:
    """Measure -> every model's number, and how many models keep between 5 and 95 % of their clean accuracy."""
    return {
        name: {
            "values": dict(zip(result.models, measure.values.tolist(), strict=True)),
            "between": None if measure.kind == "distance" else q.spread(result, name),
        }
        for name, measure in result.measures.items()
    }


def question_1(result: sb.RelateResult, measure: str) -> dict[str, Any]:
    """Every score against the measure, with and without `at`; the best, and whether it predicts."""
    subsets = {subset: _relations(result, measure, subset) for subset in result.subsets}
    found = q.question_1(result, measure)
    if found is None:
        return {"relations": subsets, "best": None}
    return {
        "relations": subsets,
        "best": found.best.score,
        "predicts": found.predicts,
        "why not": list(found.why),
        "more than": {name: asdict(gain) for name, gain in found.more_than.items()},
        "R2 of the choice": found.held_out,
    }


def question_2(result: sb.RelateResult, measures: Sequence[str]) -> dict[str, Any]:
    """Measure -> score under the perturbation -> what it gains on others, and whether it predicts."""
    return {
        measure: {
            name: {
                "predicts": q.predicts(result.relation(name, measure))[0],
                "gains": {other: asdict(gain) | {"verdict": q.verdict(gain)} for other, gain in gains.items()},
            }
            for name, gains in q.question_2(result, measure).items()
        }
        for measure in measures
    }


def question_3(found: Mapping[tuple[str, str, int], float]) -> dict[str, Any]:
    """Design and score -> forward passes -> mean tau, and the fewest that are enough."""
    rows: dict[str, dict[int, float]] = {}
    for (design, score, passes), tau in found.items():
        rows.setdefault(f"{score}, {design}", {})[passes] = tau
    fewest = {f"{score}, {design}": passes for (design, score), passes in q.fewest_passes(found).items()}
    return {"mean tau": rows, "fewest": fewest}


def question_4(own: float, others: np.ndarray, difference: sb.Estimate) -> dict[str, Any]:
    """Distance of the two seeds, of every pair of other recipes, and the difference of the seeds' scores."""
    return {"seeds": own, "recipes": sorted(others.tolist()), "difference of scores": asdict(difference)}


def question_5(found: Mapping[str, tuple[Mapping[tuple[str, str], float], float]]) -> dict[str, Any]:
    """Score -> tau of each pair of absences, and Kendall's W."""
    return {
        score: {"tau": {f"{a}, {b}": tau for (a, b), tau in taus.items()}, "W": w} for score, (taus, w) in found.items()
    }


def _relations(result: sb.RelateResult, measure: str, subset: str) -> list[dict[str, Any]]:
    own: list[Relation] = [one for one in result.relations if (one.measure, one.subset) == (measure, subset)]
    return [one.to_dict() for one in sorted(own, key=lambda one: -np.nan_to_num(abs(one.spearman.value)))]
