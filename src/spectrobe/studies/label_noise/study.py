"""Train at several rates of label noise and read the profile at every epoch, in one folder that goes on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from spectrobe.bands import BandPartition
from spectrobe.data.label_noise import LabelNoise, noisy_labels
from spectrobe.engine.absence import DEFAULT_ABSENCE
from spectrobe.engine.opening import execution_identity
from spectrobe.engine.progress import Progress, Silent
from spectrobe.engine.run import StudyRun, open_run
from spectrobe.engine.sources import Sources
from spectrobe.game.values import DEFAULT_VALUE
from spectrobe.models.base import Geometry
from spectrobe.seeding import stream
from spectrobe.studies.label_noise.result import LabelNoiseResult, summarise
from spectrobe.studies.label_noise.settings import DEMO, RATES, Settings
from spectrobe.studies.training.budget import Budget, measure_passes, measure_training
from spectrobe.studies.training.defaults import DEMO_DATA, DEMO_WARNING, chosen, is_demo
from spectrobe.studies.training.images import Split, open_split
from spectrobe.studies.training.job import EpochFacts, Job
from spectrobe.studies.training.readings import FOLDER, Stored
from spectrobe.studies.training.train import Workshop, require_lightning, training_device
from spectrobe.studies.watch.probe import Probe

KIND = "label_noise"
_USUAL: dict[str, Any] = {
    "rates": RATES, "epochs": 12, "batch_size": 128, "arch": "resnet", "bands": 8, "forward_passes": 10_000,
}  # fmt: skip


def label_noise(
    data: Any,
    *,
    test: Any = None,
    rates: Sequence[float] | None = None,
    kind: str = "symmetric",
    seeds: int = 3,
    epochs: int | None = None,
    arch: str | None = None,
    batch_size: int | None = None,
    rate: float = 0.1,
    images: int | None = None,
    size: int | str | tuple[int, int] | None = None,
    bands: int | str | BandPartition | None = None,
    value: str = DEFAULT_VALUE,
    absence: str = DEFAULT_ABSENCE,
    forward_passes: int | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    precision: str = "auto",
    device: str = "auto",
    for_data: Mapping[str, Any] | None = None,
    budget_only: bool = False,
    out: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> LabelNoiseResult | None:
    """The profile over epochs of networks trained with several rates of label noise, on clean held-out images.

    data: labelled images to train on, as `decompose` takes them; "demo" trains small networks on scikit-learn's digits.
    test: images to measure on; by default a fifth of `data` is held out.
    rates: 0 among them (default 0, .2, .4, .6, .8).   kind: "symmetric" or "class-pair".   seeds: trainings a rate;
        each draws its own noise, first weights and order of images, alike at every rate.
    epochs, arch ("resnet", "resnet:12", "cnn:16"), batch_size, rate (the highest learning rate): of all trainings.
    images: how many to train on.   size: what image files are resized and cropped to.
    forward_passes: of one reading of the profile, at most.   precision: of training: "auto" takes what is faster here.
    for_data: what `open_data` is told besides.   budget_only: say what it costs, and end with None; nothing is kept.
    out: the run folder; the same call goes on where it was stopped.

    Raises InputError for bad input, MissingExtraError without Lightning, RunFolderError for a folder of another run.
    """
    progress = progress or Silent()
    require_lightning("the study label-noise")
    demo = is_demo(data)
    given: dict[str, Any] = {"rates": rates, "epochs": epochs, "batch_size": batch_size, "arch": arch, "bands": bands,
             "forward_passes": forward_passes}  # fmt: skip
    found = chosen(given, _USUAL, DEMO if demo else None)
    settings = Settings.of(
        kind=kind, seeds=seeds, rate=rate, value=value, absence=absence, confidence=confidence, seed=seed, **found
    )
    where = training_device(device)
    with ExitStack() as stack:
        run = open_run(KIND, out, FOLDER, stack)
        split = open_split(
            DEMO_DATA if demo else data, test, images=images, size=size, for_data=for_data, seed=seed, progress=progress
        )
        study = _Study(run, settings, split, where, demo)
        if budget_only:
            progress.note(str(study.budget(precision)))
            return None
        return study.run_all(precision, progress)


class _Study:
    """One call."""

    def __init__(self, run: StudyRun, settings: Settings, split: Split, device: torch.device, demo: bool) -> None:
        self.run, self.settings, self.split, self.device, self.demo = run, settings, split, device, demo
        held_out = split.held_out
        self.probe = Probe.of(
            (held_out.floats, held_out.labels), bands=settings.bands, value=settings.value, absence=settings.absence,
            forward_passes=settings.forward_passes, num_classes=split.n_classes, confidence=settings.confidence,
            seed=settings.seed,
        )  # fmt: skip
        self.noise = [[self._noise(rate, s) for s in range(settings.seeds)] for rate in settings.rates]

    def run_all(self, precision: str, progress: Progress) -> LabelNoiseResult:
        """Train and read what is missing; the result of all."""
        settings, recipe = self.settings, self.settings.recipe
        readings = len(settings.rates) * settings.seeds * recipe.epochs

        def settle() -> Mapping[str, Any]:
            budget = self.budget(precision)
            return {"batch_size": self.probe.game.batch_size, "precision": budget.precision, "budget": asdict(budget)}

        warnings = [*self.split.notes, *([DEMO_WARNING] if self.demo else [])]
        self.run.begin(
            self._identity(precision), Sources(self.split.held_out.data, Geometry()), self.split.order, settle,
            progress=progress, warnings=warnings, shards=readings, data_options=dict(self.split.said),
        )  # fmt: skip
        done = self.run.finished(progress)
        if done is not None:
            return LabelNoiseResult.from_dict(done)
        for warning in warnings:
            progress.note(warning)
        budget = Budget(**self.run.settled["budget"])
        progress.note(str(budget))
        progress.expect(readings * (3 * budget.images + budget.forward_passes))
        workshop = Workshop(recipe, self.device, self.run.settled["precision"], self.run.folder)
        for number, (job, shards) in enumerate(self._jobs()):
            self._train(workshop, job, shards, f"training {number + 1} of {budget.trainings}: {job.name}", progress)
        result = self._result(tuple(warnings))
        self.run.keep(result.to_dict(), result.warnings, {})
        return result

    def budget(self, precision: str) -> Budget:
        """What the whole will cost, measured on a few steps and forward passes."""
        net, train, recipe = self._network(0), self.split.train, self.settings.recipe
        kind, each = measure_training(net, train.pixels, train.labels, recipe, self.device, precision)
        used = recipe.steps(len(train)) * min(recipe.batch_size, len(train))
        trainings, passes = len(self.settings.rates) * self.settings.seeds, self.probe.plan.forward_passes
        took = measure_passes(net, train.pixels, self.device) * passes
        return Budget(trainings, recipe.epochs, used, each * used, trainings * recipe.epochs, passes, took, kind)

    def _noise(self, rate: float, s: int) -> LabelNoise:
        train = self.split.train
        return noisy_labels(
            train.labels, rate, kind=self.settings.kind, n_classes=self.split.n_classes, ids=train.ids,
            seed=stream(self.settings.seed, "label noise", s),
        )  # fmt: skip

    def _network(self, s: int) -> nn.Module:
        seed = stream(self.settings.seed, "training", s)
        return self.settings.recipe.network(self.split.n_classes, self.split.train.statistics, seed)

    def _identity(self, precision: str) -> dict[str, Any]:
        return {
            "settings": {**self.settings.to_dict(), "precision": precision, "demo": self.demo},
            "train": dict(self.split.train.identity()),
            "held_out": dict(self.split.held_out.identity()),
            "execution": execution_identity(self.device),
        }

    def _jobs(self) -> Iterator[tuple[Job, range]]:
        """Each training, and the shards of its epochs; rates take turns, so that seeds are complete one by one."""
        epochs, seeds, train = self.settings.recipe.epochs, self.settings.seeds, self.split.train
        for s in range(seeds):
            for r, rate in enumerate(self.settings.rates):
                noise, first = self.noise[r][s], (r * seeds + s) * epochs
                yield (
                    Job(
                        f"rate-{rate:g}-seed-{s}", stream(self.settings.seed, "training", s), train.pixels,
                        torch.tensor(noise.labels), torch.tensor(noise.changed),
                    ),
                    range(first, first + epochs),
                )  # fmt: skip

    def _train(self, workshop: Workshop, job: Job, shards: range, said: str, progress: Progress) -> None:
        """One training, from where it is; anew where a reading was lost that its checkpoint is past."""
        s = int(job.name.rpartition("-")[2])
        for trusted in (True, False):
            kept = set(self.run.store.shards()) & set(shards)
            there = len(kept)
            if there == len(shards):
                if trusted:
                    budget = self.run.settled["budget"]
                    progress.advance(there * (3 * budget["images"] + budget["forward_passes"]))
                break
            progress.note(said + (f", from epoch {there + 1}" if there else ""))

            def read(done: int, net: nn.Module, facts: EpochFacts, kept: set[int] = kept) -> None:
                if shards[done - 1] not in kept:
                    self.run.store.write_shard(shards[done - 1], Stored.of(self.probe, net, facts).columns(), {})
                progress.advance(self.probe.plan.forward_passes)

            workshop.train(job, lambda: self._network(s), read, progress, trusted=trusted and _contiguous(kept, shards))
        workshop.forget(job)

    def _result(self, warnings: tuple[str, ...]) -> LabelNoiseResult:
        settings, split, probe = self.settings, self.split, self.probe
        epochs = settings.recipe.epochs
        stored = [
            [[Stored.read(self.run.store, (r * settings.seeds + s) * epochs + e) for e in range(epochs)]
             for s in range(settings.seeds)]
            for r in range(len(settings.rates))
        ]  # fmt: skip
        facts = {
            "data_name": split.train.data.name, "held_out_name": split.held_out.data.name, "demo": self.demo,
            "n_train": len(split.train), "n_held_out": len(split.held_out), "n_classes": split.n_classes,
            "design": probe.plan.design, "image_size": tuple(split.train.pixels.shape[-2:]),
            "forward_passes": probe.plan.forward_passes * len(settings.rates) * settings.seeds * epochs,
        }  # fmt: skip
        noise = tuple(tuple(one.to_dict() for one in row) for row in self.noise)
        return summarise(stored, settings, noise, facts, warnings)


def _contiguous(kept: set[int], shards: range) -> bool:
    """Whether what is there is what a training that was stopped leaves: its first epochs, none missing."""
    return kept == set(shards[: len(kept)])
