"""Decompose and robustness for a list of models on the same images; one that fails is set aside, the others go on."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch

from spectrobe.bands import BandPartition
from spectrobe.data import open_data
from spectrobe.data.base import ImageData
from spectrobe.data.cached import CachedData, PixelCache
from spectrobe.engine.absence import DEFAULT_ABSENCE, absence_classes
from spectrobe.engine.devices import resolve_device
from spectrobe.engine.executor import Engine, Executor, LocalExecutor, executor_of
from spectrobe.engine.progress import Progress, Silent
from spectrobe.engine.store import RunFolder
from spectrobe.errors import InputError, SpectrobeError
from spectrobe.game.values import DEFAULT_VALUE
from spectrobe.models import open_model
from spectrobe.models.base import Model
from spectrobe.studies.decompose import study as decompose_study
from spectrobe.studies.relate.correlate import FEWEST
from spectrobe.studies.relate.gather import ZOO_FILE
from spectrobe.studies.relate.result import RelateResult
from spectrobe.studies.relate.study import relate
from spectrobe.studies.robustness import study as robustness_study
from spectrobe.studies.robustness.conditions import Perturbations, Plan
from spectrobe.studies.zoo.budget import Cost, cost_of, summary
from spectrobe.studies.zoo.models_file import ZooEntry, read_models, zoo_entries

_DETAILS = "failed.txt"


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

    entries: list[ZooEntry]
    data: Any
    plans: list[Plan]
    absences: tuple[str, ...]
    game: Mapping[str, Any]
    measuring: Mapping[str, Any]
    common: Mapping[str, Any]
    device: str
    columns: Mapping[str, Any]
    allow_pickle: bool
    out: str
    executor: Executor
    cache: PixelCache = field(default_factory=PixelCache)
    failed: dict[str, str] = field(default_factory=dict)


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
    stack = ExitStack()
    zoo = _Zoo(
        entries=entries,
        data=data,
        plans=plans,
        absences=absences,
        game=game,
        measuring={"perturbations": perturbations, "images": many},
        common=common,
        device=device,
        columns={"class_map": class_map, "image_column": image_column, "label_column": label_column},
        allow_pickle=allow_pickle,
        out=os.fspath(out),
        executor=stack.enter_context(nullcontext(LocalExecutor()) if budget_only else executor_of(engine)),
    )
    with stack, RunFolder(zoo.out).lock():
        costs = _each(zoo, entries, lambda entry: _cost(zoo, entry))
        if tell_budget is not None:
            tell_budget(list(costs.values()))
        else:
            progress.note("; ".join(summary(list(costs.values()))))
        if budget_only:
            return ZooResult(tuple(entries), tuple(costs.values()), (), zoo.failed, None, "only counted")
        RunFolder(zoo.out).write_json(ZOO_FILE, {"models": [entry.facts() for entry in entries]})
        able = [entry for entry in entries if entry.name in costs]
        measured = _each(zoo, able, lambda entry: _measure(zoo, entry, progress))
    found, why = _relation(zoo, measured, relate_with or {}, progress)
    return ZooResult(tuple(entries), tuple(costs.values()), tuple(measured), zoo.failed, found, why)


def _each(zoo: _Zoo, entries: Sequence[ZooEntry], do: Callable[[ZooEntry], Any]) -> dict[str, Any]:
    """What is done for every entry, by name; those on which it fails go to `failed`. InputError when all do."""
    found = {}
    for entry in entries:
        run = RunFolder(f"{zoo.out}/{entry.folder}")
        try:
            found[entry.name] = do(entry)
        except Exception as error:  # somebody's model: the others go on
            text = " ".join(str(error).split())
            zoo.failed[entry.name] = text if isinstance(error, SpectrobeError) else f"{type(error).__name__}: {text}"
            run.write_bytes(_DETAILS, traceback.format_exc().encode())
            continue
        if run.exists(_DETAILS):
            run.filesystem.rm(f"{run.root}/{_DETAILS}")  # of an earlier call
    if not found:
        first, why = next(iter(zoo.failed.items()))
        raise InputError(f"none of the {len(zoo.entries)} models can be measured; {first}: {why}")
    return found


def _opened(zoo: _Zoo, entry: ZooEntry) -> tuple[Model, ImageData, torch.device]:
    model = open_model(entry.model, **entry.options, allow_pickle=zoo.allow_pickle)
    device = resolve_device(zoo.device, model, given_by_name=True)
    images = open_data(zoo.data, n_classes=model.n_classes, class_names=model.class_names, **zoo.columns)
    return model, CachedData(images, zoo.cache), device


def _cost(zoo: _Zoo, entry: ZooEntry) -> Cost:
    model, data, device = _opened(zoo, entry)
    return cost_of(
        entry.name,
        model,
        data,
        f"{zoo.out}/{entry.folder}",
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
    model, data, device = _opened(zoo, entry)
    folder = f"{zoo.out}/{entry.folder}"
    shared: dict[str, Any] = {**zoo.common, "device": str(device), "engine": zoo.executor, "progress": progress}
    for absence in zoo.absences:
        progress.note(f"{entry.name}: decompose, absence {absence}")
        out = f"{folder}/decompose-{absence}"
        decompose_study.decompose(model, data, absence=absence, out=out, **zoo.game, **shared)
    progress.note(f"{entry.name}: robustness")
    result = robustness_study.robustness(model, data, out=f"{folder}/robustness", **zoo.measuring, **shared)
    for name, why in result.failed.items():
        zoo.failed[f"{entry.name} under {name}"] = why


def _relation(
    zoo: _Zoo, measured: Mapping[str, Any], more: Mapping[str, Any], progress: Progress
) -> tuple[RelateResult | None, str]:
    if len(measured) < FEWEST:
        return None, f"{len(measured)} models were measured, of which at least {FEWEST} are needed to relate anything"
    seed, confidence = zoo.common["seed"], zoo.common["confidence"]
    return relate(zoo.out, seed=seed, confidence=confidence, progress=progress, **more), ""


def _absences(absence: str | Sequence[str]) -> tuple[str, ...]:
    if absence == "all":
        return tuple(absence_classes())
    return tuple(dict.fromkeys([absence] if isinstance(absence, str) else absence))
