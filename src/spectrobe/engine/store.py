"""A run on disk: run.json, payoffs/*.parquet, result.json, in a local folder or any fsspec location.

A file is complete or absent: written aside, flushed to the disk, renamed. run.json says what the run is; a folder of
other settings is refused. Times stand in run.json alone.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import fsspec
import numpy as np

from spectrobe.engine.phases import reach
from spectrobe.errors import RunFolderError

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_VERSION = 1
_MEND = "delete it, and the same call makes it anew"

Columns = Mapping[str, np.ndarray | Sequence[str]]
"""Rows of a table, a column each: arrays (N, ...) (given back as (N, k)) or N strings."""


class RunFolder:
    """The files of one run. Raises RunFolderError, saying what to do, where a folder cannot be used."""

    def __init__(self, path: str | os.PathLike[str], rows: str = "payoffs") -> None:
        """path: the run's folder. rows: the subfolder with the per-image rows."""
        self.path, self.rows = os.fspath(path), rows
        self.filesystem, self.root = fsspec.core.url_to_fs(self.path)
        self.local = self.filesystem.protocol in ("file", ("file", "local"))

    def exists(self, name: str) -> bool:
        """Whether a file of the run is there (complete, by construction)."""
        return bool(self.filesystem.exists(self._full(name)))

    def read_bytes(self, name: str) -> bytes:
        """A file's content."""
        try:
            return bytes(self.filesystem.cat_file(self._full(name)))
        except FileNotFoundError:
            raise RunFolderError(f"{self.path}: expected a run folder with {name}, which is not there") from None

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all."""
        full = self._full(name)
        aside = f"{full}.{uuid.uuid4().hex[:8]}.part"
        try:
            self.filesystem.makedirs(str(PurePosixPath(full).parent), exist_ok=True)
            if not self.local:
                self.filesystem.pipe_file(full, content)  # object stores put a file whole
                return
            with open(aside, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            reach("between write and rename")
            os.replace(aside, full)
        except OSError as error:
            if self.local and os.path.exists(aside):
                os.unlink(aside)
            raise RunFolderError(
                f"{self.path}: could not write {name} ({error.strerror or error}); what was done is kept: "
                "make room or choose another folder, and the same call goes on"
            ) from error

    def remove(self, name: str) -> None:
        """Remove a file of the run that is about to be made anew; nothing where there is none."""
        if self.exists(name):
            self.filesystem.rm(self._full(name))

    def read_json(self, name: str) -> dict[str, Any]:
        """A JSON file of the run; refuses a newer schema."""
        try:
            content = json.loads(self.read_bytes(name))
        except ValueError:
            content = None
        if not isinstance(content, dict) or not isinstance(content.get("schema_version"), int):
            raise RunFolderError(
                f"{self.path}: {name} is damaged (no JSON of a run): delete it, and the same call makes it anew"
            )
        version = content["schema_version"]
        if version > SCHEMA_VERSION:
            raise RunFolderError(
                f"{self.path}: {name} has schema version {version}, this spectrobe reads up to {SCHEMA_VERSION}: "
                "update spectrobe"
            )
        return content

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Write what `json_text` makes of `content`."""
        self.write_bytes(name, json_text(content).encode())

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder for this process; a second driver is refused (local folders; object stores have no locks).

        A folder in which nothing was written goes again.
        """
        if not self.local:
            yield
            return
        import fcntl

        made, name = not os.path.isdir(self.root), os.path.join(self.root, ".lock")
        try:
            os.makedirs(self.root, exist_ok=True)
            file = open(name, "w")  # noqa: SIM115  # held until the run ends
        except OSError as error:
            raise RunFolderError(
                f"{self.path}: cannot make or write this folder ({error.strerror}): choose another --out"
            ) from None
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                held = os.path.samestat(os.fstat(file.fileno()), os.stat(name))  # not one that has just been removed
            except OSError:
                held = False
            if not held:
                raise RunFolderError(f"{self.path}: another run is writing here: wait for it, or choose another --out")
            try:
                yield
            finally:
                if os.listdir(self.root) == [".lock"]:
                    os.unlink(name)
                    if made:
                        os.rmdir(self.root)

    def shard_name(self, index: int) -> str:
        """Where shard `index` is stored."""
        return f"{self.rows}/{index:06d}.parquet"

    def shards(self) -> list[int]:
        """Indices of the shards that are complete, ascending."""
        folder = self._full(self.rows)
        if not self.filesystem.exists(folder):
            return []
        names = [PurePosixPath(found).name for found in self.filesystem.ls(folder, detail=False)]
        return sorted(int(name.removesuffix(".parquet")) for name in names if name.endswith(".parquet"))

    def write_shard(self, index: int, columns: Columns | None, skipped: Mapping[str, str]) -> None:
        """Store one shard; `skipped` names the images left out and why. columns: None when all were left out."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        sink = pa.BufferOutputStream()
        pq.write_table(_to_arrow(columns or {}, skipped), sink, compression="zstd")
        reach("shard write")
        self.write_bytes(self.shard_name(index), sink.getvalue().to_pybytes())

    def read_shard(self, index: int) -> tuple[Columns | None, dict[str, str]]:
        """One shard's columns and what it skipped."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        name = self.shard_name(index)
        try:
            columns, skipped = _from_arrow(pq.read_table(pa.BufferReader(self.read_bytes(name))))
        except (pa.ArrowInvalid, KeyError, ValueError, OSError) as error:
            raise RunFolderError(
                f"{self.path}: {name} is damaged ({error}): delete it, and the same call makes it anew"
            ) from None
        return columns or None, skipped

    def _full(self, name: str) -> str:
        return f"{self.root.rstrip('/')}/{name}"


def plain(value: Any) -> Any:
    """Numpy and NaN to what JSON has: lists, numbers, null."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def json_text(content: dict[str, Any]) -> str:
    """What a JSON file of a run says: the schema version first, floats at full precision, NaN and infinity as null."""
    return pretty({"schema_version": SCHEMA_VERSION, **plain(content)}) + "\n"


