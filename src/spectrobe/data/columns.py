"""Tables of images (Parquet, `datasets`): which column holds the images, which the labels, and what the labels mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from spectrobe.data.base import DataOptions
from spectrobe.data.labels import LabelMapping, map_numbers, match_names, shorten
from spectrobe.errors import InputError

# As in common use; tried only where types leave a choice or nothing else is known.
IMAGE_NAMES = ("image", "img", "images", "jpg", "jpeg", "png", "webp", "picture", "photo")
LABEL_NAMES = ("label", "labels", "target", "targets", "class", "cls", "category")


@dataclass(frozen=True)
class Column:
    """What a column holds; class_names: of a ClassLabel column, which is a "number" one."""

    kind: Literal["image", "bytes", "number", "text", "other"]
    type_name: str
    class_names: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Labels:
    """labels: int64 (N,), or None; how they were mapped; the class names by index, where known."""

    labels: np.ndarray | None
    how: str | None
    class_names: tuple[str, ...] | None


def choose_image_column(columns: Mapping[str, Column], options: DataOptions, source: str) -> str:
    """The column asked for, else the only one that holds images; raises InputError naming the columns there are."""
    if options.image_column is not None:
        _require(columns, options.image_column, source)
        if columns[options.image_column].kind not in ("image", "bytes"):
            found = columns[options.image_column].type_name
            raise InputError(
                f"column {options.image_column!r} of {source} holds {found}, not images; {_listed(columns)}"
            )
        return options.image_column
    candidates = [name for name, column in columns.items() if column.kind == "image"]
    candidates = candidates or [
        name for name, column in columns.items() if column.kind == "bytes" and name.lower() in IMAGE_NAMES
    ]
    return _only(candidates, "image", "--image-column", columns, source)


def choose_label_column(columns: Mapping[str, Column], options: DataOptions, source: str) -> str | None:
    """The column asked for, else the only ClassLabel column, else the only one with a usual name, else None."""
    if not options.labelled:
        return None
    if options.label_column is not None:
        _require(columns, options.label_column, source)
        if columns[options.label_column].kind not in ("number", "text"):
            found = columns[options.label_column].type_name
            raise InputError(
                f"label column {options.label_column!r} of {source} holds {found}: expected class indices or text; "
                f"{_listed(columns)}"
            )
        return options.label_column
    candidates = [name for name, column in columns.items() if column.class_names is not None]
    candidates = candidates or [
        name for name, column in columns.items() if column.kind in ("number", "text") and name.lower() in LABEL_NAMES
    ]
    return _only(candidates, "label", "--label-column", columns, source) if candidates else None


def no_label_column(columns: Mapping[str, Column], source: str) -> str:
    """Why the data has no labels, for the error of a study that needs some."""
    other = next((name for name in columns if name.lower() in LABEL_NAMES), None)
    if other is not None:
        return (
            f"its column {other!r} holds {columns[other].type_name}: expected class indices, as integers, or text; "
            "--label-column names another"
        )
    return (
        f"{source} has no column of labels that is known by type or name ({_listed(columns)}; --label-column names one)"
    )


def resolve_labels(values: Sequence[int | str | None], column: Column, name: str, options: DataOptions) -> Labels:
    """Labels in the model's order from a column's values.

    Numbers of a ClassLabel column are matched by their names where a rule applies, and taken as they are only when the
    column has as many classes as the model. Text is matched by name alone. All -1 means unlabelled, as on the hub.
    """
    empty = next((row for row, value in enumerate(values) if value is None), None)
    if empty is not None:
        raise InputError(f"label column {name!r} is empty in row {empty}: expected a label in every row")
    if column.kind == "text":
        texts = [str(value) for value in values]
        mapping = match_names(sorted(set(texts)), options, "text labels")
        if mapping is None:
            raise InputError(
                f"label column {name!r} is text ({shorten(sorted(set(texts)))}) that neither the model's class names "
                "nor WordNet ids explain: give --class-map (a JSON or CSV file, text -> class index)"
            )
        return Labels(_indexed(texts, mapping), mapping.how, mapping.class_names)
    numbers = np.asarray(values, dtype=np.int64)
    if len(numbers) and (numbers == -1).all():
        return Labels(None, None, None)
    if column.class_names is not None:
        return _resolve_class_labels(numbers, column.class_names, name, options)
    mapped, how = map_numbers(numbers.tolist(), options)
    return Labels(np.asarray(mapped, dtype=np.int64), how, options.class_names)


def _resolve_class_labels(numbers: np.ndarray, names: tuple[str, ...], name: str, options: DataOptions) -> Labels:
    strange = [int(number) for number in numbers if not 0 <= number < len(names)]
    if strange:
        raise InputError(
            f"label column {name!r} holds {strange[0]}: expected 0 to {len(names) - 1}, or -1 in every row"
        )
    used = [names[index] for index in np.unique(numbers)]
    # A column of all the model's classes is matched by name only if every name is known; else its order is the model's.
    wanted = used if options.class_map is not None or len(names) != options.n_classes else list(names)
    mapping = match_names(wanted, options, "class names")
    if mapping is not None:
        return Labels(_indexed([names[number] for number in numbers], mapping), mapping.how, mapping.class_names)
    if options.n_classes not in (None, len(names)):
        raise InputError(
            f"label column {name!r} has {len(names)} classes ({shorten(names)}), the model has {options.n_classes:,}: "
            "give --class-map (a JSON or CSV file, class name -> class index)"
        )
    return Labels(numbers, "as given", options.class_names or names)


def _indexed(texts: Sequence[str], mapping: LabelMapping) -> np.ndarray:
    return np.asarray([mapping.indices[text] for text in texts], dtype=np.int64)


def _require(columns: Mapping[str, Column], name: str, source: str) -> None:
    if name not in columns:
        raise InputError(f"{source} has no column {name!r}; {_listed(columns)}")


def _only(candidates: list[str], what: str, flag: str, columns: Mapping[str, Column], source: str) -> str:
    if len(candidates) != 1:
        found = f"several {what} columns ({', '.join(candidates)})" if candidates else f"no column of {what}s"
        raise InputError(f"{source} has {found}: name one with {flag}; {_listed(columns)}")
    return candidates[0]


def _listed(columns: Mapping[str, Column]) -> str:
    return "columns: " + ", ".join(f"{name} ({column.type_name})" for name, column in columns.items())
