"""What a file is before it is opened as weights: failed downloads, archives of another kind."""

from __future__ import annotations

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


def archive_members(path: Path) -> set[str]:
    """The names of the files in a zip archive, without their folders; none where the file is no such archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {name.rpartition("/")[2] for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile):
        return set()
