"""Plays a shard of a response run: every image clean, masked by band noise, cut off, perturbed, and its gradient."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from spectrobe.bands import BandPartition
from spectrobe.data.checks import content_digest
from spectrobe.engine.batching import halved, is_out_of_memory
from spectrobe.engine.evaluate import Shard
from spectrobe.engine.progress import Progress
from spectrobe.engine.shards import Columns
from spectrobe.studies.response import views as of
from spectrobe.studies.response.basis import basis_vectors, with_norm
from spectrobe.studies.response.gradients import GRADIENT, pixel_gradients
from spectrobe.studies.response.rows import HeatRows, ResponseRows, concatenated
from spectrobe.studies.response.stimuli import cut_off, gradient_energy, masked, measurable, noise_power
from spectrobe.studies.response.views import View
from spectrobe.studies.robustness.conditions import Item
from spectrobe.studies.robustness.player import classified, perturbed, reason

Forward = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class ResponsePlayer:
    """All that turns a shard of images into rows.

    absence: what stands in for frequencies that are cut off, (C, H, W).   under: what cut-off images are perturbed with
    besides.   items: the perturbations whose cost is to be predicted.   gradients: the model may have some.
    """

    forward: Forward
    n_classes: int
    bands: BandPartition
    powers: tuple[float, ...]
    absence: Tensor
    under: Item | None
    items: tuple[Item, ...]
    gradients: bool
    seed: int
    device: torch.device
    batch_size: int
    told: set[str] = field(default_factory=set, compare=False)

    @property
    def views(self) -> tuple[View, ...]:
        """What each image is shown as."""
        under = None if self.under is None else self.under.condition.name
        return of.all_views(self.bands.n_bands, self.powers, under, [item.condition.name for item in self.items])

    @property
    def passes_per_image(self) -> int:
        """Forward passes an image, at most; a gradient counts as one."""
        perturbations = [*self.items, *([self.under] if self.under else [])]
        return len(self.views) + self.gradients + sum(item.passes - 1 for item in perturbations)

    def halved(self) -> ResponsePlayer:
        """The same with half the batch size; SpectrobeError when one image alone does not fit."""
        return replace(self, batch_size=halved(self.batch_size))

    def play(self, shard: Shard, progress: Progress) -> Columns:
        """The shard's rows, batch by batch."""
        starts = range(0, len(shard.ids), self.batch_size)
        batches = [_Batch(self, shard, slice(s, s + self.batch_size), progress) for s in starts]
        return concatenated([batch.played() for batch in batches]).columns()


