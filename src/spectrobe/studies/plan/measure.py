"""What a few images of a job cost here: decoding, playing and storing them, each timed alone."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from spectrobe.engine.local import ImageLoader, Player, play_within_memory
from spectrobe.engine.progress import Silent
from spectrobe.engine.run import StudyRun
from spectrobe.engine.shards import Provenance, encode_shard
from spectrobe.engine.store import SCHEMA_VERSION, RunFolder

MOST_SECONDS = 10.0
"""How long the pilot is played, but for one image at least."""
_REPEATS = 3


class Job(Protocol):
    """A study that is prepared: what `prepare` of each study gives."""

    @property
    def order(self) -> np.ndarray:
        """Positions of its images."""

    @property
    def loader(self) -> ImageLoader:
        """Where images come from."""

    @property
    def run(self) -> StudyRun:
        """Where rows go."""


@dataclass(frozen=True)
class Measured:
    """What was measured on `images` images. All per image, but for the shard's.

    decode, play: seconds.   row_bytes: in a shard's file.   write, read: seconds to encode and store a full shard, and
    to get it back.   shard_bytes: of a shard's file beside its rows.
    """

    images: int
    decode: float
    play: float
    write: float
    row_bytes: float
    shard_bytes: float
    read: float = 0.0


def measure(job: Job, player: Player, images_per_shard: int, rows: str, store: str | None) -> Measured:
    """Play the first images of a job, as many as 10 seconds and a shard allow.

    rows: subfolder of the shards.   store: folder or fsspec location in which writing is timed; None: a temporary one.
    """
    first, most = [int(p) for p in job.order[:1]], min(images_per_shard, len(job.order))
    player, _ = play_within_memory(player, job.loader.shard(first), Silent())  # what is done once is not counted
    once, (player, _) = _timed(lambda: play_within_memory(player, job.loader.shard(first), Silent()))
    positions = [int(p) for p in job.order[: max(1, min(most, int(MOST_SECONDS / 2 / once)))]]
    decode, shard = _timed(lambda: job.loader.shard(positions))
    play, (player, columns) = _timed(lambda: play_within_memory(player, shard, Silent()))
    if play < MOST_SECONDS / 4:
        play = min(play, _timed(lambda: play_within_memory(player, shard, Silent()))[0])
    n = len(shard.ids)
    pixels: dict[int, Tensor] = dict(zip(shard.position, shard.pixels, strict=True))
    whole = Provenance(player.batch_size, job.run.sources.of(positions, pixels))
    one = Provenance(player.batch_size, job.run.sources.of(first, pixels))
    row = {name: column[: len(column) // n] for name, column in columns.items()}
    size, alone = (len(encode_shard(some, {}, made, SCHEMA_VERSION)) for some, made in ((columns, whole), (row, one)))
    row_bytes = (size - alone) / (n - 1) if n > 1 else float(size)
    full = {name: _repeated(column, images_per_shard / n) for name, column in columns.items()}
    write, read = _store_seconds(full, whole, rows, store)
    return Measured(n, decode / n, play / n, write, row_bytes, max(0.0, size - n * row_bytes), read)


def _timed(do: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    found = do()
    return max(time.perf_counter() - start, 1e-9), found


def _repeated(column: np.ndarray | Sequence[str], times: float) -> np.ndarray | Sequence[str]:
    """A column as long as that of a full shard."""
    index = np.arange(round(len(column) * times)) % len(column)
    return column[index] if isinstance(column, np.ndarray) else [column[int(i)] for i in index]


def _store_seconds(columns: Any, provenance: Provenance, rows: str, store: str | None) -> tuple[float, float]:
    """To write a shard and to read it, the fastest of a few times."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = RunFolder(f"{(store or temporary).rstrip('/')}/spectrobe-plan", rows)
        indices = range(_REPEATS)
        try:
            writes = [_timed(partial(folder.write_shard, index, columns, {}, provenance))[0] for index in indices]
            reads = [_timed(partial(folder.read_shard, index))[0] for index in indices]
        finally:
            if folder.filesystem.exists(folder.root):
                folder.filesystem.rm(folder.root, recursive=True)
    return min(writes), min(reads)
