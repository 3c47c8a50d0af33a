"""Before a response run: open, check, settle, tell what it costs, see whether it has begun."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spectrobe.bands import BandPartition
from spectrobe.data import open_data
from spectrobe.data.base import ImageData
from spectrobe.data.checks import check_data
from spectrobe.engine.absence import Surroundings, absence_class
from spectrobe.engine.batching import best_batch_size
from spectrobe.engine.devices import resolve_device
from spectrobe.engine.environment import environment
from spectrobe.engine.identity import refuse_other
from spectrobe.engine.local import Run, run_shards, shard_size, stack_images
from spectrobe.engine.memory import MemoryRun
from spectrobe.engine.phases import reach
from spectrobe.engine.progress import Progress
from spectrobe.engine.store import RunFolder, plain
from spectrobe.errors import InputError, RunFolderError
from spectrobe.models import open_model
from spectrobe.models.base import Model
from spectrobe.models.check import check_model
from spectrobe.seeding import seeded_order
from spectrobe.studies.response.basis import half_plane_frequencies
from spectrobe.studies.response.gradients import GRADIENT, why_none
from spectrobe.studies.response.player import HeatMapPlayer, ResponsePlayer
from spectrobe.studies.response.result import ResponseResult
from spectrobe.studies.response.rows import FOLDER, HEAT_FOLDER
from spectrobe.studies.response.settings import ResponseSettings, check_bands, octave_bands, plan_heat_map
from spectrobe.studies.robustness.conditions import Condition, Item, Plan, build
from spectrobe.studies.robustness.preparation import N_SAMPLE, PlainLoader


@dataclass
class Prepared:
    """A run that is ready: what is played, on what, and where it is kept. refused: what could not even be begun."""

    settings: ResponseSettings
    model: Model
    items: tuple[Item, ...]
    refused: Mapping[str, str]
    order: np.ndarray
    player: ResponsePlayer
    heat_player: HeatMapPlayer | None
    loader: PlainLoader
    store: Run
    heat_store: Run
    warnings: tuple[str, ...]

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The perturbations whose cost is to be predicted."""
        return tuple(item.condition for item in self.items)

    def shards(self) -> dict[int, Sequence[int]]:
        """Index -> positions. At least a batch each, since batches never cross shards."""
        return _split(self.order, max(shard_size(self.player.passes_per_image), self.player.batch_size))

    def heat_shards(self) -> dict[int, Sequence[int]]:
        """The same of the heat map, which takes the first images of the run."""
        if self.heat_player is None or self.settings.heat_map is None:
            return {}
        return _split(self.order[: self.settings.heat_map.images], shard_size(self.heat_player.passes_per_image))

    @property
    def forward_passes(self) -> int:
        """Of the whole run, at most."""
        heat = 0 if self.heat_player is None else self.heat_player.passes_per_image
        return self.player.passes_per_image * len(self.order) + heat * sum(map(len, self.heat_shards().values()))

    def play(self, progress: Progress) -> None:
        """Play what is missing."""
        before = self.player.batch_size
        self.player = run_shards(self.player, self.loader, self.shards(), self.store, progress)
        if self.heat_player is not None:
            heat_player = replace(self.heat_player, batch_size=self.player.batch_size)
            run_shards(heat_player, self.loader, self.heat_shards(), self.heat_store, progress)
        if self.player.batch_size != before:
            self.warnings += (f"memory ran out: batches went from {before} to {self.player.batch_size} on the way",)

    def finished(self) -> ResponseResult | None:
        """The result, when this very run was finished before."""
        if isinstance(self.store, RunFolder) and self.store.exists("result.json"):
            return ResponseResult.from_dict(self.store.read_json("result.json"), self.store)
        return None

    def keep(self, result: ResponseResult) -> ResponseResult:
        """Store the result, where there is a run folder; the result then reads its rows from there."""
        if not isinstance(self.store, RunFolder):
            return result
        reach("result write")
        self.store.write_json("result.json", result.to_dict())
        run = self.store.read_json("run.json")
        times = {**run.get("times", {}), "finished": time.time()}
        self.store.write_json("run.json", {**run, "warnings": list(result.warnings), "times": times})
        return replace(result, _rows=None, _heat_rows=None, _folder=self.store)


