"""What a job will take: open and settle it as the study itself does, play a few of its images, and count the rest."""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np

from spectrobe.bands import BandPartition
from spectrobe.data import open_data
from spectrobe.data.base import ImageData
from spectrobe.engine.absence import DEFAULT_ABSENCE
from spectrobe.engine.devices import resolve_device
from spectrobe.engine.executor import LocalExecutor
from spectrobe.engine.local import shard_size
from spectrobe.engine.payoffs import payoffs_of
from spectrobe.engine.progress import Progress, Silent
from spectrobe.errors import InputError
from spectrobe.game.fit import Payoffs
from spectrobe.game.intervals import check_confidence
from spectrobe.game.table import PayoffTable
from spectrobe.game.values import DEFAULT_VALUE
from spectrobe.models import open_model
from spectrobe.models.base import Model
from spectrobe.perturbations.attacks import Attack
from spectrobe.studies.decompose import preparation as decompose_preparation
from spectrobe.studies.decompose import study as decompose_study
from spectrobe.studies.decompose.pilot import how_many_images
from spectrobe.studies.decompose.settings import Settings
from spectrobe.studies.decompose.summary import summarise
from spectrobe.studies.plan.measure import measure
from spectrobe.studies.plan.result import Plan
from spectrobe.studies.robustness import preparation as robustness_preparation
from spectrobe.studies.robustness import study as robustness_study
from spectrobe.studies.robustness.conditions import Perturbations
from spectrobe.studies.robustness.rows import FOLDER as PREDICTIONS
from spectrobe.studies.robustness.sanity import all_passes
from spectrobe.studies.snr.preparation import prepare_snr
from spectrobe.studies.snr.study import snr_study
from spectrobe.studies.snr.summary import check_summary

_NOT_PRICED = ("data", "perturbations", "perturbed", "images", "engine", "out", "progress")
_TIMED, _MOST_BYTES = (64, 512), 256 * 2**20  # images that intervals are timed on, fewer where rows are large


def plan_decompose(
    model: Any,
    data: Any,
    *,
    bands: int | str | BandPartition = 8,
    value: str = DEFAULT_VALUE,
    absence: str = DEFAULT_ABSENCE,
    design: str = "exact",
    images: int | None = None,
    tolerance: float | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    precision: str = "auto",
    batch_size: int | str = "auto",
    device: str = "auto",
    workers: int = 0,
    class_map: str | Mapping[str, int] | None = None,
    on_bad_image: str = "error",
    force: bool = False,
    clip: bool = False,
    models: int = 1,
    gpus: int = 1,
    cores: int | None = None,
    store: str | None = None,
    progress: Progress | None = None,
) -> Plan:
    """What `decompose` with these arguments will take; nothing of it is kept.

    images: may be more than the data hold, which then stand for them.   models: how many like this one.
    gpus: devices that work at the same time, a worker each.   cores: that decode for them (default: this machine's).
    store: folder or fsspec location in which writing is timed (default: a temporary folder).
    Raises what `decompose` raises.
    """
    check_job(models, gpus, cores)
    progress = progress or Silent()
    settings = {"bands": BandPartition.of(bands), "value": value, "absence": absence, "design": design,
                "confidence": confidence, "seed": seed, "force": force, "clip": clip}  # fmt: skip
    decompose_study.check_choices(
        bands, value, absence, design, images, tolerance, confidence, precision, batch_size, on_bad_image, force, seed,
        workers,
    )  # fmt: skip
    with ExitStack() as stack:
        start = time.perf_counter()
        classifier, opened, device = _opened(model, data, device, {"class_map": class_map})
        wanted, notes = _wanted(images, opened)
        run = decompose_preparation.prepare(
            classifier,
            opened,
            settings=settings,
            selection={"images": min(wanted, len(opened)), "tolerance": tolerance},
            execution={"precision": precision, "batch_size": batch_size, "device": device},
            loading={"workers": workers, "class_map": class_map, "on_bad_image": on_bad_image},
            out=None,
            progress=progress,
            stack=stack,
            executor=LocalExecutor(),
        )
        opening = time.perf_counter() - start
        if tolerance is not None:
            wanted, said = how_many_images(run, progress)
            notes += said
        game = run.evaluator
        measured = measure(run, game, shard_size(game.passes_per_image), "payoffs", store)
        shards = run.shards(min(measured.images, len(run.order)))
        run.evaluate(shards, progress)
        intervals = _intervals(payoffs_of(run.store, list(shards)), run.settings, wanted)
        if design != run.settings.design:
            notes.append(f"{run.settings.design} design: {run.run.settled['design_because']}")
        return Plan(
            "decompose", classifier.name, opened.name, str(game.device), "forward passes",
            game.design.passes(wanted, game.absence.constant), True, wanted, models, shard_size(game.passes_per_image),
            gpus, _cores(cores), opening, intervals, measured, tuple(notes),
        )  # fmt: skip


