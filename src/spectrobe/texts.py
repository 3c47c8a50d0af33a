"""Texts from outside: small files read whole, JSON without surprises, and what of a string may reach a terminal."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path
from typing import Any

from spectrobe.errors import InputError

MOST_BYTES = 16 * 2**20
"""A list of names or a class map of ImageNet's 21,841 classes is below 1 MiB."""

# Control characters (which move the cursor, recolour, retitle or reprogram a terminal) but tab and newline, those
# that change the direction of writing (which disguise names), and halves of surrogate pairs (which cannot be written).
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """`text` without what could steer a terminal; tabs and newlines stay."""
    return _UNPRINTABLE.sub("", text)


def first_line(error: BaseException) -> str:
    """The first line of another library's error, short enough for one line of ours; its type where it says nothing."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:200]


def read_text(path: Path, what: str, expected: str) -> str:
    """The UTF-8 text of a small regular file. `what` names it in messages, `expected` says what belongs there.

    Raises InputError: no such file, no regular file (reading a pipe or a device would never end), more than 16 MiB,
    not UTF-8.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            kind = "a folder" if stat.S_ISDIR(found.st_mode) else "no regular file"
            raise InputError(f"{what} is {kind}: expected {expected}")
        if found.st_size > MOST_BYTES:
            raise InputError(f"{what} has {found.st_size:,} bytes, more than {MOST_BYTES:,}: expected {expected}")
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{what} does not exist: expected {expected}") from None
    except OSError as error:
        raise InputError(f"{what} cannot be read ({error.strerror or type(error).__name__})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{what} is not UTF-8 text (byte {error.start}): expected {expected}") from error


def parse_json(text: str, what: str, expected: str) -> Any:
    """The value that a JSON text holds. Raises InputError: no JSON, too deep, too many digits, a key that repeats."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise InputError(f"{what} has the key {key!r:.80} more than once: which entry counts?")
            found[key] = value
        return found

    try:
        return json.loads(text, object_pairs_hook=unique)
    except InputError:
        raise
    except json.JSONDecodeError as error:
        raise InputError(f"{what} is not JSON (line {error.lineno}: {error.msg}): expected {expected}") from None
    except RecursionError:
        raise InputError(f"{what} is nested too deeply: expected {expected}") from None
    except ValueError:  # Python reads no number of more than 4,300 digits
        raise InputError(f"{what} holds a number of too many digits: expected {expected}") from None
