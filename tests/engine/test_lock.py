"""One driver a run folder: who is refused, who is told what, and what is left of a driver that died."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from spectrobe.engine import lock
from spectrobe.engine.store import RunFolder
from spectrobe.errors import RunFolderError

HOLD = """
import sys
from spectrobe.engine.store import RunFolder
with RunFolder(sys.argv[1]).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "MOMENT", 0.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[str]:
    """An empty place on a store in memory."""
    yield f"memory:/{tmp_path}"
    fsspec.filesystem("memory").store.clear()


def test_second_process_is_told_who_holds_it_until_that_is_killed(tmp_path: Path) -> None:
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert first.stdout is not None and first.stdout.readline() == "held\n"
    for _ in range(2):  # being refused does not wipe out who it is
        told = rf"process {first.pid} on \S+, since 20\d\d-\d\d-\d\d.* UTC\): wait"
        with pytest.raises(RunFolderError, match=told), RunFolder(tmp_path).lock():
            pass
    first.kill()
    first.communicate()
    with RunFolder(tmp_path).lock():
        assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()


def test_name_of_the_holder_goes_with_the_lock(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with RunFolder(tmp_path).lock():
        pass
    assert (tmp_path / ".lock").read_bytes() == b""


def test_lock_on_a_store(store: str) -> None:
    with RunFolder(store).lock():
        with pytest.raises(RunFolderError, match=rf"process {os.getpid()} on "), RunFolder(store).lock():
            pass
        assert RunFolder(store).exists(".lock")
    assert not RunFolder(store).exists(".lock")


def left(store: str, **what: Any) -> None:
    """A lock that somebody left behind."""
    holder = {**lock._this_process(), "token": "somebody", "renewed": time.time(), **what}
    RunFolder(store).write_bytes(".lock", json.dumps(holder).encode())


def dead() -> int:
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_lock_of_a_dead_process_is_taken_over(store: str) -> None:
    left(store, pid=dead())
    with RunFolder(store).lock():
        assert json.loads(RunFolder(store).read_bytes(".lock"))["pid"] == os.getpid()


def test_own_lock_that_a_store_would_not_remove_is_taken_over(store: str) -> None:
    left(store)
    with RunFolder(store).lock():
        pass


def test_lock_of_another_machine_holds_as_long_as_it_is_renewed(store: str) -> None:
    left(store, machine="another", pid=dead(), host="head", renewed=time.time() - 200)
    with pytest.raises(RunFolderError, match="on head, since"), RunFolder(store).lock():
        pass
    left(store, machine="another", pid=os.getpid(), host="head", renewed=time.time() - 400)
    with RunFolder(store).lock():
        pass


def test_of_two_that_write_at_the_same_moment_the_last_one_has_it(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock.time, "sleep", lambda seconds: left(store, host="rival", machine="another"))
    with pytest.raises(RunFolderError, match="on rival"), RunFolder(store).lock():
        pass
    assert json.loads(RunFolder(store).read_bytes(".lock"))["host"] == "rival"


def test_lock_on_a_store_is_renewed_and_never_taken_back(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "RENEWED_EVERY", 0.01)
    with RunFolder(store).lock():
        first = json.loads(RunFolder(store).read_bytes(".lock"))["renewed"]
        until = time.monotonic() + 5
        while json.loads(RunFolder(store).read_bytes(".lock"))["renewed"] == first:
            assert time.monotonic() < until
            time.sleep(0.01)
        left(store, host="rival", machine="another")
        time.sleep(0.1)
        assert json.loads(RunFolder(store).read_bytes(".lock"))["host"] == "rival"
    assert json.loads(RunFolder(store).read_bytes(".lock"))["host"] == "rival"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}"])
def test_lock_that_says_nothing_is_nobodys(store: str, content: bytes) -> None:
    RunFolder(store).write_bytes(".lock", content)
    with RunFolder(store).lock():
        pass
