"""All that happens before the game is played: open, check, settle, and find out whether this run has begun already."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spectrobe.data import open_data
from spectrobe.data.base import ImageData
from spectrobe.data.cached import band_cache
from spectrobe.data.checks import check_data
from spectrobe.engine.absence import DEFAULT_ABSENCE, Surroundings, absence_class
from spectrobe.engine.batching import best_batch_size, check_batch_size, halved, is_out_of_memory
from spectrobe.engine.devices import resolve_device
from spectrobe.engine.evaluate import Evaluator
from spectrobe.engine.executor import Executor
from spectrobe.engine.lent import lend
from spectrobe.engine.local import ImageLoader, Run, shard_size
from spectrobe.engine.opening import chosen_order, execution_identity, model_identity, sample_of, self_check
from spectrobe.engine.precision import N_GUARD, choose_precision
from spectrobe.engine.progress import Progress, Silent
from spectrobe.engine.run import StudyRun, open_run
from spectrobe.engine.sources import Sources
from spectrobe.errors import InputError, ShardsFailedError
from spectrobe.game.fit import Payoffs, fit
from spectrobe.game.scores import DEFAULT_SCORE
from spectrobe.game.values import DEFAULT_VALUE, make_value
from spectrobe.models import open_model
from spectrobe.models.base import Model
from spectrobe.studies.decompose.design import choose_design
from spectrobe.studies.decompose.pilot import N_PILOT, score_stderr
from spectrobe.studies.decompose.result import DecomposeResult
from spectrobe.studies.decompose.settings import Settings
from spectrobe.studies.decompose.stored_absence import FILE, absence_file, state_digests, stored_absence

KIND = "decompose"
N_SAMPLE = 16
"""The self-check looks at this many intact images."""


@dataclass
class Preparation:
    """A run that is ready: what is played, on what, and where it is kept."""

    settings: Settings
    selection: Mapping[str, Any]
    order: np.ndarray
    evaluator: Evaluator
    loader: ImageLoader
    run: StudyRun
    _warnings: tuple[str, ...]
    _seen: set[int] = field(default_factory=set)

    @property
    def store(self) -> Run:
        """Where the shards are."""
        return self.run.store

    @property
    def warnings(self) -> tuple[str, ...]:
        """Of the checks, and of what happened on the way."""
        return (*self._warnings, *self.run.warnings)

    def shards(self, n_images: int) -> dict[int, Sequence[int]]:
        """The shards of the first `n_images` images in seeded order: index -> positions."""
        size = self.run.images_per_shard(images_per_shard(self.evaluator.passes_per_image, 0, None))
        starts = range(0, n_images, size)
        return {i: [int(p) for p in self.order[s : min(s + size, n_images)]] for i, s in enumerate(starts)}

    def evaluate(self, shards: dict[int, Sequence[int]], progress: Progress) -> None:
        """Play what is missing of these shards; what an earlier call has been given is not counted again."""
        left = {index: positions for index, positions in shards.items() if index not in self._seen}
        try:
            self.run.play(self.evaluator, self.loader, left, progress)
        except ShardsFailedError:
            self._seen |= set(left) & set(self.store.shards())
            raise
        self._seen |= set(left)

    def finished(self, progress: Progress) -> DecomposeResult | None:
        """The result, when this very run was finished before."""
        content = self.run.finished(progress)
        return None if content is None else DecomposeResult.from_dict(content, self.run.folder)

    def keep(self, result: DecomposeResult) -> DecomposeResult:
        """Store the result, where there is a run folder; the result then reads its table from there."""
        self.run.keep(result.to_dict(), result.warnings, result.skipped)
        about = self.run.about if self.run.folder is None else None
        return replace(result, _payoffs=None, _run=self.run.store, _about=about)


def images_per_shard(passes_per_image: int, n_images: int, tolerance: float | None) -> int:
    """How many images a shard takes; where a pilot finds out how many are wanted, more than its own in none."""
    return shard_size(passes_per_image, n_images, *(() if tolerance is None else (N_PILOT,)))


@dataclass(frozen=True)
class _Opened:
    """Model and images, checked. order: the images of the run.   sample: pixels of the first ones, on the device."""

    model: Model
    device: torch.device
    n_classes: int
    loader: ImageLoader
    order: np.ndarray
    sample: Tensor
    settings: Settings
    identity: Mapping[str, Any]
    warnings: tuple[str, ...]


def prepare(
    model: Any,
    data: Any,
    *,
    settings: Mapping[str, Any],
    selection: Mapping[str, Any],
    execution: Mapping[str, Any],
    loading: Mapping[str, Any],
    out: str | os.PathLike[str] | None,
    progress: Progress,
    executor: Executor,
    stack: ExitStack,
) -> Preparation:
    """Open the model and the data, check them, settle how to run; `stack` gives the model and the folder back."""
    check_batch_size(execution["batch_size"])
    absence_kind = absence_class(settings["absence"])
    opened = _open(model, data, settings, selection, execution["device"], loading)
    if execution["precision"] != "auto":
        opened.model.require(execution["precision"], opened.device)
    described, loader = opened.settings, opened.loader
    run = open_run(KIND, out, "payoffs", stack, executor)
    surroundings = Surroundings(loader.data.ids, loader.each, described.seed)
    absence, made_from = stored_absence(absence_kind, surroundings, run.folder if run.begun else None)
    # where the design is still to be chosen, the pilot plays this one
    design = replace(described, design="permutation").make_design() if described.open else described.make_design()
    evaluator = Evaluator(
        opened.model.forward,
        opened.n_classes,
        described.bands,
        design,
        absence,
        opened.device,
        batch_size=1,
        clip=described.clip,
        cache=band_cache(data),
    )
    sources = Sources(loader.data, loader.geometry, absence.others)
    run.begin(
        {
            **opened.identity,
            "selection": dict(selection),
            "absence": state_digests(absence.state),
            "asked": {name: execution[name] for name in ("precision", "batch_size")},
        },
        sources,
        opened.order,
        lambda: _settle(execution, selection["tolerance"], opened, evaluator),
        progress=progress,
        warnings=opened.warnings,
        written=opened.model.written,
        files={FILE: lambda: absence_file(absence, sources)} if absence.state else {},
        made_from=made_from,
        decoders=loading["workers"],
        defaults={"value": DEFAULT_VALUE, "absence": DEFAULT_ABSENCE, "score": DEFAULT_SCORE},
    )
    settled = run.settled
    if described.open:
        described = replace(described, design=settled["design"])
        evaluator = replace(evaluator, design=described.make_design())
        progress.note(f"design {settled['design']} ({settled['design_because']})")
    progress.note(f"precision {settled['precision']} ({settled['why']}), batches of {settled['batch_size']}")
    for warning in opened.warnings:
        progress.note(f"warning: {warning}")
    forward = lend(opened.model, opened.device, settled["precision"], stack)
    evaluator = replace(evaluator, forward=forward, batch_size=settled["batch_size"])
    return Preparation(described, selection, opened.order, evaluator, loader, run, opened.warnings)


def _open(
    model: Any,
    data: Any,
    settings: Mapping[str, Any],
    selection: Mapping[str, Any],
    device: str,
    loading: Mapping[str, Any],
) -> _Opened:
    """Open both, and refuse what no run could work with."""
    opened = open_model(model)
    images = open_data(data, n_classes=opened.n_classes, class_names=opened.class_names, class_map=loading["class_map"])
    order = chosen_order(images, selection["images"], settings["seed"])
    _check_labels(images, order, settings["value"])
    warnings = check_data(images, opened.n_classes)
    loader = ImageLoader(images, opened.geometry, loading["workers"], loading["on_bad_image"])
    positions, sample = sample_of(loader, order, N_SAMPLE)
    described = Settings(
        model_name=opened.name,
        data_name=images.name,
        image_size=(sample.shape[2], sample.shape[3]),
        labelled=images.labels is not None,
        **settings,
    )
    described.bands.labels(*described.image_size)
    place = resolve_device(device, opened, isinstance(model, str))
    sample = sample.to(place)
    labels = None if images.labels is None else torch.from_numpy(images.labels[positions])
    with torch.no_grad(), opened.prepared(place, "float32") as forward:
        warnings += self_check(opened, sample, labels, [images.ids[i] for i in positions])
        about_model = model_identity(opened, forward, sample)
        n_classes = opened.n_classes or forward(sample[:1]).shape[1]
    if images.labels is not None and int(images.labels.max()) >= n_classes:
        warnings += check_data(images, n_classes)
    identity = {"settings": described.to_dict(), "model": about_model}
    identity |= loader.identity() | execution_identity(place)
    return _Opened(opened, place, n_classes, loader, order, sample, described, identity, tuple(warnings))


def _check_labels(images: ImageData, order: np.ndarray, value: str) -> None:
    if not make_value(value).needs_labels:
        return
    if images.labels is None:
        why = f" ({images.unlabelled_because})" if images.unlabelled_because else ""
        raise InputError(
            f"{images.name} has no labels{why}, which value {value!r} needs: give labels, or use --value agreement"
        )
    if len(np.unique(images.labels[order])) < 2:
        raise InputError(
            f"the {len(order)} images are all of one class ({int(images.labels[order[0]])}), which leaves nothing to "
            "tell apart: give images of more classes, or use --value agreement"
        )


def _settle(
    execution: Mapping[str, Any], tolerance: float | None, opened: _Opened, evaluator: Evaluator
) -> dict[str, Any]:
    """Batch size, design, precision and shards of a new run; a batch size that memory does not allow is halved."""
    size, device, model, order = execution["batch_size"], opened.device, opened.model, opened.order
    settings = opened.settings
    chosen: dict[str, str] = {}
    shape = opened.sample.shape[1:]
    if size == "auto":
        with model.prepared(device, "float32") as forward:
            size = best_batch_size(forward, shape, device, len(order) * evaluator.passes_per_image)

    def played(forward: Any, n_images: int) -> Payoffs:
        few = [int(p) for p in order[:n_images]]
        player = replace(evaluator, forward=forward, batch_size=size)
        return Payoffs.of(player.payoff_table(opened.loader.shard(few), Silent()))

    def rows_of(forward: Any) -> np.ndarray:
        payoffs = played(forward, min(N_GUARD, max(2, len(order) // 8)))
        return fit(payoffs, evaluator.design, make_value(settings.value)).rows

    def pilot() -> tuple[float, int]:
        with model.prepared(device, "float32") as forward:
            return score_stderr(played(forward, N_PILOT), evaluator.design, settings)

    while True:
        try:
            if settings.open and not chosen:
                n_bands, confidence = settings.bands.n_bands, settings.confidence
                taken = choose_design(settings.design, n_bands, len(order), tolerance, confidence, pilot)
                chosen = {"design": taken.design, "design_because": taken.why}
                evaluator = replace(evaluator, design=replace(settings, design=taken.design).make_design())
            choice = choose_precision(execution["precision"], model, device, size, shape, rows_of, len(order))
            per_shard = images_per_shard(evaluator.passes_per_image, len(order), tolerance)
            return {
                "batch_size": size,
                "precision": choice.precision,
                "why": choice.why,
                **chosen,
                "images_per_shard": per_shard,
            }
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        size = halved(size)
