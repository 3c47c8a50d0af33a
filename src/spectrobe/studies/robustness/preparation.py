"""All that happens before a robustness run: open, check, pair stored images, settle, see whether it has begun."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spectrobe.data import open_data
from spectrobe.data.base import ImageData
from spectrobe.data.checks import check_data
from spectrobe.data.loader import load_images
from spectrobe.engine.batching import best_batch_size
from spectrobe.engine.devices import resolve_device
from spectrobe.engine.identity import refuse_other
from spectrobe.engine.local import ImageLoader, Run, run_shards, shard_size, stack_images
from spectrobe.engine.memory import MemoryRun
from spectrobe.engine.phases import reach
from spectrobe.engine.progress import Progress
from spectrobe.engine.store import RunFolder, plain
from spectrobe.errors import BadImageError, InputError, RunFolderError
from spectrobe.models import open_model
from spectrobe.models.base import Geometry, Model
from spectrobe.models.check import check_model
from spectrobe.models.identity import versions
from spectrobe.seeding import seeded_order
from spectrobe.studies.robustness.conditions import Condition, Item, Plan, build
from spectrobe.studies.robustness.player import RobustnessPlayer
from spectrobe.studies.robustness.result import RobustnessResult, RobustnessSettings, check_reference
from spectrobe.studies.robustness.rows import FOLDER
from spectrobe.studies.robustness.stored import StoredSets, open_stored
from spectrobe.studies.runs import environment

N_SAMPLE = 32
"""The self-check looks at this many clean images."""


class PlainLoader(ImageLoader):
    """Images as they come: one without contrast is as good as any here."""

    def each(self, positions: Sequence[int]) -> Iterable[tuple[int, Tensor | BadImageError]]:
        yield from load_images(self.data, positions, self.geometry, self.workers, self.on_bad_image)


@dataclass
class Prepared:
    """A run that is ready: what is played, on what, and where it is kept."""

    settings: RobustnessSettings
    model: Model
    items: tuple[Item, ...]
    refused: Mapping[str, str]
    order: np.ndarray
    player: RobustnessPlayer
    loader: ImageLoader
    store: Run
    warnings: tuple[str, ...]

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """What is measured, in order."""
        return tuple(item.condition for item in self.items)

    @property
    def ids(self) -> dict[int, str]:
        """Position -> id of the images of the run."""
        return {int(p): self.loader.data.ids[int(p)] for p in self.order}

    def shards(self) -> dict[int, Sequence[int]]:
        """Index -> positions. At least a batch each, since batches never cross shards."""
        size = max(shard_size(self.player.passes_per_image), self.player.batch_size)
        return {i: [int(p) for p in self.order[s : s + size]] for i, s in enumerate(range(0, len(self.order), size))}

    def play(self, shards: dict[int, Sequence[int]], progress: Progress) -> None:
        """Play what is missing of these shards."""
        before = self.player.batch_size
        self.player = run_shards(self.player, self.loader, shards, self.store, progress)
        if self.player.batch_size != before:
            self.warnings += (f"memory ran out: batches went from {before} to {self.player.batch_size} on the way",)

    def finished(self) -> RobustnessResult | None:
        """The result, when this very run was finished before."""
        if isinstance(self.store, RunFolder) and self.store.exists("result.json"):
            return RobustnessResult.from_dict(self.store.read_json("result.json"), self.store)
        return None

    def keep(self, result: RobustnessResult) -> RobustnessResult:
        """Store the result, where there is a run folder; the result then reads its rows from there."""
        if not isinstance(self.store, RunFolder):
            return result
        reach("result write")
        self.store.write_json("result.json", result.to_dict())
        run = self.store.read_json("run.json")
        times = {**run.get("times", {}), "finished": time.time()}
        self.store.write_json("run.json", {**run, "warnings": list(result.warnings), "times": times})
        return replace(result, _rows=None, _folder=self.store)


def prepare(
    model: Any,
    data: Any,
    plans: Sequence[Plan],
    *,
    tree: str | os.PathLike[str] | None,
    against: Any,
    images: int | None,
    seed: int,
    confidence: float,
    execution: Mapping[str, Any],
    loading: Mapping[str, Any],
    reference: RobustnessResult | None,
    out: str | os.PathLike[str] | None,
    progress: Progress,
    stack: ExitStack,
) -> Prepared:
    """Open the model and the data, check them, settle how to run; `stack` gives the model and the folder back."""
    given_by_name = isinstance(model, str)
    opened = open_model(model)
    known = {"n_classes": opened.n_classes, "class_names": opened.class_names, "class_map": loading["class_map"]}
    columns = {"image_column": loading["image_column"], "label_column": loading["label_column"]}
    clean = None if data is None else open_data(data, **known, **columns)
    stored = open_stored(tree, against, known, columns)
    base, geometry = (clean, opened.geometry) if clean is not None else stored.base(opened.geometry)
    warnings = _checked(base, opened.n_classes)
    order = _chosen(base, images, seed)
    loader = PlainLoader(base, geometry, loading["workers"], loading["on_bad_image"])
    positions, sample = _sample(loader, order)
    settings = RobustnessSettings(
        model_name=opened.name,
        data_name=base.name if clean is not None else PurePosixPath(os.fspath(tree or base.name)).name,
        data_digest=_digest(base),
        image_size=(sample.shape[2], sample.shape[3]),
        confidence=confidence,
        seed=seed,
        clean=clean is not None,
    )
    device = resolve_device(execution["device"], opened, given_by_name)
    with opened.prepared(device):
        labels = torch.from_numpy(_labels(base)[positions])
        found = check_model(opened, sample.to(device), labels)
        warnings += found if clean is not None else []  # perturbed images may well be classified no better than chance
        n_classes = opened.n_classes or int(opened.forward(sample[:1].to(device)).shape[1])
    warnings += [w for w in check_data(base, n_classes) if w not in warnings]
    items, refused = build(plans, opened)
    pairs, unpaired = stored.paired(base, order, geometry, clean is not None, loading)
    items, refused = [*items, *pairs], {**refused, **unpaired}
    _check_items(items, refused)
    for name, why in refused.items():
        progress.note(f"failed: {name}: {why}")
    player = RobustnessPlayer(opened.forward, n_classes, tuple(items), clean is not None, seed, device, 1)
    run = Prepared(settings, opened, tuple(items), refused, order, player, loader, MemoryRun(), tuple(warnings))
    if reference is not None:
        check_reference(reference, run.conditions, settings.data_digest, run.ids)
    _settle(run, execution, sample.shape[1:], stored, geometry, images, out, progress, stack)
    return run


def _settle(
    run: Prepared,
    execution: Mapping[str, Any],
    shape: torch.Size,
    stored: StoredSets,
    geometry: Geometry,
    images: int | None,
    out: str | os.PathLike[str] | None,
    progress: Progress,
    stack: ExitStack,
) -> None:
    """Take the folder, find out whether it holds this very run, settle the batch size, lend the model."""
    begun: dict[str, Any] | None = None
    if out is not None:
        run.store = folder = RunFolder(out, rows=FOLDER)
        stack.enter_context(folder.lock())
        begun = folder.read_json("run.json") if folder.exists("run.json") else None
    base, device = run.loader.data, run.player.device
    foolbox = versions("foolbox") if any(c.kind == "minimum-norm" for c in run.conditions) else {}
    identity = plain(
        {
            "settings": run.settings.to_dict(),
            "selection": {"images": images},
            "conditions": [condition.to_dict() for condition in run.conditions],
            "refused": dict(run.refused),
            "model": dict(run.model.identity()),
            "data": dict(base.identity()),
            "loader": dict(base.loader_settings(geometry)) | {"on_bad_image": run.loader.on_bad_image},
            "device": device.type,
            "precision": "float32",
            "asked": {"batch_size": execution["batch_size"]},
            "threads": torch.get_num_threads(),
            "versions": {**{name: environment()["versions"].get(name) for name in ("spectrobe", "torch")}, **foolbox},
        }
    )
    if begun is not None:
        refuse_other(begun["identity"], identity, str(out))
        size = begun["settled"]["batch_size"]
    else:
        size = execution["batch_size"]
        if size == "auto":
            with run.model.prepared(device) as forward:
                size = best_batch_size(forward, shape, device, len(run.order))
    progress.note(f"float32, batches of {size}")
    run.player = replace(run.player, forward=stack.enter_context(run.model.prepared(device)), batch_size=size)
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
            "command": "robustness",
            "identity": identity,
            "settled": {"batch_size": batch_size},
            "images": list(run.ids.values()),
            "environment": environment(),
            "warnings": list(run.warnings),
            "times": {"started": time.time()},
        },
    )


def _checked(images: ImageData, n_classes: int | None) -> list[str]:
    if images.labels is None:
        because = f" ({images.unlabelled_because})" if images.unlabelled_because else ""
        raise InputError(f"{images.name} has no labels, without which nobody is right or wrong{because}: give labels")
    return check_data(images, n_classes)


def _labels(images: ImageData) -> np.ndarray:
    return np.asarray(images.labels, dtype=np.int64)


def _chosen(base: ImageData, images: int | None, seed: int) -> np.ndarray:
    order = seeded_order(base.ids, seed)
    if images is None:
        return order
    if images > len(base):
        raise InputError(f"expected at most {len(base)} images, which {base.name} has, got images={images}")
    return order[:images]


def _sample(loader: ImageLoader, order: np.ndarray) -> tuple[list[int], Tensor]:
    found = [(p, image) for p, image in loader.each([int(p) for p in order[:N_SAMPLE]]) if isinstance(image, Tensor)]
    if not found:
        raise InputError(f"none of the first {min(N_SAMPLE, len(order))} images of {loader.data.name} can be used")
    return [p for p, _ in found], stack_images([image for _, image in found])


def _digest(images: ImageData) -> str:
    """What tells this data set from others wherever it lies: ids, labels, and sizes or pixels."""
    identity = images.identity()
    return "-".join(str(identity[key])[:16] for key in ("digest", "pixels", "first_images") if key in identity)


def _check_items(items: Sequence[Item], refused: Mapping[str, str]) -> None:
    if not items:
        why = "; ".join(f"{name}: {reason}" for name, reason in refused.items())
        raise InputError(f"expected at least one perturbation that can be measured: {why}")
    names = [item.condition.name for item in items]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(f"{twice[0]} comes twice, stored and as a perturbation: measure them in two runs")
