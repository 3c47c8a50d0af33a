"""Pieces of error messages that several adapters need."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str:
    """`; the nearest names are A, B, C`, or nothing where none is near: the end of an error message."""
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f"; the nearest name{'s are' if len(close) > 1 else ' is'} {', '.join(close)}" if close else ""


def first_line(error: BaseException) -> str:
    """The first line of another library's error, short enough for one line of ours; its type where it says nothing."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:200]
