"""Plays the game on a model for a few images: coalition images in batches through the model, cells of the table out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from spectrobe.bands import BandPartition
from spectrobe.data.cached import BandCache
from spectrobe.data.checks import content_digest
from spectrobe.engine.absence import Absence
from spectrobe.engine.batching import halved
from spectrobe.engine.progress import Progress
from spectrobe.engine.shards import Columns
from spectrobe.errors import BadImageError, ModelOutputError
from spectrobe.game.coalitions import Design, members
from spectrobe.game.table import PER_CELL, PayoffTable, cells_from_logits
from spectrobe.models.tensor_cores import float32_products
from spectrobe.spectrum import BandMixer, band_energy, clip_in_place

_BLOCK_BYTES, _BLOCK_BYTES_DEVICE = 8 * 2**20, 256 * 2**20  # CPUs transform three times faster inside their cache
_CELL_LOGITS = 2**19  # logits turned into cells at a time, of which a copy a temperature is made

Forward = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Shard:
    """A few images of the data set, loaded: position, id and label of each, and pixels (N, C, H, W) in [0, 1]."""

    position: tuple[int, ...]
    ids: tuple[str, ...]
    label: np.ndarray | None
    pixels: Tensor


@dataclass(frozen=True)
class Evaluator:
    """All that turns a shard of images into a piece of the payoff table, for one model and one game.

    clip: whether coalition images are taken to [0, 1], whose share of pixel values the table then holds.   cache: keeps
    band images on a processor for other models that are shown the same.
    """

    forward: Forward
    n_classes: int
    bands: BandPartition
    design: Design
    absence: Absence
    device: torch.device
    batch_size: int
    clip: bool = False
    cache: BandCache | None = None
    _empty: dict[torch.Size, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def passes_per_image(self) -> int:
        """Forward passes an image: the empty coalition of a constant absence is played once for all."""
        return self.design.n_coalitions - self.absence.constant

    def empty_logits(self, shape: torch.Size) -> Tensor | None:
        """Logits (1, K) of the empty coalition when it is the same for all images, else None; played once."""
        if not self.absence.constant:
            return None
        if shape not in self._empty:
            image = self.absence.images([], shape)[None].to(self.device)
            lent = image.clone(memory_format=torch.channels_last)  # a model may write into what it is given
            if self.clip:
                clip_in_place(lent)
            logits = self._logits(lent).clone()
            self._check(logits, ["the absence image"], np.zeros((1, 1), dtype=np.int64))
            self._empty[shape] = logits
        return self._empty[shape]

    def play(self, shard: Shard, progress: Progress) -> Columns:
        """The shard's rows of the payoff table, as columns."""
        return self.payoff_table(shard, progress).columns()

    def halved(self) -> Self:
        """The same with half the batch size; SpectrobeError when one image alone does not fit."""
        return replace(self, batch_size=halved(self.batch_size))

    @torch.inference_mode()
    def payoff_table(self, shard: Shard, progress: Progress) -> PayoffTable:
        """Play every coalition of the design on every image. Raises ModelOutputError naming image and coalition."""
        masks = np.stack([self.design.coalitions(image_id) for image_id in shard.ids])
        played = masks[:, : self.passes_per_image]
        n, k = played.shape
        labels = torch.full((n,), -1, dtype=torch.int64, device=self.device)
        if shard.label is not None:
            labels.copy_(torch.from_numpy(shard.label))
        pixels = _moved(shard.pixels, self.device)
        clipped: list[Tensor] = []
        # a look at the logits waits for the device: they are checked in the large pieces that become cells
        cells = _Cells(labels, k, lambda logits, start: self._check(logits, shard.ids, played, start))
        for start, images in self._batches(shard.position, pixels, played):
            rows = np.arange(start, start + len(images))
            if self.clip:
                clipped.append(clip_in_place(images))
            logits = self._logits(images)
            if shard.label is None:
                # the reference is the model's own prediction on the full image, which comes first
                first = np.flatnonzero(rows % k == 0)
                labels[rows[first] // k] = logits[first].argmax(1)
            cells.add(logits)
            progress.advance(len(images))
        digests = tuple(content_digest(image) for image in shard.pixels)  # while a GPU works off what it was given
        done = cells.done() | ({"clipped": torch.cat(clipped)} if self.clip else {})
        stored = {name: cell.view(n, k, *cell.shape[1:]) for name, cell in done.items()}
        empty = self.empty_logits(shard.pixels.shape[1:])
        if empty is not None:
            last = cells_from_logits(empty.expand(n, -1), labels)
            if self.clip:
                image = self.absence.images([], shard.pixels.shape[1:])[None].to(self.device, copy=True)
                last["clipped"] = clip_in_place(image).expand(n)
            stored = {name: torch.cat([stored[name], last[name][:, None]], dim=1) for name in stored}
        return PayoffTable(
            position=np.asarray(shard.position, dtype=np.int64),
            ids=shard.ids,
            label=labels.cpu().numpy(),
            digest=digests,
            band_power=self._band_power(pixels if self.device.type == "cuda" else shard.pixels),
            coalition=masks,
            **{name: cell.cpu().numpy() for name, cell in stored.items()},
            n_classes=self.n_classes,
        )

    def _band_power(self, pixels: Tensor) -> np.ndarray:
        """Energy per band of the images without their means: float64 (N, M)."""
        centred = (image - image.mean((1, 2), keepdim=True) for image in pixels)
        return torch.cat([band_energy(image[None], self.bands) for image in centred]).cpu().numpy()

    def _batches(self, positions: Sequence[int], pixels: Tensor, played: np.ndarray) -> Iterator[tuple[int, Tensor]]:
        """Coalition images of all (image, coalition) pairs, row-major, a batch at a time: (first pair, images).

        positions, pixels: of the images, on the device.   played: (N, K) masks.
        """
        n, k = played.shape
        size = pixels[0].numel()
        most = _BLOCK_BYTES if self.device.type == "cpu" else _BLOCK_BYTES_DEVICE
        block = max(1, most // (4 * size * (self.bands.n_bands + 1)))
        batch = torch.empty(self.batch_size, size, device=self.device)
        filled = done = 0
        for start in range(0, n, block):
            rows = slice(start, min(start + block, n))
            mixer = self._mixer(positions[rows], pixels[rows])
            weights = self._weights(played[rows])
            for image in range(len(weights)):
                at = 0
                while at < k:
                    take = min(k - at, self.batch_size - filled)
                    with mixing(self.device):
                        mixer.mix_into(batch[filled : filled + take], image, weights[image, at : at + take])
                    at, filled = at + take, filled + take
                    if filled == self.batch_size:
                        yield done, mixer.as_images(batch)
                        done, filled = done + filled, 0
        if filled:
            yield done, mixer.as_images(batch[:filled])

    def _mixer(self, positions: Sequence[int], pixels: Tensor) -> BandMixer:
        base = self.absence.images(positions, pixels.shape[1:])
        cache = self.cache if self.device.type == "cpu" else None  # a GPU's memory is the model's
        return BandMixer(pixels, _moved(base, self.device), self.bands, cache)

    def _weights(self, played: np.ndarray) -> Tensor:
        """What a coalition takes of bands and absence image: masks (n, K) -> float32 (n, K, M + 1), last column 1."""
        weights = torch.ones(*played.shape, self.bands.n_bands + 1)
        weights[..., :-1] = torch.from_numpy(members(played, self.bands.n_bands))
        return _moved(weights, self.device)

    def _logits(self, images: Tensor) -> Tensor:
        logits = self.forward(images)
        if logits.shape != (len(images), self.n_classes):
            raise ModelOutputError(
                f"expected logits of shape {(len(images), self.n_classes)}, got {tuple(logits.shape)}"
            )
        return logits

    def _check(self, logits: Tensor, ids: Sequence[str], played: np.ndarray, start: int = 0) -> None:
        """Raise ModelOutputError unless the logits of the pairs from `start` are finite, naming image and coalition."""
        if bool(torch.isfinite(logits).all()):
            return
        bad = start + int(torch.nonzero(~torch.isfinite(logits).all(dim=1))[0])
        image, coalition = divmod(bad, played.shape[1])
        present = np.flatnonzero(members(played[image, coalition], self.bands.n_bands)).tolist()
        raise ModelOutputError(
            f"the model returned NaN or infinite logits for image {ids[image]!r} with bands {present or 'none'} "
            "present: check its weights and precision (precision='float32')"
        )


def mixing(device: torch.device) -> AbstractContextManager[None]:
    """Bands are mixed in whole float32, whatever precision the model is played in: TF32 would round the pixels."""
    return float32_products(False) if device.type == "cuda" else nullcontext()


def _moved(tensor: Tensor, device: torch.device) -> Tensor:
    """On the device; to CUDA from pinned memory, so that the copy goes on while the CPU prepares what comes next."""
    if device.type == "cuda" and tensor.device.type == "cpu" and torch.cuda.is_available():
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


class _Cells:
    """Logits of pairs (image, coalition) in row-major order, turned into cells in large pieces, which is faster."""

    def __init__(self, labels: Tensor, pairs_per_image: int, check: Callable[[Tensor, int], None]) -> None:
        """check: is given each piece of logits, and the number of the pair it begins with."""
        self.labels, self.pairs_per_image, self.check = labels, pairs_per_image, check
        self.waiting: list[Tensor] = []
        self.pieces: list[dict[str, Tensor]] = []
        self.rows = self.rows_waiting = 0

    def add(self, logits: Tensor) -> None:
        """The logits of the next pairs."""
        self.waiting.append(logits.clone())  # they may lie in a buffer that the next forward pass overwrites
        self.rows_waiting += len(logits)
        if self.rows_waiting * logits.shape[1] >= _CELL_LOGITS:
            self._flush()

    def done(self) -> dict[str, Tensor]:
        """All cells."""
        self._flush()
        return {name: torch.cat([piece[name] for piece in self.pieces]) for name in PER_CELL}

    def _flush(self) -> None:
        if self.waiting:
            pairs = torch.arange(self.rows, self.rows + self.rows_waiting, device=self.labels.device)
            logits = torch.cat(self.waiting)
            self.check(logits, self.rows)
            self.pieces.append(cells_from_logits(logits, self.labels[pairs // self.pairs_per_image]))
            self.rows, self.rows_waiting, self.waiting = self.rows + self.rows_waiting, 0, []


def check_flat(image_id: str, pixels: Tensor) -> None:
    """Raise BadImageError when an image has no contrast: there is nothing in its bands to play for."""
    if bool((pixels.amax((1, 2)) == pixels.amin((1, 2))).all()):
        raise BadImageError(image_id, "flat: all its pixels have one colour, so its bands are empty")
