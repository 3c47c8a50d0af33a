"""Spectral importance as a torchmetrics metric, merged over batches and processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from spectrobe.bands import BandPartition
from spectrobe.errors import InputError
from spectrobe.game.table import PER_CELL, PayoffTable
from spectrobe.game.temperature import TEMPERATURES
from spectrobe.game.values import DEFAULT_VALUE
from spectrobe.studies.watch.game import Game, LogitsOf
from spectrobe.studies.watch.reading import Reading, read

_KEPT = ("digest", "label", "coalition", "band_power", *PER_CELL)


class SpectralImportance(Metric):
    """Shapley values of frequency bands of a model's input, over all images it is shown.

        metric = SpectralImportance(bands=8, design="permutation")
        metric.update(model, images, labels)   # pixels in [0, 1], before normalisation; once a batch
        metric.compute()                       # {"shapley": (M,), "stderr": (M,), "score": ..., ...}

    A metric of a model, as PerceptualPathLength is of a generator: the model is given to `update` and not kept, so that
    it is measured as it is at that moment and does not become a submodule of the metric. It comes back bit for bit as
    it was: weights, buffers, gradients, mode, and the global random generators.

    State: a row an image of what the game gave (39 KB at 8 bands in the exact design, 2.5 KB in the permutation one),
    concatenated over processes, in the order of the images' digests. So the result under DDP is that of one process,
    however images were shared out; an image that a sampler repeats to fill up a process counts once.

    An update costs (2^M - 1) forward passes an image in the exact design, 2 M - 1 in the permutation design, and one.
    With `forward_passes` a batch of more is cut to the images with the lowest digests.
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    digest: list[Tensor]
    label: list[Tensor]
    spent: Tensor
    left_out: Tensor
    n_classes: Tensor

    def __init__(
        self,
        bands: int | str | BandPartition = 8,
        value: str = DEFAULT_VALUE,
        absence: str | Tensor = "zero",
        design: str = "exact",
        forward_passes: int | None = None,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        num_classes: int | None = None,
        forward: LogitsOf | None = None,
        confidence: float = 0.95,
        batch_size: int = 128,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        """bands, value, design: see `spectrobe list`.

        absence: "zero", or the image (C, H, W) that gives the absent bands, such as the mean of the data: batches and
            processes must agree on it.
        forward_passes: the most of one update (default: no limit).
        mean, std: of the normalisation that training applies to pixels in [0, 1].
        forward: (module, images) -> logits, where the module's own call does not give them.
        kwargs: torchmetrics' own (sync_on_compute, process_group, ...).

        Raises InputError for settings that no game has, and for fewer forward passes than two images take.
        """
        super().__init__(**kwargs)
        if isinstance(absence, str) and absence != "zero":
            raise InputError(
                f"expected absence 'zero' or one image (C, H, W), such as the data's mean, got {absence!r}"
            )
        self.game = Game(
            BandPartition.of(bands), value, design, None if isinstance(absence, str) else absence, mean, std,
            num_classes, forward, confidence, batch_size, seed,
        )  # fmt: skip
        self.most = forward_passes
        least = self.game.forward_passes(2)
        if forward_passes is not None and forward_passes < least:
            raise InputError(f"expected at least {least:,} forward passes (2 images), got {forward_passes:,}")
        for name in _KEPT:
            self.add_state(name, default=[], dist_reduce_fx="cat")
        self.add_state("spent", default=torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("left_out", default=torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("n_classes", default=torch.tensor(0), dist_reduce_fx="max")

    def update(self, model: Any, images: Tensor, labels: Tensor) -> None:
        """Play on a batch: images (N, C, H, W) in [0, 1] or uint8, labels (N,) class indices.

        Raises InputError for images and labels that cannot be scored, ModelOutputError for a model without logits.
        """
        if len(images) == 0:
            return
        images, labels, cut = self._within_budget(images, torch.as_tensor(labels))
        table = self.game.table(model, images, labels)
        for name, rows in self._rows(table).items():
            getattr(self, name).append(rows.to(self.device))
        self.spent += self.game.forward_passes(len(table))
        self.left_out += cut
        self.n_classes = torch.maximum(self.n_classes, torch.tensor(table.n_classes, device=self.device))

    def compute(self) -> dict[str, Tensor]:
        """Shapley values and their standard errors (M,), score, information and accuracy with theirs; float64.

        Raises InputError for fewer than 2 different images.
        """
        found = self.reading()
        numbers: dict[str, Any] = {"shapley": found.shapley, "stderr": found.stderr, "interval": found.interval}
        for name in ("score", "information", "accuracy"):
            estimate = getattr(found, name)
            numbers |= {name: estimate.value, f"{name}_stderr": estimate.stderr}
        numbers |= {"n_images": found.n_images, "forward_passes": found.forward_passes, "left_out": int(self.left_out)}
        kind = torch.float32 if self.device.type == "mps" else torch.float64
        return {name: torch.tensor(np.array(value), dtype=kind, device=self.device) for name, value in numbers.items()}

    def reading(self) -> Reading:
        """The reading of the state as it is here: of this process alone, unless called within `sync_context()`."""
        return read(self.table(), self.game, int(self.spent))

    def table(self) -> PayoffTable:
        """The payoff table of the state as it is here; InputError when it is empty."""
        kept = {name: _joined(getattr(self, name)) for name in _KEPT}
        if len(kept["label"]) == 0:
            raise InputError("expected images, got none: call update(model, images, labels) first")
        digests = kept.pop("digest")
        return PayoffTable(
            position=np.arange(len(digests)),
            ids=(names := tuple(f"{int(number) & (2**64 - 1):016x}" for number in digests)),
            digest=names,
            n_classes=int(self.n_classes),
            **kept,
        )

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """As torchmetrics does; a process without images takes part with tables of no rows."""
        m, k = self.game.bands.n_bands, self.game.make_design().n_coalitions
        shapes = {"digest": (), "label": (), "band_power": (m,), "log_q": (k, len(TEMPERATURES))}
        for name in _KEPT:
            if len(getattr(self, name)) == 0:
                kind = torch.float32 if name in ("band_power", "log_q", "margin", "confidence") else torch.int64
                setattr(self, name, [torch.empty(0, *shapes.get(name, (k,)), dtype=kind, device=self.device)])
        super().sync(*args, **kwargs)

    def _rows(self, table: PayoffTable) -> dict[str, Tensor]:
        """The columns as tensors that any device takes."""
        digests = np.array([int(name, 16) for name in table.digest], dtype=np.uint64).astype(np.int64)
        rows = {"digest": torch.from_numpy(digests)}
        for name in _KEPT[1:]:
            column = torch.from_numpy(np.ascontiguousarray(getattr(table, name)))
            rows[name] = column.to(torch.float32 if column.is_floating_point() else torch.int64)
        return rows

    def _within_budget(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, int]:
        """As much of a batch as may be played, by the images' digests, and how many are left out."""
        if self.most is None or self.game.forward_passes(len(images)) <= self.most:
            return images, labels, 0
        each = self.game.forward_passes(1) - 1
        names = self.game.names(images)
        kept = sorted(range(len(images)), key=lambda i: names[i])[: (self.most - 1) // each]
        return images[kept], labels[kept], len(images) - len(kept)


def _joined(state: list[Tensor] | Tensor) -> np.ndarray:
    """A state before a sync (a list) or after one (a tensor) as one array."""
    if isinstance(state, Tensor):
        return state.cpu().numpy()
    return torch.cat(state).cpu().numpy() if state else np.empty(0)
