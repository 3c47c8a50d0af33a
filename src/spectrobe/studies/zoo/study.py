"""Decompose and robustness for a list of models on the same images; one that fails is set aside, the others go on."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from typing import Any

from spectrobe.bands import BandPartition
from spectrobe.engine.absence import DEFAULT_ABSENCE, absence_classes
from spectrobe.engine.executor import Engine, Executor, LocalExecutor, executor_of
from spectrobe.engine.progress import Progress, Silent
from spectrobe.engine.store import RunFolder
from spectrobe.game.coalitions import refuse_auto
from spectrobe.game.values import DEFAULT_VALUE
from spectrobe.studies.decompose import study as decompose_study
from spectrobe.studies.relate.correlate import FEWEST
from spectrobe.studies.relate.gather import ZOO_FILE
from spectrobe.studies.relate.result import RelateResult
from spectrobe.studies.relate.study import relate
from spectrobe.studies.robustness import study as robustness_study
from spectrobe.studies.robustness.conditions import Perturbations, Plan
from spectrobe.studies.zoo.budget import Cost, cost_of, summary
from spectrobe.studies.zoo.models_file import ZooEntry, read_models, zoo_entries
from spectrobe.studies.zoo.shared import SharedModels


@dataclass(frozen=True)
class ZooResult:
    """What became of a zoo. measured: models whose runs are all there.   failed: model -> why it was set aside.

    costs: what was to do when it began.   relation: None where fewer than three models were measured (see `unrelated`).
    """

    entries: tuple[ZooEntry, ...]
    costs: tuple[Cost, ...]
    measured: tuple[str, ...]
    failed: Mapping[str, str]
    relation: RelateResult | None
    unrelated: str = ""


@dataclass(frozen=True)
class _Zoo:
    """What all models of one call share. game, measuring, common: settings of decompose, of robustness, of both."""

    shared: SharedModels
    plans: list[Plan]
    absences: tuple[str, ...]
    game: Mapping[str, Any]
    measuring: Mapping[str, Any]
    common: Mapping[str, Any]
    executor: Executor


def measure_zoo(
    models: str | os.PathLike[str] | Sequence[str | Mapping[str, Any]],
    data: Any,
    perturbations: Perturbations,
    *,
    out: str | os.PathLike[str],
    bands: int | str | BandPartition = 8,
    value: str = DEFAULT_VALUE,
    absence: str | Sequence[str] = DEFAULT_ABSENCE,
    design: str = "exact",
    images: int | None = None,
    robustness_images: int | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    precision: str = "float32",
    batch_size: int | str = "auto",
    device: str = "auto",
    class_map: str | Mapping[str, int] | None = None,
    on_bad_image: str = "error",
    image_column: str | None = None,
    label_column: str | None = None,
    allow_pickle: bool = False,
    budget_only: bool = False,
    tell_budget: Callable[[list[Cost]], None] | None = None,
    relate_with: Mapping[str, Any] | None = None,
    engine: Engine = "local",
    progress: Progress | None = None,
) -> ZooResult:
    """Decompose and measure every model on the same images, into OUT/MODEL/, and relate them.

    models: a TOML file (see `read_models`), or a list of model strings and mappings with the keys of its tables.
    absence: one, several, or "all".   images, robustness_images: how many of the data (default: all, and as many).
    budget_only: only open the models and count.   tell_budget: called with the costs before anything is measured, in
    place of a note.   relate_with: more arguments of `relate`.   engine: who plays the shards of each run; models come
    one after the other.   The rest: as `decompose` and `robustness` take them. The same call with the same `out` goes
    on where it was.

    A model that cannot be opened or measured is in `failed`, its traceback in OUT/MODEL/failed.txt, and the others go
    on. Raises InputError when none can be measured, or for what is wrong with any of them.
    """
    progress = progress or Silent()
    entries = read_models(models) if isinstance(models, str | os.PathLike) else zoo_entries(models)
    refuse_auto(design, "models are compared, so all take one")
    absences = _absences(absence)
    partition = BandPartition.of(bands)
    for one in absences:
        decompose_study.check_choices(
            partition, value, one, design, images, None, confidence, precision, batch_size, on_bad_image, False, seed, 0
        )
    many = robustness_images if robustness_images is not None else images
    plans = robustness_study.check_choices(perturbations, None, None, data, many, confidence, batch_size, on_bad_image)
    common = {"confidence": confidence, "seed": seed, "batch_size": batch_size, "on_bad_image": on_bad_image}
    game = {"bands": partition, "value": value, "design": design, "precision": precision, "images": images}
    columns = {"class_map": class_map, "image_column": image_column, "label_column": label_column}
    shared = SharedModels(data, columns, device, allow_pickle, os.fspath(out))
    stack = ExitStack()
    zoo = _Zoo(
        shared=shared,
        plans=plans,
        absences=absences,
        game=game,
        measuring={"perturbations": perturbations, "images": many},
        common=common,
        executor=stack.enter_context(nullcontext(LocalExecutor()) if budget_only else executor_of(engine)),
    )
    with stack, RunFolder(shared.out).lock():
        costs = shared.each(entries, lambda entry: _cost(zoo, entry))
        if tell_budget is not None:
            tell_budget(list(costs.values()))
        else:
            progress.note("; ".join(summary(list(costs.values()))))
        if budget_only:
            return ZooResult(tuple(entries), tuple(costs.values()), (), shared.failed, None, "only counted")
        RunFolder(shared.out).write_json(ZOO_FILE, {"models": [entry.facts() for entry in entries]})
        able = [entry for entry in entries if entry.name in costs]
        measured = shared.each(able, lambda entry: _measure(zoo, entry, progress))
    found, why = _relation(zoo, measured, relate_with or {}, progress)
    return ZooResult(tuple(entries), tuple(costs.values()), tuple(measured), shared.failed, found, why)


def _cost(zoo: _Zoo, entry: ZooEntry) -> Cost:
    model, data, device = zoo.shared.opened(entry)
    return cost_of(
        entry.name,
        model,
        data,
        f"{zoo.shared.out}/{entry.folder}",
        bands=zoo.game["bands"],
        design=zoo.game["design"],
        absences=zoo.absences,
        plans=zoo.plans,
        images=zoo.game["images"] or len(data),
        robustness_images=zoo.measuring["images"] or len(data),
        device=device,
    )


def _measure(zoo: _Zoo, entry: ZooEntry, progress: Progress) -> None:
    """All runs of one model; those that are done return at once."""
    model, data, device = zoo.shared.opened(entry)
    folder = f"{zoo.shared.out}/{entry.folder}"
    shared: dict[str, Any] = {**zoo.common, "device": str(device), "engine": zoo.executor, "progress": progress}
    for absence in zoo.absences:
        progress.note(f"{entry.name}: decompose, absence {absence}")
        out = f"{folder}/decompose-{absence}"
        decompose_study.decompose(model, data, absence=absence, out=out, **zoo.game, **shared)
    progress.note(f"{entry.name}: robustness")
    result = robustness_study.robustness(model, data, out=f"{folder}/robustness", **zoo.measuring, **shared)
    for name, why in result.failed.items():
        zoo.shared.failed[f"{entry.name} under {name}"] = why


def _relation(
    zoo: _Zoo, measured: Mapping[str, Any], more: Mapping[str, Any], progress: Progress
) -> tuple[RelateResult | None, str]:
    if len(measured) < FEWEST:
        return None, f"{len(measured)} models were measured, of which at least {FEWEST} are needed to relate anything"
    seed, confidence = zoo.common["seed"], zoo.common["confidence"]
    return relate(zoo.shared.out, seed=seed, confidence=confidence, progress=progress, **more), ""


def _absences(absence: str | Sequence[str]) -> tuple[str, ...]:
    if absence == "all":
        return tuple(absence_classes())
    return tuple(dict.fromkeys([absence] if isinstance(absence, str) else absence))
