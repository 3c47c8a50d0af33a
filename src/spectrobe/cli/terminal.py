"""What a command prints: results on stdout, everything else on stderr.

Names of files, classes and models come from outside and may hold escape sequences: nothing but machine-readable results
reaches a terminal without passing `printable` here.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderableType, RenderHook, RenderResult
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.segment import Segment

from spectrobe.texts import printable

if TYPE_CHECKING:
    from spectrobe.engine.progress import Progress as Reporter

WIDTH_OF_FILES = 120  # columns of tables that no terminal limits
_LINE_SECONDS, _LINE_SHARE, _SILENCE_SECONDS = 5.0, 0.1, 300.0


class Terminal:
    """Standard output and error of one command. quiet: no progress, no notes. json: no tables and texts."""

    def __init__(self, quiet: bool = False, json: bool = False) -> None:
        self.quiet, self.json = quiet, json
        self.out, self.err = _console(stderr=False), _console(stderr=True)

    @contextmanager
    def progress(self, unit: str = "forward passes") -> Iterator[Reporter]:
        """What a study reports to: a bar with time left on a terminal, lines that are few elsewhere; unit: of work.

        Inside, what models and libraries print goes to standard error, as standard output is for the result.
        """
        with redirect_stdout(sys.stderr):
            if self.quiet:
                from spectrobe.engine.progress import Silent

                yield Silent()
                return
            with _Bar(self.err, unit) as bar:
                yield bar

    def show(self, *parts: Any) -> None:
        """Print tables and texts for people to read; nothing with --json."""
        if self.json:
            return
        for part in parts:
            self.out.print(part, soft_wrap=isinstance(part, str) and not self.out.is_terminal)

    def note(self, text: str) -> None:
        """Print a line beside the result, unless the command is to be quiet."""
        if not self.quiet:
            self.err.print(text, soft_wrap=not self.err.is_terminal)

    def give(self, text: str) -> None:
        """Write the machine-readable result, untouched."""
        sys.stdout.write(text)
        sys.stdout.flush()


def _console(stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = WIDTH_OF_FILES
    console.push_render_hook(_PrintableAlone())
    return console


class _PrintableAlone(RenderHook):
    """Takes out of texts and tables what could steer a terminal; rich's own control codes stay."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Printable(renderable) for renderable in renderables]


class _Printable:
    def __init__(self, renderable: RenderableType) -> None:
        self.renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for text, style, control in console.render(self.renderable, options):
            yield Segment(text if control else printable(text), style, control)


class _Bar:
    """Progress of one run on a console."""

    def __init__(self, console: Console, unit: str = "forward passes") -> None:
        self.console, self.unit = console, unit
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self.bar = Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal, speed_estimate_period=120
        )
        self.task = self.bar.add_task("preparing", total=None)
        self.told_at, self.told_share = time.monotonic(), 0.0

    def __enter__(self) -> _Bar:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def note(self, text: str) -> None:
        self.console.print(text, style="dim", soft_wrap=not self.console.is_terminal)

    def expect(self, forward_passes: int) -> None:
        self.bar.update(self.task, total=forward_passes, description=self.unit)
        if self.bar.disable:
            self.note(f"{forward_passes:,} {self.unit}")

    def advance(self, forward_passes: int) -> None:
        self.bar.advance(self.task, forward_passes)
        task = self.bar.tasks[self.task]
        if task.finished:
            self.bar.update(self.task, description="intervals")
        if self.bar.disable and task.total:
            self._line(task.completed / task.total, task.time_remaining)

    def _line(self, share: float, seconds_left: float | None) -> None:
        silence = time.monotonic() - self.told_at
        due = share - self.told_share >= _LINE_SHARE or (self.told_share == 0 and seconds_left is not None)
        if silence < _LINE_SECONDS or share >= 1 or not (due or silence >= _SILENCE_SECONDS):
            return
        self.told_at, self.told_share = time.monotonic(), share
        left = "" if seconds_left is None else f", {_duration(seconds_left)} left"
        self.note(f"{share:4.0%} of the {self.unit}{left}")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def say(message: str) -> None:
    """One line on stderr."""
    print("spectrobe:", printable(" ".join(message.split())), file=sys.stderr, flush=True)
