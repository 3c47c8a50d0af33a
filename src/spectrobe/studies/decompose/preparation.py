"""All that happens before the game is played: open, check, settle, and find out whether this run has begun already."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spectrobe.data import open_data
from spectrobe.data.base import ImageData
from spectrobe.data.checks import check_data
from spectrobe.engine.absence import DEFAULT_ABSENCE, Absence, Surroundings, absence_class
from spectrobe.engine.batching import best_batch_size, check_batch_size, halved, is_out_of_memory
from spectrobe.engine.devices import resolve_device
from spectrobe.engine.evaluate import Evaluator
from spectrobe.engine.identity import refuse_other
from spectrobe.engine.local import ImageLoader, Run, run_shards, shard_size, stack_images
from spectrobe.engine.memory import MemoryRun
from spectrobe.engine.phases import reach
from spectrobe.engine.precision import N_GUARD, choose_precision
from spectrobe.engine.progress import Progress, Silent
from spectrobe.engine.store import RunFolder, plain
from spectrobe.errors import InputError, RunFolderError
from spectrobe.game.fit import Payoffs, fit
from spectrobe.game.scores import DEFAULT_SCORE
from spectrobe.game.values import DEFAULT_VALUE, make_value
from spectrobe.models import open_model
from spectrobe.models.base import Model
from spectrobe.models.check import check_model
from spectrobe.seeding import seeded_order
from spectrobe.studies.decompose.result import DecomposeResult
from spectrobe.studies.decompose.settings import Settings
from spectrobe.studies.runs import environment

N_SAMPLE = 16
"""The self-check looks at this many intact images."""

_ABSENCE_FILE = "absence.safetensors"


@dataclass
class Preparation:
    """A run that is ready: what is played, on what, and where it is kept. about: what run.json says of it."""

    settings: Settings
    selection: Mapping[str, Any]
    order: np.ndarray
    evaluator: Evaluator
    loader: ImageLoader
    store: Run
    about: Mapping[str, Any]
    warnings: tuple[str, ...]
    _seen: set[int] = field(default_factory=set)

    def shards(self, n_images: int) -> dict[int, Sequence[int]]:
        """The shards of the first `n_images` images in seeded order: index -> positions."""
        size = shard_size(self.evaluator.passes_per_image)
        starts = range(0, n_images, size)
        return {i: [int(p) for p in self.order[s : min(s + size, n_images)]] for i, s in enumerate(starts)}

    def evaluate(self, shards: dict[int, Sequence[int]], progress: Progress) -> None:
        """Play what is missing of these shards; what an earlier call has been given is not counted again."""
        before = self.evaluator.batch_size
        left = {index: positions for index, positions in shards.items() if index not in self._seen}
        self.evaluator = run_shards(self.evaluator, self.loader, left, self.store, progress)
        self._seen |= set(left)
        if self.evaluator.batch_size != before:
            self.warnings += (f"memory ran out: batches went from {before} to {self.evaluator.batch_size} on the way",)

    def finished(self) -> DecomposeResult | None:
        """The result, when this very run was finished before."""
        if isinstance(self.store, RunFolder) and self.store.exists("result.json"):
            return DecomposeResult.from_dict(self.store.read_json("result.json"), self.store)
        return None

    def keep(self, result: DecomposeResult) -> DecomposeResult:
        """Store the result, where there is a run folder; the result then reads its table from there."""
        about = {**self.about, "warnings": list(result.warnings), "skipped": dict(result.skipped)}
        if not isinstance(self.store, RunFolder):
            return replace(result, _about=about)
        reach("result write")
        self.store.write_json("result.json", result.to_dict())
        times = {**about.get("times", {}), "finished": time.time()}
        self.store.write_json("run.json", {**about, "times": times})
        return replace(result, _payoffs=None, _folder=self.store)


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
    stack: ExitStack,
) -> Preparation:
    """Open the model and the data, check them, settle how to run; `stack` gives the model and the folder back."""
    check_batch_size(execution["batch_size"])
    absence_kind = absence_class(settings["absence"])
    given_by_name = isinstance(model, str)
    opened = open_model(model)
    images = open_data(data, n_classes=opened.n_classes, class_names=opened.class_names, class_map=loading["class_map"])
    _check_labels(images, settings["value"])
    warnings = check_data(images, opened.n_classes)
    order = seeded_order(images.ids, settings["seed"])
    if selection["images"] is not None:
        if selection["images"] > len(images):
            raise InputError(
                f"expected at most {len(images)} images, which {images.name} has, got images={selection['images']}"
            )
        order = order[: selection["images"]]
    _check_classes(images, order, settings["value"])
    loader = ImageLoader(images, opened.geometry, loading["workers"], loading["on_bad_image"])
    sample_positions, sample = _sample(loader, order)
    described = Settings(
        model_name=opened.name,
        data_name=images.name,
        image_size=(sample.shape[2], sample.shape[3]),
        labelled=images.labels is not None,
        **settings,
    )
    design = described.make_design()
    described.bands.labels(*described.image_size)
    device = resolve_device(execution["device"], opened, given_by_name)
    labels = None if images.labels is None else torch.from_numpy(images.labels[sample_positions])
    with torch.no_grad(), opened.prepared(device, "float32"):
        warnings += _self_check(opened, sample.to(device), labels, [images.ids[i] for i in sample_positions])
        answers = opened.forward(sample[:1].to(device))[0]
    n_classes = opened.n_classes or len(answers)
    if images.labels is not None and int(images.labels.max()) >= n_classes:
        warnings += check_data(images, n_classes)

    store: Run = MemoryRun() if out is None else RunFolder(out)
    begun: dict[str, Any] | None = None
    if isinstance(store, RunFolder):
        stack.enter_context(store.lock())
        begun = store.read_json("run.json") if store.exists("run.json") else None
    surroundings = Surroundings(images.ids, loader.each, settings["seed"])
    absence = _absence(absence_kind, surroundings, store if begun else None)
    identity = plain(
        {
            "settings": described.to_dict(),
            "selection": dict(selection),
            "model": _identity_of(opened, answers),
            "data": dict(images.identity()),
            "loader": dict(images.loader_settings(opened.geometry)) | {"on_bad_image": loading["on_bad_image"]},
            "absence": _fingerprint(absence.state),
            "device": device.type,
            "asked": {name: execution[name] for name in ("precision", "batch_size")},
            "threads": torch.get_num_threads(),
            "versions": {name: environment()["versions"].get(name) for name in ("spectrobe", "torch")},
        }
    )
    evaluator = Evaluator(opened.forward, n_classes, described.bands, design, absence, device, 1)
    if begun is not None:
        was = {"command": begun.get("command"), **begun.get("identity", {})}
        refuse_other(was, {"command": "decompose", **identity}, str(out))
        settled = begun["settled"]
    else:
        settled = _settle(execution, opened, evaluator, loader, order, described, sample.shape[1:])
    progress.note(f"precision {settled['precision']} ({settled['why']}), batches of {settled['batch_size']}")
    forward = stack.enter_context(opened.prepared(device, settled["precision"]))
    about = begun or _about(identity, settled, images, order, warnings)
    if begun is None and isinstance(store, RunFolder):
        _begin(store, about, absence)
    for warning in warnings:
        progress.note(f"warning: {warning}")
    evaluator = replace(evaluator, forward=forward, batch_size=settled["batch_size"])
    return Preparation(described, selection, order, evaluator, loader, store, about, tuple(warnings))


def _check_labels(images: ImageData, value: str) -> None:
    if len(images) < 2:
        raise InputError(
            f"expected at least 2 images, got {len(images)} in {images.name}: intervals over images need more"
        )
    if images.labels is None and make_value(value).needs_labels:
        why = f" ({images.unlabelled_because})" if images.unlabelled_because else ""
        raise InputError(
            f"{images.name} has no labels{why}, which value {value!r} needs: give labels, or use --value agreement"
        )


def _check_classes(images: ImageData, order: np.ndarray, value: str) -> None:
    if images.labels is None or not make_value(value).needs_labels:
        return
    if len(np.unique(images.labels[order])) < 2:
        raise InputError(
            f"the {len(order)} images are all of one class ({int(images.labels[order[0]])}), which leaves nothing to "
            "tell apart: give images of more classes, or use --value agreement"
        )


def _sample(loader: ImageLoader, order: np.ndarray) -> tuple[list[int], Tensor]:
    found = [(p, image) for p, image in loader.each([int(p) for p in order[:N_SAMPLE]]) if isinstance(image, Tensor)]
    if not found:
        raise InputError(f"none of the first {min(N_SAMPLE, len(order))} images of {loader.data.name} can be used")
    return [p for p, _ in found], stack_images([image for _, image in found])


def _self_check(model: Model, sample: Tensor, labels: Tensor | None, ids: list[str]) -> list[str]:
    """What `check_model` warns of, on as many images of the sample as memory allows."""
    while True:
        try:
            return check_model(model, sample, labels, ids)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        few = halved(len(sample))
        sample, labels = sample[:few], None if labels is None else labels[:few]


def _identity_of(model: Model, answers: Tensor) -> dict[str, Any]:
    """The model's own, and for a callable without weights its logits of one image: else any two would pass for one."""
    identity = dict(model.identity())
    if identity.get("weights_sha256") == "unhashed":
        identity["answers"] = [float(f"{logit:.3g}") for logit in answers[:8].tolist()]
    return identity


