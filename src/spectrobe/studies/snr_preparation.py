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
from spectrobe.data import open_data
from spectrobe.data.base import ImageData
from spectrobe.data.pairs import CentrePatches, PairedData, SizeMismatchError
from spectrobe.engine.batching import check_batch_size
from spectrobe.engine.devices import resolve_device
from spectrobe.engine.identity import refuse_other
from spectrobe.engine.local import ImageLoader, Run, run_shards
from spectrobe.engine.memory import MemoryRun
from spectrobe.engine.phases import reach
from spectrobe.engine.progress import Progress
from spectrobe.engine.store import RunFolder, plain
from spectrobe.errors import BadImageError, InputError, RunFolderError
from spectrobe.models import ModelOptions, open_model
from spectrobe.models.base import Geometry, Model
from spectrobe.models.options import crop_geometry
from spectrobe.perturbations import Perturbation, PerturbationSpec, as_perturbation, parse_perturbations
from spectrobe.perturbations.attacks import Attack
from spectrobe.seeding import seeded_order
from spectrobe.studies.runs import environment
from spectrobe.studies.snr_json import KIND, load_snr, study_to_dict
from spectrobe.studies.snr_measure import Measurer
from spectrobe.studies.snr_result import SnrResult, SnrSettings, SnrStudy
from spectrobe.studies.snr_summary import rings

