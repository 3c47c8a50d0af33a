"""A shard: rows of a run's table as a Parquet file, with the images left out and what the rows were made from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

Columns = Mapping[str, np.ndarray | Sequence[str]]
"""Rows of a table, a column each: arrays (N, ...) (given back as (N, k)) or N strings."""

_VERSION, _SKIPPED, _PROVENANCE = b"spectrobe.schema_version", b"spectrobe.skipped", b"spectrobe.provenance"


@dataclass(frozen=True)
class Provenance:
    """What a shard was made from, and how.

    batch_size: images a forward pass, None where it was not recorded.   sources: image id -> fingerprint, of every
    image that the rows depend on, also of those left out.
    """

    batch_size: int | None = None
    sources: Mapping[str, str] = field(default_factory=dict)


UNRECORDED = Provenance()


def encode_shard(
    columns: Columns | None, skipped: Mapping[str, str], provenance: Provenance, schema_version: int
) -> bytes:
    """A shard as the bytes of a Parquet file; equal shards are equal bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    made = {"batch_size": provenance.batch_size, "sources": dict(provenance.sources)}
    metadata = {
        _VERSION: str(schema_version),
        _SKIPPED: json.dumps(dict(skipped)),
        _PROVENANCE: json.dumps(made),
    }
    sink = pa.BufferOutputStream()
    pq.write_table(_to_arrow(columns or {}).replace_schema_metadata(metadata), sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def decode_shard(content: bytes) -> tuple[int, Columns | None, dict[str, str]]:
    """Schema version, columns (None when all images were left out), and what was left out.

    What is no shard raises an error of pyarrow's (ValueError or OSError), KeyError or ValueError.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(pa.BufferReader(content))
    metadata = table.schema.metadata
    return int(metadata[_VERSION]), _from_arrow(table) or None, json.loads(metadata[_SKIPPED])


def read_metadata(file: Any) -> tuple[int, Provenance]:
    """Schema version and provenance of a shard, of which only the end of the file is read; errors as above."""
    import pyarrow.parquet as pq

    metadata = pq.read_schema(file).metadata
    version, made = int(metadata[_VERSION]), json.loads(metadata.get(_PROVENANCE, b"{}"))
    return version, Provenance(made.get("batch_size"), made.get("sources", {}))


def _to_arrow(columns: Columns) -> pa.Table:
    """Rows as they are, a list column for what has several numbers a row."""
    import pyarrow as pa

    arrays = {}
    for name, column in columns.items():
        if isinstance(column, np.ndarray) and column.ndim > 1:
            flat = pa.array(np.ascontiguousarray(column).reshape(-1))
            arrays[name] = pa.FixedSizeListArray.from_arrays(flat, int(np.prod(column.shape[1:])))
        else:
            arrays[name] = pa.array(column)
    return pa.table(arrays)


def _from_arrow(found: pa.Table) -> Columns:
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
    return columns
