"""A run that is not stored: the same calls as a run folder, kept in memory."""

from __future__ import annotations

from spectrobe.errors import InputError
from spectrobe.game.fit import Payoffs
from spectrobe.game.table import PayoffTable


class MemoryRun:
    """Shards in a dictionary."""

    def __init__(self) -> None:
        self._shards: dict[int, tuple[PayoffTable | None, dict[str, str]]] = {}

    def shards(self) -> list[int]:
        """Indices of the shards that are complete, ascending."""
        return sorted(self._shards)

    def write_shard(self, index: int, table: PayoffTable | None, skipped: dict[str, str]) -> None:
        """Keep one shard; `skipped` names the images left out and why."""
        self._shards[index] = table, skipped

    def read_shard(self, index: int) -> tuple[PayoffTable | None, dict[str, str]]:
        """One shard and what it skipped."""
        return self._shards[index]

    def payoffs(self, shards: list[int]) -> Payoffs:
        """The payoff table of some shards."""
        tables = [table for table, _ in (self._shards[index] for index in shards) if table is not None]
        if not tables:
            raise InputError("no image was scored: all were skipped")
        return Payoffs.of(PayoffTable.concatenate(tables))
