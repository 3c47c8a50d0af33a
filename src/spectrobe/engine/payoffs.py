"""The payoff table of a run, read a shard at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from spectrobe.engine.local import Run
from spectrobe.errors import InputError, RunFolderError
from spectrobe.game.fit import Payoffs
from spectrobe.game.table import PayoffTable


def payoffs_of(run: Run, shards: Sequence[int]) -> Payoffs:
    """The payoff table of some shards of a run; InputError when no image was scored."""
    chunks = _Shards(run, tuple(shards))
    position, n_bands, n_classes = [np.empty(0, dtype=np.int64)], 0, 0
    for chunk in chunks():
        position.append(chunk.position)
        n_bands, n_classes = chunk.n_bands, chunk.n_classes
    if n_bands == 0:
        raise InputError("no image was scored: all were left out")
    return Payoffs(np.sort(np.concatenate(position)), chunks, n_bands, n_classes)


@dataclass(frozen=True)
class _Shards:
    """The shards of a run that hold rows, as tables."""

    run: Run
    shards: tuple[int, ...]

    def __call__(self) -> Iterator[PayoffTable]:
        for index in self.shards:
            columns, _ = self.run.read_shard(index)
            if columns is None:
                continue
            try:
                yield PayoffTable.from_columns(columns)
            except KeyError as error:
                raise RunFolderError(
                    f"the payoff table (shard {index}) is damaged or of another version: it has no column {error}"
                ) from None
