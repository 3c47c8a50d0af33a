"""The run folder: files whole or absent, other settings and newer schemas refused, two drivers refused."""

from __future__ import annotations

import json
import os
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from spectrobe.engine import store
from spectrobe.engine.payoffs import payoffs_of
from spectrobe.engine.shards import Provenance
from spectrobe.engine.store import SCHEMA_VERSION, RunFolder, plain, pretty
from spectrobe.errors import InputError, RunFolderError
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


@pytest.mark.parametrize("step, told", [(1, "up to .*update spectrobe"), (-1, "repeat the run, or use the version")])
def test_another_schema_is_refused(step: int, told: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"schema_version": SCHEMA_VERSION + step}))
    with pytest.raises(RunFolderError, match=f"schema version {SCHEMA_VERSION + step}, .*{told}"):
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


def test_provenance_is_read_without_the_rows(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    made = Provenance(16, {"a.png": "0123456789abcdef", "ä.png": "unreadable"})
    folder.write_shard(0, make_table().columns(), {}, made)
    folder.write_shard(1, None, {"worse.jpg": "empty"})
    assert folder.provenance(0) == made
    assert folder.provenance(1) == Provenance(None, {})


@pytest.mark.parametrize("where", ["{}/run", "memory://{}/run"])
def test_files_of_other_names_are_no_shards(tmp_path: Path, where: str) -> None:
    folder = RunFolder(where.format(tmp_path))
    folder.write_shard(0, make_table().columns(), {})
    for name in ("notes.parquet", "000001 (copy).parquet", "1.parquet", "000001.parquet.1234abcd.part", "000002.json"):
        folder.write_bytes(f"payoffs/{name}", b"somebody else's")
    assert folder.shards() == [0]


def test_what_a_killed_process_wrote_aside_is_swept(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_shard(0, make_table().columns(), {})
    stale = ["run.json.0123abcd.part", "result.json.99999999.part", "absence.safetensors.aaaaaaaa.part"]
    stale += ["payoffs/000001.parquet.0a1b2c3d.part", "payoffs/1000000.parquet.0a1b2c3d.part"]
    stale += ["figures/snr-bias.png.0a1b2c3d.part"]
    (tmp_path / "figures").mkdir()
    mine = ["notes.part", "thesis.json.0123abcd.part", "payoffs/film.part", "payoffs/000001.parquet.part", "run.json"]
    for name in stale + mine:
        (tmp_path / name).write_bytes(b"{}")
    folder.sweep()
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {*mine, "payoffs/000000.parquet"}
    RunFolder(tmp_path / "nowhere").sweep()


@pytest.mark.parametrize("path", ["", " ", "\t"])
def test_an_empty_name_is_no_folder(path: str) -> None:
    with pytest.raises(InputError, match="expected a folder for the run, got an empty name"):
        RunFolder(path)


def test_a_shard_of_a_newer_schema_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(store, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
        folder.write_shard(0, make_table().columns(), {})
    for read in (folder.read_shard, folder.provenance):
        with pytest.raises(
            RunFolderError, match=rf"payoffs/000000\.parquet has schema version {SCHEMA_VERSION + 1}.*update spectrobe"
        ):
            read(0)


@pytest.mark.parametrize(("there", "had", "lost"), [
    ([0, 1, 2], 3, []), ([0, 2], 3, [1]), ([0, 1], 4, [2, 3]), ([], 2, [0, 1]),
    ([0, 1, 2], None, []), ([0, 3], None, [1, 2]), ([], None, []), ([0, 1, 9], 2, []), ([0, 9], 2, [1]),
])  # fmt: skip
def test_lost_shards_are_named(tmp_path: Path, there: list[int], had: int | None, lost: list[int]) -> None:
    folder = RunFolder(tmp_path)
    for index in there:
        folder.write_shard(index, make_table().columns(), {})
    folder.write_json("run.json", {} if had is None else {"shards": had})
    assert folder.lost_shards() == lost
    if not lost:
        assert folder.all_shards() == [index for index in there if had is None or index < had]
        return
    more = "" if len(lost) == 1 else f" and {len(lost) - 1} more"
    with pytest.raises(RunFolderError, match=rf"payoffs/{lost[0]:06d}\.parquet{more} (is|are) missing.*makes it anew"):
        folder.all_shards()


def test_a_folder_without_a_run_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with RunFolder(tmp_path).lock():
        assert (tmp_path / ".lock").exists()
    assert os.listdir(tmp_path) == ["notes.txt"]
    with RunFolder(tmp_path).lock():
        RunFolder(tmp_path).write_json("run.json", {})
    assert sorted(os.listdir(tmp_path)) == [".lock", "notes.txt", "run.json"]
    with RunFolder(tmp_path).lock():
        pass
    assert (tmp_path / ".lock").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "run.json").chmod(0)
    with pytest.raises(RunFolderError, match=r"run\.json cannot be read \(Permission denied\)"):
        RunFolder(tmp_path).read_json("run.json")


def test_a_folder_in_a_files_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.json").mkdir()
    with pytest.raises(RunFolderError, match=r"run\.json cannot be read \(Is a directory\)"):
        RunFolder(tmp_path).read_json("run.json")
