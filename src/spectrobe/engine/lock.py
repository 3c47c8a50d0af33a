"""One driver a run folder: who holds it stands in a file `.lock`, and a second one is refused by name.

On a local disk the kernel keeps the lock (flock), and lets go of it when its process ends, however it ends. An object
store has no locks: there a file is written, read again after a moment, and renewed as long as the run goes on. Two
drivers that start within that moment are told apart; a driver that died elsewhere keeps the folder until its file has
not been renewed for five minutes by this machine's clock.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from spectrobe.errors import RunFolderError

NAME = ".lock"
MOMENT, RENEWED_EVERY, STALE_AFTER = 0.3, 30.0, 300.0
"""Seconds, of locks on stores."""

_held: set[str] = set()
"""Tokens of the locks on stores that this process holds, to know its own that a store would not remove."""


@contextmanager
def locked(filesystem: Any, root: str, path: str, local: bool) -> Iterator[None]:
    """Hold the folder `root` (called `path` in messages) inside. RunFolderError naming who else does.

    A folder in which no run was begun is left as it was found.
    """
    with _flocked(root, path) if local else _renewed(filesystem, f"{root.rstrip('/')}/{NAME}", path):
        yield


@contextmanager
def _flocked(root: str, path: str) -> Iterator[None]:
    import fcntl

    made, name = not os.path.isdir(root), os.path.join(root, NAME)
    new = not os.path.exists(name)
    try:
        os.makedirs(root, exist_ok=True)
        file = open(name, "a+b", buffering=0)  # noqa: SIM115  # held until the run ends; what stands there is kept
    except OSError as error:
        raise RunFolderError(
            f"{path}: cannot make or write this folder ({error.strerror}): choose another --out"
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = os.path.samestat(os.fstat(file.fileno()), os.stat(name))  # not one that has just been removed
        except OSError:
            held = False
        if not held:
            file.seek(0)
            raise _refused(path, _parsed(file.read()))
        try:
            with suppress(OSError):  # of a full disk: that it is held does not hang on what stands there
                file.truncate(0)
                file.write(json.dumps(_this_process()).encode())
            yield
        finally:
            with suppress(OSError):
                file.truncate(0)
            alone = os.listdir(root) == [NAME]
            if alone or (new and not os.path.exists(os.path.join(root, "run.json"))):
                os.unlink(name)
            if alone and made:
                os.rmdir(root)


@contextmanager
def _renewed(filesystem: Any, name: str, path: str) -> Iterator[None]:
    mine = _this_process()

    def write() -> None:
        filesystem.pipe_file(name, json.dumps({**mine, "renewed": time.time()}).encode())

    def read() -> Mapping[str, Any]:
        return _parsed(filesystem.cat_file(name)) if filesystem.exists(name) else {}

    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(RENEWED_EVERY):
            with suppress(Exception):  # a store that fails now and then: the next time will do
                if read().get("token") != mine["token"]:
                    return
                write()

    try:
        there = read()
        if there and not _is_stale(there):
            raise _refused(path, there)
        filesystem.makedirs(name.rpartition("/")[0], exist_ok=True)
        write()
        time.sleep(MOMENT)
        there = read()
    except OSError as error:
        raise RunFolderError(
            f"{path}: cannot write this folder ({error.strerror or error}): choose another --out"
        ) from error
    if there.get("token") != mine["token"]:
        raise _refused(path, there)
    beat = threading.Thread(target=renew, name="spectrobe-lock", daemon=True)
    beat.start()
    _held.add(mine["token"])
    try:
        yield
    finally:
        _held.remove(mine["token"])
        ended.set()
        beat.join()
        with suppress(OSError):
            if read().get("token") == mine["token"]:
                filesystem.rm(name)


def _this_process() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "since": time.time(),
        "machine": _machine(),
        "token": uuid.uuid4().hex,
    }


def _machine() -> str:
    """What tells machines, and containers with processes of their own, apart, which names do not; empty: unknown."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return f"{file.read().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _is_stale(holder: Mapping[str, Any]) -> bool:
    if holder.get("machine") and holder["machine"] == _machine():
        mine_no_more = holder.get("pid") == os.getpid() and holder.get("token") not in _held
        if mine_no_more or not _is_alive(holder.get("pid")):
            return True
    renewed = holder.get("renewed")
    return not isinstance(renewed, int | float) or time.time() - renewed > STALE_AFTER


def _is_alive(pid: Any) -> bool:
    if not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _parsed(content: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _refused(path: str, holder: Mapping[str, Any]) -> RunFolderError:
    who = ""
    if isinstance(holder.get("since"), int | float):
        since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(holder["since"]))
        who = f" (process {holder.get('pid')} on {holder.get('host')}, since {since})"
    return RunFolderError(f"{path}: another run is writing here{who}: wait for it, or choose another --out")
