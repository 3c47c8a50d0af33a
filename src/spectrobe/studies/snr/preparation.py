"""Before a spectral-SNR run: perturbations built, images opened or paired, sizes checked, this very run found again."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from spectrobe.bands import BandPartition
from spectrobe.data.base import ImageData
from spectrobe.engine.batching import check_batch_size
from spectrobe.engine.devices import resolve_device
from spectrobe.engine.executor import Executor
from spectrobe.engine.lent import Lent, lend
from spectrobe.engine.local import ImageLoader, Run, widened
from spectrobe.engine.opening import execution_identity, model_identity, sample_of
from spectrobe.engine.progress import Progress
from spectrobe.engine.run import StudyRun, open_run
from spectrobe.engine.sources import Sources
from spectrobe.errors import InputError
from spectrobe.models import open_model
from spectrobe.models.base import Model
from spectrobe.perturbations import Perturbation
from spectrobe.perturbations.attacks import Attack
from spectrobe.studies.snr.asked import build, checked, identity_of, wanted
from spectrobe.studies.snr.images import chosen, geometry_of, image_warnings, in_one_size, opened_images, pair_name
from spectrobe.studies.snr.measure import Measurer
from spectrobe.studies.snr.result import SnrResult, SnrSettings, SnrStudy
from spectrobe.studies.snr.result_json import KIND, load_snr, study_to_dict
from spectrobe.studies.snr.summary import rings

_BATCH_FLOATS, _SHARD_FLOATS, _PER_SHARD = 2**23, 2**26, 64
_KNOWN_BY = 4  # images that a model without weights is known by


@dataclass
class SnrPreparation:
    """A run that is ready: which images, what is done to them, and where it is kept.

    shape: (C, H, W) of a clean image.   refused: perturbations that the model does not take, and why.
    """

    settings: SnrSettings
    shape: tuple[int, int, int]
    order: np.ndarray
    measurer: Measurer
    loader: ImageLoader
    run: StudyRun
    images_per_shard: int
    refused: Mapping[str, str]
    _warnings: tuple[str, ...]

    @property
    def store(self) -> Run:
        """Where the shards are."""
        return self.run.store

    @property
    def warnings(self) -> tuple[str, ...]:
        """Of the images, and of what happened on the way."""
        return (*self._warnings, *self.run.warnings)

    def shards(self) -> dict[int, Sequence[int]]:
        """All shards: index -> positions of images."""
        starts = range(0, len(self.order), self.images_per_shard)
        return {i: [int(p) for p in self.order[s : s + self.images_per_shard]] for i, s in enumerate(starts)}

    def measure(self, shards: dict[int, Sequence[int]], progress: Progress) -> None:
        """Measure what is missing of these shards."""
        self.run.play(self.measurer, self.loader, shards, progress)

    def finished(self, progress: Progress) -> SnrStudy | None:
        """The results, when this very run was finished before."""
        content = self.run.finished(progress)
        if content is None:
            return None
        found = load_snr(content, self.run.folder)
        return SnrStudy(found.results, {}) if isinstance(found, SnrResult) else found

    def keep(self, study: SnrStudy) -> SnrStudy:
        """Store the results, where there is a run folder; they then read their rows from there."""
        warnings = list(dict.fromkeys(warning for result in study.results.values() for warning in result.warnings))
        skipped = {image: why for result in study.results.values() for image, why in result.skipped.items()}
        self.run.keep(study_to_dict(study), warnings, skipped)
        if self.run.folder is None:
            return study
        results = {name: replace(one, _rows=None, _folder=self.run.folder) for name, one in study.results.items()}
        return replace(study, results=results)


def images_per_shard(shape: Sequence[int], n_images: int, batch_size: int) -> int:
    """How many images (C, H, W) a shard takes: a batch at least, since batches never cross shards."""
    return max(batch_size, min(widened(_PER_SHARD, n_images), _SHARD_FLOATS // int(np.prod(shape))))


@dataclass(frozen=True)
class _Opened:
    """What is measured, checked. shape: (C, H, W) of a clean image."""

    model: Model | None
    built: Mapping[str, Perturbation]
    refused: Mapping[str, str]
    attacks: Sequence[Attack]
    loader: ImageLoader
    order: np.ndarray
    shape: tuple[int, int, int]


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
    executor: Executor,
    stack: ExitStack,
) -> SnrPreparation:
    """Open and check everything; `stack` gives the model and the folder back."""
    _check_choices(perturbations, perturbed, settings, loading)
    check_batch_size(execution["batch_size"])
    opened = _open(data, perturbations, perturbed, model, settings, selection, loading)
    images, order = opened.loader.data, opened.order
    described = _described(opened, pair_name(perturbed, images), settings)
    attacked = _lend(opened, isinstance(model, str), execution["device"], stack)
    device = None if attacked is None else attacked.device
    measurer = _measurer(opened, attacked, described, perturbed is not None, execution["batch_size"])
    run = open_run(KIND, out, KIND, stack, executor)
    warnings = image_warnings(images, selection["patch"])
    where = execution_identity(device or torch.device("cpu"))
    run.begin(
        {
            "settings": described.to_dict(),
            "selection": selection,
            "perturbations": [identity_of(one) for one in opened.built.values()],
            "refused": dict(opened.refused),
            "model": _model_identity(opened),
            **opened.loader.identity(),
            **where,
            "device": None if device is None else device.type,
            "batch_size": measurer.batch_size,
        },
        Sources(images, opened.loader.geometry),
        order,
        lambda: {
            "batch_size": measurer.batch_size,
            "images_per_shard": images_per_shard(opened.shape, len(order), measurer.batch_size),
        },
        progress=progress,
        warnings=warnings,
        written="" if opened.model is None else opened.model.written,
        decoders=loading["workers"],
        defaults={"dc": "apart", "summary": "median", "quantize": None, "border": None},
    )
    for warning in warnings:
        progress.note(f"warning: {warning}")
    for name, why in opened.refused.items():
        progress.note(f"failed: {name}: {why}")
    per_shard = run.images_per_shard(images_per_shard(opened.shape, 0, measurer.batch_size))
    return SnrPreparation(
        described, opened.shape, order, measurer, opened.loader, run, per_shard, opened.refused, tuple(warnings)
    )


def _open(
    data: Any,
    perturbations: Any,
    perturbed: Any,
    model: Any,
    settings: Mapping[str, Any],
    selection: Mapping[str, Any],
    loading: Mapping[str, Any],
) -> _Opened:
    """Open model, perturbations and images, and refuse what cannot be measured."""
    asked = checked([] if perturbations is None else wanted(perturbations))
    opened = None if model is None else open_model(model)
    built, refused = build(asked, opened)
    attacks = [one for one in built.values() if isinstance(one, Attack)]
    geometry = geometry_of(opened or (attacks[0].model if attacks else None), selection["size"], selection["patch"])
    labelled = bool(attacks) and settings["labels"] == "given"
    images: ImageData = opened_images(
        data, perturbed, selection["patch"], attacks[0].model if labelled else None, loading["class_map"]
    )
    order = chosen(images, selection["images"], settings["seed"])
    images, shape = in_one_size(images, geometry, order, loading["on_bad_image"])
    _check_bands(settings["bands"], settings["dc"], shape[1:])
    loader = ImageLoader(images, geometry, loading["workers"], loading["on_bad_image"])
    return _Opened(opened, built, refused, attacks, loader, order, shape)


def _described(opened: _Opened, perturbation: str, settings: Mapping[str, Any]) -> SnrSettings:
    model = opened.model or (opened.attacks[0].model if opened.attacks else None)
    images = opened.loader.data
    labels = "" if not opened.attacks else "given" if images.labels is not None else "prediction"
    return SnrSettings(
        perturbation=perturbation,
        data_name=images.name,
        model_name=model.name if model else "",
        image_size=(opened.shape[1], opened.shape[2]),
        **{**settings, "labels": labels},
    )


def _lend(opened: _Opened, given_by_name: bool, device: str, stack: ExitStack) -> Lent | None:
    """Put the model that attacks attack where it is to run; None without one."""
    if opened.model is None or not any(attack.model is opened.model for attack in opened.attacks):
        return None
    return lend(opened.model, resolve_device(device, opened.model, given_by_name), "float32", stack)


def _measurer(opened: _Opened, attacked: Lent | None, settings: SnrSettings, paired: bool, batch_size: Any) -> Measurer:
    fitting = max(1, min(32, _BATCH_FLOATS // int(np.prod(opened.shape))))
    border: Any = settings.border  # one of those that `_check_choices` lets pass
    return Measurer(
        perturbations={settings.perturbation: None} if paired else dict(opened.built),
        bands=rings(settings.bands),
        border=border,
        luminance=settings.luminance,
        quantize=settings.quantize,
        seed=settings.seed,
        batch_size=fitting if batch_size == "auto" else batch_size,
        labels=settings.labels == "given",
        attacked=attacked,
    )


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


def _model_identity(opened: _Opened) -> dict[str, Any] | None:
    """Of the model that was given; one that shows no weights is known by its logits where it is attacked."""
    model = opened.model
    if model is None:
        return None
    if not any(attack.model is model for attack in opened.attacks):
        return dict(model.identity())
    sample = sample_of(opened.loader, opened.order, _KNOWN_BY)[1].to(model.device)
    return model_identity(model, model.forward, sample)


def _check_bands(bands: BandPartition, dc: str, size: tuple[int, ...]) -> None:
    bands.labels(*size)
    lowest = int(rings(bands).bins(*size)[0])
    if dc == "apart" and bands.dc == "in-band" and lowest == 1:
        raise InputError(
            f"bands {bands} on {size[0]} x {size[1]} pixels leave the mean alone in band 0, which dc='apart' takes "
            "out: use fewer bands, or dc='in-band'"
        )
