"""Parquet files of encoded images, in the layout of the `datasets` library or with a plain column of bytes.

Read with pyarrow alone, row group by row group, so that a large table is never in memory at once.
"""

from __future__ import annotations

import glob
import json
import os
import re
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from spectrobe.data.base import DataOptions, identity_of
from spectrobe.data.columns import (
    Column,
    Labels,
    choose_image_column,
    choose_label_column,
    no_label_column,
    resolve_labels,
)
from spectrobe.data.decode import file_format
from spectrobe.data.encoded import EncodedData
from spectrobe.data.folder import SPLIT_NAMES
from spectrobe.errors import BadImageError, InputError
from spectrobe.remote import filesystem_of, reaching
from spectrobe.texts import first_line

_CACHE_BYTES = 256 * 2**20
_CODEC_ROWS = 32
_SPLIT = re.compile(rf"({'|'.join(sorted(SPLIT_NAMES))})(?![a-z])", re.IGNORECASE)


class ParquetData(EncodedData):
    """One image a row, the rows of all files in order; ids are row numbers."""

    def __init__(self, files: list[str], name: str, options: DataOptions) -> None:
        self.name = name
        self._files = [_ParquetFile(path) for path in files]
        columns = _columns(self._files[0].schema, files[0])
        self._image_column = choose_image_column(columns, options, name)
        label_column = choose_label_column(columns, options, name)
        for file in self._files:
            file.require({self._image_column, label_column} - {None}, name)
        # (first row, file, row group), in order of rows
        self._groups: list[tuple[int, int, int]] = []
        rows = 0
        for number, file in enumerate(self._files):
            for group, count in enumerate(file.rows):
                self._groups.append((rows, number, group))
                rows += count
        if not rows:
            raise InputError(f"{name} has no rows")
        self._starts = np.asarray([first for first, _, _ in self._groups])
        self._cache: OrderedDict[int, pa.ChunkedArray] = OrderedDict()
        self.ids = tuple(map(str, range(rows)))
        found = self._read_labels(label_column, columns, options)
        self.labels, self._how_labelled, self.class_names = found.labels, found.how, found.class_names
        if found.labels is None:
            self.unlabelled_because = (
                no_label_column(columns, name) if label_column is None else f"every label of {name} is -1"
            )

    def read(self, index: int) -> bytes:
        """The encoded bytes in row `index`. Raises BadImageError when there are none."""
        group = int(np.searchsorted(self._starts, index, side="right")) - 1
        value = self._group(group)[index - int(self._starts[group])].as_py()
        return image_bytes(value, self.ids[index])

    def codecs(self) -> list[str]:
        """The file types of the first rows."""
        return sorted({file_format(self._bytes_or_none(i)) for i in range(min(len(self), _CODEC_ROWS))})

    def identity(self) -> Mapping[str, Any]:
        """Name, count, digest over ids, labels and file sizes, and how labels were found."""
        return identity_of(self, how_labelled=self._how_labelled, sizes=[file.size for file in self._files])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cache": OrderedDict()}  # workers fill their own

    def _bytes_or_none(self, index: int) -> bytes:
        try:
            return self.read(index)
        except BadImageError:
            return b""

    def _group(self, group: int) -> pa.ChunkedArray:
        """The image column of one row group; the last used ones are kept, up to a fixed number of bytes."""
        if group in self._cache:
            self._cache.move_to_end(group)
            return self._cache[group]
        _, number, local = self._groups[group]
        column = self._files[number].read(local, self._image_column)
        self._cache[group] = column
        while len(self._cache) > 1 and sum(kept.nbytes for kept in self._cache.values()) > _CACHE_BYTES:
            self._cache.popitem(last=False)
        return column

    def _read_labels(self, name: str | None, columns: Mapping[str, Column], options: DataOptions) -> Labels:
        if name is None:
            options.refuse("data without a label column", "class_map")
            return Labels(None, None, None)
        values: list[int | str | None] = []
        for file in self._files:
            for group in range(len(file.rows)):
                values += file.read(group, name).to_pylist()
        return resolve_labels(values, columns[name], name, options)


