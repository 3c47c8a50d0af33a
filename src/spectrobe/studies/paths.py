"""Paths of the user's machine, left out of what others will read: of each, the last part alone is kept."""

from __future__ import annotations

import re
from collections.abc import Iterable

_END = r"\s'\"<>|*?;,)\]}`"
_PART = rf"[^{_END}/\\:&=]+"
_PATH = re.compile(
    r"(?<=['\"])(?:~|\.\.?)?/[^'\"\n]+(?=['\"])"  # in quotes it may hold blanks
    rf"|file://[^{_END}]*"
    rf"|(?<!\w)[A-Za-z]:[\\/][^{_END}]*"  # C:\Users\me\x
    rf"|\\\\[^{_END}]+"  # \\server\share\x
    rf"|(?<![\w/.<])/{_PART}/(?:{_PART}/?)*"  # /home/me/x; not cycles/pixel, 4/255, </p>, https://
    rf"|(?<![\w/.])(?:~|\.\.?)/(?:{_PART}/?)*"  # ~/x, ./x, ../x
    rf"|(?:(?<=\bonnx:)|(?<=\bexport:)|(?<=\bparquet:)|(?<=\bcheckpoint=))(?:{_PART}/)+{_PART}"  # what is always a file
)


_FILE = re.compile(r"(?:onnx|export|parquet):([^?]+)")


def file_in(name: str) -> str:
    """The file that a model or data string names; empty where it names none."""
    found = _FILE.match(name)
    return found[1] if found else ""


def short_name(name: str) -> str:
    """A model or data string, its file without the folders that it lies in."""
    return without_paths(name, filter(None, [file_in(name)]))


def last_part(path: str) -> str:
    """What stands after the last slash; the whole where nothing does."""
    return re.split(r"[\\/]", path.rstrip("\\/"))[-1] or path


def without_paths(text: str, known: Iterable[str] = ()) -> str:
    """The text with every path cut to its last part; URLs other than file:// stay.

    known: paths that may hold blanks, which no pattern could tell from the text around them.
    """
    for path in sorted(known, key=len, reverse=True):
        text = text.replace(path, last_part(path))
    return _PATH.sub(lambda match: last_part(match[0]), text)
