"""What a study of trainings that is not finished holds: each training by name, how far it is, what was read last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spectrobe.game.intervals import Estimate


@dataclass(frozen=True)
class TrainingSoFar:
    """One training. epochs: that were read, of so many; all of them once it is done.   numbers: of the last reading."""

    name: str
    epochs: int
    of: int
    numbers: Mapping[str, Estimate]

    @property
    def done(self) -> bool:
        """Whether all of it was read."""
        return self.epochs == self.of
