"""What studies of trainings share: a folder, a split, a price said first, what is missing trained, the result kept."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from spectrobe.engine.opening import execution_identity
from spectrobe.engine.progress import Progress, Silent
from spectrobe.engine.run import COMMANDS, StudyRun, open_run
from spectrobe.engine.sources import Sources
from spectrobe.models.base import Geometry
from spectrobe.seeding import stream
from spectrobe.studies.training.budget import TRIED, Budget, check_precision, measure_passes, measure_training
from spectrobe.studies.training.defaults import DEMO_DATA, DEMO_WARNING, is_demo
from spectrobe.studies.training.images import Split, open_split
from spectrobe.studies.training.recipe import Recipe
from spectrobe.studies.training.train import Workshop, require_lightning, training_device


class TrainingSettings(Protocol):
    """What the settings of every such study say."""

    @property
    def recipe(self) -> Recipe:
        """Of all trainings."""

    @property
    def seed(self) -> int:
        """Of everything that is drawn."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; part of the run's identity."""


class TrainingResult(Protocol):
    """What every such study ends in."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What speaks against it."""

    def to_dict(self) -> dict[str, Any]:
        """As result.json has it."""


S = TypeVar("S", bound=TrainingSettings)
R = TypeVar("R", bound=TrainingResult)


def carry_out(
    make: type[TrainingStudy[S, R]],
    settings: S,
    data: Any,
    test: Any,
    *,
    images: int | None,
    size: int | str | tuple[int, int] | None,
    for_data: Mapping[str, Any] | None,
    precision: str,
    device: str,
    budget_only: bool,
    out: str | os.PathLike[str] | None,
    progress: Progress | None,
) -> R | None:
    """The result of a study on these images, in a folder that goes on; None where only its price was to be said.

    Raises InputError for bad input, MissingExtraError without Lightning, RunFolderError for a folder of another run.
    """
    progress, demo = progress or Silent(), is_demo(data)
    require_lightning(f"the {COMMANDS[make.kind]}")
    check_precision(precision)
    where = training_device(device)
    with ExitStack() as stack:
        run = open_run(make.kind, out, make.rows, stack)
        split = open_split(
            DEMO_DATA if demo else data, test, images=images, size=size, for_data=for_data, seed=settings.seed,
            progress=progress,
        )  # fmt: skip
        study = make(run, settings, split, where, precision, demo)
        study.prepare()
        if budget_only:
            progress.note(str(study.budget()))
            return None
        return study.run_all(progress)


@dataclass(frozen=True)
class Size:
    """trainings: how many.   readings: in all, a shard each.   forward_passes: of one reading."""

    trainings: int
    readings: int
    forward_passes: int


@dataclass(eq=False)
class TrainingStudy(ABC, Generic[S, R]):
    """One call. kind: of the result.   rows: subfolder of the shards.   batch_size: of readings."""

    kind: ClassVar[str]
    rows: ClassVar[str]

    run: StudyRun
    settings: S
    split: Split
    device: torch.device
    precision: str
    demo: bool

    @abstractmethod
    def prepare(self) -> None:
        """What is made once, before anything is measured or written; InputError for what cannot be done."""

    @property
    @abstractmethod
    def size(self) -> Size:
        """How much there is to do."""

    @property
    @abstractmethod
    def batch_size(self) -> int:
        """Of readings."""

    @abstractmethod
    def network(self, s: int) -> nn.Module:
        """The network of seed number s, with its first weights."""

    @abstractmethod
    def train_all(self, workshop: Workshop, budget: Budget, progress: Progress) -> None:
        """Train what is missing and write its shards."""

    @abstractmethod
    def result(self, warnings: tuple[str, ...]) -> R:
        """The result of all shards."""

    @abstractmethod
    def read(self, content: Mapping[str, Any]) -> R:
        """The result that result.json holds."""

    def as_given(self, pixels: Tensor) -> Tensor:
        """What networks are given of some images."""
        return pixels

    def seconds_of_images(self) -> float:
        """What making all training images will take, measured on a few; 0 where they are there already."""
        return 0.0

    def identity(self) -> dict[str, Any]:
        """All that numbers depend on."""
        return {
            "settings": {**self.settings.to_dict(), "precision": self.precision, "demo": self.demo},
            "train": dict(self.split.train.identity()),
            "held_out": dict(self.split.held_out.identity()),
            "execution": execution_identity(self.device),
        }

    def training_seed(self, s: int) -> int:
        """Of the first weights and the order of images of seed number s, whatever it is trained on."""
        return stream(self.settings.seed, "training", s)

    def budget(self) -> Budget:
        """What the whole will cost, measured on a few steps and forward passes."""
        net, train, recipe, size = self.network(0), self.split.train, self.settings.recipe, self.size
        x = self.as_given(train.pixels[: max(recipe.batch_size, TRIED)])
        kind, each = measure_training(net, x, train.labels, recipe, self.device, self.precision)
        used = recipe.steps(len(train)) * min(recipe.batch_size, len(train))
        took = measure_passes(net, x, self.device) * size.forward_passes
        return Budget(
            size.trainings, recipe.epochs, used, each * used, size.readings, size.forward_passes, took, kind,
            self.seconds_of_images(),
        )  # fmt: skip

    def run_all(self, progress: Progress) -> R:
        """Train and read what is missing; the result of all."""
        warnings = (*self.split.notes, *([DEMO_WARNING] if self.demo else []))

        def settle() -> Mapping[str, Any]:
            budget = self.budget()
            return {"batch_size": self.batch_size, "precision": budget.precision, "budget": asdict(budget)}

        self.run.begin(
            self.identity(), Sources(self.split.held_out.data, Geometry()), self.split.order, settle,
            progress=progress, warnings=warnings, shards=self.size.readings, data_options=dict(self.split.said),
        )  # fmt: skip
        done = self.run.finished(progress)
        if done is not None:
            return self.read(done)
        budget = Budget(**self.run.settled["budget"])
        for note in (*warnings, str(budget)):
            progress.note(note)
        progress.expect(budget.work)
        workshop = Workshop(self.settings.recipe, self.device, self.run.settled["precision"], self.run.folder)
        self.train_all(workshop, budget, progress)
        result = self.result(warnings)
        self.run.keep(result.to_dict(), result.warnings, {})
        return result
