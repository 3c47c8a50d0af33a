"""What each model is called in a report: without paths, and apart from every other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import PurePath
from urllib.parse import parse_qs

from spectrobe.studies.paths import short_name

ModelKey = tuple[str, str]
"""A model's name, as the user wrote it, and the hash of its weights (empty when unknown)."""


@dataclass(frozen=True)
class ModelName:
    """shown: in the report.   full: what gives it its colour, here and in every figure."""

    shown: str
    full: str


def model_names(
    keys: Iterable[ModelKey], show_paths: bool, written: Mapping[ModelKey, str] | None = None
) -> dict[ModelKey, ModelName]:
    """A name for each model: two weights of one name are told apart, so are two files of one name.

    written: the model strings with their options, where known; weights are told apart by their checkpoint's name where
    each has one of its own, else by their hash.
    """
    keys = list(dict.fromkeys(keys))
    files = {key: _checkpoint((written or {}).get(key, "")) for key in keys}
    hashes = {name: {weights for other, weights in keys if other == name and weights} for name, _ in keys}
    found: dict[ModelKey, ModelName] = {}
    by_full: dict[str, ModelName] = {}
    for name, weights in keys:
        apart = f" ({weights[:6]})" if weights and len(hashes[name]) > 1 else ""
        full = name + apart
        if full not in by_full:
            others = [files[key] for key in keys if key[0] == name]
            if apart and all(others) and len(set(others)) == len(others):
                apart = f" ({files[name, weights]})"
            short = (name if show_paths else short_name(name)) + apart
            by_full[full] = ModelName(_free(short, {one.shown for one in by_full.values()}), full)
        found[name, weights] = by_full[full]
    return found


def _checkpoint(written: str) -> str:
    """The name of the checkpoint in a model string, without folders and ending; empty where there is none."""
    found = parse_qs(written.partition("?")[2]).get("checkpoint", [""])
    return PurePath(found[0]).stem


def _free(name: str, taken: set[str]) -> str:
    """The name, with a number behind it where another model has it already."""
    numbered = (name if n == 1 else f"{name} ({n})" for n in count(1))
    return next(one for one in numbered if one not in taken)
