"""What can go wrong with a run on Ray, brought about on purpose."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spectrobe.engine.phases import _listeners, listen
from spectrobe.errors import RunFolderError

DRIVER = Path(__file__).parent / "ray_driver.py"
ROOT = DRIVER.parents[2]


def same(run: Path, reference: Path, rows: str = "payoffs") -> bool:
    """Result and shards, byte for byte."""
    shards = [path.name for path in sorted((reference / rows).iterdir())]
    assert len(shards) >= 3 and shards == [path.name for path in sorted((run / rows).iterdir())]
    names = ["result.json", *(f"{rows}/{name}" for name in shards)]
    return all((run / name).read_bytes() == (reference / name).read_bytes() for name in names)


def drive(out: Path, phase: str, count: int, what: str, mischief: Path, address: str) -> Any:
    """A driver of its own; its output."""
    command = [sys.executable, str(DRIVER), str(out), phase, str(count), what, str(mischief), address]
    surroundings = {
        **os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # the cluster is on 127.0.0.1
    }  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=1200, env=surroundings)


def failing_at(phase: str, count: int) -> Callable[[], None]:
    """The disk is full when the run comes to `phase` for the count-th time; gives what makes room again."""
    seen = 0

    def full(reached: str) -> None:
        nonlocal seen
        seen += reached == phase
        if reached == phase and seen == count:
            raise OSError(28, "No space left on device")

    listen(full)
    return lambda: _listeners.remove(full)


def flaky(share: float, seed: int, most: int) -> Any:
    """A file system over this machine's that fails on a share of its calls, `most` times in all; how often it did."""
    from fsspec.implementations.local import LocalFileSystem

    draws, failed = random.Random(seed), [0]

    class Flaky(LocalFileSystem):  # type: ignore[misc]
        protocol = "flaky"

    def failing(name: str) -> Any:
        method = getattr(LocalFileSystem, name)

        def call(self: Any, *given: Any, **named: Any) -> Any:
            if failed[0] < most and draws.random() < share:
                failed[0] += 1
                raise OSError(5, "Input/output error")
            return method(self, *given, **named)

        return call

    for name in ("pipe_file", "cat_file", "info", "ls", "open", "makedirs", "rm"):
        setattr(Flaky, name, failing(name))
    return Flaky, failed


def on_flaky_store(monkeypatch: pytest.MonkeyPatch, share: float, seed: int, most: int) -> list[int]:
    kind, failed = flaky(share, seed, most)
    monkeypatch.setattr("spectrobe.engine.store.filesystem_of", lambda path: (kind(skip_instance_cache=True), path))
    monkeypatch.setattr("spectrobe.engine.patience.WAITS", (0.0, 0.0, 0.0))
    monkeypatch.setattr("spectrobe.engine.lock.MOMENT", 0.0)
    return failed


def attempt(call: Callable[[], Any]) -> bool:
    try:
        call()
    except RunFolderError:
        return False
    return True


def kill_workers(tmp_path: Path, number: int) -> None:
    for one in range(number):
        (tmp_path / f"kill-{one}").touch()