def prepare(
    model: Any,
    data: Any,
    *,
    plans: Sequence[Plan],
    under: Sequence[Plan],
    bands: BandPartition | None,
    settings: Mapping[str, Any],
    heat_map: Mapping[str, Any],
    images: int | None,
    execution: Mapping[str, Any],
    loading: Mapping[str, Any],
    out: str | os.PathLike[str] | None,
    progress: Progress,
    stack: ExitStack,
) -> Prepared:
    """Open the model and the data, check them, settle how to run; `stack` gives the model and the folder back."""
    opened = open_model(model)
    known = {"n_classes": opened.n_classes, "class_names": opened.class_names, "class_map": loading["class_map"]}
    base = open_data(data, **known, image_column=loading["image_column"], label_column=loading["label_column"])
    labels = _labels(base)
    warnings = check_data(base, opened.n_classes)
    order = _chosen(base, images, settings["seed"])
    loader = PlainLoader(base, opened.geometry, loading["workers"], loading["on_bad_image"])
    positions, sample = _sample(loader, order)
    size = (sample.shape[2], sample.shape[3])
    partition = check_bands(bands or octave_bands(*size), *size)
    device = resolve_device(execution["device"], opened, isinstance(model, str))
    with opened.prepared(device):
        warnings += check_model(opened, sample.to(device), torch.from_numpy(labels[positions]))
        n_classes = opened.n_classes or int(opened.forward(sample[:1].to(device)).shape[1])
    warnings += [w for w in check_data(base, n_classes) if w not in warnings]
    items, refused = build(plans, opened)
    under_items, under_refused = build(under, opened)
    refused = {**refused, **under_refused}
    if no_gradient := why_none(opened):
        refused[GRADIENT] = no_gradient
    for name, why in refused.items():
        progress.note(f"failed: {name}: {why}")
    described = ResponseSettings(
        model_name=opened.name,
        data_name=base.name,
        data_digest=_digest(base),
        image_size=size,
        channels=sample.shape[1],
        bands=partition,
        under=under_items[0].condition.name if under_items else next(iter(under_refused), None),
        heat_map=plan_heat_map(
            heat_map["norm"], heat_map["step"], min(heat_map["images"], len(order)), sample.shape[1:]
        ),
        **settings,
    )
    player = ResponsePlayer(
        forward=opened.forward,
        n_classes=n_classes,
        bands=partition,
        powers=described.powers,
        absence=_absence_image(described.absence, loader, described.seed, sample.shape[1:]),
        under=under_items[0] if under_items else None,
        items=tuple(items),
        gradients=not no_gradient,
        seed=described.seed,
        device=device,
        batch_size=1,
    )
    run = Prepared(
        described, opened, tuple(items), refused, order, player, None, loader, MemoryRun(), MemoryRun(), tuple(warnings)
    )
    _settle(run, execution, sample.shape[1:], images, out, progress, stack)
    return run


