"""A run on disk: run.json, payoffs/*.parquet, result.json, in a local folder or any fsspec location.

A file is complete or absent: written aside, flushed to the disk, renamed. run.json says what the run is; a folder of
other settings is refused. Times stand in run.json alone.
"""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import PurePosixPath
from typing import Any, TypeVar

import numpy as np

from spectrobe.engine.lock import locked
from spectrobe.engine.patience import PatientStore, patiently
from spectrobe.engine.phases import reach
from spectrobe.engine.shards import UNRECORDED, Columns, Provenance, decode_shard, encode_shard, read_metadata
from spectrobe.errors import InputError, RunFolderError
from spectrobe.remote import filesystem_of

SCHEMA_VERSION = 1
MEND = "delete it, and the same call makes it anew"
"""What to do about a damaged file that follows from others."""

_SHARD = re.compile(r"(\d{6,})\.parquet")
_ASIDE = re.compile(r"((run|result)\.json|absence\.safetensors|\d{6,}\.parquet|[a-z-]+\.(svg|png))\.[0-9a-f]{8}\.part")

T = TypeVar("T")


def write_whole(filesystem: Any, path: str, content: bytes) -> None:
    """Write a file, and its folder, whole or not at all: aside, flushed to the disk, renamed. OSError when it fails."""
    filesystem.makedirs(str(PurePosixPath(path).parent), exist_ok=True)
    if not _is_local(filesystem):
        filesystem.pipe_file(path, content)  # object stores put a file whole
        return
    aside = f"{path}.{uuid.uuid4().hex[:8]}.part"
    try:
        with open(aside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        reach("between write and rename")
        os.replace(aside, path)
    except OSError:
        if os.path.exists(aside):
            os.unlink(aside)
        raise


def _is_local(filesystem: Any) -> bool:
    return filesystem.protocol in ("file", ("file", "local"))


class RunFolder:
    """The files of one run. Raises RunFolderError, saying what to do, where a folder cannot be used."""

    def __init__(self, path: str | os.PathLike[str], rows: str = "payoffs") -> None:
        """path: the run's folder. rows: the subfolder with the per-image rows. InputError for an empty path."""
        self.path, self.rows = os.fspath(path), rows
        if not self.path.strip():
            raise InputError("expected a folder for the run, got an empty name: choose another --out, or leave it out")
        self.filesystem, self.root = filesystem_of(self.path)
        self.local = _is_local(self.filesystem)
        if not self.local:
            self.filesystem = PatientStore(self.filesystem)

    def exists(self, name: str) -> bool:
        """Whether a file of the run is there (complete, by construction)."""
        with self._answering():
            return bool(self.filesystem.exists(self._full(name)))

    def read_bytes(self, name: str) -> bytes:
        """A file's content."""
        try:
            return bytes(self.filesystem.cat_file(self._full(name)))
        except FileNotFoundError:
            raise RunFolderError(f"{self.path}: expected a run folder with {name}, which is not there") from None
        except OSError as error:
            raise RunFolderError(f"{self.path}: {name} cannot be read ({error.strerror or error})") from error

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all."""
        try:
            write_whole(self.filesystem, self._full(name), content)
        except OSError as error:
            raise RunFolderError(
                f"{self.path}: could not write {name} ({error.strerror or error}); what was done is kept: "
                "make room or choose another folder, and the same call goes on"
            ) from error

    def remove(self, name: str) -> None:
        """Remove a file of the run that is about to be made anew; nothing where there is none."""
        if self.exists(name):
            with self._answering():
                self.filesystem.rm(self._full(name))

    def forget(self, folder: str, names: set[str]) -> None:
        """Remove these files of a subfolder, where they are, and it, when nothing is left there."""
        found = self._names(folder)
        for name in names.intersection(found):
            self.remove(f"{folder}/{name}")
        if found and names.issuperset(found) and self.local:
            os.rmdir(self._full(folder))

    def read_json(self, name: str) -> dict[str, Any]:
        """A JSON file of the run; refuses another schema."""
        try:
            content = json.loads(self.read_bytes(name))
        except ValueError:
            content = None
        if not isinstance(content, dict) or not isinstance(content.get("schema_version"), int):
            mend = MEND if name != "run.json" else "remove the folder, or choose another --out"
            raise RunFolderError(f"{self.path}: {name} is damaged (no JSON of a run): {mend}")
        self._check_version(name, content["schema_version"])
        return content

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Write what `json_text` makes of `content`."""
        self.write_bytes(name, json_text(content).encode())

    def lock(self) -> AbstractContextManager[None]:
        """Hold the folder for this process; a second driver is refused, and told who holds it."""
        return locked(self.filesystem, self.root, self.path, self.local)

    def sweep(self) -> None:
        """Remove what a killed process was writing aside: local files that a lock holder alone may have made."""
        for folder in ("", self.rows, "figures"):
            place = os.path.join(self.root, folder)
            for name in os.listdir(place) if self.local and os.path.isdir(place) else ():
                if _ASIDE.fullmatch(name):
                    os.unlink(os.path.join(place, name))

    def shard_name(self, index: int) -> str:
        """Where shard `index` is stored."""
        return f"{self.rows}/{index:06d}.parquet"

    def shards(self) -> list[int]:
        """Indices of the shards that are there, ascending; files of other names are somebody else's."""
        return sorted(int(match[1]) for name in self._names(self.rows) if (match := _SHARD.fullmatch(name)))

    def lost_shards(self) -> list[int]:
        """Indices of shards that a finished run had and that are there no more."""
        return sorted(set(range(self._had())) - set(self.shards()))

    def all_shards(self) -> list[int]:
        """Indices of all shards of a finished run; RunFolderError naming the first that is lost."""
        lost = self.lost_shards()
        if lost:
            more = f" and {len(lost) - 1} more are" if len(lost) > 1 else " is"
            raise RunFolderError(
                f"{self.path}: {self.shard_name(lost[0])}{more} missing, so that results would come from fewer images: "
                "the call that made the run makes it anew"
            )
        return list(range(self._had()))

    def _had(self) -> int:
        """How many shards a finished run had; where run.json does not say so, none behind the last was lost."""
        said = self.read_json("run.json").get("shards") if self.exists("run.json") else None
        return said if isinstance(said, int) else max(self.shards(), default=-1) + 1

    def write_shard(
        self, index: int, columns: Columns | None, skipped: Mapping[str, str], provenance: Provenance = UNRECORDED
    ) -> None:
        """Store one shard; `skipped` names the images left out and why. columns: None when all were left out."""
        content = encode_shard(columns, skipped, provenance, SCHEMA_VERSION)
        reach("shard write")
        self.write_bytes(self.shard_name(index), content)

    def read_shard(self, index: int) -> tuple[Columns | None, dict[str, str]]:
        """One shard's columns and what it skipped."""
        content = self.read_bytes(self.shard_name(index))
        version, columns, skipped = self._sound(index, lambda: decode_shard(content))
        self._check_version(self.shard_name(index), version)
        return columns, skipped

    def provenance(self, index: int) -> Provenance:
        """What one shard was made from, without reading its rows."""

        def read() -> tuple[int, Provenance]:
            with self.filesystem.open(self._full(self.shard_name(index)), "rb") as file:
                return read_metadata(file)

        version, provenance = self._sound(index, lambda: patiently(read))
        self._check_version(self.shard_name(index), version)
        return provenance

    def _sound(self, index: int, read: Callable[[], T]) -> T:
        try:
            return read()
        except (KeyError, TypeError, ValueError, OSError) as error:  # pyarrow's are among them
            reason = " ".join(str(error).split()) or type(error).__name__
            raise RunFolderError(f"{self.path}: {self.shard_name(index)} is damaged ({reason}): {MEND}") from None

    def _check_version(self, name: str, version: int) -> None:
        if version > SCHEMA_VERSION:
            raise RunFolderError(
                f"{self.path}: {name} has schema version {version}, this spectrobe reads up to {SCHEMA_VERSION}: "
                "update spectrobe"
            )
        if version < SCHEMA_VERSION:  # instead of being half understood
            raise RunFolderError(
                f"{self.path}: {name} has schema version {version}, this spectrobe reads {SCHEMA_VERSION}: repeat the "
                "run, or use the version that made it"
            )

    def _names(self, folder: str) -> list[str]:
        """What is in a subfolder; nothing where there is none."""
        place = self._full(folder)
        with self._answering():
            if not self.filesystem.isdir(place):
                return []
            return [PurePosixPath(found).name for found in self.filesystem.ls(place, detail=False)]

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RunFolderError(
                f"{self.path}: cannot be reached ({error.strerror or error}); what was done is kept, and the same call "
                "goes on"
            ) from error

    def _full(self, name: str) -> str:
        return f"{self.root.rstrip('/')}/{name}"


def plain(value: Any) -> Any:
    """Numpy and NaN to what JSON has: lists, numbers, null."""
    if isinstance(value, Mapping):
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
