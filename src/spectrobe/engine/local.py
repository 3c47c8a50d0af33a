"""Runs shards one after the other in this process; images are decoded ahead, in worker processes when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeVar

import torch
from torch import Tensor

from spectrobe.data.base import ImageData
from spectrobe.data.loader import OnBadImage, load_images
from spectrobe.engine.batching import BatchSizes, is_out_of_memory
from spectrobe.engine.evaluate import Shard, check_flat
from spectrobe.engine.phases import reach
from spectrobe.engine.progress import Progress
from spectrobe.engine.shards import Columns, Provenance
from spectrobe.engine.sources import Sources
from spectrobe.errors import BadImageError, InputError
from spectrobe.models.base import Geometry

_PASSES_PER_SHARD = 2048
_MOST_IMAGES_PER_SHARD = 256
_MANY_SHARDS, _MOST_IMAGES_OF_MANY = 512, 512
_WORTH_WORKERS = 64  # images for which worker processes are started


P = TypeVar("P", bound="Player")


class Run(Protocol):
    """Where shards go: a run folder, or memory."""

    def shards(self) -> list[int]:
        """Indices of the complete shards."""

    def all_shards(self) -> list[int]:
        """The same of a finished run; RunFolderError when one was lost."""

    def write_shard(
        self, index: int, columns: Columns | None, skipped: Mapping[str, str], provenance: Provenance = ...
    ) -> None:
        """Keep a shard."""

    def read_shard(self, index: int) -> tuple[Columns | None, dict[str, str]]:
        """A shard's columns and what it skipped."""

    def provenance(self, index: int) -> Provenance:
        """What a shard was made from."""


class Player(Protocol):
    """What is done to the images of a shard."""

    @property
    def passes_per_image(self) -> int:
        """Forward passes an image."""

    @property
    def batch_size(self) -> int:
        """Images a forward pass."""

    def play(self, shard: Shard, progress: Progress) -> Columns:
        """A row for each image of the shard."""

    def halved(self) -> Self:
        """The same with half the batch size; SpectrobeError when one image alone does not fit."""


@dataclass(frozen=True)
class Made:
    """What came of a shard. columns: None when all its images were left out.   skipped: which, and why.

    batch_size: images a forward pass.   sources: image id -> fingerprint.
    """

    columns: Columns | None
    skipped: Mapping[str, str]
    batch_size: int
    sources: Mapping[str, str]


@dataclass(frozen=True)
class ImageLoader:
    """Images of a data set at a model's input size."""

    data: ImageData
    geometry: Geometry
    workers: int = 0
    on_bad_image: OnBadImage = "error"

    def each(self, positions: Sequence[int]) -> Iterable[tuple[int, Tensor | BadImageError]]:
        """(position, pixels or what was wrong), in order; raises BadImageError unless bad images are skipped."""
        workers = self.workers if len(positions) >= _WORTH_WORKERS else 0
        for position, image in load_images(self.data, positions, self.geometry, workers, self.on_bad_image):
            if not isinstance(image, BadImageError):
                try:
                    check_flat(self.data.ids[position], image)
                except BadImageError as error:
                    if self.on_bad_image == "error":
                        raise
                    image = error
            yield position, image

    def identity(self) -> dict[str, Any]:
        """What makes pixels these pixels, JSON-able: the data set, and how its images are loaded."""
        loaded = {**self.data.loader_settings(self.geometry), "on_bad_image": self.on_bad_image}
        return {"data": dict(self.data.identity()), "loader": loaded}

    def shard(self, positions: Sequence[int]) -> Shard:
        """The good images among `positions`; InputError when there are none."""
        good = {position: image for position, image in self.each(positions) if isinstance(image, Tensor)}
        if not good:
            raise InputError(f"none of {len(positions)} images of {self.data.name} can be used")
        return _shard(self.data, good)


def stack_images(images: Sequence[Tensor]) -> Tensor:
    """(N, C, H, W); InputError when sizes differ."""
    sizes = sorted({tuple(image.shape) for image in images})
    if len(sizes) > 1:
        raise InputError(
            f"expected images of one size, got {sizes[0]} and {sizes[1]} (C, H, W): "
            "say the model's input size (size=..., --size), to which images are then resized and cropped"
        )
    return torch.stack(list(images))