def pretty(value: Any, indent: str = "") -> str:
    """JSON with a line for each key of an object, and lists of plain values on one line."""
    inner = indent + "  "
    if isinstance(value, dict) and value:
        rows = [f"{inner}{json.dumps(key, ensure_ascii=False)}: {pretty(item, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(rows) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        return "[\n" + ",\n".join(inner + pretty(item, inner) for item in value) + f"\n{indent}]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _to_arrow(columns: Columns, skipped: Mapping[str, str]) -> pa.Table:
    """Rows as they are, a list column for what has several numbers a row."""
    import pyarrow as pa

    arrays = {}
    for name, column in columns.items():
        if isinstance(column, np.ndarray) and column.ndim > 1:
            flat = pa.array(np.ascontiguousarray(column).reshape(-1))
            arrays[name] = pa.FixedSizeListArray.from_arrays(flat, int(np.prod(column.shape[1:])))
        else:
            arrays[name] = pa.array(column)
    metadata = {"spectrobe.schema_version": str(SCHEMA_VERSION), "spectrobe.skipped": json.dumps(dict(skipped))}
    return pa.table(arrays).replace_schema_metadata(metadata)


def _from_arrow(found: pa.Table) -> tuple[Columns, dict[str, str]]:
    import pyarrow as pa

    columns: dict[str, np.ndarray | tuple[str, ...]] = {}
    for name in found.column_names:
        column = found.column(name).combine_chunks()
        if pa.types.is_fixed_size_list(column.type):
            columns[name] = np.asarray(column.values.to_numpy()).reshape(found.num_rows, -1)
        elif pa.types.is_string(column.type):
            columns[name] = tuple(column.to_pylist())
        else:
            columns[name] = np.asarray(column.to_numpy(zero_copy_only=False))
    return columns, json.loads(found.schema.metadata[b"spectrobe.skipped"])
