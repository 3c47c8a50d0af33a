"""What a run folder may hold instead of this very run: another kind, less than it had, a newer schema, leftovers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import spectrobe as sb
from spectrobe.engine import phases
from spectrobe.engine.store import SCHEMA_VERSION
from spectrobe.errors import InputError, RunFolderError, SpectrobeError
from spectrobe.studies.decompose.absences import decompose_with_all_absences
from tests.studies.runs import CLASSES, N_SHARDS, ROWS, Colour, files, pictures, run, small_shards
from tests.toys import Recorder

STUDIES = list(ROWS)
SHARD = "000001.parquet"


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    small_shards(monkeypatch)


def rows_of(result: sb.DecomposeResult | sb.SnrResult | sb.SnrStudy | sb.RobustnessResult) -> int:
    """How many images the stored rows are of."""
    if isinstance(result, sb.DecomposeResult):
        return len(result.table())
    if isinstance(result, sb.RobustnessResult):
        return len(result.predictions)
    return len(result.results["contrast:2"].rows())


@pytest.mark.parametrize("study", STUDIES)
def test_a_lost_shard_is_an_error_and_made_anew(study: str, tmp_path: Path) -> None:
    data, out = pictures(tmp_path / "images"), tmp_path / "run"
    assert rows_of(run(study, data, out)) == 12
    assert json.loads((out / "run.json").read_text())["shards"] == N_SHARDS
    before = files(out)
    lost = (f"{index:06d}.parquet" for index in range(N_SHARDS))
    for name in lost:
        (out / ROWS[study] / name).unlink()
        loaded = sb.load(out)  # the result is there
        with pytest.raises(RunFolderError, match=rf"{ROWS[study]}/{name} is missing.*the call that made the run"):
            rows_of(loaded)
        progress = Recorder()
        assert rows_of(run(study, data, out, progress=progress)) == 12
        assert any(f"made anew: {ROWS[study]}/{name}" in note for note in progress.notes)
        after = files(out)
        assert {**after, "run.json": 0} == {**before, "run.json": 0}
        assert rows_of(loaded) == 12


@pytest.mark.parametrize("study", STUDIES)
def test_leftovers_of_a_kill_are_swept_and_strangers_left_alone(study: str, tmp_path: Path) -> None:
    data, out = pictures(tmp_path / "images"), tmp_path / "run"
    run(study, data, out)
    before = files(out)
    (out / "result.json").unlink()
    (out / ROWS[study] / SHARD).rename(out / ROWS[study] / f"{SHARD}.0123abcd.part")
    (out / ROWS[study] / "copy of 000001.parquet").write_bytes(b"?")
    run(study, data, out)
    assert {**files(out), "run.json": 0} == {
        **before, "run.json": 0, f"{ROWS[study]}/copy of 000001.parquet": b"?",
    }  # fmt: skip


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize("other", STUDIES)
def test_a_run_of_another_study_is_refused_naming_both(study: str, other: str, tmp_path: Path) -> None:
    if study == other:
        return
    data, out = pictures(tmp_path / "images"), tmp_path / "run"
    (tmp_path / "run").mkdir()
    (out / "run.json").write_text(json.dumps({"schema_version": 1, "command": other}))
    before = files(out)
    with pytest.raises(RunFolderError, match=f"holds a run of {other}, not of {study}: choose another --out"):
        run(study, data, out)
    (out / "run.json").rename(out / "result.json")
    (out / "result.json").write_text(json.dumps({"schema_version": 1, "kind": other}))
    with pytest.raises(RunFolderError, match=f"holds a result of {other}, not of {study}: choose another --out"):
        run(study, data, out)
    assert list(files(out)) == ["result.json"] and list(before) == ["run.json"]
    assert not (out / ".lock").exists()


def test_a_folder_of_every_absence_is_no_run(tmp_path: Path) -> None:
    data, out = pictures(tmp_path / "images"), tmp_path / "all"
    out.mkdir()
    (out / "result.json").write_text(json.dumps({"schema_version": 1, "kind": "absences", "results": {"mean": 0}}))
    with pytest.raises(
        RunFolderError, match="holds a result of decompose --absence all, not of decompose: choose another --out"
    ):
        run("decompose", data, out)
    assert list(files(out)) == ["result.json"]
    with pytest.raises(RunFolderError, match=r"found runs with every absence: give one of \S+all/mean$"):
        sb.load(out)


@pytest.mark.parametrize("study", STUDIES)
def test_every_absence_is_refused_in_the_folder_of_a_run(study: str, tmp_path: Path) -> None:
    data, out = pictures(tmp_path / "images"), tmp_path / "run"
    run(study, data, out)
    before = files(out)
    with pytest.raises(RunFolderError, match=f"holds a run of {study}, not of decompose --absence all"):
        decompose_with_all_absences(Colour().eval(), data, out=out, class_map=CLASSES)
    assert files(out) == before


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize("name", ["run.json", "result.json"])
def test_a_newer_schema_is_refused_by_name(study: str, name: str, tmp_path: Path) -> None:
    data, out = pictures(tmp_path / "images"), tmp_path / "run"
    run(study, data, out)
    content = json.loads((out / name).read_text())
    (out / name).write_text(json.dumps(content | {"schema_version": SCHEMA_VERSION + 1}))
    before = files(out)
    for read in (lambda: run(study, data, out), lambda: sb.load(out)):
        with pytest.raises(
            RunFolderError, match=rf"{name} has schema version {SCHEMA_VERSION + 1}, .*up to .*update spectrobe"
        ):
            read()
    assert files(out) == before


@pytest.mark.parametrize("study", STUDIES)
def test_a_damaged_run_json_says_what_to_do(study: str, tmp_path: Path) -> None:
    data, out = pictures(tmp_path / "images"), tmp_path / "run"
    out.mkdir()
    for content, why in (
        ("", "no JSON of a run"),
        ('{"schema_version": 1}', "it names no command"),
        (f'{{"schema_version": 1, "command": "{study}"}}', "it does not say what the run is"),
        (f'{{"schema_version": 1, "command": "{study}", "identity": 3}}', "it does not say what the run is"),
    ):
        (out / "run.json").write_text(content)
        with pytest.raises(RunFolderError, match=rf"run\.json is damaged \({why}\): remove the folder, or choose"):
            run(study, data, out)


@pytest.mark.parametrize("study", STUDIES)
def test_an_empty_name_is_refused(study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = pictures(tmp_path / "images")
    with pytest.raises(InputError, match="expected a folder for the run, got an empty name"):
        run(study, data, "")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="expected a folder for the run, got an empty name"):
        sb.load("")
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


@pytest.mark.parametrize("study", STUDIES)
def test_a_disk_that_fills_up_keeps_what_was_done(study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    data, out = pictures(tmp_path / "images"), tmp_path / "run"
    run(study, data, tmp_path / "whole")
    sync = os.fsync
    for _ in range(
        5 + (study == "decompose")
    ):  # each call gets one file further: (absence,) run.json, three shards, ...
        left = [1]

        def full(descriptor: int, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(28, "No space left on device")
            sync(descriptor)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(
                RunFolderError, match=r"could not write .*No space left on device.*what was done is kept"
            ):
                run(study, data, out)
        assert not [name for name in files(out) if name.endswith(".part")]
    run(study, data, out)
    assert {**files(out), "run.json": 0} == {**files(tmp_path / "whole"), "run.json": 0}


def test_a_folder_in_use_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second driver, in the middle of the first one's run, of the same and of another study."""
    data, out = pictures(tmp_path / "images"), tmp_path / "run"
    said: list[str] = []

    def second(phase: str) -> None:
        if phase == "shard done" and not said:
            for study in STUDIES:
                said.append("")
                with pytest.raises(SpectrobeError) as caught:
                    run(study, data, out)
                said[-1] = str(caught.value)

    monkeypatch.setattr(phases, "_listeners", [second])
    run("decompose", data, out)
    assert "another run is writing here" in said[0] and "wait for it, or choose another --out" in said[0]
    assert all("holds a run of decompose, not of" in one for one in said[1:])
    assert rows_of(sb.load(out)) == 12
