"""What is told while a command runs: a bar on a terminal, few lines elsewhere."""

from __future__ import annotations

import io
import re
from itertools import pairwise

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

from spectrobe.cli import terminal
from spectrobe.cli.terminal import Terminal


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(terminal.time, "monotonic", found)
    return found


def told(clock: Clock, seconds_a_pass: float, passes: int = 1000, step: int = 10, is_terminal: bool = False) -> str:
    """What a run of so many passes prints on stderr."""
    console = Console(
        file=io.StringIO(),
        width=100,
        force_terminal=is_terminal,
        get_time=clock,
        color_system=None,
        legacy_windows=False,
    )
    bar = terminal._Bar(console)
    with bar:
        bar.note("precision float32")
        bar.expect(passes)
        for _ in range(0, passes, step):
            clock.now += step * seconds_a_pass
            bar.advance(step)
    return console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO from above


def test_lines_are_few_and_tell_the_time_left(clock: Clock) -> None:
    lines = told(clock, seconds_a_pass=0.5).splitlines()  # 500 s
    assert lines[:2] == ["precision float32", "1,000 forward passes"]
    assert len(lines) == 2 + 10
    shares = [int(line.split("%")[0]) for line in lines[2:]]
    assert shares[0] <= 5 and all(9 <= b - a <= 11 for a, b in pairwise(shares))
    assert lines[2 + 5] == f" {shares[5]}% of the forward passes, {terminal._duration(500 - 5 * shares[5])} left"


def test_quick_runs_print_no_progress(clock: Clock) -> None:
    assert told(clock, seconds_a_pass=0.004).splitlines() == ["precision float32", "1,000 forward passes"]


def test_lines_are_seconds_apart(clock: Clock) -> None:
    lines = told(clock, seconds_a_pass=0.012).splitlines()  # 12 s: 10 % would be every 1.2 s
    assert len(lines) - 2 == 2


def test_long_runs_are_not_silent(clock: Clock) -> None:
    lines = told(clock, seconds_a_pass=36, step=1).splitlines()  # 10 hours: 10 % is an hour
    assert 60 <= len(lines) <= 130
    assert any(line.endswith(":00:00 left") for line in lines)


def test_a_rare_step_is_told_without_a_forecast(clock: Clock) -> None:
    assert " 20% of the forward passes" in told(clock, seconds_a_pass=36, step=100).splitlines()


def test_a_bar_on_a_terminal(clock: Clock) -> None:
    text = told(clock, seconds_a_pass=0.5, is_terminal=True)
    assert "precision float32" in text and "1000/1000" in text
    assert "\x1b[?25l" in text and "\x1b[?25h" in text  # hides the cursor, and shows it again
    assert "% of the forward passes" not in text


def test_quiet_tells_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Terminal(quiet=True).progress() as progress:
        progress.note("x")
        progress.expect(10)
        progress.advance(10)
    assert capsys.readouterr() == ("", "")


def test_texts_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither markup nor emoji nor line breaks are made of what users' names hold."""
    name = "[bold]model[/] :smile: " + "x" * 200
    screen = Terminal()
    screen.show(name)
    assert capsys.readouterr().out == name + "\n"


HOSTILE = "a\x1b[31mred\x1b]0;title\x07 \x9b2J\r\u202egpj.exe\ud800 \x08naïve 猫\u200d🐈"
HARMLESS = "a[31mred]0;title 2Jgpj.exe naïve 猫\u200d🐈"


@pytest.mark.parametrize("is_terminal", [False, True])
def test_names_from_outside_cannot_steer_a_terminal(
    is_terminal: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("COLUMNS", "120")
    screen, table = Terminal(), Table("image", HOSTILE)
    table.add_row(Text(HOSTILE), HOSTILE)
    screen.show(HOSTILE, Text(HOSTILE, style="bold"), table)
    screen.note(HOSTILE)
    with screen.progress() as progress:
        progress.note(HOSTILE)
    terminal.say(HOSTILE)
    printed = capsys.readouterr()
    own_codes = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # bold and the bar's, which rich writes itself
    text = own_codes.sub("", printed.out + printed.err)
    assert text.count(HARMLESS) == 7
    assert "spectrobe: " + HARMLESS.replace("2J", "2J ") in text  # a line of one piece: the carriage return was a space
    assert not re.search("[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x9f\u202e\ud800-\udfff]", text)
    assert ("\x1b[1m" in printed.out) == is_terminal
    assert "\x1b[31m" not in printed.out + printed.err


@pytest.mark.parametrize("seconds, written", [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3600 * 5 + 62, "5:01:02")])
def test_durations(seconds: float, written: str) -> None:
    assert terminal._duration(seconds) == written
