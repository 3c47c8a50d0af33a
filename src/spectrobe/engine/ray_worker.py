"""What a Ray worker does: holds the model, plays the shards it is given, and says what went wrong in place of raising.

The driver alone writes to the run folder.
"""

from __future__ import annotations

import os
import pickle
import socket
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from spectrobe.engine.lent import give_back
from spectrobe.engine.local import Bench, ImageLoader, Made, Player
from spectrobe.engine.sources import Sources
from spectrobe.errors import InputError, SpectrobeError
from spectrobe.models.tensor_cores import rounding, set_rounding


@dataclass(frozen=True)
class Parcel:
    """All that a worker needs for a run. known: id -> fingerprint of a few images, which it has to see as they are."""

    player: Player
    loader: ImageLoader
    sources: Sources | None
    known: Mapping[str, str]


@dataclass(frozen=True)
class Surroundings:
    """Of the driver, which a worker takes over: what the last digits depend on, and where files and code are found."""

    threads: int
    rounding: Mapping[str, Any]
    switches: Mapping[str, bool]
    folder: str
    path: tuple[str, ...]

    @classmethod
    def here(cls) -> Surroundings:
        """Of this process."""
        return cls(torch.get_num_threads(), rounding(), _switches(), os.getcwd(), tuple(sys.path))

    def take_over(self) -> None:
        """Make them this process's."""
        torch.set_num_threads(self.threads)
        set_rounding(self.rounding)
        _set_switches(self.switches)
        if os.path.isdir(self.folder):
            os.chdir(self.folder)
        sys.path += [place for place in self.path if place not in sys.path and os.path.exists(place)]


@dataclass(frozen=True)
class Failure:
    """What went wrong in a worker. again: whether another try may go better.   details: the traceback."""

    reason: str
    again: bool
    details: str

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """Of an exception that is being handled."""
        text = " ".join(str(error).split())
        known = isinstance(error, SpectrobeError) and bool(text)
        reason = text if known else f"{type(error).__name__}: {text}".rstrip(": ")
        return cls(
            reason, not isinstance(error, SpectrobeError), f"on {socket.gethostname()}:\n{traceback.format_exc()}"
        )


@dataclass
class Notes:
    """A progress that keeps what is said for the driver."""

    said: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Kept."""
        self.said.append(text)

    def expect(self, forward_passes: int) -> None:
        """The driver counts."""

    def advance(self, forward_passes: int) -> None:
        """The driver counts."""


class Station:
    """Where a worker plays."""

    def __init__(self) -> None:
        self._bench: Bench[Player] | None = None

    def load(self, content: bytes, surroundings: Surroundings) -> Failure | None:
        """Unpack the parcel of a run, in place of the last one's; what went wrong."""
        try:
            self._bench = None
            give_back()
            surroundings.take_over()
            parcel: Parcel = pickle.loads(content)
            _same_images(parcel)
            self._bench = Bench(parcel.player, parcel.loader, parcel.sources)
        except Exception as error:
            return Failure.of(error)
        return None

    def play(self, positions: Sequence[int], batch_size: int) -> tuple[Made | Failure, list[str]]:
        """A shard's rows, or what went wrong; and what there was to note."""
        notes = Notes()
        try:
            if self._bench is None:
                raise RuntimeError("nothing was loaded")
            images = iter(self._bench.loader.each(positions))
            return self._bench.play(positions, images, batch_size, notes), notes.said
        except Exception as error:
            return Failure.of(error), notes.said


def _same_images(parcel: Parcel) -> None:
    """Raise InputError unless this worker sees the images that the driver saw."""
    changed = [] if parcel.sources is None else parcel.sources.changed([parcel.known])
    if changed:
        raise InputError(
            f"image {changed[0]} is not there, or another one, on {socket.gethostname()}: images must lie at the same "
            "place on all nodes"
        )


def _switches() -> dict[str, bool]:
    cudnn = torch.backends.cudnn
    return {
        "benchmark": cudnn.benchmark,
        "deterministic": cudnn.deterministic,
        "algorithms": torch.are_deterministic_algorithms_enabled(),
    }


def _set_switches(switches: Mapping[str, bool]) -> None:
    torch.backends.cudnn.benchmark = switches["benchmark"]
    torch.backends.cudnn.deterministic = switches["deterministic"]
    torch.use_deterministic_algorithms(switches["algorithms"])
