"""From the names that data carries (class folders, text labels) to the class indices of the model.

A name is never numbered by guess: data that holds only some of the model's classes would get wrong labels in silence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from spectrobe.data.base import DataOptions
from spectrobe.data.class_map import MAP_FORMS, class_index, class_map_entries
from spectrobe.errors import InputError

_WORDNET_ID = re.compile(r"n\d{8}")
_WORDNET_ID_AND_WORDS = re.compile(r"(n\d{8})[ _.-].*", re.DOTALL)


@dataclass(frozen=True)
class LabelMapping:
    """indices: name -> class index.    how: the rule that made it, for run.json.    class_names: by index, if known."""

    indices: Mapping[str, int]
    how: str
    class_names: tuple[str, ...] | None


@cache
def imagenet_wordnet_ids() -> tuple[str, ...]:
    """The WordNet ids of ImageNet's 1,000 classes, in the order in which models number them."""
    return tuple(files("spectrobe.data").joinpath("imagenet_wnids.txt").read_text("ascii").split())


def is_wordnet_id(name: str) -> bool:
    """Whether `name` has the form of a WordNet id (n and eight digits)."""
    return _WORDNET_ID.fullmatch(name) is not None


def match_names(names: Sequence[str], options: DataOptions, what: str) -> LabelMapping | None:
    """Class indices of `names` by the rules that need no order: class_map, the model's class names, WordNet ids.

    `what` says what the names are ("class folders"). Returns None when no rule applies; raises InputError when
    `class_map` was given and does not fit.
    """
    if options.class_map is not None:
        return _by_class_map(names, options, what)
    return _by_class_names(names, options, what) or _by_wordnet(names, options, what)


def match_sorted(names: Sequence[str], options: DataOptions, what: str) -> LabelMapping:
    """Class indices of `names` in sorted order, as torchvision's ImageFolder numbers them.

    Raises InputError, saying what to give, unless there are exactly as many names as the model has classes.
    """
    listed = f"{len(names)} {what} ({shorten(names)})"
    if options.n_classes is None:
        raise InputError(
            f"the {listed} cannot be numbered while the model's number of classes is unknown: "
            f"give num_classes, or --class-map, {MAP_FORMS}"
        )
    if len(names) != options.n_classes:
        raise InputError(
            f"the {listed} cannot be matched to the model's {options.n_classes:,} classes{_near_miss(names, options)}: "
            f"give --class-map, {MAP_FORMS}"
        )
    ordered = sorted(names)
    if all(name.isdecimal() for name in names) and ordered != sorted(names, key=int):
        raise InputError(
            f"the {listed} are numbers whose sorted order differs from their numeric order, and both are in use: "
            f"give --class-map, {MAP_FORMS}"
        )
    indices = {name: index for index, name in enumerate(ordered)}
    _refuse_contradiction(indices, options, what)
    names_by_index = options.class_names or tuple(ordered)
    return LabelMapping(indices, f"{what} in sorted order, as torchvision's ImageFolder", names_by_index)


def map_numbers(values: Sequence[int], options: DataOptions) -> tuple[list[int], str]:
    """Labels that are numbers: as given, or through `class_map` (number -> class index). Returns labels, how."""
    if options.class_map is None:
        return list(values), "as given"
    mapping = _by_class_map([str(value) for value in sorted(set(values))], options, "labels")
    return [mapping.indices[str(value)] for value in values], mapping.how


def shorten(names: Sequence[str], limit: int = 5) -> str:
    """The first few of `names`, sorted, and how many more there are."""
    ordered = [f"{name:.60}" for name in sorted(names)]
    more = f" and {len(ordered) - limit} more" if len(ordered) > limit else ""
    return ", ".join(ordered[:limit]) + more


