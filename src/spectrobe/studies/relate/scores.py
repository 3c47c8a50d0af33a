"""The scored side: every score of every decomposition under every value, baselines, numbers of other studies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from spectrobe.errors import InputError
from spectrobe.game.fit import fit
from spectrobe.game.intervals import Estimate, Replicates
from spectrobe.game.scores import score_functions
from spectrobe.game.values import make_value
from spectrobe.perturbations.registry import lookup
from spectrobe.studies.decompose.result import DecomposeResult
from spectrobe.studies.decompose.summary import replicates_of, summarise
from spectrobe.studies.relate.columns import BASELINE, SCORE, Column, column
from spectrobe.studies.relate.gather import ModelRuns, Run
from spectrobe.studies.score_under import modulus_of, scores_at
from spectrobe.studies.snr.result import SnrResult

VALUES = ("usable-information", "log-likelihood", "accuracy")
"""Under which every score is computed, all from the stored table."""
UNDER = ("perturbation-aware", "surviving-information")
_LACKING = "no decomposition with this absence"


@dataclass(frozen=True)
class Scored:
    """A decomposition under one value, without its table.   replicates: of its Shapley values, where asked for."""

    result: DecomposeResult
    replicates: Replicates | None


Results = Mapping[tuple[str, str], Sequence[Scored | None]]
"""(value, absence) -> each model's decomposition, None where it has none."""


def revalued(models: Sequence[ModelRuns], values: Sequence[str], replicates: bool) -> Results:
    """Every decomposition under each value, from its stored table; without labels, under its own value alone.

    replicates: of the bootstrap too, which scores under a perturbation need.
    """
    absences = dict.fromkeys(run.result.absence for model in models for run in model.decompositions)
    found: dict[tuple[str, str], list[Scored | None]] = {}
    for absence in absences:
        own = [next((r.result for r in model.decompositions if r.result.absence == absence), None) for model in models]
        wanted = _values(own, values)
        for one in own:
            scored = {} if one is None else _under(one, wanted, replicates)
            for value in wanted:
                found.setdefault((value, absence), []).append(scored.get(value))
    return found


def score_columns(results: Results) -> list[Column]:
    """A column for each score, value and absence: `signed/usable-information/mean`."""
    columns = []
    for (value, absence), found in results.items():
        bands = next(one.result for one in found if one is not None).bands
        for score in score_functions(bands):
            estimates = [None if one is None else one.result.scores[score] for one in found]
            kind = BASELINE if score == "information" else SCORE
            columns.append(column(f"{score}/{value}/{absence}", estimates, kind, _LACKING))
    return sorted(columns, key=lambda one: one.kind == BASELINE)


def number_columns(models: Sequence[ModelRuns]) -> list[Column]:
    """Single numbers of other studies' runs, as baselines: a column a name."""
    found: dict[str, dict[int, Estimate]] = {}
    for place, model in enumerate(models):
        for run in model.others:
            for name, number in run.result.numbers.items():
                if place in found.setdefault(name, {}):
                    raise InputError(f"{model.title} has {name!r} from two runs, one of them {run.where}; give one")
                found[name][place] = number
    places = range(len(models))
    return [column(name, [by.get(p) for p in places], BASELINE, "not measured") for name, by in found.items()]


class Moduli:
    """What perturbations leave of the bands: of the same images for all models, or of each model's own attack."""

    def __init__(self, runs: Sequence[Run], models: Sequence[ModelRuns]) -> None:
        """runs: of snr. An attack measured on one model alone stands for all, and is named in `warnings`."""
        self.models = models
        self.shared: dict[str, SnrResult] = {}
        self.own: dict[str, dict[str, SnrResult]] = {}
        for run in runs:
            for name, result in run.result.results.items():
                if _is_attack(name):
                    self.own.setdefault(name, {})[result.settings.model_name] = result
                elif name in self.shared:
                    raise InputError(f"{name} is in two SNR runs, one of them {run.where}; give one")
                else:
                    self.shared[name] = result
        self.warnings = [
            f"what {name} leaves of the bands was measured on {next(iter(by))} alone and stands for all models"
            for name, by in self.own.items()
            if len(by) == 1 and len(models) > 1
        ]

    def of(self, place: int, conditions: Sequence[str]) -> list[SnrResult]:
        """The SNR results of one model for the conditions of a measure; those there are."""
        found = []
        for name in conditions:
            by_model = self.own.get(name, {})
            own = [result for model, result in by_model.items() if model in self.models[place].names]
            found += own or ([*by_model.values()] if len(by_model) == 1 else [])
            found += [self.shared[name]] if name in self.shared else []
        return found


def matched_columns(results: Results, moduli: Moduli, measures: Sequence[Column]) -> list[Column]:
    """Perturbation-aware and surviving-information, for each measure with the modulus of what it measures under."""
    columns: list[Column] = []
    for (value, absence), found in results.items():
        for measure in measures:
            pairs: list[tuple[Estimate, Estimate] | None] = []
            for place, one in enumerate(found):
                snr = moduli.of(place, measure.conditions)
                if one is None or one.replicates is None or not snr:
                    pairs.append(None)
                    continue
                mu = np.mean([modulus_of(result, one.result.bands) for result in snr], axis=0)
                pairs.append(scores_at(mu, one.result, one.replicates))
            if any(pairs):
                columns += _pair(pairs, f"{value}/{absence}", measure.name)
    return columns


def _pair(pairs: Sequence[tuple[Estimate, Estimate] | None], suffix: str, measure: str) -> Iterator[Column]:
    for k, name in enumerate(UNDER):
        estimates = [None if pair is None else pair[k] for pair in pairs]
        yield column(f"{name}/{suffix}", estimates, SCORE, "no SNR run for this measure", measure=measure)


def _values(own: Sequence[DecomposeResult | None], values: Sequence[str]) -> list[str]:
    there = [one for one in own if one is not None]
    if not all(one.settings.labelled for one in there):
        return list(dict.fromkeys(one.value for one in there))
    return list(dict.fromkeys([*values, *(one.value for one in there)]))


def _under(result: DecomposeResult, values: Sequence[str], replicates: bool) -> dict[str, Scored]:
    """The result with each value, its table read once; its own too where it is of a version with fewer scores."""
    table = result.table()
    chunks = tuple(table.chunks())
    held = replace(table, chunks=lambda: iter(chunks))
    complete = set(score_functions(result.bands)) <= set(result.scores)
    found = {}
    for value in values:
        settings = replace(result.settings, value=value)
        one = result
        if value != result.value or not complete:
            one = summarise(held, settings, result.forward_passes, result.skipped, ())
        drawn = None
        if replicates:
            drawn = replicates_of(held, settings, fit(held, settings.make_design(), make_value(value)))
        found[value] = Scored(replace(one, _payoffs=None), drawn)
    return found


def _is_attack(name: str) -> bool:
    try:
        return lookup(name.partition(":")[0]).needs_model
    except InputError:
        return False  # the name of a perturbed data set
