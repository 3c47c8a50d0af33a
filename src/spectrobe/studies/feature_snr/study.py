"""Train on groups of frequency bands, measure their native SNR and the networks' robustness, in one run folder."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spectrobe.bands import BandPartition
from spectrobe.engine.progress import Progress
from spectrobe.studies.feature_snr.conditions import FOLDER, Condition, conditions
from spectrobe.studies.feature_snr.groups import CONTRAST, View
from spectrobe.studies.feature_snr.injected import inject, refuse_unreachable
from spectrobe.studies.feature_snr.result import FeatureSnrResult, summarise
from spectrobe.studies.feature_snr.settings import DEMO, Settings
from spectrobe.studies.snr.study import spectral_snr
from spectrobe.studies.training.budget import Budget
from spectrobe.studies.training.defaults import chosen, is_demo
from spectrobe.studies.training.images import Images
from spectrobe.studies.training.job import Job
from spectrobe.studies.training.study import Size, TrainingStudy, carry_out
from spectrobe.studies.training.train import Workshop

_USUAL: dict[str, Any] = {
    "groups": None, "epochs": 12, "batch_size": 128, "arch": "resnet", "bands": 8, "inject_db": 10.0,
    "test_images": 2_000,
}  # fmt: skip
_TIMED = 200
"""Training images that making them is timed on."""


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
    given: dict[str, Any] = {
        "groups": groups, "epochs": epochs, "batch_size": batch_size, "arch": arch, "bands": bands,
        "inject_db": inject_db, "test_images": test_images,
    }  # fmt: skip
    found = chosen(given, _USUAL, DEMO if is_demo(data) else None)
    settings = Settings.of(
        rate=rate, seeds=seeds, perturbations=perturbations, confidence=confidence, seed=seed,
        **{**found, "inject_db": found["inject_db"] if inject else None},
    )  # fmt: skip
    return carry_out(
        _Study, settings, data, test, images=images, size=size, for_data=for_data, precision=precision, device=device,
        budget_only=budget_only, out=out, progress=progress,
    )  # fmt: skip


class _Study(TrainingStudy[Settings, FeatureSnrResult]):
    """One call."""

    kind, rows = "feature_snr", FOLDER
    batch_size = 500

    def prepare(self) -> None:
        """Images to measure on, clean and perturbed, what networks are given of them, and the trainings to do."""
        settings, split, groups = self.settings, self.split, self.settings.groups
        groups.labels(*split.held_out.pixels.shape[-2:])  # refuses groups that hold nothing at this size
        self.held_out = split.held_out.rows(np.arange(min(settings.test_images, len(split.held_out))))
        self.perturbations = settings.build()
        x = self.held_out.floats
        self.tried = [x, *(one(x, seed=settings.seed) for one in self.perturbations)]
        self.views = [View.of(split.train.pixels, groups, band) for band in (*range(groups.n_bands), None)]
        if settings.inject_db is not None:
            refuse_unreachable(split.train.pixels, split.train.ids, settings.inject_db, groups, settings.seed)
        self.conditions = conditions(settings)

    @property
    def size(self) -> Size:
        """Each training is measured once, on images of its bands and of all bands, clean and perturbed."""
        trainings, passes = len(self.conditions), len(self.held_out) * 2 * (1 + len(self.perturbations))
        return Size(trainings, trainings, passes)

    def as_given(self, pixels: Tensor) -> Tensor:
        """As those of the lowest group are given them."""
        return self.views[0].all(pixels)

    def seconds_of_images(self) -> float:
        """Those of each group, without and with injected noise, are made once; timed on a few of each."""
        n = len(self.split.train)
        few = self.split.train.rows(np.arange(min(_TIMED, n)))
        start = time.perf_counter()
        for group, injected in {(one.group, one.injected) for one in self.conditions}:
            self._training_images(few, group, injected)
        return (time.perf_counter() - start) * n / len(few)

    def network(self, s: int) -> nn.Module:
        """The network of seed number s, with its first weights."""
        channels = self.split.train.pixels.shape[1]
        statistics = ([0.5] * channels, [CONTRAST] * channels)
        return self.settings.recipe.network(self.split.n_classes, statistics, self.training_seed(s))

    def identity(self) -> dict[str, Any]:
        """All that numbers depend on."""
        return {**super().identity(), "perturbations": [str(one) for one in self.perturbations]}

    def read(self, content: Mapping[str, Any]) -> FeatureSnrResult:
        """The result that result.json holds."""
        return FeatureSnrResult.from_dict(content)

    def train_all(self, workshop: Workshop, budget: Budget, progress: Progress) -> None:
        """Seeds of the same images one after the other, as making the images takes long where noise is injected."""
        pictures, kept = lru_cache(maxsize=1)(partial(self._training_images, self.split.train)), self.run.store.shards()
        each = sorted(enumerate(self.conditions), key=lambda one: (one[1].injected, one[1].group, one[1].seed))
        for place, (shard, one) in enumerate(each, start=1):
            if shard in kept:
                progress.advance(budget.of_training + budget.forward_passes)
                continue
            pixels, told = pictures(one.group, one.injected)
            job = self._job(one, pixels)
            progress.note(f"training {place} of {len(each)}: {job.name}")
            net = workshop.train(job, partial(self.network, one.seed), None, progress)
            self.run.store.write_shard(shard, self._measure(net, one.group, told), {})
            progress.advance(budget.forward_passes)
            workshop.forget(job)

    def result(self, warnings: tuple[str, ...]) -> FeatureSnrResult:
        """The result of all trainings, and the native SNR of what they were trained on."""
        settings, split, data = self.settings, self.split, self.held_out
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

    def _training_images(self, train: Images, group: int, injected: bool) -> tuple[Tensor, Mapping[str, float]]:
        """What networks of a group are trained on, and what came of the noise injected before."""
        settings = self.settings
        if not injected or settings.inject_db is None:
            return self.views[group].all(train.pixels), {"median_db": np.inf, "unreachable": 0, "leaked": 0.0}
        noisy, told = inject(train.pixels, train.ids, settings.inject_db, group, settings.groups, settings.seed)
        return View.of(noisy, settings.groups, group).all(noisy), told

    def _job(self, one: Condition, pixels: Tensor) -> Job:
        labels = self.split.train.labels
        return Job(one.name(self.settings), self.training_seed(one.seed), pixels, labels, torch.zeros(len(labels)) > 0)

    def _measure(self, net: nn.Module, group: int, told: Mapping[str, float]) -> dict[str, Any]:
        """A row an image: right or wrong on images of the same bands and of all bands, (2, 1 + P) of them."""
        labels, right = self.held_out.labels, []
        net = net.to(self.device)
        with torch.inference_mode():
            for view in (self.views[group], self.views[-1]):
                for images in self.tried:
                    predicted = torch.cat(
                        [
                            net(view.apply(chunk).to(self.device)).argmax(1).cpu()
                            for chunk in torch.split(images, self.batch_size)
                        ]
                    )
                    right.append((predicted == labels).numpy())
        columns: dict[str, Any] = {"id": self.held_out.ids, "right": np.stack(right, axis=1).astype(np.uint8)}
        return columns | {name: np.full(len(labels), float(value)) for name, value in told.items()}
