"""What a job will take: open and settle it as the study itself does, play a few of its images, and count the rest."""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np

from spectrobe.bands import BandPartition
from spectrobe.data import open_data
from spectrobe.data.base import ImageData
from spectrobe.engine.devices import resolve_device
from spectrobe.engine.executor import LocalExecutor
from spectrobe.engine.payoffs import payoffs_of
from spectrobe.engine.progress import Progress, Silent
from spectrobe.errors import InputError
from spectrobe.game.fit import Payoffs
from spectrobe.game.intervals import check_confidence
from spectrobe.game.table import PayoffTable
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
from spectrobe.studies.snr import preparation as snr_preparation
from spectrobe.studies.snr.study import snr_study
from spectrobe.studies.snr.summary import check_summary

_NOT_PRICED = ("perturbations", "perturbed", "tree", "against", "reference", "images", "engine", "out", "progress")
_TIMED, _MOST_BYTES = (64, 512), 256 * 2**20  # images that intervals are timed on, fewer where rows are large
_TIMES = 2  # of which the faster counts
READS = {"exact": 8, "permutation": 10}
"""How often a run of decompose reads each of its shards for temperatures, intervals and scores."""


def plan_decompose(
    model: Any,
    data: Any,
    *,
    images: int | None = None,
    models: int = 1,
    gpus: int = 1,
    cores: int | None = None,
    store: str | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Plan:
    """What `decompose` with these arguments (options: bands, design, tolerance, ...) will take; nothing of it is kept.

    images: may be more than the data hold, which then stand for them.   models: how many like this one.
    gpus: devices that work at the same time, a worker each.   cores: that decode for them (default: this machine's).
    store: folder or fsspec location in which writing is timed (default: a temporary folder).
    Raises what `decompose` raises, InputError for an option that it does not have.
    """
    check_job(models, gpus, cores)
    said, progress = _said(decompose_study.decompose, "decompose", options), progress or Silent()
    decompose_study.check_choices(images=images, **_for(decompose_study.check_choices, said))
    tolerance = said["tolerance"]
    settings = _some(said, "value", "absence", "design", "confidence", "seed", "force", "clip")
    with ExitStack() as stack:
        start = time.perf_counter()
        classifier, opened, device = _opened(model, data, said["device"], _some(said, "class_map"))
        among, notes = _wanted(images, opened)
        run = decompose_preparation.prepare(
            classifier,
            opened,
            settings={"bands": BandPartition.of(said["bands"]), **settings},
            selection={"images": min(among, len(opened)), "tolerance": tolerance},
            execution={**_some(said, "precision", "batch_size"), "device": device},
            loading=_some(said, "workers", "class_map", "on_bad_image"),
            out=None,
            progress=progress,
            stack=stack,
            executor=LocalExecutor(),
        )
        opening, wanted = time.perf_counter() - start, among
        if tolerance is not None:
            wanted, more = how_many_images(run, progress)
            notes += more
        game = run.evaluator
        per_shard = decompose_preparation.images_per_shard(game.passes_per_image, among, tolerance)
        measured = measure(run, game, per_shard, "payoffs", store)
        shards = run.shards(min(measured.images, len(run.order)))
        run.evaluate(shards, progress)
        intervals = _intervals(payoffs_of(run.store, list(shards)), run.settings, wanted)
        intervals += READS[run.settings.design] * -(-wanted // per_shard) * measured.read
        if said["design"] != run.settings.design:
            notes.append(f"{run.settings.design} design: {run.run.settled['design_because']}")
        return Plan(
            "decompose", classifier.name, opened.name, str(game.device), "forward passes",
            game.design.passes(wanted, game.absence.constant), True, wanted, models, per_shard, gpus,
            _cores(cores), opening, intervals, measured, tuple(notes),
        )  # fmt: skip


def plan_robustness(
    model: Any,
    data: Any,
    perturbations: Perturbations = (),
    *,
    images: int | None = None,
    models: int = 1,
    gpus: int = 1,
    cores: int | None = None,
    store: str | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Plan:
    """What `robustness` with these arguments will take; the rest as in `plan_decompose`. Stored images are not priced.

    With attacks, forward passes are the most that they take; corruptions take just so many.
    """
    check_job(models, gpus, cores)
    said = _said(robustness_study.robustness, "robustness", options)
    plans = robustness_study.check_choices(
        perturbations, None, None, data, images, *_some(said, "confidence", "batch_size", "on_bad_image").values()
    )
    with ExitStack() as stack:
        start = time.perf_counter()
        columns = _some(said, "class_map", "image_column", "label_column")
        classifier, opened, device = _opened(model, data, said["device"], columns)
        wanted, notes = _wanted(images, opened)
        run = robustness_preparation.prepare(
            classifier, opened, plans, tree=None, against=None, images=min(wanted, len(opened)),
            execution={"batch_size": said["batch_size"], "device": device}, **_some(said, "seed", "confidence"),
            loading={**_some(said, "workers", "on_bad_image"), **dict.fromkeys(columns)}, reference=None,
            out=None, progress=progress or Silent(), stack=stack, executor=LocalExecutor(),
        )  # fmt: skip
        opening, player = time.perf_counter() - start, run.player
        per_shard = robustness_preparation.images_per_shard(player.passes_per_image, wanted, player.batch_size)
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
    said = _said(snr_study, "snr", options)
    said["bands"] = BandPartition.of(said["bands"])
    check_confidence(said["confidence"])
    check_summary(said["bands"], said["dc"], said["summary"])
    settings = ("bands", "dc", "summary", "confidence", "seed", "luminance", "border", "quantize", "labels")
    with ExitStack() as stack:
        start = time.perf_counter()
        run = snr_preparation.prepare_snr(
            data, perturbations, perturbed, said["model"], settings=_some(said, *settings),
            selection={**_some(said, "size", "patch"), "images": None},
            execution=_some(said, "batch_size", "device"),
            loading=_some(said, "workers", "class_map", "on_bad_image"), out=None,
            progress=progress or Silent(), stack=stack, executor=LocalExecutor(),
        )  # fmt: skip
        opening = time.perf_counter() - start
        wanted, notes = _wanted(images, run.loader.data)
        per_shard = snr_preparation.images_per_shard(run.shape, wanted, run.measurer.batch_size)
        measured = measure(run, run.measurer, per_shard, "snr", store)
        return Plan(
            "snr", run.settings.model_name, run.settings.data_name, said["device"] if said["model"] else "cpu",
            "perturbed images", run.measurer.passes_per_image * wanted, True, wanted, models, per_shard, gpus,
            _cores(cores), opening, 0.0, measured, tuple(notes),
        )  # fmt: skip


def _said(study: Callable[..., Any], command: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """What a study is asked: these options, and its own defaults of the others."""
    known = {
        name: one.default
        for name, one in inspect.signature(study).parameters.items()
        if name not in _NOT_PRICED and one.default is not one.empty
    }
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise InputError(f"unknown option(s) {', '.join(unknown)} of {command}, known are {', '.join(known)}")
    return known | dict(options)


def _some(said: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: said[name] for name in names}


def _for(function: Callable[..., Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """What of it a function takes."""
    return _some(said, *(name for name in inspect.signature(function).parameters if name in said))


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
    """Seconds that temperatures, intervals and scores take of a table in memory: a straight line in the images."""
    table = PayoffTable.concatenate(list(payoffs.chunks()))
    sizes = (_TIMED[0], max(2 * _TIMED[0], min(_TIMED[1], _MOST_BYTES // (table.log_q.nbytes // len(table)))))
    seconds = []
    for n in sizes:
        many = Payoffs.of(replace(table.rows(np.arange(n) % len(table)), position=np.arange(n)))
        times = []
        for _ in range(1 + _TIMES):  # the first time is not counted: it loads and compiles what later ones find
            start = time.perf_counter()
            summarise(many, settings, 0, {}, ())
            times.append(time.perf_counter() - start)
        seconds.append(min(times[1:]))
    each = max(0.0, seconds[1] - seconds[0]) / (sizes[1] - sizes[0])
    return max(0.0, seconds[0] - each * sizes[0]) + each * n_images
