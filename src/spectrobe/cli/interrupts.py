"""Ctrl-C: the first ends the run in order, the second at once; files are written whole or not at all, both are safe."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from spectrobe.texts import printable

INTERRUPTED = 130
_SHOW_CURSOR = "\x1b[?25h"


class Interrupted(Exception):
    """Ctrl-C, after the run folder is put in order."""


class Interrupts:
    """How often Ctrl-C was pressed, and where the run is kept.

    folder: the run folder in use, or empty.   asked_for: whether the user named it, so that the same call finds it.
    """

    def __init__(self) -> None:
        self.presses, self.folder, self.asked_for = 0, "", False

    def message(self) -> str:
        """What to do next, in one line."""
        if not self.folder or not _holds_files(self.folder):
            return "interrupted before anything was measured"
        how = "the same call" if self.asked_for else f"the same call with --out {self.folder}"
        return f"interrupted; what was done is kept in {self.folder}: {how} goes on from there"

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """The handler of SIGINT."""
        self.presses += 1
        if self.presses == 1:
            raise KeyboardInterrupt
        # Written past sys.stderr, which may be in the middle of a line; a progress bar hides the cursor.
        cursor = _SHOW_CURSOR if os.isatty(2) else ""
        os.write(2, f"{cursor}\nspectrobe: {printable(self.message())}\n".encode())
        os._exit(INTERRUPTED)

    def leave(self) -> int:
        """Say so, and the exit code."""
        print(f"spectrobe: {printable(self.message())}", file=sys.stderr, flush=True)
        return INTERRUPTED


current = Interrupts()


@contextmanager
def calm_interrupts(stay_calm: bool) -> Iterator[Interrupts]:
    """Handle Ctrl-C as above. stay_calm: the process ends afterwards, so that later presses need no answer."""
    global current
    current = Interrupts()
    before = signal.getsignal(signal.SIGINT)
    # Python handles signals in the main thread alone; where they are ignored, Ctrl-C is for somebody else.
    if threading.current_thread() is not threading.main_thread() or before is signal.SIG_IGN:
        yield current
        return
    signal.signal(signal.SIGINT, current.on_signal)
    try:
        yield current
    finally:
        # While the interpreter shuts down, a late press would end in a traceback.
        at_exit = signal.SIG_IGN if current.presses else signal.SIG_DFL
        signal.signal(signal.SIGINT, at_exit if stay_calm else before)


def _holds_files(folder: str) -> bool:
    """Looked up without a library, since Ctrl-C may come while one loads; elsewhere than here, nobody is asked."""
    if "://" in folder:
        return True
    return any(name != ".lock" for _, _, names in os.walk(folder) for name in names)