def _settle(
    run: Prepared,
    execution: Mapping[str, Any],
    shape: torch.Size,
    images: int | None,
    out: str | os.PathLike[str] | None,
    progress: Progress,
    stack: ExitStack,
) -> None:
    """Take the folder, find out whether it holds this very run, settle the batch size, lend the model."""
    begun: dict[str, Any] | None = None
    if out is not None:
        run.store = folder = RunFolder(out, rows=FOLDER)
        run.heat_store = RunFolder(out, rows=HEAT_FOLDER)
        stack.enter_context(folder.lock())
        begun = folder.read_json("run.json") if folder.exists("run.json") else None
    base, device = run.loader.data, run.player.device
    under = run.player.under
    identity = plain(
        {
            "settings": run.settings.to_dict(),
            "selection": {"images": images},
            "conditions": [condition.to_dict() for condition in run.conditions],
            "under": under and under.condition.to_dict(),
            "refused": dict(run.refused),
            "model": dict(run.model.identity()),
            "data": dict(base.identity()),
            "loader": dict(base.loader_settings(run.loader.geometry)) | {"on_bad_image": run.loader.on_bad_image},
            "device": device.type,
            "precision": "float32",
            "asked": {"batch_size": execution["batch_size"]},
            "threads": torch.get_num_threads(),
            "versions": {name: environment()["versions"].get(name) for name in ("spectrobe", "torch")},
        }
    )
    if begun is not None:
        refuse_other(
            {"command": begun.get("command"), **begun["identity"]}, {"command": "response", **identity}, str(out)
        )
        size = begun["settled"]["batch_size"]
    else:
        size = execution["batch_size"]
        if size == "auto":
            with run.model.prepared(device) as forward:
                size = best_batch_size(forward, shape, device, run.player.passes_per_image * len(run.order))
    progress.note(f"float32, batches of {size}")
    forward = stack.enter_context(run.model.prepared(device))
    run.player = replace(run.player, forward=forward, batch_size=size)
    plan = run.settings.heat_map
    if plan is not None:
        frequencies = half_plane_frequencies(*run.settings.image_size, plan.step)
        run.heat_player = HeatMapPlayer(
            forward, run.player.n_classes, frequencies, plan.norm, run.settings.seed, device, size
        )
    if begun is None and isinstance(run.store, RunFolder):
        _begin(run, identity, size)
    for warning in run.warnings:
        progress.note(f"warning: {warning}")


def _begin(run: Prepared, identity: dict[str, Any], batch_size: int) -> None:
    if not isinstance(run.store, RunFolder):
        return
    if run.store.shards() or run.store.exists("result.json"):
        raise RunFolderError(f"{run.store.path}: holds rows but no run.json: choose another folder, or remove them")
    run.store.write_json(
        "run.json",
        {
            "command": "response",
            "identity": identity,
            "views": [asdict(view) for view in run.player.views],
            "settled": {"batch_size": batch_size},
            "images": [run.loader.data.ids[int(p)] for p in run.order],
            "environment": environment(),
            "warnings": list(run.warnings),
            "times": {"started": time.time()},
        },
    )


def _absence_image(name: str, loader: PlainLoader, seed: int, shape: torch.Size) -> Tensor:
    kind = absence_class(name)
    surroundings = Surroundings(loader.data.ids, loader.each, seed)
    return kind(kind.measure(surroundings), surroundings).images([], shape)


def _split(order: np.ndarray, size: int) -> dict[int, Sequence[int]]:
    return {i: [int(p) for p in order[s : s + size]] for i, s in enumerate(range(0, len(order), size))}


def _labels(images: ImageData) -> np.ndarray:
    if images.labels is None:
        because = f" ({images.unlabelled_because})" if images.unlabelled_because else ""
        raise InputError(f"{images.name} has no labels, without which nobody is right or wrong{because}: give labels")
    return np.asarray(images.labels, dtype=np.int64)


def _chosen(base: ImageData, images: int | None, seed: int) -> np.ndarray:
    order = seeded_order(base.ids, seed)
    if images is not None and images > len(base):
        raise InputError(f"expected at most {len(base)} images, which {base.name} has, got images={images}")
    return order if images is None else order[:images]


def _sample(loader: PlainLoader, order: np.ndarray) -> tuple[list[int], Tensor]:
    found = [(p, image) for p, image in loader.each([int(p) for p in order[:N_SAMPLE]]) if isinstance(image, Tensor)]
    if not found:
        raise InputError(f"none of the first {min(N_SAMPLE, len(order))} images of {loader.data.name} can be used")
    return [p for p, _ in found], stack_images([image for _, image in found])


def _digest(images: ImageData) -> str:
    """What tells this data set from others wherever it lies: ids, labels, and sizes or pixels."""
    identity = images.identity()
    return "-".join(str(identity[key])[:16] for key in ("digest", "pixels", "first_images") if key in identity)
