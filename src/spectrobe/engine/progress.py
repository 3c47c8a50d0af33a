"""How a long run tells where it is; the command line shows a bar, the library is silent unless asked."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """What a run calls. Forward passes are the unit of work."""

    def note(self, text: str) -> None:
        """One line worth reading: a forecast, a choice made, a warning."""

    def expect(self, forward_passes: int) -> None:
        """How many forward passes the whole run takes; may change once the pilot is done."""

    def advance(self, forward_passes: int) -> None:
        """So many more are done."""


class Silent:
    """Says nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

    def expect(self, forward_passes: int) -> None:
        """Nothing."""

    def advance(self, forward_passes: int) -> None:
        """Nothing."""
