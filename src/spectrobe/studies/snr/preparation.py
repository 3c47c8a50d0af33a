"""Before a spectral-SNR run: perturbations built, images opened or paired, sizes checked, this very run found again."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from spectrobe.bands import BandPartition
from spectrobe.engine.batching import check_batch_size
from spectrobe.engine.devices import resolve_device
from spectrobe.engine.identity import refuse_other
from spectrobe.engine.local import ImageLoader, Run, run_shards
from spectrobe.engine.memory import MemoryRun
from spectrobe.engine.phases import reach
from spectrobe.engine.progress import Progress
from spectrobe.engine.store import RunFolder, plain
from spectrobe.errors import InputError, RunFolderError
from spectrobe.models import open_model
from spectrobe.models.base import Model
from spectrobe.perturbations import Perturbation, PerturbationSpec, as_perturbation, parse_perturbations
from spectrobe.perturbations.attacks import Attack
from spectrobe.studies.runs import environment
from spectrobe.studies.snr.images import chosen, geometry_of, image_warnings, in_one_size, opened_images, pair_name
from spectrobe.studies.snr.measure import Measurer
from spectrobe.studies.snr.result import SnrResult, SnrSettings, SnrStudy
from spectrobe.studies.snr.result_json import KIND, load_snr, study_to_dict
from spectrobe.studies.snr.summary import rings

_BATCH_FLOATS, _SHARD_FLOATS = 2**23, 2**26


@dataclass
class SnrPreparation:
    """A run that is ready: which images, what is done to them, and where it is kept."""

    settings: SnrSettings
    order: np.ndarray
    measurer: Measurer
    loader: ImageLoader
    store: Run
    images_per_shard: int
    warnings: tuple[str, ...]

    def shards(self) -> dict[int, Sequence[int]]:
        """All shards: index -> positions of images."""
        starts = range(0, len(self.order), self.images_per_shard)
        return {i: [int(p) for p in self.order[s : s + self.images_per_shard]] for i, s in enumerate(starts)}

    def measure(self, shards: dict[int, Sequence[int]], progress: Progress) -> None:
        """Measure what is missing of these shards."""
        before = self.measurer.batch_size
        self.measurer = run_shards(self.measurer, self.loader, shards, self.store, progress)
        if self.measurer.batch_size != before:
            self.warnings += (f"memory ran out: batches went from {before} to {self.measurer.batch_size} on the way",)

    def finished(self) -> SnrStudy | None:
        """The results, when this very run was finished before."""
        if not isinstance(self.store, RunFolder) or not self.store.exists("result.json"):
            return None
        found = load_snr(self.store.read_json("result.json"), self.store)
        return SnrStudy(found.results, {}) if isinstance(found, SnrResult) else found

    def keep(self, study: SnrStudy) -> SnrStudy:
        """Store the results, where there is a run folder; they then read their rows from there."""
        if not isinstance(self.store, RunFolder):
            return study
        reach("result write")
        self.store.write_json("result.json", study_to_dict(study))
        run = self.store.read_json("run.json")
        warnings = list(dict.fromkeys(warning for result in study.results.values() for warning in result.warnings))
        self.store.write_json(
            "run.json", {**run, "warnings": warnings, "times": {**run.get("times", {}), "finished": time.time()}}
        )
        results = {name: replace(one, _rows=None, _folder=self.store) for name, one in study.results.items()}
        return replace(study, results=results)


def prepare_snr(
    data: Any,
    perturbations: Any,
    perturbed: Any,
    model: Any,
    *,
    settings: Mapping[str, Any],
    selection: Mapping[str, Any],
    execution: Mapping[str, Any],
    loading: Mapping[str, Any],
    out: str | os.PathLike[str] | None,
    progress: Progress,
    stack: ExitStack,
) -> SnrPreparation:
    """Open and check everything; `stack` gives the model and the folder back."""
    _check_choices(perturbations, perturbed, settings, loading)
    check_batch_size(execution["batch_size"])
    specs = [] if perturbations is None else wanted(perturbations)
    opened = None if model is None else open_model(model)
    built = _built(specs, opened)
    attacks = [one for one in built.values() if isinstance(one, Attack)]
    labelled = bool(attacks) and settings["labels"] == "given"
    geometry = geometry_of(opened or (attacks[0].model if attacks else None), selection["size"], selection["patch"])
    images = opened_images(
        data, perturbed, selection["patch"], attacks[0].model if labelled else None, loading["class_map"]
    )
    order = chosen(images, selection["images"], settings["seed"])
    images, shape = in_one_size(images, geometry, order, loading["on_bad_image"])
    name = pair_name(perturbed, images)
    bands: BandPartition = settings["bands"]
    _check_bands(bands, settings["dc"], shape[1:])
    described = SnrSettings(
        perturbation=name,
        data_name=images.name,
        model_name=opened.name if opened else attacks[0].model.name if attacks else "",
        image_size=(shape[1], shape[2]),
        **{**settings, "labels": "" if not attacks else "given" if images.labels is not None else "prediction"},
    )
    numel = shape[0] * shape[1] * shape[2]
    asked = execution["batch_size"]
    measurer = Measurer(
        perturbations={name: None} if perturbed is not None else dict(built),
        bands=rings(bands),
        border=settings["border"],
        luminance=settings["luminance"],
        quantize=settings["quantize"],
        seed=settings["seed"],
        batch_size=max(1, min(32, _BATCH_FLOATS // numel)) if asked == "auto" else asked,
        labels=labelled,
    )
    store: Run = MemoryRun() if out is None else RunFolder(out, rows=KIND)
    device = None
    if opened is not None and any(attack.model is opened for attack in attacks):
        device = resolve_device(execution["device"], opened, isinstance(model, str))
        stack.enter_context(opened.prepared(device))
    identity = {
        "settings": described.to_dict(),
        "selection": selection,
        "perturbations": [_identity(one) for one in built.values()],
        "model": None if opened is None else dict(opened.identity()),
        "data": dict(images.identity()),
        "loader": dict(images.loader_settings(geometry)) | {"on_bad_image": loading["on_bad_image"]},
        "device": None if device is None else device.type,
        "batch_size": measurer.batch_size,
        "threads": torch.get_num_threads(),
        "versions": {name: environment()["versions"].get(name) for name in ("spectrobe", "torch")},
    }
    warnings = image_warnings(images, selection["patch"])
    if isinstance(store, RunFolder):
        stack.enter_context(store.lock())
        _begin_or_go_on(store, plain(identity), [images.ids[int(p)] for p in order], warnings)
    for warning in warnings:
        progress.note(f"warning: {warning}")
    loader = ImageLoader(images, geometry, loading["workers"], loading["on_bad_image"])
    per_shard = max(measurer.batch_size, min(64, _SHARD_FLOATS // numel))
    return SnrPreparation(described, order, measurer, loader, store, per_shard, tuple(warnings))


def wanted(perturbations: Any) -> list[Perturbation | PerturbationSpec]:
    """Perturbations as the caller gives them, text parsed: one, or a list of some."""
    if isinstance(perturbations, str):
        return list(parse_perturbations(perturbations))
    if isinstance(perturbations, PerturbationSpec):
        return [perturbations]
    if isinstance(perturbations, Sequence):
        return [one for some in perturbations for one in wanted(some)]
    return [as_perturbation(perturbations)]


def _check_choices(perturbations: Any, perturbed: Any, settings: Mapping[str, Any], loading: Mapping[str, Any]) -> None:
    if (perturbations is None) == (perturbed is None):
        raise InputError(
            "expected a perturbation, or the same images perturbed already (perturbed=DATA): one of the two"
        )
    if settings["border"] not in (None, "periodic-plus-smooth"):
        raise InputError(f"expected border None or 'periodic-plus-smooth', got {settings['border']!r}")
    if settings["labels"] not in ("given", "prediction"):
        raise InputError(f"expected labels 'given' or 'prediction', got {settings['labels']!r}")
    bits = settings["quantize"]
    if bits is not None and (isinstance(bits, bool) or not isinstance(bits, int) or not 1 <= bits <= 16):
        raise InputError(f"expected quantize None or a number of bits from 1 to 16, such as 8, got {bits!r}")
    if loading["on_bad_image"] not in ("error", "skip"):
        raise InputError(f"expected on_bad_image 'error' or 'skip', got {loading['on_bad_image']!r}")


def _built(specs: Sequence[Perturbation | PerturbationSpec], model: Model | None) -> dict[str, Perturbation]:
    built: dict[str, Perturbation] = {}
    for spec in specs:
        one = spec.build(model) if isinstance(spec, PerturbationSpec) else spec
        if str(one) in built:
            raise InputError(
                f"expected perturbations of different names, got {one} twice: name yours with as_perturbation"
            )
        built[str(one)] = one
    return built


def _identity(perturbation: Perturbation) -> dict[str, Any]:
    function = getattr(perturbation, "function", None)
    found: dict[str, Any] = {"item": str(perturbation), "settings": perturbation.settings}
    if function is not None:
        found["callable"] = (
            f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', type(function).__qualname__)}"
        )
    if isinstance(perturbation, Attack):
        found["model"] = dict(perturbation.model.identity())
    return found


def _check_bands(bands: BandPartition, dc: str, size: tuple[int, ...]) -> None:
    bands.labels(*size)
    lowest = int(rings(bands).bins(*size)[0])
    if dc == "apart" and bands.dc == "in-band" and lowest == 1:
        raise InputError(
            f"bands {bands} on {size[0]} x {size[1]} pixels leave the mean alone in band 0, which dc='apart' takes "
            "out: use fewer bands, or dc='in-band'"
        )


def _begin_or_go_on(store: RunFolder, identity: dict[str, Any], images: list[str], warnings: Sequence[str]) -> None:
    if store.exists("run.json"):
        begun = store.read_json("run.json")
        was = {"command": begun.get("command"), **begun.get("identity", {})}
        refuse_other(was, {"command": KIND, **identity}, store.path)
        return
    if store.shards():
        raise RunFolderError(f"{store.path}: holds rows but no run.json: choose another folder, or remove them")
    store.write_json(
        "run.json",
        {
            "command": KIND,
            "identity": identity,
            "defaults": {"dc": "apart", "summary": "median", "quantize": None, "border": None},
            "images": images,
            "environment": environment(),
            "warnings": list(warnings),
            "times": {"started": time.time()},
        },
    )