def _by_class_names(names: Sequence[str], options: DataOptions, what: str) -> LabelMapping | None:
    if not options.class_names:
        return None
    by_name: dict[str, list[int]] = {}
    for index, name in enumerate(options.class_names):
        by_name.setdefault(name.casefold(), []).append(index)
    if not all(name.casefold() in by_name for name in names):
        return None
    several = [name for name in names if len(by_name[name.casefold()]) > 1]
    if several:
        where = " and ".join(map(str, by_name[several[0].casefold()]))
        raise InputError(f"{several[0]!r} is the name of classes {where} of the model: give --class-map, {MAP_FORMS}")
    indices = {name: by_name[name.casefold()][0] for name in names}
    _refuse_merged(indices, what)
    return LabelMapping(indices, f"{what} by the model's class names", options.class_names)


def _by_wordnet(names: Sequence[str], options: DataOptions, what: str) -> LabelMapping | None:
    index_of = {name: index for index, name in enumerate(imagenet_wordnet_ids())}
    ids = {name: _leading_id(name) for name in names}
    if options.n_classes not in (None, len(index_of)) or not all(one in index_of for one in ids.values()):
        return None
    indices = {name: index_of[one] for name, one in ids.items()}
    _refuse_merged(indices, what)
    return LabelMapping(indices, f"{what} by WordNet id", options.class_names or imagenet_wordnet_ids())


def _leading_id(name: str) -> str:
    """n01440764_tench -> n01440764, as people name folders to tell them apart; other names as they are."""
    found = _WORDNET_ID_AND_WORDS.fullmatch(name)
    return found[1] if found else name


def _by_class_map(names: Sequence[str], options: DataOptions, what: str) -> LabelMapping:
    entries, source = class_map_entries(options.class_map)
    missing = [name for name in names if name not in entries]
    if missing:
        swapped = any(entry in missing for entry in entries.values() if isinstance(entry, str))
        hint = "; it maps indices to names, the other way round" if swapped else ""
        raise InputError(f"{source} has no entry for {len(missing)} of {len(names)} {what}: {shorten(missing)}{hint}")
    indices = {name: class_index(name, entries[name], options, source) for name in names}
    class_names = options.class_names
    if class_names is None and options.n_classes is not None:
        inverse = {index: name for name, index in indices.items()}
        class_names = tuple(inverse.get(index, str(index)) for index in range(options.n_classes))
    # No file name: the mapping itself is in the labels, and the name may be a path of this machine.
    return LabelMapping(indices, f"{what} by class map", class_names)


def _refuse_merged(indices: Mapping[str, int], what: str) -> None:
    """Names that differ only in case, or in what follows a WordNet id, would become one class."""
    seen: dict[int, str] = {}
    for name, index in indices.items():
        if seen.setdefault(index, name) != name:
            raise InputError(f"{what} {seen[index]!r} and {name!r} are one class of the model: merge or rename them")


def _refuse_contradiction(indices: Mapping[str, int], options: DataOptions, what: str) -> None:
    """Names that the model knows, in another order than the sorted one, disprove the sorted order."""
    known = {name.casefold(): index for index, name in enumerate(options.class_names or ())}
    for name, index in indices.items():
        if known.get(name.casefold(), index) != index:
            raise InputError(
                f"sorted order would make {name!r} class {index}, but the model calls class {known[name.casefold()]} "
                f"so, and does not know all {what}{_near_miss(tuple(indices), options)}: give --class-map, {MAP_FORMS}"
            )


def _near_miss(names: Sequence[str], options: DataOptions) -> str:
    """When a rule by name nearly applied, which names stood in its way."""
    wordnet = [name for name in names if is_wordnet_id(_leading_id(name))]
    if wordnet and options.n_classes == len(imagenet_wordnet_ids()):
        strangers = [name for name in names if _leading_id(name) not in imagenet_wordnet_ids()]
        return f" (not among ImageNet's WordNet ids: {shorten(strangers)})"
    if options.class_names:
        known = {name.casefold() for name in options.class_names}
        strangers = [name for name in names if name.casefold() not in known]
        if 0 < len(strangers) < len(names):
            return f" (not among the model's class names: {shorten(strangers)})"
    return ""