def _absence(kind: type[Absence], surroundings: Surroundings, begun: Run | None) -> Absence:
    if isinstance(begun, RunFolder) and begun.exists(_ABSENCE_FILE):
        from safetensors import SafetensorError
        from safetensors.torch import load

        try:
            return kind(load(begun.read_bytes(_ABSENCE_FILE)), surroundings)
        except SafetensorError as error:
            raise RunFolderError(
                f"{begun.path}: {_ABSENCE_FILE} is damaged ({error}): delete it, and the same call makes it anew"
            ) from None
    return kind(kind.measure(surroundings), surroundings)


def _fingerprint(state: Mapping[str, Tensor]) -> dict[str, str]:
    return {
        name: hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()
        for name, tensor in sorted(state.items())
    }


def _settle(
    execution: Mapping[str, Any],
    model: Model,
    evaluator: Evaluator,
    loader: ImageLoader,
    order: np.ndarray,
    settings: Settings,
    shape: torch.Size,
) -> dict[str, Any]:
    """Batch size and precision of a new run; a batch size that memory does not allow is halved."""
    size, device = execution["batch_size"], evaluator.device
    if size == "auto":
        passes = len(order) * evaluator.passes_per_image
        with model.prepared(device, "float32") as forward:
            size = best_batch_size(forward, shape, device, passes)

    def rows_of(forward: Any) -> np.ndarray:
        few = [int(p) for p in order[: min(N_GUARD, max(2, len(order) // 8))]]
        player = replace(evaluator, forward=forward, batch_size=size)
        table = player.payoff_table(loader.shard(few), Silent())
        return fit(Payoffs.of(table), settings.make_design(), make_value(settings.value)).rows

    while True:
        try:
            choice = choose_precision(execution["precision"], model, device, size, shape, rows_of, len(order))
            return {"batch_size": size, "precision": choice.precision, "why": choice.why}
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        size = halved(size)


def _about(
    identity: dict[str, Any], settled: dict[str, Any], images: ImageData, order: np.ndarray, warnings: Sequence[str]
) -> dict[str, Any]:
    """What run.json says of a new run."""
    return {
        "command": "decompose",
        "identity": identity,
        "settled": settled,
        "defaults": {"value": DEFAULT_VALUE, "absence": DEFAULT_ABSENCE, "score": DEFAULT_SCORE},
        "images": [images.ids[int(p)] for p in order],
        "environment": environment(),
        "warnings": list(warnings),
        "times": {"started": time.time()},
    }


def _begin(store: RunFolder, about: Mapping[str, Any], absence: Absence) -> None:
    if store.shards():
        raise RunFolderError(f"{store.path}: holds payoffs but no run.json: choose another folder, or remove them")
    if absence.state:
        from safetensors.torch import save

        store.write_bytes(_ABSENCE_FILE, save({name: tensor.contiguous() for name, tensor in absence.state.items()}))
    store.write_json("run.json", dict(about))
