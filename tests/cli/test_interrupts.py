"""Ctrl-C, once and twice: exit code 130, one line that says how to go on, and a run that goes on to the same answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spectrobe.engine import local
from tests.cli.calls import Cli

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]

SLOW = '''
import os, time
import torch

passes = 0


def colour(x):
    """Interrupts itself after so many batches, as Ctrl-C does; 0: never."""
    global passes
    passes += 1
    after = int(os.environ.get("STOP_AFTER", "0"))
    if after and passes == after:
        os.kill(os.getpid(), 2)
    return 4 * x.mean((2, 3))


def stuck(x):
    """Takes for ever after 15 batches, and does not let go at the first Ctrl-C."""
    global passes
    passes += 1
    if passes > 15:
        try:
            print("stuck", flush=True)
            time.sleep(60)
        except KeyboardInterrupt:
            print("first", flush=True)
            time.sleep(60)
    return 4 * x.mean((2, 3))
'''
CALL = ("--num-classes", 3, "--bands", 9, "--batch-size", 512, "--precision", "float32", "--absence", "zero")


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    (tmp_path / "slow.py").write_text(SLOW)
    return tmp_path


@pytest.mark.parametrize("asked_for", [True, False])
def test_an_interrupted_run_goes_on_to_the_same_answer(
    asked_for: bool, cli: Cli, world: Path, slow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_MOST_IMAGES_PER_SHARD", 4)
    settings = ("--num-classes", 3, "--bands", 4, "--batch-size", 16, "--precision", "float32", "--absence", "zero")
    call = ("decompose", "python:slow.py:colour", world / "images", *settings)  # a file is imported anew by each call
    whole = cli(*call, "--json", "--out", "whole")
    assert whole.code == 0, whole.err
    monkeypatch.setenv("STOP_AFTER", "15")
    before = signal.getsignal(signal.SIGINT)
    stopped = cli(*call, "--out", "run") if asked_for else cli(*call)
    assert signal.getsignal(signal.SIGINT) is before
    monkeypatch.delenv("STOP_AFTER")
    folder = "run" if asked_for else "runs/decompose-python-slow.py-colour-1"
    how = "the same call" if asked_for else f"the same call with --out {folder}"
    assert stopped.code == 130 and stopped.out == ""
    assert stopped.err.splitlines()[-1] == (
        f"spectrobe: interrupted; what was done is kept in {folder}: {how} goes on from there"
    )
    assert len(list(Path(folder).glob("payoffs/*.parquet"))) == 1
    assert not Path(folder, "result.json").exists()
    assert cli(*call, "--json", "--out", folder).out == whole.out


def test_an_interrupt_before_anything_was_measured(
    cli: Cli, world: Path, slow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOP_AFTER", "1")
    outcome = cli("decompose", "python:slow.py:colour", world / "images", *CALL)
    assert outcome.code == 130
    assert outcome.err.splitlines()[-1] == "spectrobe: interrupted before anything was measured"
    assert not list(Path("runs").iterdir())


def test_a_second_interrupt_leaves_at_once_and_calmly(world: Path, slow: Path) -> None:
    call = ["decompose", "python:slow.py:stuck", world / "images", *CALL, "--out", "run"]
    with subprocess.Popen(
        [sys.executable, "-m", "spectrobe", *map(str, call)],
        cwd=slow, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stderr is not None
        errors = process.stderr  # where what a model prints goes
        try:
            assert "stuck\n" in errors, process.wait()  # reads up to that line
            process.send_signal(signal.SIGINT)
            assert "first\n" in errors, process.wait()
            start = time.monotonic()
            process.send_signal(signal.SIGINT)
            rest = errors.read()
            assert process.wait(timeout=30) == 130
        finally:
            process.kill()  # where a line did not come, the model would be stuck for minutes
        assert time.monotonic() - start < 30
        assert process.stdout.read() == ""
    assert "Traceback" not in rest
    assert rest.splitlines()[-1] == (
        "spectrobe: interrupted; what was done is kept in run: the same call goes on from there"
    )
    assert (slow / "run" / "run.json").exists()


EARLY = """
import os, signal, sys

class Interrupter:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            sys.meta_path.remove(self)
            for _ in range({presses}):
                os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupter())
from spectrobe.cli import main
sys.exit(main())
"""


@pytest.mark.parametrize("presses", [1, 2])
@pytest.mark.parametrize("module", ["spectrobe.cli.app", "rich.console", "torch.nn.modules"])
def test_an_interrupt_while_libraries_load(module: str, presses: int, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EARLY.format(module=module, presses=presses), "list", "values"],
        cwd=tmp_path, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=100,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 130, done.stderr
    assert done.stdout == ""
    assert done.stderr.strip() == "spectrobe: interrupted before anything was measured"
