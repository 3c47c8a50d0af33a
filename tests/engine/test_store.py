"""The run folder: files whole or absent, other settings and newer schemas refused, two drivers refused."""

from __future__ import annotations

import json
import os
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from spectrobe.engine.payoffs import payoffs_of
from spectrobe.engine.store import SCHEMA_VERSION, RunFolder, plain, pretty
from spectrobe.errors import RunFolderError
from spectrobe.game.table import PayoffTable


def make_table(n: int = 5, k: int = 8, seed: int = 0) -> PayoffTable:
    draws = np.random.default_rng(seed)
    return PayoffTable(
        position=np.arange(n),
        ids=tuple(f"image {i}" for i in range(n)),
        label=draws.integers(0, 3, n),
        digest=tuple(f"{i:016x}" for i in range(n)),
        band_power=draws.random((n, 3)),
        coalition=np.tile(np.arange(k - 1, -1, -1), (n, 1)),
        log_q=draws.random((n, k, 32)).astype(np.float32),
        predicted=draws.integers(0, 3, (n, k)).astype(np.int32),
        margin=draws.random((n, k)).astype(np.float32),
        confidence=draws.random((n, k)).astype(np.float32),
        n_classes=3,
    )


@pytest.mark.parametrize("where", ["{}/run", "memory://{}/run"])
def test_shards_come_back_as_they_were(tmp_path: Path, where: str) -> None:
    folder = RunFolder(where.format(tmp_path))
    table = make_table()
    folder.write_shard(3, table.columns(), {"broken.jpg": "truncated"})
    folder.write_shard(4, None, {"worse.jpg": "empty"})
    assert folder.shards() == [3, 4]
    columns, skipped = folder.read_shard(3)
    assert columns is not None and skipped == {"broken.jpg": "truncated"}
    found = PayoffTable.from_columns(columns)
    for field in fields(PayoffTable):
        one, other = getattr(table, field.name), getattr(found, field.name)
        assert np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other, field.name
    assert folder.read_shard(4) == (None, {"worse.jpg": "empty"})
    assert len(payoffs_of(folder, [3, 4])) == 5


def test_same_table_gives_same_bytes(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_shard(0, make_table().columns(), {})
    folder.write_shard(1, make_table().columns(), {})
    assert folder.read_bytes(folder.shard_name(0)) == folder.read_bytes(folder.shard_name(1))


def test_failed_write_leaves_nothing_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder(tmp_path)
    folder.write_bytes("result.json", b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunFolderError, match=r"No space left on device.*what was done is kept"):
        folder.write_bytes("result.json", b"new")
    assert folder.read_bytes("result.json") == b"old"
    assert os.listdir(tmp_path) == ["result.json"]


def test_newer_schema_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"schema_version": SCHEMA_VERSION + 1}))
    with pytest.raises(RunFolderError, match=f"schema version {SCHEMA_VERSION + 1}.*update spectrobe"):
        RunFolder(tmp_path).read_json("run.json")


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe", b"[1, 2]", b'{"schema_version": "one"}'])
def test_damaged_json_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(RunFolderError, match=r"run\.json"):
        RunFolder(tmp_path).read_json("run.json")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" * 40])
def test_damaged_shard_is_named(tmp_path: Path, content: bytes) -> None:
    folder = RunFolder(tmp_path)
    folder.write_bytes(folder.shard_name(0), content)
    with pytest.raises(RunFolderError, match=r"000000\.parquet is damaged"):
        folder.read_shard(0)


def test_second_driver_is_refused(tmp_path: Path) -> None:
    first, second = RunFolder(tmp_path), RunFolder(tmp_path)
    with first.lock(), pytest.raises(RunFolderError, match="another run is writing here"), second.lock():
        pass
    with RunFolder(tmp_path).lock():
        pass


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with (
        pytest.raises(RunFolderError, match="cannot make or write this folder"),
        RunFolder(tmp_path / "file/run").lock(),
    ):
        pass


def test_json_has_no_nan_and_reads_back() -> None:
    content = {
        "a": np.array([1.0, np.nan]),
        "b": {"c": (np.float64(np.inf), np.int64(3))},
        "d": [],
        "e": [[1, 2], [3]],
        "f": {},
    }
    expected = {"a": [1.0, None], "b": {"c": [None, 3]}, "d": [], "e": [[1, 2], [3]], "f": {}}
    assert json.loads(pretty(plain(content))) == expected
    assert json.loads(pretty(0.1 + 0.2)) == 0.1 + 0.2