class _Batch:
    """One batch of images on its way through all views."""

    def __init__(self, player: ResponsePlayer, shard: Shard, rows: slice, progress: Progress) -> None:
        self.player, self.progress = player, progress
        self.ids, self.position = shard.ids[rows], shard.position[rows]
        self.pixels = shard.pixels[rows]
        self.label = np.asarray(shard.label, dtype=np.int64)[rows]
        self.x = self.pixels.to(player.device)
        self.labels = torch.from_numpy(self.label).to(player.device)
        self.place = {view: index for index, view in enumerate(player.views)}
        self.failed: dict[str, str] = {}
        n, v, m = len(self.ids), len(self.place), player.bands.n_bands
        self.right = np.zeros((n, v), np.int8)
        self.log_q, self.l2, self.mean_power = np.full((3, n, v), np.nan)
        self.power = np.full((n, v, m), np.nan)
        self.gradient, self.gradient_mean = np.full((n, m), np.nan), np.full(n, np.nan)

    def played(self) -> ResponseRows:
        """Its rows."""
        self._show(View(of.CLEAN), self.x)
        if self.player.gradients:
            self._trying(GRADIENT, self._gradient)
            self.progress.advance(len(self.ids))
        for band, power, images in masked(self.x, self.player.bands, self.player.powers, self.ids, self.player.seed):
            self._show(View(of.MASKED, band=band, power=power), images, measured=True)
        self._show_cut_off(self.x, of.LOW, of.HIGH)
        if self.player.under is not None:
            self._trying(self.player.under.condition.name, self._under)
        for item in self.player.items:
            self._trying(item.condition.name, partial(self._perturbed, item))
        return ResponseRows(
            position=np.asarray(self.position, dtype=np.int64),
            ids=self.ids,
            label=self.label,
            digest=tuple(content_digest(image) for image in self.pixels),
            right=self.right,
            log_q=self.log_q,
            l2=self.l2,
            power=self.power.reshape(len(self.ids), -1),
            mean_power=self.mean_power,
            gradient=self.gradient,
            gradient_mean=self.gradient_mean,
            failed=(json.dumps(self.failed, ensure_ascii=False) if self.failed else "",) * len(self.ids),
        )

    def _show(self, view: View, images: Tensor, measured: bool = False) -> None:
        """Classify what the view shows; measured: and how strong the change is, band by band."""
        at = self.place[view]
        found = classified(self.player.forward, self.player.n_classes, images, self.labels, self.ids)
        self.right[:, at], self.log_q[:, at] = found["right"], found["log_q"]
        delta = measurable(images - self.x)
        self.l2[:, at] = torch.linalg.vector_norm(delta.flatten(1).double(), dim=1).cpu().numpy()
        if measured:
            self.power[:, at], self.mean_power[:, at] = noise_power(delta, self.player.bands)
        self.progress.advance(len(images))

    def _show_cut_off(self, images: Tensor, low_part: str, high_part: str, name: str = "") -> None:
        for cut, low, high in cut_off(images, self.player.absence, self.player.bands):
            self._show(View(low_part, name, cut), low)
            self._show(View(high_part, name, cut), high)

    def _gradient(self) -> None:
        gradient = pixel_gradients(self.player.forward, self.x, self.labels)
        self.gradient, self.gradient_mean = gradient_energy(gradient, self.player.bands)

    def _under(self) -> None:
        item = self.player.under
        if item is not None:
            images = self._made(item)
            self._show(View(of.UNDER, item.condition.name), images, measured=True)
            self._show_cut_off(images, of.UNDER_LOW, of.UNDER_HIGH, item.condition.name)

    def _perturbed(self, item: Item) -> None:
        self._show(View(of.PERTURBED, item.condition.name), self._made(item), measured=True)

    def _made(self, item: Item) -> Tensor:
        images = perturbed(item.perturbation, self.x, self.labels, self.ids, self.player.seed)
        self.progress.advance(len(self.ids) * (item.passes - 1))
        return images

    def _trying(self, name: str, part: Callable[[], None]) -> None:
        """Do a part that may fail while all others go on."""
        try:
            part()
        except Exception as error:
            if is_out_of_memory(error):
                raise
            self.failed[name] = reason(error)
            if name not in self.player.told:
                self.player.told.add(name)
                self.progress.note(f"failed: {name}: {self.failed[name]}")


@dataclass(frozen=True)
class HeatMapPlayer:
    """Plays Fourier basis vectors on a shard: each image with every vector, at one norm delivered after clipping."""

    forward: Forward
    n_classes: int
    frequencies: np.ndarray
    norm: float
    seed: int
    device: torch.device
    batch_size: int

    @property
    def passes_per_image(self) -> int:
        """A forward pass a basis vector."""
        return len(self.frequencies)

    def halved(self) -> HeatMapPlayer:
        """The same with half the batch size; SpectrobeError when one image alone does not fit."""
        return replace(self, batch_size=halved(self.batch_size))

    def play(self, shard: Shard, progress: Progress) -> Columns:
        """The shard's rows; a batch is one image with several basis vectors."""
        n, v = len(shard.ids), len(self.frequencies)
        right, l2 = np.zeros((n, v), np.int8), np.zeros((n, v))
        labels = np.asarray(shard.label, dtype=np.int64)
        for row, (image_id, pixels) in enumerate(zip(shard.ids, shard.pixels, strict=True)):
            channels, size = pixels.shape[0], (pixels.shape[1], pixels.shape[2])
            for start in range(0, v, self.batch_size):
                some = slice(start, start + self.batch_size)
                directions = basis_vectors(self.frequencies[some], channels, size, image_id, self.seed)
                images, l2[row, some] = with_norm(pixels.to(self.device), directions.to(self.device), self.norm)
                label = torch.full((len(images),), int(labels[row]), device=self.device)
                found = classified(self.forward, self.n_classes, images, label, (image_id,) * len(images))
                right[row, some] = found["right"]
                progress.advance(len(images))
        return HeatRows(np.asarray(shard.position, dtype=np.int64), shard.ids, right, l2).columns()
