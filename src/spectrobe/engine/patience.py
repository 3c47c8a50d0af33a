"""Stores that fail now and then: what is asked of them is asked again, a few times."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

WAITS = (0.1, 0.4, 1.6)
"""Seconds before the second, third and last try."""
_FINAL = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)

T = TypeVar("T")


def patiently(do: Callable[[], T]) -> T:
    """What `do` returns; tried again after an OSError that may pass, which the last try raises."""
    for wait in WAITS:
        try:
            return do()
        except _FINAL:
            raise
        except OSError:
            time.sleep(wait)
    return do()


class PatientStore:
    """A remote fsspec file system, each call tried again where it fails.

    `exists` and `isdir` say no only where a store says so: fsspec's own take every failure for a no.
    """

    def __init__(self, filesystem: Any) -> None:
        self._filesystem = filesystem

    def exists(self, path: str) -> bool:
        """Whether there is something at `path`."""
        return self._type(path) is not None

    def isdir(self, path: str) -> bool:
        """Whether there is a folder at `path`."""
        return self._type(path) == "directory"

    def _type(self, path: str) -> str | None:
        try:
            return str(patiently(lambda: self._filesystem.info(path))["type"])
        except (FileNotFoundError, NotADirectoryError):
            return None

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._filesystem, name)
        return (lambda *given, **named: patiently(lambda: found(*given, **named))) if callable(found) else found