class _ParquetFile:
    """One file, opened anew for each read: an open handle would be shared, position and all, with forked workers."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            with self._open() as file:
                self.schema: pa.Schema = file.schema_arrow
                self.rows = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
            self.size = self._size()
        except (OSError, pa.ArrowException) as error:
            reason = "not a Parquet file, or a damaged one" if isinstance(error, pa.ArrowInvalid) else first_line(error)
            raise InputError(f"cannot read {_short(path)!r}: {reason}") from error

    def read(self, group: int, column: str) -> pa.ChunkedArray:
        try:
            with self._open() as file:
                return file.read_row_group(group, columns=[column], use_threads=False).column(column)
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"cannot read row group {group} of {_short(self.path)!r}: {first_line(error)}") from error

    def require(self, names: set[str | None], source: str) -> None:
        missing = sorted(str(name) for name in names if name not in self.schema.names)
        if missing:
            raise InputError(
                f"{_short(self.path)!r} lacks the column(s) {', '.join(missing)} that others of {source} have"
            )

    def _open(self) -> pq.ParquetFile:
        if "://" not in self.path:
            return pq.ParquetFile(self.path)
        filesystem, path = filesystem_of(self.path)
        with reaching(self.path):
            handle = filesystem.open(path, "rb")
        return pq.ParquetFile(handle)

    def _size(self) -> int:
        if "://" not in self.path:
            return os.path.getsize(self.path)
        filesystem, path = filesystem_of(self.path)
        with reaching(self.path):
            return int(filesystem.size(path))


def open_parquet(argument: str, options: DataOptions) -> ParquetData:
    """`parquet:PATH`, PATH a file, a folder or a glob (local or fsspec); of several splits, `split` chooses one."""
    if not argument:
        raise InputError("expected parquet:PATH (a file, a folder or a glob), got 'parquet:'")
    name = "parquet:" + _short(argument)
    files = _find(argument)
    splits = {split for path in files if (split := _split_of(path))}
    if options.split is not None:
        files = [path for path in files if _split_of(path) == options.split.lower()]
        name = f"{name}:{options.split}"
        if not files:
            raise InputError(f"{name} names no split that is there; splits: {', '.join(sorted(splits)) or 'none'}")
    elif len(splits) > 1:
        raise InputError(f"{name!r} holds the splits {', '.join(sorted(splits))}: give the file or glob of one of them")
    return ParquetData(files, name, options)


def image_bytes(value: object, image_id: str) -> bytes:
    """The bytes in a cell: bytes, or {"bytes": ..., "path": ...} as the `datasets` library stores them."""
    if isinstance(value, Mapping):
        path, value = value.get("path"), value.get("bytes")
        if value is None and path:
            raise BadImageError(
                image_id, f"the row holds the path {Path(str(path)).name!r} instead of the image's bytes"
            )
    if not isinstance(value, bytes):
        raise BadImageError(image_id, "the row holds no image")
    return value


def _find(argument: str) -> list[str]:
    if "://" in argument:
        return _find_remote(argument)
    if os.path.isdir(argument):
        found = [str(path) for path in Path(argument).rglob("*.parquet")]
    elif os.path.exists(argument):
        found = [argument]
    else:
        found = glob.glob(argument, recursive=True)
        if not found and not glob.has_magic(argument):
            raise InputError(f"no such file or folder: {argument!r}")
    if not found:
        raise InputError(f"no Parquet files in {argument!r}: expected a file, a folder or a glob")
    return sorted(found)


def _find_remote(argument: str) -> list[str]:
    filesystem, base = filesystem_of(argument)
    with reaching(argument):
        if glob.has_magic(argument):
            found = filesystem.glob(base)
        elif filesystem.isdir(base):
            found = [path for path in filesystem.find(base) if path.endswith(".parquet")]
        else:
            found = [base] if filesystem.exists(base) else []
    if not found:
        raise InputError(f"no Parquet files at {argument!r}: expected a file, a folder or a glob")
    return sorted(filesystem.unstrip_protocol(path) for path in found)


def _split_of(path: str) -> str | None:
    """The split that a file's name, or its folder's, begins with (train-00000-of-00002.parquet, test/0000.parquet)."""
    parent, _, file = path.replace(os.sep, "/").rpartition("/")
    match = _SPLIT.match(file) or _SPLIT.match(parent.rpartition("/")[2])
    return match.group().lower() if match else None


def _short(path: str) -> str:
    return path.rstrip("/").rsplit("/", 1)[-1] if "://" in path else Path(path).resolve().name


def _columns(schema: pa.Schema, path: str) -> dict[str, Column]:
    features = _features(schema.metadata or {}, path)
    return {field.name: _column(field.type, features.get(field.name)) for field in schema}


def _features(metadata: Mapping[bytes, bytes], path: str) -> dict[str, Any]:
    """What the `datasets` library has written of each column; InputError where that is not what it writes."""
    if b"huggingface" not in metadata:
        return {}
    try:
        features = json.loads(metadata[b"huggingface"]).get("info", {}).get("features") or {}
        for feature in features.values():
            names = feature.get("names") if isinstance(feature, dict) else None
            if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
                raise TypeError("class names that are no texts")
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"{_short(path)!r} holds damaged metadata of the datasets library ({first_line(error)}): write it anew, or "
            f"without the metadata 'huggingface'"
        ) from error
    return dict(features)


def _column(kind: pa.DataType, feature: object) -> Column:
    feature = feature if isinstance(feature, dict) else {}
    type_name = str(feature.get("_type") or kind)
    if pa.types.is_struct(kind):
        has_bytes = kind.get_field_index("bytes") >= 0 and feature.get("_type", "Image") == "Image"
        named = str(feature.get("_type") or "bytes and path")
        return Column("image" if has_bytes else "other", named if has_bytes else "struct")
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return Column("image" if feature.get("_type") == "Image" else "bytes", type_name)
    if pa.types.is_integer(kind):
        names = feature.get("names") if feature.get("_type") == "ClassLabel" else None
        return Column("number", type_name, tuple(names) if names else None)
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return Column("text", "text")
    return Column("other", type_name)