def plan_robustness(
    model: Any,
    data: Any,
    perturbations: Perturbations = (),
    *,
    images: int | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    batch_size: int | str = "auto",
    device: str = "auto",
    workers: int = 0,
    class_map: str | Mapping[str, int] | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    on_bad_image: str = "error",
    models: int = 1,
    gpus: int = 1,
    cores: int | None = None,
    store: str | None = None,
    progress: Progress | None = None,
) -> Plan:
    """What `robustness` with these arguments will take; the rest as in `plan_decompose`. Stored images are not priced.

    With attacks, forward passes are the most that they take; corruptions take just so many.
    """
    check_job(models, gpus, cores)
    plans = robustness_study.check_choices(
        perturbations, None, None, data, images, confidence, batch_size, on_bad_image
    )
    with ExitStack() as stack:
        start = time.perf_counter()
        columns = {"class_map": class_map, "image_column": image_column, "label_column": label_column}
        classifier, opened, device = _opened(model, data, device, columns)
        wanted, notes = _wanted(images, opened)
        run = robustness_preparation.prepare(
            classifier, opened, plans, tree=None, against=None, images=min(wanted, len(opened)), seed=seed,
            confidence=confidence, execution={"batch_size": batch_size, "device": device},
            loading={"workers": workers, "on_bad_image": on_bad_image, **dict.fromkeys(columns)}, reference=None,
            out=None, progress=progress or Silent(), stack=stack, executor=LocalExecutor(),
        )  # fmt: skip
        opening, player = time.perf_counter() - start, run.player
        per_shard = run.images_per_shard
        measured = measure(run, player, per_shard, PREDICTIONS, store)
        exact = not any(isinstance(item.perturbation, Attack) for item in run.items)
        notes += [f"{name} is left out: {why}" for name, why in run.refused.items()]
        return Plan(
            "robustness", classifier.name, opened.name, str(player.device), "forward passes",
            all_passes(run.items, player.clean, wanted), exact, wanted, models, per_shard, gpus, _cores(cores), opening,
            0.0, measured, tuple(notes),
        )  # fmt: skip


def plan_snr(
    data: Any,
    perturbations: Any = None,
    *,
    perturbed: Any = None,
    images: int | None = None,
    models: int = 1,
    gpus: int = 1,
    cores: int | None = None,
    store: str | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Plan:
    """What `snr_study` with these arguments (options) will take; the rest as in `plan_decompose`.

    The unit is the perturbed image: an attack's forward passes are in the seconds, not in the count.
    """
    check_job(models, gpus, cores)
    known: dict[str, Any] = {
        name: one.default for name, one in inspect.signature(snr_study).parameters.items() if name not in _NOT_PRICED
    }
    unknown = set(options) - set(known)
    if unknown:
        raise InputError(f"unknown option(s) {', '.join(sorted(unknown))} of snr, known are {', '.join(known)}")
    said = known | options
    said["bands"] = BandPartition.of(said["bands"])
    check_confidence(said["confidence"])
    check_summary(said["bands"], said["dc"], said["summary"])
    settings = ("bands", "dc", "summary", "confidence", "seed", "luminance", "border", "quantize", "labels")
    with ExitStack() as stack:
        start = time.perf_counter()
        run = prepare_snr(
            data, perturbations, perturbed, said["model"], settings={name: said[name] for name in settings},
            selection={"size": said["size"], "patch": said["patch"], "images": None},
            execution={name: said[name] for name in ("batch_size", "device")},
            loading={name: said[name] for name in ("workers", "class_map", "on_bad_image")}, out=None,
            progress=progress or Silent(), stack=stack, executor=LocalExecutor(),
        )  # fmt: skip
        opening = time.perf_counter() - start
        wanted, notes = _wanted(images, run.loader.data)
        measured = measure(run, run.measurer, run.images_per_shard, "snr", store)
        return Plan(
            "snr", run.settings.model_name, run.settings.data_name, said["device"] if said["model"] else "cpu",
            "perturbed images", run.measurer.passes_per_image * wanted, True, wanted, models, run.images_per_shard,
            gpus, _cores(cores), opening, 0.0, measured, tuple(notes),
        )  # fmt: skip


def check_job(models: int, gpus: int, cores: int | None) -> None:
    """Raise InputError unless there is at least one of each."""
    for name, count in (("models", models), ("gpus", gpus), ("cores", 1 if cores is None else cores)):
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise InputError(f"expected {name} as a whole number, at least 1, got {count!r}")


def _opened(model: Any, data: Any, device: str, columns: Mapping[str, Any]) -> tuple[Model, ImageData, str]:
    """As the studies open them, once for the count of images and for the study."""
    classifier = open_model(model)
    place = resolve_device(device, classifier, isinstance(model, str))
    images = open_data(data, n_classes=classifier.n_classes, class_names=classifier.class_names, **columns)
    return classifier, images, str(place)


def _wanted(images: int | None, data: ImageData) -> tuple[int, list[str]]:
    """How many images the job takes, which the data may only stand for."""
    if images is None or images <= len(data):
        return images or len(data), []
    return images, [f"the {len(data):,} images of {data.name} stand for {images:,} like them"]


def _cores(cores: int | None) -> int:
    return cores or os.cpu_count() or 1


def _intervals(payoffs: Payoffs, settings: Settings, n_images: int) -> float:
    """Seconds that temperatures, intervals and scores take: a straight line in the number of images."""
    table = PayoffTable.concatenate(list(payoffs.chunks()))
    sizes = (_TIMED[0], max(2 * _TIMED[0], min(_TIMED[1], _MOST_BYTES // (table.log_q.nbytes // len(table)))))
    seconds = []
    for n in sizes:
        many = table.rows(np.arange(n) % len(table))
        start = time.perf_counter()
        summarise(Payoffs.of(replace(many, position=np.arange(n))), settings, 0, {}, ())
        seconds.append(time.perf_counter() - start)
    each = max(0.0, seconds[1] - seconds[0]) / (sizes[1] - sizes[0])
    return max(0.0, seconds[0] - each * sizes[0]) + each * n_images
