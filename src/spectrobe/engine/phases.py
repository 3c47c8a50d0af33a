"""Named points of a run. Fault tests listen, to stop the process at one of them; nobody else does."""

from __future__ import annotations

from collections.abc import Callable

PHASES = ("shard write", "between write and rename", "shard done", "tau fit", "result write")

_listeners: list[Callable[[str], None]] = []


def reach(phase: str) -> None:
    """Tell the listeners that the run is at this point."""
    for listener in _listeners:
        listener(phase)


def listen(listener: Callable[[str], None]) -> None:
    """Have `listener` called with every phase from here on."""
    _listeners.append(listener)
