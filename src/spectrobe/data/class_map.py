"""The caller's class map: name -> class index (or name of a class of the model), a mapping or a JSON or CSV file."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from numbers import Integral
from os import PathLike, fspath
from pathlib import PurePath

from spectrobe.data.base import DataOptions
from spectrobe.errors import InputError
from spectrobe.remote import local_path
from spectrobe.texts import parse_json, read_text

MAP_FORMS = "a JSON object {name: class index} or a CSV file of lines name,index (a class name may stand for the index)"
_DIGITS = re.compile(r"[+-]?\d{1,18}")  # more are no index, and Python reads no number of more than 4,300


def class_map_entries(given: object) -> tuple[Mapping[str, object], str]:
    """The entries of a class map, and how to call it in messages; InputError for a file that holds none."""
    if isinstance(given, Mapping):
        entries: dict[str, object] = {}
        for name, entry in given.items():
            if str(name) in entries:
                raise InputError(f"class_map has two entries for {str(name)!r}, a text and a number: which counts?")
            entries[str(name)] = entry
        return entries, "class_map"
    if not isinstance(given, str | PathLike):
        raise InputError(f"expected class_map to be a mapping or the path of a file, got {type(given).__name__}")
    location = str(fspath(given))
    source, suffix = f"class map {location!r}", PurePath(location).suffix.lower()
    if suffix not in (".json", ".csv"):
        raise InputError(f"expected {source} to be a .json or .csv file: {MAP_FORMS}")
    text = read_text(local_path(location), source, MAP_FORMS)
    return (_json_entries if suffix == ".json" else _csv_entries)(text, source), source


def class_index(name: str, entry: object, options: DataOptions, source: str) -> int:
    """A class index from a whole number, its digits, or the name of one of the model's classes; else InputError."""
    if isinstance(entry, str) and _DIGITS.fullmatch(entry):
        entry = int(entry)
    if isinstance(entry, str) and options.class_names:
        matches = [i for i, known in enumerate(options.class_names) if known.casefold() == entry.casefold()]
        if len(matches) == 1:
            return matches[0]
    if isinstance(entry, bool) or not isinstance(entry, Integral):
        expected = "a class index" + (" or the name of one of the model's classes" if options.class_names else "")
        raise InputError(f"{source} maps {name!r} to {entry!r:.80}: expected {expected}")
    index = int(entry)
    if index < 0 or index >= (10**18 if options.n_classes is None else options.n_classes):
        last = "" if options.n_classes is None else f" to {options.n_classes - 1}"
        shown = index if abs(index) < 10**18 else "a number of more than 18 digits"
        raise InputError(f"{source} maps {name!r} to {shown}: expected an index from 0{last}")
    return index


def _json_entries(text: str, source: str) -> Mapping[str, object]:
    entries = parse_json(text, source, MAP_FORMS)
    if not isinstance(entries, dict):
        raise InputError(f"{source} holds a {type(entries).__name__}: expected {MAP_FORMS}")
    return entries


def _csv_entries(text: str, source: str) -> Mapping[str, object]:
    entries: dict[str, str] = {}
    rows = csv.reader(io.StringIO(text, newline=""))
    try:
        for row in rows:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if len(cells) != 2:
                hint = "; a comma stands between them" if len(cells) == 1 else ""
                raise InputError(
                    f"{source}, line {rows.line_num}: expected 2 columns (name,index), got {len(cells)}{hint}"
                )
            # A header line does no harm: only the entries of names that the data has are looked at.
            if entries.setdefault(cells[0], cells[1]) != cells[1]:
                raise InputError(
                    f"{source}, line {rows.line_num}: {cells[0]!r:.80} has two entries, {entries[cells[0]]:.80} and "
                    f"{cells[1]:.80}"
                )
    except csv.Error as error:
        raise InputError(f"{source}, line {rows.line_num}: {error}: expected {MAP_FORMS}") from None
    return entries
