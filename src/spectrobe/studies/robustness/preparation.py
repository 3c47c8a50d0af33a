"""All that happens before a robustness run: open, check, pair stored images, settle, see whether it has begun."""

from __future__ import annotations

import os
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
from spectrobe.engine.executor import Executor
from spectrobe.engine.lent import lend
from spectrobe.engine.local import ImageLoader, Run, shard_size
from spectrobe.engine.opening import chosen_order, execution_identity, model_identity, sample_of, self_check
from spectrobe.engine.progress import Progress
from spectrobe.engine.run import StudyRun, open_run
from spectrobe.engine.sources import Sources
from spectrobe.errors import BadImageError, InputError
from spectrobe.models import open_model
from spectrobe.models.base import Model
from spectrobe.models.identity import versions
from spectrobe.studies.robustness.conditions import Condition, Item, Plan, build
from spectrobe.studies.robustness.folders import StoredImages
from spectrobe.studies.robustness.player import RobustnessPlayer
from spectrobe.studies.robustness.result import RobustnessResult, RobustnessSettings, check_reference
from spectrobe.studies.robustness.result_json import KIND
from spectrobe.studies.robustness.rows import FOLDER
from spectrobe.studies.robustness.stored import open_stored

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
    run: StudyRun
    _warnings: tuple[str, ...]

    @property
    def store(self) -> Run:
        """Where the shards are."""
        return self.run.store

    @property
    def warnings(self) -> tuple[str, ...]:
        """Of the checks, and of what happened on the way."""
        return (*self._warnings, *self.run.warnings)

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """What is measured, in order."""
        return tuple(item.condition for item in self.items)

    @property
    def images_per_shard(self) -> int:
        """Of every shard but the last one."""
        size = int(self.run.settled["batch_size"])
        return self.run.images_per_shard(images_per_shard(self.player.passes_per_image, 0, size))

    def shards(self) -> dict[int, Sequence[int]]:
        """Index -> positions."""
        size = self.images_per_shard
        return {i: [int(p) for p in self.order[s : s + size]] for i, s in enumerate(range(0, len(self.order), size))}

    def play(self, shards: dict[int, Sequence[int]], progress: Progress) -> RobustnessPlayer:
        """Play what is missing of these shards; the player with the batch size that memory allowed."""
        return self.run.play(self.player, self.loader, shards, progress)

    def finished(self, progress: Progress) -> RobustnessResult | None:
        """The result, when this very run was finished before."""
        content = self.run.finished(progress)
        return None if content is None else RobustnessResult.from_dict(content, self.run.folder)

    def keep(self, result: RobustnessResult) -> RobustnessResult:
        """Store the result, where there is a run folder; the result then reads its rows from there."""
        self.run.keep(result.to_dict(), result.warnings, result.skipped)
        return result if self.run.folder is None else replace(result, _rows=None, _folder=self.run.folder)


@dataclass(frozen=True)
class _Opened:
    """Model, images and perturbations, checked. sample: pixels of the first images, on the device."""

    model: Model
    device: torch.device
    n_classes: int
    loader: ImageLoader
    order: np.ndarray
    sample: Tensor
    clean: bool
    items: tuple[Item, ...]
    refused: Mapping[str, str]
    model_identity: Mapping[str, Any]
    warnings: tuple[str, ...]


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
    executor: Executor,
    stack: ExitStack,
) -> Prepared:
    """Open the model and the data, check them, settle how to run; `stack` gives the model and the folder back."""
    opened = _open(model, data, plans, tree, against, images, seed, execution["device"], loading)
    base = opened.loader.data
    for name, why in opened.refused.items():
        progress.note(f"failed: {name}: {why}")
    settings = RobustnessSettings(
        model_name=opened.model.name,
        data_name=base.name if opened.clean else PurePosixPath(os.fspath(tree or base.name)).name,
        data_digest=_digest(base),
        image_size=(opened.sample.shape[2], opened.sample.shape[3]),
        confidence=confidence,
        seed=seed,
        clean=opened.clean,
    )
    conditions = tuple(item.condition for item in opened.items)
    if reference is not None:
        ids = {int(p): base.ids[int(p)] for p in opened.order}
        check_reference(reference, conditions, settings.data_digest, ids)
    run = open_run(KIND, out, FOLDER, stack, executor)
    player = RobustnessPlayer(
        opened.model.forward, opened.n_classes, opened.items, opened.clean, seed, opened.device, batch_size=1
    )
    stored = [item.perturbation for item in opened.items if isinstance(item.perturbation, StoredImages)]
    run.begin(
        _identity(opened, settings, images, execution["batch_size"]),
        Sources(base, opened.loader.geometry, counterparts=tuple(one.fingerprint for one in stored)),
        opened.order,
        lambda: _settle(opened, execution["batch_size"], player.passes_per_image),
        progress=progress,
        warnings=opened.warnings,
        written=opened.model.written,
        decoders=loading["workers"],
    )
    size = run.settled["batch_size"]
    progress.note(f"float32, batches of {size}")
    for warning in opened.warnings:
        progress.note(f"warning: {warning}")
    forward = lend(opened.model, opened.device, "float32", stack)
    player = replace(player, forward=forward, batch_size=size)
    return Prepared(
        settings, opened.model, opened.items, opened.refused, opened.order, player, opened.loader, run, opened.warnings
    )


