"""Before a response run: open, check, settle, tell what it costs, see whether it has begun."""

from __future__ import annotations

import os
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
from spectrobe.engine.absence import DEFAULT_ABSENCE, Surroundings, absence_class
from spectrobe.engine.batching import best_batch_size
from spectrobe.engine.devices import resolve_device
from spectrobe.engine.local import shard_size
from spectrobe.engine.opening import chosen_order, execution_identity, model_identity, sample_of, self_check
from spectrobe.engine.progress import Progress
from spectrobe.engine.run import StudyRun, open_run
from spectrobe.engine.sources import Sources
from spectrobe.errors import InputError
from spectrobe.models import open_model
from spectrobe.models.base import Model
from spectrobe.studies.decompose.stored_absence import FILE, absence_file, state_digests, stored_absence
from spectrobe.studies.response.basis import half_plane_frequencies
from spectrobe.studies.response.gradients import GRADIENT, why_none
from spectrobe.studies.response.player import HeatMapPlayer, ResponsePlayer
from spectrobe.studies.response.result import ResponseResult
from spectrobe.studies.response.result_json import KIND
from spectrobe.studies.response.rows import FOLDER
from spectrobe.studies.response.settings import (
    DEFAULT_POWERS,
    DEFAULT_UNDER,
    ResponseSettings,
    check_bands,
    octave_bands,
    plan_heat_map,
)
from spectrobe.studies.robustness.conditions import Condition, Item, Plan, build
from spectrobe.studies.robustness.preparation import N_SAMPLE, PlainLoader


