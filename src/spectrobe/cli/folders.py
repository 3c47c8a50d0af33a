"""Where a command writes: the folder it was given, or the first free runs/COMMAND-MODEL-N."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from spectrobe.cli import interrupts
from spectrobe.errors import InputError, RunFolderError


@contextmanager
def run_folder(out: str | None, command: str, model: str) -> Iterator[str]:
    """The folder of a run. Ctrl-C inside becomes Interrupted; a folder in which nothing was written goes again."""
    if out is not None and not out.strip():
        raise InputError("expected a folder after --out, got an empty name: choose one, or leave --out away")
    folder = _first_free(f"{command}-{readable(model)}") if out is None else out
    interrupts.current.folder, interrupts.current.asked_for = folder, out is not None
    try:
        yield folder
    except KeyboardInterrupt:
        raise interrupts.Interrupted from None
    finally:
        if out is None and not any(Path(folder).iterdir()):
            Path(folder).rmdir()


def readable(model: str) -> str:
    """A model string as part of a file name: scheme and last part of the name, options left out."""
    scheme, colon, name = model.partition("?")[0].partition(":")
    last = (name if colon else scheme).rstrip("/").rpartition("/")[2]
    text = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{scheme}-{last}" if colon else last).strip("-.")
    return text[:60].rstrip("-.") or "model"


def _first_free(name: str) -> str:
    """Make and return runs/NAME-N with the smallest N that is free; made at once, so that two calls never share one."""
    try:
        os.makedirs("runs", exist_ok=True)
        return next(folder for number in count(1) if _make(folder := f"runs/{name}-{number}"))
    except OSError as error:
        here = os.path.abspath("runs")
        raise RunFolderError(f"cannot make a folder in {here} ({error.strerror}): give --out") from None


def _make(folder: str) -> bool:
    """Make a folder; whether it was not there."""
    try:
        os.mkdir(folder)
    except FileExistsError:
        return False
    return True
