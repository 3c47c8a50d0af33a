"""What lies elsewhere: locations behind fsspec (`s3://bucket/folder`, local paths too), and the hub's client."""

from __future__ import annotations

import atexit
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from spectrobe.errors import InputError, MissingExtraError, SpectrobeError
from spectrobe.texts import first_line

_EXTRAS = {"s3": ("s3fs", "s3"), "s3a": ("s3fs", "s3")}
"""Scheme -> the library that fsspec needs for it, and spectrobe's extra that installs it."""


def filesystem_of(location: str) -> tuple[Any, str]:
    """The fsspec file system of a location, and the path on it.

    Raises MissingExtraError where its library is not installed (InputError where no extra of spectrobe installs it),
    InputError for a scheme that fsspec does not know.
    """
    from fsspec.core import url_to_fs

    try:
        filesystem, path = url_to_fs(location)
    except ImportError as error:
        scheme = location.partition("://")[0]
        if scheme in _EXTRAS:
            raise MissingExtraError(*_EXTRAS[scheme], location) from error
        raise InputError(f"cannot open {location!r}: {error}") from error
    except ValueError as error:  # also what back ends make of a malformed location
        raise InputError(f"cannot open {location!r}: {error}") from error
    return filesystem, path


def local_path(location: str) -> Path:
    """Where a file lies on this machine: a local path itself, a remote file's copy, which goes when the process ends.

    Raises as `filesystem_of` does, and InputError for a remote file that cannot be fetched.
    """
    if "://" not in location:
        return Path(location).expanduser()
    filesystem, path = filesystem_of(location)
    folder = Path(tempfile.mkdtemp(prefix="spectrobe-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    copy = folder / PurePosixPath(path).name
    with reaching(location):
        filesystem.get_file(path, str(copy))
    return copy


@contextmanager
def reaching(location: str) -> Iterator[None]:
    """Turn what a back end raises inside (no credentials, no such bucket, no network) into one InputError."""
    try:
        yield
    except SpectrobeError:
        raise
    except Exception as error:  # the errors of object stores' clients have no common base
        raise unreachable(location, error) from error


def unreachable(location: str, error: Exception) -> InputError:
    """The error for a location whose back end raised `error`."""
    return InputError(f"cannot reach {location!r}: {type(error).__name__}: {first_line(error)}")


@contextmanager
def unlogged(*names: str) -> Iterator[None]:
    """Mute loggers of libraries that tell what they raise afterwards, such as each retry of the hub's client."""
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