@dataclass
class Prepared:
    """A run that is ready: what is played, on what, and where it is kept. refused: what could not even be begun."""

    settings: ResponseSettings
    refused: Mapping[str, str]
    order: np.ndarray
    player: ResponsePlayer
    heat_player: HeatMapPlayer | None
    loader: PlainLoader
    run: StudyRun
    _warnings: tuple[str, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """Of the checks, and of what happened on the way."""
        return (*self._warnings, *self.run.warnings)

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The perturbations whose cost is to be predicted."""
        return tuple(item.condition for item in self.player.items)

    def shards(self) -> dict[int, Sequence[int]]:
        """Index -> positions. At least a batch each, since batches never cross shards."""
        size = max(shard_size(self.player.passes_per_image, 0), self.run.settled["batch_size"])
        return _split(self.order, self.run.images_per_shard(size), 0)

    def heat_shards(self) -> dict[int, Sequence[int]]:
        """Those of the heat map, which takes the first images of the run, behind the others."""
        if self.heat_player is None or self.settings.heat_map is None:
            return {}
        some = self.order[: self.settings.heat_map.images]
        return _split(some, shard_size(self.heat_player.passes_per_image, 0), len(self.shards()))

    @property
    def forward_passes(self) -> int:
        """Of the whole run, at most."""
        heat = 0 if self.heat_player is None else self.heat_player.passes_per_image
        return self.player.passes_per_image * len(self.order) + heat * sum(map(len, self.heat_shards().values()))

    def play(self, progress: Progress) -> None:
        """Play what is missing."""
        self.run.play(self.player, self.loader, self.shards(), progress)
        if self.heat_player is not None:
            self.run.play(self.heat_player, self.loader, self.heat_shards(), progress)

    def finished(self, progress: Progress) -> ResponseResult | None:
        """The result, when this very run was finished before."""
        content = self.run.finished(progress)
        return None if content is None else ResponseResult.from_dict(content, self.run.folder)

    def keep(self, result: ResponseResult) -> ResponseResult:
        """Store the result, where there is a run folder; the result then reads its rows from there."""
        self.run.keep(result.to_dict(), result.warnings, result.skipped)
        folder = self.run.folder
        return result if folder is None else replace(result, _rows=None, _heat_rows=None, _folder=folder)


@dataclass(frozen=True)
class _Opened:
    """Model, images and perturbations, checked. sample: pixels of the first images, on the device."""

    model: Model
    device: torch.device
    n_classes: int
    loader: PlainLoader
    order: np.ndarray
    sample: Tensor
    items: tuple[Item, ...]
    under: Item | None
    under_name: str | None
    refused: Mapping[str, str]
    model_identity: Mapping[str, Any]
    warnings: tuple[str, ...]


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
    opened = _open(model, data, plans, under, images, settings["seed"], execution["device"], loading)
    base, shape = opened.loader.data, opened.sample.shape[1:]
    for name, why in opened.refused.items():
        progress.note(f"failed: {name}: {why}")
    described = ResponseSettings(
        model_name=opened.model.name,
        data_name=base.name,
        data_digest=_digest(base),
        image_size=(shape[1], shape[2]),
        channels=shape[0],
        bands=check_bands(bands or octave_bands(shape[1], shape[2]), shape[1], shape[2]),
        under=opened.under_name,
        heat_map=plan_heat_map(heat_map["norm"], heat_map["step"], min(heat_map["images"], len(opened.order)), shape),
        **settings,
    )
    run = open_run(KIND, out, FOLDER, stack)
    surroundings = Surroundings(base.ids, opened.loader.each, described.seed)
    folder = run.folder if run.begun else None
    absence, made_from = stored_absence(absence_class(described.absence), surroundings, folder)
    player = ResponsePlayer(
        forward=opened.model.forward,
        n_classes=opened.n_classes,
        bands=described.bands,
        powers=described.powers,
        absence=absence.images([], shape),
        under=opened.under,
        items=opened.items,
        gradients=GRADIENT not in opened.refused,
        seed=described.seed,
        device=opened.device,
        batch_size=1,
    )
    sources = Sources(base, opened.loader.geometry, absence.others)
    run.begin(
        {**_identity(opened, described, images, execution["batch_size"]), "absence": state_digests(absence.state)},
        sources,
        opened.order,
        lambda: _settle(opened, execution["batch_size"], player.passes_per_image),
        progress=progress,
        warnings=opened.warnings,
        written=opened.model.written,
        files={FILE: lambda: absence_file(absence, sources)} if absence.state else {},
        made_from=made_from,
        views=[asdict(view) for view in player.views],
        defaults={"absence": DEFAULT_ABSENCE, "powers": list(DEFAULT_POWERS), "under": DEFAULT_UNDER},
    )
    size = run.settled["batch_size"]
    progress.note(f"float32, batches of {size}")
    for warning in opened.warnings:
        progress.note(f"warning: {warning}")
    forward = stack.enter_context(opened.model.prepared(opened.device))
    player = replace(player, forward=forward, batch_size=size)
    heat_player = _heat_player(player, described)
    return Prepared(described, opened.refused, opened.order, player, heat_player, opened.loader, run, opened.warnings)


def _open(
    model: Any,
    data: Any,
    plans: Sequence[Plan],
    under: Sequence[Plan],
    images: int | None,
    seed: int,
    device: str,
    loading: Mapping[str, Any],
) -> _Opened:
    """Open everything, and refuse what cannot be measured."""
    opened = open_model(model)
    known = {"n_classes": opened.n_classes, "class_names": opened.class_names, "class_map": loading["class_map"]}
    base = open_data(data, **known, image_column=loading["image_column"], label_column=loading["label_column"])
    labels = _labels(base)
    warnings = check_data(base, opened.n_classes)
    order = chosen_order(base, images, seed)
    loader = PlainLoader(base, opened.geometry, loading["workers"], loading["on_bad_image"])
    positions, sample = sample_of(loader, order, N_SAMPLE)
    place = resolve_device(device, opened, isinstance(model, str))
    sample = sample.to(place)
    with opened.prepared(place) as forward:
        ids = [base.ids[i] for i in positions]
        warnings += self_check(opened, sample, torch.from_numpy(labels[positions]), ids)
        n_classes = opened.n_classes or int(forward(sample[:1]).shape[1])
        about_model = model_identity(opened, forward, sample)
    warnings += [w for w in check_data(base, n_classes) if w not in warnings]
    items, refused = build(plans, opened)
    beside, refused_beside = build(under, opened)
    names = [*(item.condition.name for item in beside), *refused_beside]
    no_gradient = why_none(opened)
    return _Opened(
        model=opened,
        device=place,
        n_classes=n_classes,
        loader=loader,
        order=order,
        sample=sample,
        items=tuple(items),
        under=beside[0] if beside else None,
        under_name=names[0] if names else None,
        refused={**refused, **refused_beside, **({GRADIENT: no_gradient} if no_gradient else {})},
        model_identity=about_model,
        warnings=tuple(warnings),
    )


def _identity(opened: _Opened, settings: ResponseSettings, images: int | None, batch_size: Any) -> dict[str, Any]:
    return {
        "settings": settings.to_dict(),
        "selection": {"images": images},
        "conditions": [item.condition.to_dict() for item in opened.items],
        "under": None if opened.under is None else opened.under.condition.to_dict(),
        "refused": dict(opened.refused),
        "model": opened.model_identity,
        **opened.loader.identity(),
        "precision": "float32",
        "asked": {"batch_size": batch_size},
        **execution_identity(opened.device),
    }


def _settle(opened: _Opened, asked: Any, passes_per_image: int) -> dict[str, int]:
    size = _batch_size(opened, asked, passes_per_image)
    return {"batch_size": size, "images_per_shard": max(size, shard_size(passes_per_image, len(opened.order)))}


def _batch_size(opened: _Opened, asked: Any, passes_per_image: int) -> int:
    if asked != "auto":
        return int(asked)
    with opened.model.prepared(opened.device) as forward:
        passes = passes_per_image * len(opened.order)
        return best_batch_size(forward, opened.sample.shape[1:], opened.device, passes)


def _heat_player(player: ResponsePlayer, settings: ResponseSettings) -> HeatMapPlayer | None:
    plan = settings.heat_map
    if plan is None:
        return None
    frequencies = half_plane_frequencies(*settings.image_size, plan.step)
    return HeatMapPlayer(
        player.forward, player.n_classes, frequencies, plan.norm, settings.seed, player.device, player.batch_size
    )


def _split(order: np.ndarray, size: int, first: int) -> dict[int, Sequence[int]]:
    """Index, counted from `first`, -> positions."""
    starts = range(0, len(order), size)
    return {first + i: [int(p) for p in order[s : s + size]] for i, s in enumerate(starts)}


def _labels(images: ImageData) -> np.ndarray:
    if images.labels is None:
        because = f" ({images.unlabelled_because})" if images.unlabelled_because else ""
        raise InputError(f"{images.name} has no labels, without which nobody is right or wrong{because}: give labels")
    return np.asarray(images.labels, dtype=np.int64)


def _digest(images: ImageData) -> str:
    """What tells this data set from others wherever it lies: ids, labels, and sizes or pixels."""
    identity = images.identity()
    return "-".join(str(identity[key])[:16] for key in ("digest", "pixels", "first_images") if key in identity)