N_SAMPLE = 16
"""So many images are looked at before the run: whether they can be read and are of one size."""
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
    geometry = _geometry(opened, attacks, selection)
    labelled = bool(attacks) and settings["labels"] == "given"
    images = _opened(data, perturbed, attacks[0].model if labelled else None, loading["class_map"])
    if selection["patch"] is not None:
        images = CentrePatches(images, _sides("patch", selection["patch"]))
    order = _order(images, selection["images"], settings["seed"])
    shape = _sample(images, geometry, order, loading["on_bad_image"])
    name = _data_name(perturbed, images) if isinstance(_inner(images), PairedData) else ""
    bands: BandPartition = settings["bands"]
    _check_bands(bands, settings["dc"], shape[1:])
    described = SnrSettings(
        perturbation=name,
        data_name=images.name,
        model_name=opened.name if opened else attacks[0].model.name if attacks else "",
        image_size=(shape[1], shape[2]),
        **{**settings, "labels": settings["labels"] if attacks and images.labels is not None else _unlabelled(attacks)},
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
    warnings = _warnings(images)
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
        raise InputError("expected a perturbation, or the same images perturbed already (perturbed=DATA): one of the two")
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
            raise InputError(f"expected perturbations of different names, got {one} twice: name yours with as_perturbation")
        built[str(one)] = one
    return built


def _identity(perturbation: Perturbation) -> dict[str, Any]:
    function = getattr(perturbation, "function", None)
    found: dict[str, Any] = {"item": str(perturbation), "settings": perturbation.settings}
    if function is not None:
        found["callable"] = f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', type(function).__qualname__)}"
    if isinstance(perturbation, Attack):
        found["model"] = dict(perturbation.model.identity())
    return found


def _geometry(model: Model | None, attacks: Sequence[Attack], selection: Mapping[str, Any]) -> Geometry:
    size, patch = selection["size"], selection["patch"]
    if model is not None and size is not None:
        raise InputError("expected size without a model, which has a size of its own: give it in the model string (?size=N)")
    if patch is not None and (model is not None or size is not None):
        raise InputError("expected patch without a model and without size: a patch is cut out of images as they are")
    if size is not None and (sides := ModelOptions.parse({"size": size}).size) not in ("none", None):
        return crop_geometry(_sides("size", sides))
    if model is not None:
        return model.geometry
    return attacks[0].model.geometry if attacks else Geometry()


def _sides(name: str, size: Any) -> tuple[int, int]:
    sides = ModelOptions.parse({"size": size}).size
    if not isinstance(sides, tuple):
        raise InputError(f"expected {name} as a number of pixels, 224 or 224x192, got {size!r}")
    return sides


def _opened(data: Any, perturbed: Any, attacked: Model | None, class_map: Any) -> ImageData:
    if attacked is not None:
        return open_data(data, n_classes=attacked.n_classes, class_names=attacked.class_names, class_map=class_map)
    if class_map is not None:
        raise InputError("expected class_map only where an attack uses labels: leave it out")
    images = open_data(data, labelled=False)
    return images if perturbed is None else PairedData(images, open_data(perturbed, labelled=False))


def _inner(images: ImageData) -> ImageData:
    return images.data if isinstance(images, CentrePatches) else images


def _unlabelled(attacks: Sequence[Attack]) -> str:
    return "prediction" if attacks else ""


def _data_name(perturbed: Any, images: ImageData) -> str:
    """What the perturbation is called: the perturbed data's name, with its folder's where both have one name."""
    pairs = _inner(images)
    name = pairs.perturbed.name if isinstance(pairs, PairedData) else ""
    if name == images.name and isinstance(perturbed, (str, os.PathLike)):
        name = "/".join(os.path.normpath(os.fspath(perturbed)).split(os.sep)[-2:])
    return f"perturbed {name}" if name == images.name else name


def _order(images: ImageData, most: int | None, seed: int) -> np.ndarray:
    if len(images) < 2:
        raise InputError(f"expected at least 2 images, got {len(images)} in {images.name}: intervals over images need more")
    if most is not None and not 2 <= most <= len(images):
        raise InputError(f"expected images from 2 to {len(images)}, which {images.name} has, got {most!r}")
    return seeded_order(images.ids, seed)[:most]


def _sample(images: ImageData, geometry: Geometry, order: np.ndarray, on_bad_image: str) -> tuple[int, int, int]:
    """(C, H, W) of the images, C of the clean one; InputError when the first ones differ, or none can be read."""
    shapes: dict[tuple[int, ...], str] = {}
    differing: list[SizeMismatchError] = []
    for position in order[:N_SAMPLE]:
        try:
            shapes.setdefault(tuple(images.pixels(int(position), geometry).shape), images.ids[position])
        except SizeMismatchError as error:
            differing.append(error)
        except BadImageError:
            if on_bad_image == "error":
                raise
    if differing and on_bad_image == "error":
        some = ", ".join(f"{one.image} {one.clean} against {one.perturbed}" for one in differing[:3])
        more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
        raise InputError(
            f"images and their perturbed versions differ in size (height x width): {some}{more}; give both in one size, or "
            "--size N to resize and crop both alike, which changes what is measured"
        )
    if not shapes:
        raise InputError(f"none of the first {min(N_SAMPLE, len(order))} images of {images.name} can be used")
    if len(shapes) > 1:
        (one, first), (other, second) = list(shapes.items())[:2]
        height, width = min(shape[1] for shape in shapes), min(shape[2] for shape in shapes)
        raise InputError(
            f"the images differ in size ({first}: {one[1]} x {one[2]}, {second}: {other[1]} x {other[2]}): give --patch "
            f"{height}x{width} for the middle of each as it is, or --size 224 to resize and crop them as for a model"
        )
    channels, height, width = next(iter(shapes))
    return (channels // 2 if isinstance(_inner(images), PairedData) else channels), height, width


def _check_bands(bands: BandPartition, dc: str, size: tuple[int, ...]) -> None:
    bands.labels(*size)
    lowest = int(rings(bands).bins(*size)[0])
    if dc == "apart" and bands.dc == "in-band" and lowest == 1:
        raise InputError(
            f"bands {bands} on {size[0]} x {size[1]} pixels leave the mean alone in band 0, which dc='apart' takes out of "
            "it: use fewer bands, or dc='in-band'"
        )


def _warnings(images: ImageData) -> list[str]:
    pairs = _inner(images)
    lossy = pairs.lossy() if isinstance(pairs, PairedData) else []
    if not lossy:
        return []
    return [f"the perturbed images are {' and '.join(lossy)} files: what their compression did is part of what is measured"]


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
