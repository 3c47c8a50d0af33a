"""Pieces of error messages that several adapters need."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str:
    """`; the nearest names are A, B, C`, or nothing where none is near: the end of an error message."""
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f"; the nearest name{'s are' if len(close) > 1 else ' is'} {', '.join(close)}" if close else ""
