"""The measured side: what robustness runs and clean images say of each model, a column a measure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from spectrobe.errors import InputError
from spectrobe.game.intervals import Estimate
from spectrobe.perturbations.attacks.norms import written_eps
from spectrobe.studies.relate.columns import Column, column
from spectrobe.studies.relate.comparable import measured_images
from spectrobe.studies.relate.gather import ModelRuns
from spectrobe.studies.robustness.conditions import Condition
from spectrobe.studies.robustness.result import RobustnessResult
from spectrobe.studies.robustness.summary import corruption_families, curves

MEAN_CORRUPTION = "mean-corruption-accuracy"
_LACKING = "not measured"


@dataclass(frozen=True)
class _Measured:
    """One measure of one model."""

    name: str
    estimate: Estimate
    kind: str
    conditions: tuple[str, ...]
    headline: bool


def measure_columns(models: Sequence[ModelRuns]) -> list[Column]:
    """Every measure that a robustness run of any model has; larger is more robust. Headlines first.

    Raises InputError where a measure sums up other conditions for one model than for another.
    """
    found: dict[str, dict[int, _Measured]] = {}
    for place, model in enumerate(models):
        for run in model.robustness:
            for one in _of_run(run.result):
                found.setdefault(one.name, {})[place] = one
    columns = []
    for name, by_place in found.items():
        first_place, first = next(iter(by_place.items()))
        for place, one in by_place.items():
            if one.conditions != first.conditions:
                differing = ", ".join(sorted(set(one.conditions) ^ set(first.conditions)))
                raise InputError(
                    f"these runs cannot be related: {name} is over other conditions for {models[first_place].title} "
                    f"than for {models[place].title} ({differing}); measure both alike"
                )
        estimates = [by_place[place].estimate if place in by_place else None for place in range(len(models))]
        columns.append(
            column(name, estimates, first.kind, _LACKING, conditions=first.conditions, headline=first.headline)
        )
    return sorted(columns, key=lambda one: not one.headline)


def clean_accuracy(models: Sequence[ModelRuns]) -> list[Estimate | None]:
    """Accuracy on the clean images that most models share (of several such sets the largest); else decompose's own."""
    sets: dict[tuple[str, ...], dict[int, Estimate]] = {}
    for place, model in enumerate(models):
        for run in model.robustness:
            if run.result.clean is not None:
                ids = tuple(sorted(image_id for image_id, _ in measured_images(run.result).values()))
                sets.setdefault(ids, {})[place] = run.result.clean
    if sets:
        best = max(sets, key=lambda ids: (len(sets[ids]), len(ids)))
        return [sets[best].get(place) for place in range(len(models))]
    return [model.decompositions[0].result.accuracy if model.decompositions else None for model in models]


def _of_run(result: RobustnessResult) -> Iterator[_Measured]:
    conditions = result.conditions
    families = corruption_families(conditions)
    if result.mean_corruption_error is not None and len(families) > 1:
        names = tuple(conditions[j].name for columns in families.values() for j in columns)
        yield _Measured(MEAN_CORRUPTION, _right(result.mean_corruption_error), "accuracy", names, True)
    for family, error in result.corruption_error.items():
        names = tuple(conditions[j].name for j in families.get(family, []))
        name = names[0] if len(names) == 1 else family
        yield _Measured(f"accuracy/{name}", _right(error), "accuracy", names, len(families) == 1)
    swept = {family: columns for family, columns in curves(conditions, result.failed).items() if family in result.area}
    for family, area in result.area.items():
        names = tuple(conditions[j].name for j in swept[family])
        yield _Measured(f"area/{family}", area, "area", names, conditions[swept[family][0]].kind == "attack")
    for name, worst in result.worst_case.items():
        attacks = tuple(c.name for c in conditions if c.kind == "attack" and _ball(c) == name)
        yield _Measured(f"worst-case/{name}", worst, "accuracy", attacks, False)
    for name, distance in result.median_distance.items():
        yield _Measured(f"distance/{name}", distance, "distance", (name,), True)
    in_families = {conditions[j].name for columns in families.values() for j in columns}
    for condition in conditions:
        if condition.name not in in_families and condition.kind != "minimum-norm":
            headline = condition.kind in ("folder", "other") or (
                condition.kind == "attack" and condition.family not in result.area
            )
            accuracy = result.accuracy[condition.name]
            yield _Measured(f"accuracy/{condition.name}", accuracy, "accuracy", (condition.name,), headline)


def _ball(condition: Condition) -> str:
    return f"{condition.norm}:eps={written_eps(condition.eps or 0.0)}"


def _right(error: Estimate) -> Estimate:
    """Accuracy from an error."""
    return replace(error, value=1 - error.value, low=1 - error.high, high=1 - error.low)
