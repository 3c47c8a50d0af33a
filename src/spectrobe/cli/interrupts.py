"""Ctrl-C: the first ends the run in order, the second at once; files are written whole or not at all, both are safe."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SHOW_CURSOR = "\x1b[?25h"


class Interrupted(Exception):
    """Ctrl-C, after the run folder is put in order."""


class Interrupts:
    """What has been interrupted. kept_in: the run folder in use, or empty. asked_for: whether the user named it."""

    def __init__(self) -> None:
        self.presses, self.kept_in, self.asked_for = 0, "", False

    def message(self) -> str:
        """What to do next, in one line."""
        if not self.kept_in:
            return "interrupted before anything was measured"
        how = "the same call goes on from there"
        if not self.asked_for:
            how = f"the same call with --out {self.kept_in} goes on from there"
        return f"interrupted; what was done is kept in {self.kept_in}: {how}"

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """The handler of SIGINT."""
        self.presses += 1
        if self.presses == 1:
            raise KeyboardInterrupt
        if sys.stderr.isatty():
            sys.stderr.write(_SHOW_CURSOR)
        print(f"\nspectrobe: {self.message()}", file=sys.stderr, flush=True)
        os._exit(130)


current = Interrupts()


@contextmanager
def calm_interrupts(stay_calm: bool) -> Iterator[Interrupts]:
    """Handle Ctrl-C as above. stay_calm: the process ends afterwards, so that later presses need no answer."""
    global current
    current = Interrupts()
    in_charge = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT)
    if not in_charge or before is signal.SIG_IGN:  # started in the background: Ctrl-C is for somebody else
        yield current
        return
    signal.signal(signal.SIGINT, current.on_signal)
    try:
        yield current
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN if stay_calm and current.presses else before)
