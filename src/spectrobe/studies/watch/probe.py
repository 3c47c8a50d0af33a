"""A few images kept at hand, on which a model is measured every so often while it trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spectrobe.bands import BandPartition
from spectrobe.data import open_data
from spectrobe.data.base import ImageData
from spectrobe.data.checks import check_data
from spectrobe.engine.absence import DEFAULT_ABSENCE, Absence, Surroundings, absence_class
from spectrobe.engine.local import ImageLoader, stack_images
from spectrobe.errors import InputError
from spectrobe.game.coalitions import AUTO
from spectrobe.game.fit import Payoffs
from spectrobe.game.table import PayoffTable
from spectrobe.game.values import DEFAULT_VALUE
from spectrobe.models.base import Geometry
from spectrobe.seeding import seeded_order
from spectrobe.studies.decompose.result import DecomposeResult
from spectrobe.studies.decompose.settings import Settings
from spectrobe.studies.decompose.summary import summarise
from spectrobe.studies.watch.budget import Plan, make_plan
from spectrobe.studies.watch.game import Game, LogitsOf
from spectrobe.studies.watch.reading import Reading, distinct, read

MOST_FORWARD_PASSES = 10_000
"""Of one measurement, unless said otherwise: as many as a fifth of an epoch on 50,000 images."""


@dataclass(frozen=True, eq=False)
class Probe:
    """Images, labels and a game, settled once: every reading is of the same images, coalitions and absence image.

    images: float32 (N, C, H, W) in [0, 1].   labels: int64 (N,).   absence: its name.   plan: what a reading costs.
    """

    game: Game
    images: Tensor
    labels: Tensor
    absence: str
    data_name: str
    plan: Plan

    @classmethod
    def of(
        cls,
        data: Any,
        *,
        bands: int | str | BandPartition = 8,
        value: str = DEFAULT_VALUE,
        absence: str = DEFAULT_ABSENCE,
        design: str = AUTO,
        forward_passes: int = MOST_FORWARD_PASSES,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        num_classes: int | None = None,
        size: int | tuple[int, int] | None = None,
        forward: LogitsOf | None = None,
        confidence: float = 0.95,
        batch_size: int = 128,
        seed: int = 0,
    ) -> Probe:
        """Take as many images of `data` as `forward_passes` allow for each reading, in an order given by the seed.

        data: what `decompose` takes, labelled: a tensor pair in [0, 1], a Dataset, a data string.
        design: "exact", "permutation", or "auto", which of them tells more within the budget.
        absence: "mean" (of the first 512 images in seeded order) or "zero"; one that is the same for all images.
        mean, std: of the normalisation that training applies to pixels in [0, 1]; images here are given before it.
        size: what image files are resized and cropped to.   forward: (module, images) -> logits, where a module's own
            call does not give them.

        Raises InputError for a budget too small, naming the least that works, and for data that cannot be scored.
        """
        kind = absence_class(absence)
        if not kind.constant:
            raise InputError(
                f"expected an absence that is the same for all images, such as mean or zero, got {absence!r}"
            )
        opened = open_data(data, n_classes=num_classes)
        if opened.labels is None:
            raise InputError(f"{opened.name} has no labels, which a model in training is measured by: give labels")
        check_data(opened, num_classes)
        partition = BandPartition.of(bands)
        plan = make_plan(len(opened), partition.n_bands, forward_passes, design)
        loader = ImageLoader(opened, _geometry(size, opened))
        order = [int(p) for p in seeded_order(opened.ids, seed)[: plan.n_images]]
        if len(set(opened.labels[order].tolist())) < 2:
            raise InputError(f"the {plan.n_images} images are all of one class, which leaves nothing to tell apart")
        images = stack_images([image for _, image in loader.each(order) if isinstance(image, Tensor)])
        partition.labels(*images.shape[-2:])
        surroundings = Surroundings(opened.ids, loader.each, seed)
        made: Absence = kind(kind.measure(surroundings), surroundings)
        game = Game(
            partition, value, plan.design, made.images([], images.shape[1:]).clone(), mean, std, num_classes, forward,
            confidence, batch_size, seed,
        )  # fmt: skip
        return cls(game, images, torch.from_numpy(opened.labels[order]), absence, opened.name, plan)

    def check(self, model: Any) -> list[str]:
        """Warnings about a model before it trains; raises ModelOutputError for one without logits."""
        return self.game.check(model, self.images)

    def table(self, model: Any, rank: int = 0, world: int = 1) -> PayoffTable:
        """Play on all images: the payoff table, from which all else is made; the model is left as it was.

        world: of so many processes, each plays its share and all get the whole table; all must call this.
        """
        if world > len(self.images):
            rank, world = 0, 1  # too few to share out: each plays them all
        mine = self.game.table(model, self.images[rank::world], self.labels[rank::world])
        return distinct(mine if world == 1 else _gathered(mine, world))

    def read(self, model: Any, rank: int = 0, world: int = 1) -> Reading:
        """A reading of the model as it is now: Shapley values, score and information with standard errors."""
        return read(self.table(model, rank, world), self.game, self.plan.forward_passes + world - 1)

    def measure(self, model: Any, name: str = "model") -> DecomposeResult:
        """The full result of `decompose` on these images, bootstrap and table included, of the model as it is now."""
        settings = Settings(
            model_name=name, data_name=self.data_name, bands=self.game.bands, value=self.game.value,
            image_size=(self.images.shape[2], self.images.shape[3]), absence=self.absence, design=self.game.design,
            confidence=self.game.confidence, seed=self.game.seed,
        )  # fmt: skip
        return summarise(Payoffs.of(self.table(model)), settings, self.plan.forward_passes, {}, ())


def _gathered(table: PayoffTable, world: int) -> PayoffTable:
    """The tables of all processes of a torch.distributed group, one after the other."""
    found: list[Any] = [None] * world
    torch.distributed.all_gather_object(found, dict(table.columns()))
    return PayoffTable.concatenate([PayoffTable.from_columns(columns) for columns in found])


def _geometry(size: int | tuple[int, int] | None, data: ImageData) -> Geometry:
    if size is None or data.in_memory:
        return Geometry()
    sides = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
    return Geometry(size=sides, resize=max(sides))
