"""What a file is before it is opened as weights: failed downloads, archives of another kind."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

from spectrobe.errors import InputError


def refuse_stand_in(path: Path, expected: str) -> None:
    """Raise InputError where a file is what a failed download leaves in the place of weights."""
    try:
        with path.open("rb") as file:
            head = file.read(64).lstrip().lower()
    except OSError as error:
        raise InputError(f"expected {expected}, cannot read {path} ({error.strerror})") from error
    if head.startswith((b"<!doctype", b"<html")):
        raise InputError(f"expected {expected}, got a web page saved as {path}: the download failed, fetch it again")
    if head.startswith(b"version https://git-lfs"):
        raise InputError(f"expected {expected}, got a Git LFS pointer in {path}: run git lfs pull")


def refused_pickle(name: str, error: BaseException | None) -> InputError | None:
    """What to say where a library would not unpickle the weights of the model `name`; None for other errors."""
    while not isinstance(error, pickle.UnpicklingError):  # libraries put words of their own around it
        if error is None:
            return None
        error = error.__cause__ or error.__context__
    return InputError(
        f"{name}: its weights hold more than tensors, or are damaged, and opening them can run any code: take them in "
        f"safetensors, or, if you trust the file, give it as checkpoint=FILE with allow_pickle=True (--allow-pickle)"
    )


def archive_members(path: Path) -> set[str]:
    """The names of the files in a zip archive, without their folders; none where the file is no such archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {name.rpartition("/")[2] for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile):
        return set()
