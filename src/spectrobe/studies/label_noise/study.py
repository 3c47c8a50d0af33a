"""Train at several rates of label noise and read the profile at every epoch, in one folder that goes on."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from spectrobe.bands import BandPartition
from spectrobe.data.label_noise import LabelNoise, noisy_labels
from spectrobe.engine.absence import DEFAULT_ABSENCE
from spectrobe.engine.progress import Progress
from spectrobe.game.values import DEFAULT_VALUE
from spectrobe.seeding import stream
from spectrobe.studies.label_noise.result import LabelNoiseResult, summarise
from spectrobe.studies.label_noise.settings import DEMO, RATES, Settings
from spectrobe.studies.training.budget import Budget
from spectrobe.studies.training.defaults import chosen, is_demo
from spectrobe.studies.training.job import EpochFacts, Job
from spectrobe.studies.training.readings import FOLDER, Stored
from spectrobe.studies.training.study import Size, TrainingStudy, carry_out
from spectrobe.studies.training.train import Workshop
from spectrobe.studies.watch.probe import Probe

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
    given: dict[str, Any] = {
        "rates": rates, "epochs": epochs, "batch_size": batch_size, "arch": arch, "bands": bands,
        "forward_passes": forward_passes,
    }  # fmt: skip
    settings = Settings.of(
        kind=kind, seeds=seeds, rate=rate, value=value, absence=absence, confidence=confidence, seed=seed,
        **chosen(given, _USUAL, DEMO if is_demo(data) else None),
    )  # fmt: skip
    return carry_out(
        _Study, settings, data, test, images=images, size=size, for_data=for_data, precision=precision, device=device,
        budget_only=budget_only, out=out, progress=progress,
    )  # fmt: skip


class _Study(TrainingStudy[Settings, LabelNoiseResult]):
    """One call."""

    kind, rows = "label_noise", FOLDER

    def prepare(self) -> None:
        """The images that profiles are read on, and all noise, verified."""
        settings, held_out = self.settings, self.split.held_out
        self.probe = Probe.of(
            (held_out.floats, held_out.labels), bands=settings.bands, value=settings.value, absence=settings.absence,
            forward_passes=settings.forward_passes, num_classes=self.split.n_classes, confidence=settings.confidence,
            seed=settings.seed,
        )  # fmt: skip
        self.noise = [[self._noise(rate, s) for s in range(settings.seeds)] for rate in settings.rates]

    @property
    def size(self) -> Size:
        """A reading of every epoch."""
        trainings = len(self.settings.rates) * self.settings.seeds
        return Size(trainings, trainings * self.settings.recipe.epochs, self.probe.plan.forward_passes)

    @property
    def batch_size(self) -> int:
        """Of readings."""
        return self.probe.game.batch_size

    def network(self, s: int) -> nn.Module:
        """The network of seed number s, with its first weights."""
        return self.settings.recipe.network(self.split.n_classes, self.split.train.statistics, self.training_seed(s))

    def read(self, content: Mapping[str, Any]) -> LabelNoiseResult:
        """The result that result.json holds."""
        return LabelNoiseResult.from_dict(content)

    def train_all(self, workshop: Workshop, budget: Budget, progress: Progress) -> None:
        """Rates take turns, so that seeds are complete one by one."""
        each = [(r, s) for s in range(self.settings.seeds) for r in range(len(self.settings.rates))]
        for number, (r, s) in enumerate(each, start=1):
            job, shards = self._job(r, s), self.settings.shards(r, s)
            kept = set(self.run.store.shards()) & set(shards)
            if len(kept) == len(shards):
                progress.advance(budget.of_training + len(shards) * budget.forward_passes)
            else:
                goes_on = kept and (place := workshop.checkpoint(job)) is not None and place.exists()
                begun = f", from epoch {len(kept) + 1}" if goes_on else ""
                progress.note(f"training {number} of {len(each)}: {job.name}{begun}")
                self._train(workshop, job, s, shards, progress)
            workshop.forget(job)

    def result(self, warnings: tuple[str, ...]) -> LabelNoiseResult:
        """The result of all readings."""
        settings, split, size = self.settings, self.split, self.size
        stored = [
            [[Stored.read(self.run.store, shard) for shard in settings.shards(r, s)] for s in range(settings.seeds)]
            for r in range(len(settings.rates))
        ]
        facts = {
            "data_name": split.train.data.name, "held_out_name": split.held_out.data.name, "demo": self.demo,
            "n_train": len(split.train), "n_held_out": len(split.held_out), "n_classes": split.n_classes,
            "design": self.probe.plan.design, "image_size": tuple(split.train.pixels.shape[-2:]),
            "forward_passes": size.readings * size.forward_passes,
        }  # fmt: skip
        noise = tuple(tuple(one.to_dict() for one in row) for row in self.noise)
        return summarise(stored, settings, noise, facts, warnings)

    def _noise(self, rate: float, s: int) -> LabelNoise:
        train = self.split.train
        return noisy_labels(
            train.labels, rate, kind=self.settings.kind, n_classes=self.split.n_classes, ids=train.ids,
            seed=stream(self.settings.seed, "label noise", s),
        )  # fmt: skip

    def _job(self, r: int, s: int) -> Job:
        noise = self.noise[r][s]
        return Job(
            f"rate-{self.settings.rates[r]:g}-seed-{s}", self.training_seed(s), self.split.train.pixels,
            torch.tensor(noise.labels), torch.tensor(noise.changed),
        )  # fmt: skip

    def _train(self, workshop: Workshop, job: Job, s: int, shards: range, progress: Progress) -> None:
        """One training, from where it is; anew where a reading was lost that its checkpoint is past."""
        for trusted in (True, False):
            kept, last = set(self.run.store.shards()) & set(shards), 0
            if len(kept) == len(shards):
                return

            def read(done: int, net: nn.Module, facts: EpochFacts, kept: set[int] = kept) -> None:
                nonlocal last
                if shards[done - 1] not in kept:
                    self.run.store.write_shard(shards[done - 1], Stored.of(self.probe, net, facts).columns(), {})
                progress.advance(self.probe.plan.forward_passes * (done - last))  # epochs of an earlier call too
                last = done

            workshop.train(job, lambda: self.network(s), read, progress, trusted=trusted and _contiguous(kept, shards))


def _contiguous(kept: set[int], shards: range) -> bool:
    """Whether what is there is what a training that was stopped leaves: its first epochs, none missing."""
    return kept == set(shards[: len(kept)])
