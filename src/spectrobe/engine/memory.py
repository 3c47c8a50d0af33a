"""A run that is not stored: the same calls as a run folder, kept in memory."""

from __future__ import annotations

from collections.abc import Mapping

from spectrobe.engine.shards import UNRECORDED, Columns, Provenance


class MemoryRun:
    """Shards in a dictionary."""

    def __init__(self) -> None:
        self._shards: dict[int, tuple[Columns | None, dict[str, str], Provenance]] = {}

    def shards(self) -> list[int]:
        """Indices of the shards that are complete, ascending."""
        return sorted(self._shards)

    def all_shards(self) -> list[int]:
        """The same: none can be lost."""
        return self.shards()

    def write_shard(
        self, index: int, columns: Columns | None, skipped: Mapping[str, str], provenance: Provenance = UNRECORDED
    ) -> None:
        """Keep one shard; `skipped` names the images left out and why."""
        self._shards[index] = columns, dict(skipped), provenance

    def read_shard(self, index: int) -> tuple[Columns | None, dict[str, str]]:
        """One shard's columns and what it skipped."""
        columns, skipped, _ = self._shards[index]
        return columns, skipped

    def provenance(self, index: int) -> Provenance:
        """What one shard was made from."""
        return self._shards[index][2]
