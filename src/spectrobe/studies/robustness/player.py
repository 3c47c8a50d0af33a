"""Plays a shard of a robustness run: classifies its images clean and under every perturbation, and measures those anew.

Nothing here is taken from what an attack says about itself: norm, range and success come from the images it returned.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spectrobe.data.checks import content_digest
from spectrobe.engine.batching import halved, is_out_of_memory
from spectrobe.engine.evaluate import Shard
from spectrobe.engine.progress import Progress
from spectrobe.engine.shards import Columns
from spectrobe.errors import BadImageError, InputError, ModelOutputError, SpectrobeError
from spectrobe.perturbations import Perturbation
from spectrobe.studies.robustness.conditions import Item
from spectrobe.studies.robustness.folders import StoredImages
from spectrobe.studies.robustness.rows import Predictions, concatenated

Forward = Callable[[Tensor], Tensor]

_BLANK: dict[str, tuple[float, type]] = {
    "predicted": (-1, np.int32), "right": (0, np.int8), "log_q": (np.nan, np.float64), "l2": (np.nan, np.float32),
    "linf": (np.nan, np.float32), "in_range": (1, np.int8),
}  # fmt: skip
"""What a row holds of a perturbation that failed, and of what is not measured."""


@dataclass(frozen=True)
class RobustnessPlayer:
    """All that turns a shard of images into rows. clean: its own images are clean ones, to be classified too."""

    forward: Forward
    n_classes: int
    items: tuple[Item, ...]
    clean: bool
    seed: int
    device: torch.device
    batch_size: int
    told: set[str] = field(default_factory=set, compare=False)

    @property
    def passes_per_image(self) -> int:
        """Forward passes an image, at most."""
        return self.clean + sum(item.passes for item in self.items)

    def halved(self) -> RobustnessPlayer:
        """The same with half the batch size; SpectrobeError when one image alone does not fit."""
        return replace(self, batch_size=halved(self.batch_size))

    def play(self, shard: Shard, progress: Progress) -> Columns:
        """The shard's rows, batch by batch."""
        batches = [
            self._play_batch(_part(shard, slice(start, start + self.batch_size)), progress)
            for start in range(0, len(shard.ids), self.batch_size)
        ]
        return concatenated(batches).columns()

    def _play_batch(self, batch: Shard, progress: Progress) -> Predictions:
        n, shape = len(batch.ids), (len(batch.ids), len(self.items))
        label = np.asarray(batch.label, dtype=np.int64)
        x = batch.pixels.to(self.device)
        labels = torch.from_numpy(label).to(self.device)
        clean = _blank((n,), "predicted", "right", "log_q")
        if self.clean:
            clean = self.classified(x, labels, batch.ids)
            progress.advance(n)
        columns = _blank(shape, *_BLANK)
        failed: dict[str, str] = {}
        unreadable: dict[str, str] = {}
        for j, item in enumerate(self.items):
            name = item.condition.name
            try:
                y = perturbed(item.perturbation, x, labels, batch.ids, self.seed)
                found = self.classified(y, labels, batch.ids) | self._measured(x, y)
            except Exception as error:  # the other perturbations go on
                if is_out_of_memory(error) or isinstance(error, BadImageError):
                    raise
                failed[name] = reason(error)
                self._tell(progress, name, failed[name])
                found = {}
            for key, values in found.items():
                columns[key][:, j] = values
            if isinstance(item.perturbation, StoredImages):
                unreadable |= {i: why for i, why in item.perturbation.unreadable.items() if i in batch.ids}
            progress.advance(n * item.passes)
        return Predictions(
            position=np.asarray(batch.position, dtype=np.int64),
            ids=batch.ids,
            label=label,
            digest=tuple(content_digest(image) for image in batch.pixels),
            **{f"clean_{key}": values for key, values in clean.items()},
            **columns,
            failed=(json.dumps(failed, ensure_ascii=False) if failed else "",) * n,
            unreadable=tuple(unreadable.get(image_id, "") for image_id in batch.ids),
            n_classes=self.n_classes,
        )

    def classified(self, images: Tensor, labels: Tensor, ids: tuple[str, ...]) -> dict[str, np.ndarray]:
        """What `classified` tells of this model's answers."""
        return classified(self.forward, self.n_classes, images, labels, ids)

    def _measured(self, x: Tensor, y: Tensor) -> dict[str, np.ndarray]:
        pixels = y.flatten(1)
        measured = {"in_range": ((pixels.amin(1) >= -1e-6) & (pixels.amax(1) <= 1 + 1e-6)).cpu().numpy()}
        if self.clean:
            delta = (y.cpu().double() - x.cpu().double()).flatten(1)
            measured |= {"l2": delta.norm(dim=1).numpy(), "linf": delta.abs().amax(1).numpy()}
        return measured

    def _tell(self, progress: Progress, name: str, why: str) -> None:
        if name not in self.told:
            self.told.add(name)
            progress.note(f"failed: {name}: {why}")


@torch.no_grad()
def classified(
    forward: Forward, n_classes: int, images: Tensor, labels: Tensor, ids: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """Top class int32, right int8, log q of the label in nats float64: (N,) each. ModelOutputError for NaN."""
    logits = forward(images)
    if logits.shape != (len(images), n_classes):
        raise ModelOutputError(f"expected logits of shape {(len(images), n_classes)}, got {tuple(logits.shape)}")
    finite = torch.isfinite(logits).all(dim=1)
    if not bool(finite.all()):
        bad = ids[int(torch.nonzero(~finite)[0])]
        raise ModelOutputError(f"the model returned NaN or infinite logits for image {bad!r}")
    log_q = torch.log_softmax(logits.cpu().double(), dim=1).gather(1, labels.cpu()[:, None])[:, 0]
    predicted = logits.argmax(1)
    return {
        "predicted": predicted.cpu().numpy().astype(np.int32),
        "right": (predicted == labels).cpu().numpy().astype(np.int8),
        "log_q": log_q.numpy(),
    }


def perturbed(perturbation: Perturbation, x: Tensor, labels: Tensor, ids: tuple[str, ...], seed: int) -> Tensor:
    """The perturbed images; InputError unless they are as many finite pixels as before."""
    y: Any = perturbation(x, labels, ids, seed)
    if not isinstance(y, Tensor) or y.shape != x.shape:
        got = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
        raise InputError(f"{perturbation} changed the size of the images: expected {tuple(x.shape)}, got {got}")
    if not bool(torch.isfinite(y).all()):
        raise InputError(f"{perturbation} returned NaN or infinite pixels")
    return y.detach()


def reason(error: Exception) -> str:
    """What went wrong, in one line."""
    text = " ".join(str(error).split())
    return text if isinstance(error, SpectrobeError) and text else f"{type(error).__name__}: {text}".rstrip(": ")


def _blank(shape: tuple[int, ...], *names: str) -> dict[str, Any]:
    return {name: np.full(shape, *_BLANK[name]) for name in names}


def _part(shard: Shard, rows: slice) -> Shard:
    label = None if shard.label is None else shard.label[rows]
    return Shard(shard.position[rows], shard.ids[rows], label, shard.pixels[rows])