def _open(
    model: Any,
    data: Any,
    plans: Sequence[Plan],
    tree: str | os.PathLike[str] | None,
    against: Any,
    images: int | None,
    seed: int,
    device: str,
    loading: Mapping[str, Any],
) -> _Opened:
    """Open everything, and refuse what cannot be measured."""
    opened = open_model(model)
    known = {"n_classes": opened.n_classes, "class_names": opened.class_names, "class_map": loading["class_map"]}
    columns = {"image_column": loading["image_column"], "label_column": loading["label_column"]}
    clean = None if data is None else open_data(data, **known, **columns)
    stored = open_stored(tree, against, clean, known, columns)
    base, geometry = (clean, opened.geometry) if clean is not None else stored.base(opened.geometry)
    labels = _labels(base)
    warnings = check_data(base, opened.n_classes) + stored.warnings
    order = chosen_order(base, images, seed)
    loader = PlainLoader(base, geometry, loading["workers"], loading["on_bad_image"])
    positions, sample = sample_of(loader, order, N_SAMPLE)
    place = resolve_device(device, opened, isinstance(model, str))
    sample = sample.to(place)
    with opened.prepared(place) as forward:
        ids = [base.ids[i] for i in positions]
        found = self_check(opened, sample, torch.from_numpy(labels[positions]), ids)
        warnings += found if clean is not None else []  # perturbed images may well be classified no better than chance
        n_classes = opened.n_classes or int(forward(sample[:1]).shape[1])
        about_model = model_identity(opened, forward, sample)
    warnings += [w for w in check_data(base, n_classes) if w not in warnings]
    items, refused = build(plans, opened)
    pairs, unpaired = stored.paired(base, order, geometry, clean is not None, loading)
    items, refused = [*items, *pairs], {**refused, **unpaired}
    _check_items(items, refused)
    return _Opened(
        opened, place, n_classes, loader, order, sample, clean is not None, tuple(items), refused, about_model,
        tuple(warnings),
    )  # fmt: skip


def _identity(opened: _Opened, settings: RobustnessSettings, images: int | None, batch_size: Any) -> dict[str, Any]:
    conditions = [item.condition for item in opened.items]
    foolbox = versions("foolbox") if any(condition.kind == "minimum-norm" for condition in conditions) else {}
    return {
        "settings": settings.to_dict(),
        "selection": {"images": images},
        "conditions": [condition.to_dict() for condition in conditions],
        "refused": dict(opened.refused),
        "model": opened.model_identity,
        **opened.loader.identity(),
        "precision": "float32",
        "asked": {"batch_size": batch_size},
        **execution_identity(opened.device, **foolbox),
    }


def images_per_shard(passes_per_image: int, n_images: int, batch_size: int) -> int:
    """How many images a shard takes: at least a batch, since batches never cross shards."""
    return max(batch_size, shard_size(passes_per_image, n_images))


def _settle(opened: _Opened, asked: Any, passes_per_image: int) -> dict[str, int]:
    size = _batch_size(opened, asked)
    return {"batch_size": size, "images_per_shard": images_per_shard(passes_per_image, len(opened.order), size)}


def _batch_size(opened: _Opened, asked: Any) -> int:
    if asked != "auto":
        return int(asked)
    with opened.model.prepared(opened.device) as forward:
        return best_batch_size(forward, opened.sample.shape[1:], opened.device, len(opened.order))


def _labels(images: ImageData) -> np.ndarray:
    if images.labels is None:
        because = f" ({images.unlabelled_because})" if images.unlabelled_because else ""
        raise InputError(f"{images.name} has no labels, without which nobody is right or wrong{because}: give labels")
    return np.asarray(images.labels, dtype=np.int64)


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
