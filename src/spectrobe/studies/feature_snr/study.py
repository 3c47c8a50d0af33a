"""Train on groups of frequency bands, measure their native SNR and the networks' robustness, in one run folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spectrobe.bands import BandPartition
from spectrobe.engine.opening import execution_identity
from spectrobe.engine.progress import Progress, Silent
from spectrobe.engine.run import StudyRun, open_run
from spectrobe.engine.sources import Sources
from spectrobe.models.base import Geometry
from spectrobe.seeding import stream
from spectrobe.studies.feature_snr.groups import CONTRAST, View
from spectrobe.studies.feature_snr.injected import inject, refuse_unreachable
from spectrobe.studies.feature_snr.result import FeatureSnrResult, summarise
from spectrobe.studies.feature_snr.settings import DEMO, Settings
from spectrobe.studies.snr.study import spectral_snr
from spectrobe.studies.training.budget import Budget, measure_passes, measure_training
from spectrobe.studies.training.defaults import DEMO_DATA, DEMO_WARNING, chosen, is_demo
from spectrobe.studies.training.images import Images, Split, open_split
from spectrobe.studies.training.job import EpochFacts, Job
from spectrobe.studies.training.train import Workshop, require_lightning, training_device

KIND, FOLDER = "feature_snr", "predictions"
_USUAL: dict[str, Any] = {
    "groups": None, "epochs": 12, "batch_size": 128, "arch": "resnet", "bands": 8, "inject_db": 10.0,
    "test_images": 2_000,
}  # fmt: skip
_BATCH = 500


def feature_snr(
    data: Any,
    *,
    test: Any = None,
    groups: str | None = None,
    perturbations: str = "",
    inject: bool = True,
    inject_db: float | None = None,
    seeds: int = 3,
    epochs: int | None = None,
    arch: str | None = None,
    batch_size: int | None = None,
    rate: float = 0.1,
    images: int | None = None,
    test_images: int | None = None,
    size: int | str | tuple[int, int] | None = None,
    bands: int | str | BandPartition | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    precision: str = "auto",
    device: str = "auto",
    for_data: Mapping[str, Any] | None = None,
    budget_only: bool = False,
    out: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> FeatureSnrResult | None:
    """Native SNR of the features that networks are trained on, against the robustness of what comes out.

    data, test, seeds, epochs, arch, batch_size, rate, images, size, precision, for_data, budget_only, out: as in
        `label_noise`.   test_images: how many held-out images to measure on, at most.
    groups: of `bands` (default 8), "0-1,2-4,5-7" and the like: networks are trained on images that hold one group
        alone, rescaled to the same energy once the mean is taken out.
    perturbations: text as `snr_study` takes it, of images alone; by default white noise and noise within each group.
    inject, inject_db: trainings with noise in the kept bands, of an SNR of so many dB, a condition apart; inject=False:
        none.

    Raises InputError for bad input, bands that do not exist and an SNR out of reach; MissingExtraError without
    Lightning; RunFolderError for a folder of another run.
    """
    progress = progress or Silent()
    require_lightning("the study feature-snr")
    demo = is_demo(data)
    given: dict[str, Any] = {
        "groups": groups, "epochs": epochs, "batch_size": batch_size, "arch": arch, "bands": bands,
        "inject_db": inject_db, "test_images": test_images,
    }  # fmt: skip
    found = chosen(given, _USUAL, DEMO if demo else None)
    settings = Settings.of(
        rate=rate, seeds=seeds, perturbations=perturbations, confidence=confidence, seed=seed,
        **{**found, "inject_db": found["inject_db"] if inject else None},
    )  # fmt: skip
    where = training_device(device)
    with ExitStack() as stack:
        run = open_run(KIND, out, FOLDER, stack)
        split = open_split(
            DEMO_DATA if demo else data, test, images=images, size=size, for_data=for_data, seed=seed,
            progress=progress,
        )  # fmt: skip
        study = _Study(run, settings, split, where, demo)
        if budget_only:
            progress.note(str(study.budget(precision)))
            return None
        return study.run_all(precision, progress)


@dataclass(frozen=True)
class _Condition:
    """One training. group: of bands.   injected: whether training images hold injected noise.   seed: its number."""

    group: int
    injected: bool
    seed: int


class _Study:
    """One call."""

    def __init__(self, run: StudyRun, settings: Settings, split: Split, device: torch.device, demo: bool) -> None:
        self.run, self.settings, self.split, self.device, self.demo = run, settings, split, device, demo
        held_out, groups = split.held_out, settings.groups
        groups.labels(*held_out.pixels.shape[-2:])  # refuses groups that hold nothing at this size
        self.held_out = held_out.rows(np.arange(min(settings.test_images, len(held_out))))
        self.perturbations = settings.build()
        self.views = [View.of(split.train.pixels, groups, band) for band in (*range(groups.n_bands), None)]
        if settings.inject_db is not None:
            refuse_unreachable(split.train.pixels, split.train.ids, settings.inject_db, groups, settings.seed)
        self.conditions = [
            _Condition(group, injected, s)
            for injected in (False, True)[: 1 + (settings.inject_db is not None)]
            for s in range(settings.seeds)
            for group in range(groups.n_bands)
        ]

    def run_all(self, precision: str, progress: Progress) -> FeatureSnrResult:
        """Train and measure what is missing; the result of all."""
        warnings = [*self.split.notes, *([DEMO_WARNING] if self.demo else [])]

        def settle() -> Mapping[str, Any]:
            budget = self.budget(precision)
            return {"batch_size": _BATCH, "precision": budget.precision, "budget": asdict(budget)}

        self.run.begin(
            self._identity(precision), Sources(self.split.held_out.data, Geometry()), self.split.order, settle,
            progress=progress, warnings=warnings, shards=len(self.conditions), data_options=dict(self.split.said),
        )  # fmt: skip
        done = self.run.finished(progress)
        if done is not None:
            return FeatureSnrResult.from_dict(done)
        budget = Budget(**self.run.settled["budget"])
        for note in (*warnings, str(budget)):
            progress.note(note)
        progress.expect(len(self.conditions) * (3 * budget.images * budget.epochs + budget.forward_passes))
        workshop = Workshop(self.settings.recipe, self.device, self.run.settled["precision"], self.run.folder)
        tried = self._perturbed()
        pictures = lru_cache(maxsize=1)(self._training_images)
        for number, one in enumerate(self.conditions):
            if number in self.run.store.shards():
                progress.advance(3 * budget.images * budget.epochs + budget.forward_passes)
                continue
            pixels, told = pictures(one.group, one.injected)
            job = self._job(one, pixels)
            progress.note(f"training {number + 1} of {len(self.conditions)}: {job.name}")
            net = workshop.train(job, partial(self._network, one.seed), _nothing, progress)
            self.run.store.write_shard(number, self._measure(net, one.group, tried, told), {})
            progress.advance(budget.forward_passes)
            workshop.forget(job)
        result = self._result(tuple(warnings))
        self.run.keep(result.to_dict(), result.warnings, {})
        return result

    def budget(self, precision: str) -> Budget:
        """What the whole will cost, measured on a few steps and forward passes."""
        net, train, recipe = self._network(0), self.split.train, self.settings.recipe
        x = self.views[0].all(train.pixels[: max(recipe.batch_size, 256)])
        kind, each = measure_training(net, x, train.labels, recipe, self.device, precision)
        used = recipe.steps(len(train)) * min(recipe.batch_size, len(train))
        trainings, passes = len(self.conditions), len(self.held_out) * 2 * (1 + len(self.perturbations))
        took = measure_passes(net, x, self.device) * passes
        return Budget(trainings, recipe.epochs, used, each * used, trainings, passes, took, kind)

    def _network(self, s: int) -> nn.Module:
        channels = self.split.train.pixels.shape[1]
        statistics = ([0.5] * channels, [CONTRAST] * channels)
        return self.settings.recipe.network(self.split.n_classes, statistics, stream(self.settings.seed, "training", s))

    def _identity(self, precision: str) -> dict[str, Any]:
        return {
            "settings": {**self.settings.to_dict(), "precision": precision, "demo": self.demo},
            "perturbations": [str(one) for one in self.perturbations],
            "train": dict(self.split.train.identity()),
            "held_out": dict(self.split.held_out.identity()),
            "execution": execution_identity(self.device),
        }

    def _training_images(self, group: int, injected: bool) -> tuple[Tensor, Mapping[str, float]]:
        """What networks of a group are trained on, and what came of the noise injected before."""
        train, settings = self.split.train, self.settings
        if not injected or settings.inject_db is None:
            return self.views[group].all(train.pixels), {"median_db": np.inf, "unreachable": 0, "leaked": 0.0}
        noisy, told = inject(train.pixels, train.ids, settings.inject_db, group, settings.groups, settings.seed)
        return View.of(noisy, settings.groups, group).all(noisy), told

    def _job(self, one: _Condition, pixels: Tensor) -> Job:
        name = f"{self.settings.names[one.group].replace(' ', '-')}{'-injected' * one.injected}-seed-{one.seed}"
        labels = self.split.train.labels
        return Job(name, stream(self.settings.seed, "training", one.seed), pixels, labels, torch.zeros(len(labels)) > 0)

    def _perturbed(self) -> list[Tensor]:
        """The held-out images, clean and under every perturbation: uint8 or float32 in [0, 1]."""
        x = self.held_out.floats
        return [x, *(one(x, seed=self.settings.seed) for one in self.perturbations)]

    def _measure(self, net: nn.Module, group: int, tried: list[Tensor], told: Mapping[str, float]) -> dict[str, Any]:
        """A row an image: right or wrong on images of the same bands and of all bands, (2, 1 + P) of them."""
        labels, right = self.held_out.labels, []
        net = net.to(self.device)
        with torch.inference_mode():
            for view in (self.views[group], self.views[-1]):
                for images in tried:
                    predicted = torch.cat(
                        [
                            net(view.apply(chunk).to(self.device)).argmax(1).cpu()
                            for chunk in torch.split(images, _BATCH)
                        ]
                    )
                    right.append((predicted == labels).numpy())
        columns: dict[str, Any] = {"id": self.held_out.ids, "right": np.stack(right, axis=1).astype(np.uint8)}
        return columns | {name: np.full(len(labels), float(value)) for name, value in told.items()}

    def _result(self, warnings: tuple[str, ...]) -> FeatureSnrResult:
        settings, split = self.settings, self.split
        data: Images = self.held_out
        snr = [
            spectral_snr(data.floats, one, bands=settings.groups, seed=settings.seed, confidence=settings.confidence)
            for one in self.perturbations
        ]
        rows = [self.run.store.read_shard(number)[0] for number in range(len(self.conditions))]
        facts = {
            "data_name": split.train.data.name, "held_out_name": split.held_out.data.name, "demo": self.demo,
            "n_train": len(split.train), "n_images": len(data), "n_classes": split.n_classes,
            "image_size": tuple(split.train.pixels.shape[-2:]), "perturbations": tuple(settings.called()),
        }  # fmt: skip
        return summarise(rows, snr, settings, facts, warnings)


def _nothing(done: int, net: nn.Module, facts: EpochFacts) -> None:
    """Nothing is read while these networks train."""