def shard_size(passes_per_image: int, n_images: int, most: int = _MOST_IMAGES_OF_MANY) -> int:
    """How many images a shard takes in a run of so many: 2,048 passes' worth, so that little is lost with one.

    More, and at most `most`, where that would make more than 512 files.
    """
    return widened(max(1, min(_MOST_IMAGES_PER_SHARD, _PASSES_PER_SHARD // passes_per_image)), n_images, most)


def widened(few: int, n_images: int, most: int = _MOST_IMAGES_OF_MANY) -> int:
    """`few` images a shard, or, up to `most`, as many as make 512 shards of them all."""
    return max(few, min(most, -(-n_images // _MANY_SHARDS)))


class Bench(Generic[P]):
    """Plays shards in this process, each with batches of its size. sources: whose fingerprints go with each shard."""

    def __init__(self, player: P, loader: ImageLoader, sources: Sources | None) -> None:
        """player: with the batch size settled at the start."""
        self.player, self.loader, self.sources = player, loader, sources
        self._players = {player.batch_size: player}

    def play(
        self,
        positions: Sequence[int],
        images: Iterator[tuple[int, Tensor | BadImageError]],
        batch_size: int,
        progress: Progress,
    ) -> Made:
        """The rows of a shard, whose images come next; its batches are smaller where memory ran out."""
        good, skipped = _next_images(images, self.loader.data, len(positions))
        progress.advance(self.player.passes_per_image * len(skipped))
        columns, own = None, self.of_size(batch_size)
        if good:
            own, columns = play_within_memory(own, _shard(self.loader.data, good), progress)
            self._players[own.batch_size] = own
        made_from = {} if self.sources is None else self.sources.of(positions, good)
        return Made(columns, skipped, own.batch_size, made_from)

    def of_size(self, batch_size: int) -> P:
        """The player with this batch size, or the next smaller one that halving leads to."""
        fitting = [size for size in self._players if size >= batch_size]
        player = self._players[min(fitting)] if fitting else self._players[max(self._players)]
        while player.batch_size > batch_size:
            player = player.halved()
            self._players[player.batch_size] = player
        return player


def run_shards(
    player: P,
    loader: ImageLoader,
    shards: Mapping[int, Sequence[int]],
    run: Run,
    progress: Progress,
    sizes: BatchSizes | None = None,
    sources: Sources | None = None,
    remember: Callable[[], None] = lambda: None,
) -> P:
    """Play the shards (index -> positions) that are not there yet, and store each.

    player: with the batch size settled at the start.   sizes: the batch size of each shard, written to when memory runs
    out, after which `remember` is called.   sources: whose fingerprints go with each shard.
    Returns the player as it played, or would have played, the last of the shards.
    """
    sizes = BatchSizes(player.batch_size) if sizes is None else sizes
    missing = missing_shards(player, shards, run, progress)
    images = iter(loader.each([position for index in missing for position in shards[index]]))
    bench = Bench(player, loader, sources)
    for index in missing:
        keep_shard(run, index, bench.play(shards[index], images, sizes.at(index), progress), sizes, remember)
    return bench.of_size(sizes.at(max(shards, default=0)))


def missing_shards(player: Player, shards: Mapping[int, Sequence[int]], run: Run, progress: Progress) -> list[int]:
    """Those that are not there yet; what is there counts as done."""
    there = set(run.shards())
    for index in shards:
        if index in there:
            progress.advance(player.passes_per_image * len(shards[index]))
    return [index for index in shards if index not in there]


def keep_shard(run: Run, index: int, made: Made, sizes: BatchSizes, remember: Callable[[], None]) -> None:
    """Store a shard, and before it the batch size it was made with, where memory ran out."""
    if made.batch_size < sizes.at(index):
        sizes.halved[index] = made.batch_size
        remember()
    run.write_shard(index, made.columns, made.skipped, Provenance(made.batch_size, made.sources))
    reach("shard done")


def _next_images(images: Any, data: ImageData, count: int) -> tuple[dict[int, Tensor], dict[str, str]]:
    """The next images of a shard, by position, and what is wrong with those that are left out, by id."""
    good: dict[int, Tensor] = {}
    skipped: dict[str, str] = {}
    for _ in range(count):
        position, image = next(images)
        if isinstance(image, BadImageError):
            skipped[data.ids[position]] = image.account
        else:
            good[position] = image
    return good, skipped


def play_within_memory(player: P, shard: Shard, progress: Progress) -> tuple[P, Columns]:
    """A row for each image of the shard, and the player, whose batches are smaller when memory ran out on the way."""
    while True:
        try:
            return player, player.play(shard, progress)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            player = player.halved()
            progress.note(f"memory ran out: batches of {player.batch_size} from here on")


def _shard(data: ImageData, images: dict[int, Tensor]) -> Shard:
    positions = tuple(images)
    label = None if data.labels is None else data.labels[list(positions)]
    return Shard(positions, tuple(data.ids[i] for i in positions), label, stack_images(list(images.values())))
