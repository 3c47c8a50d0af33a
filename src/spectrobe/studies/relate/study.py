"""Does a score predict robustness? Rank correlations over models, with what choosing and relatedness do to them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from spectrobe.engine.progress import Progress, Silent
from spectrobe.errors import InputError
from spectrobe.game.intervals import check_confidence
from spectrobe.game.values import make_value
from spectrobe.studies.relate.columns import BASELINE, Column, column
from spectrobe.studies.relate.comparable import check_comparable
from spectrobe.studies.relate.correlate import CLEAN, FEWEST, Models
from spectrobe.studies.relate.gather import ModelRuns, Run, gather, snr_runs
from spectrobe.studies.relate.measures import clean_accuracy, measure_columns
from spectrobe.studies.relate.relations import choose, relations
from spectrobe.studies.relate.result import FEWEST_FOR_A_CLAIM, RelateResult, RelateSettings, scores_for
from spectrobe.studies.relate.scores import VALUES, Moduli, matched_columns, number_columns, revalued, score_columns
from spectrobe.studies.relate.tables import Table, read_table

Path = str | os.PathLike[str]


def relate(
    runs: Any,
    *,
    snr: Any = None,
    scores: Path | Mapping[str, Mapping[str, float]] | None = None,
    against: Path | Mapping[str, Mapping[str, float]] | None = None,
    model_column: str = "model",
    value_column: str | Sequence[str] | None = None,
    group_column: str | None = None,
    recipes: Mapping[str, str] | None = None,
    only: str | Sequence[str] = (),
    without: str | Sequence[str] = (),
    values: Sequence[str] = VALUES,
    confidence: float = 0.95,
    seed: int = 0,
    n_resamples: int = 1999,
    n_permutations: int = 9999,
    progress: Progress | None = None,
) -> RelateResult:
    """Every score of some models against every measured robustness of theirs: rank correlations, and how sure they are.

    runs: results of decompose and robustness of any number of models, their folders, or folders of such folders. Runs
        are of one model when their weights' hashes agree, else when its name does. Results of other studies with
        `numbers` (response) give baselines. Several absences a model are several sets of scores.
    snr: SNR results or folders: perturbation-aware and surviving-information for the measures of the same perturbation;
        of attacks one run for each model, or one that stands for all.
    scores: more scores, from a CSV table with a row a model, or {name: {model: number}}.
    against: measured numbers from such a table; value_column: which of its columns (default: all with numbers).
    model_column: of both tables.   group_column: of either, the recipe of each model; recipes: {model: recipe} instead.
        Models of one recipe (strengths, seeds) are resampled and permuted together. A zoo's runs bring theirs along.
    only: patterns of the scores and baselines that are tried ("signed/*"), all by default; clean accuracy always is.
        What is tried counts in p-values and in the choice: say it before you look.
    without: patterns of model names or recipes ("at-*"): every correlation also without those models, one subset each.
    values: under which scores are computed from the stored tables.   confidence, seed: of all that is drawn.
    n_resamples: of recipes, for intervals.   n_permutations: for p-values.

    A model without a score or without a measure is left out and named. Under 10 models nothing is claimed.
    Returns a frozen RelateResult. Raises InputError for runs on other images, bands or settings, fewer than 3 models;
    RunFolderError for damaged runs.
    """
    check_confidence(confidence)
    for value in values:
        make_value(value)
    _check_draws(n_resamples, n_permutations)
    progress = progress or Silent()
    gathered = gather(runs)
    left_out = gathered.left_out
    tables = {"scores": _table(scores, "scores", model_column), "against": _table(against, "against", model_column)}
    models = _usable(gathered.models, tables, left_out)
    _set_recipes(models, recipes, group_column, [table for table in tables.values() if table is not None])
    warnings = check_comparable(models)
    loose = [*gathered.snr, *([] if snr is None else snr_runs(snr))]
    measures = [*measure_columns(models), *_measured_columns(tables["against"], models, value_column)]
    all_scores, noted = _scores(models, tables["scores"], measures, loose, values, group_column)
    clean = column(CLEAN, clean_accuracy(models), BASELINE, "no clean accuracy on the images that the others share")
    all_scores += [clean] if np.isfinite(clean.values).any() else []
    tried = (only,) if isinstance(only, str) else tuple(only)
    all_scores = _tried(all_scores, tried)
    subsets = _subsets(models, [without] if isinstance(without, str) else list(without))
    settings = RelateSettings(
        confidence, seed, n_resamples, n_permutations, tuple(values), tried, tuple(name for name in subsets if name)
    )
    everyone = Models(tuple(m.title for m in models), tuple(m.recipe for m in models), clean.values)
    found, choices = [], []
    progress.expect(len(subsets) * len(measures))
    for subset, kept in subsets.items():
        keep = np.isin(everyone.names, kept)
        for measure in measures:
            columns = scores_for(all_scores, measure.name)
            x = {name: one.values[keep] for name, one in columns.items()}
            y, some = measure.values[keep], everyone.some(keep)
            found += relations(x, measure.name, y, some, subset, settings.draws)
            free = {name: x[name] for name, one in columns.items() if one.kind != BASELINE}
            choice = choose(free, measure.name, y, some, subset)
            choices += [] if choice is None else [choice]
            progress.advance(1)
    return RelateResult(
        settings=settings,
        models=everyone.names,
        recipes=everyone.recipes,
        scores={f"{one.name} for {one.measure}" if one.measure else one.name: one for one in all_scores},
        measures={one.name: one for one in measures},
        clean=clean,
        relations=tuple(found),
        choices=tuple(choices),
        subsets=subsets,
        left_out=left_out,
        warnings=(*warnings, *noted, *_few(everyone)),
    )


def _scores(
    models: Sequence[ModelRuns],
    table: Table | None,
    measures: Sequence[Column],
    snr: Sequence[Run],
    values: Sequence[str],
    group_column: str | None,
) -> tuple[list[Column], list[str]]:
    """All scores but clean accuracy, and what to know about them."""
    measured_on = [*snr, *(run for model in models for run in model.snr)]
    moduli = Moduli(measured_on, models)
    results = revalued(models, values, replicates=bool(measured_on))
    found = score_columns(results)
    found += matched_columns(results, moduli, measures)
    if table is not None:
        for name in table.numeric(models, without=[group_column or ""]):
            found.append(column(name, [table.number(model, name) for model in models], "score", f"not in {table.name}"))
    found += number_columns(models)
    names = [(one.name, one.measure) for one in found]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(f"two scores are called {twice[0][0]!r}: rename the column of the table")
    return found, moduli.warnings


def _tried(columns: Sequence[Column], patterns: Sequence[str]) -> list[Column]:
    """Clean accuracy, and of the others those that fit a pattern; InputError for a pattern that none does."""
    for pattern in patterns:
        if not any(fnmatchcase(one.name, pattern) for one in columns):
            known = ", ".join(dict.fromkeys(one.name for one in columns))
            raise InputError(f"no score is called {pattern!r}; there are {known}")
    return [
        one
        for one in columns
        if one.name == CLEAN or not patterns or any(fnmatchcase(one.name, pattern) for pattern in patterns)
    ]


def _measured_columns(
    table: Table | None, models: Sequence[ModelRuns], chosen: str | Sequence[str] | None
) -> list[Column]:
    """The columns of the table measured against."""
    if table is None:
        return []
    names = [chosen] if isinstance(chosen, str) else list(chosen or table.numeric(models))
    for name in names:
        table.check_column(name)
    if not names:
        raise InputError(f"{table.name} has no column of numbers for these models: name one (value_column=)")
    return [
        column(name, [table.number(model, name) for model in models], "table", f"not in {table.name}") for name in names
    ]


def _table(given: Path | Mapping[str, Mapping[str, float]] | None, name: str, model_column: str) -> Table | None:
    if given is None or isinstance(given, str | os.PathLike):
        return None if given is None else read_table(given, model_column)
    models = dict.fromkeys(model for by_model in given.values() for model in by_model)
    rows = {
        model: {column: str(by_model[model]) for column, by_model in given.items() if model in by_model}
        for model in models
    }
    return Table(name, tuple(given), rows)


def _usable(models: list[ModelRuns], tables: Mapping[str, Table | None], left_out: dict[str, str]) -> list[ModelRuns]:
    """The models that have something on both sides; the others go to `left_out`."""
    against, scored = tables["against"], tables["scores"]
    kept = []
    for model in models:
        has_score = bool(model.decompositions or model.others or (scored and scored.row(model)))
        has_measure = bool(model.robustness or (against and against.row(model)))
        if has_score and has_measure:
            kept.append(model)
        elif has_score:
            no_row = f", and no row in {against.name}" if against else ""
            left_out[model.title] = f"no robustness run{no_row}"
        else:
            left_out[model.title] = "no run of decompose"
        if against is not None and has_score and has_measure and against.row(model) is None:
            left_out[f"{model.title} in {against.name}"] = "no row of that name"
    if len(kept) < FEWEST:
        why = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise InputError(
            f"expected at least {FEWEST} models with a score and a measured robustness, got {len(kept)}"
            + (f" (left out: {why})" if why else "")
        )
    return kept


def _set_recipes(
    models: Sequence[ModelRuns], recipes: Mapping[str, str] | None, column: str | None, tables: Sequence[Table]
) -> None:
    if recipes is not None:
        unknown = sorted(set(recipes) - {name for model in models for name in (model.title, *model.names)})
        if unknown:
            raise InputError(f"recipes of unknown models: {', '.join(unknown)}")
        for model in models:
            own = [recipes[name] for name in (model.title, *sorted(model.names)) if name in recipes]
            model.recipe = own[0] if own else model.recipe
    if column is None:
        return
    having = [table for table in tables if column in table.columns]
    if not having:
        where = ", ".join(table.name for table in tables) or "no table"
        raise InputError(f"expected a column {column!r} with the models' recipes in {where}")
    for model in models:
        row = having[0].row(model) or {}
        model.recipe = row.get(column, "").strip() or model.recipe


def _subsets(models: Sequence[ModelRuns], without: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """ "" and each "without PATTERN" -> the models it keeps."""
    found = {"": tuple(model.title for model in models)}
    for pattern in without:
        gone = [
            model.title
            for model in models
            if any(fnmatchcase(name, pattern) for name in (model.title, model.recipe, *model.names))
        ]
        kept = tuple(title for title in found[""] if title not in gone)
        if not gone:
            raise InputError(f"without {pattern!r}: no model and no recipe has such a name")
        if len(kept) < FEWEST:
            raise InputError(f"without {pattern!r} {len(kept)} models are left: expected at least {FEWEST}")
        found[f"without {pattern}"] = kept
    return found


def _few(models: Models) -> list[str]:
    n, recipes = len(models.names), len(set(models.recipes))
    if n < FEWEST_FOR_A_CLAIM:
        return [f"{n} models are too few for a claim (under {FEWEST_FOR_A_CLAIM}): the numbers are shown, no more"]
    if recipes < FEWEST_FOR_A_CLAIM:
        return [f"the {n} models are of {recipes} recipes: intervals over so few are rough"]
    return []


def _check_draws(n_resamples: int, n_permutations: int) -> None:
    for name, number in (("n_resamples", n_resamples), ("n_permutations", n_permutations)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 100:
            raise InputError(f"expected {name} to be at least 100, got {number!r}")
