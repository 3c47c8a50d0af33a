"""Memory runs out on the way, the run is killed, and it goes on: the same bytes as of the run that was not killed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from spectrobe.engine import phases
from spectrobe.engine.store import RunFolder
from spectrobe.studies.snr.measure import Measurer
from tests.studies.runs import N_SHARDS, ROWS, Colour, Stopped, files, pictures, run, small_shards, stopping

STUDIES = list(ROWS)
BATCH = {"decompose": 8, "snr": 2, "robustness": 4}
SHORT = {"decompose": 4, "snr": 1, "robustness": 2}
"""With so many images, memory suffices when it is short."""


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    small_shards(monkeypatch)


class Memory(Colour):
    """Colour, on a machine that may run out of memory in `play`."""

    short, room = False, 0

    def forward(self, x: Tensor) -> Tensor:
        if Memory.short and len(x) > Memory.room:
            raise torch.OutOfMemoryError(f"planted: {len(x)} images, room for {Memory.room}")
        return super().forward(x)


@contextmanager
def short_of_memory(study: str, shard: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """From the begin of the shard-th shard that is played on until the end."""
    done = 0

    def count(reached: str) -> None:
        nonlocal done
        done += reached == "shard done"
        Memory.short = done >= shard

    Memory.room, Memory.short = SHORT[study], shard == 0
    with monkeypatch.context() as patch:
        patch.setattr(phases, "_listeners", [*phases._listeners, count])
        if study == "snr":  # no model there
            play = Measurer.play

            def measure(self: Measurer, *args: Any) -> Any:
                if Memory.short and self.batch_size > Memory.room:
                    raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
                return play(self, *args)

            patch.setattr(Measurer, "play", measure)
        try:
            yield
        finally:
            Memory.short = False


def go(study: str, data: Path, out: Path, **settings: Any) -> Any:
    return run(study, data, out, Memory().eval() if study != "snr" else None, **settings)


def without_times(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = dict(files(folder))
    found["run.json"] = json.loads(found["run.json"]) | {"times": 0}
    return found


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize("phase,count", [("shard done", 2), ("between write and rename", 0)])
def test_halved_killed_and_resumed_it_ends_in_the_same_bytes(
    study: str, phase: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is short for the second shard, and plenty again when the killed run goes on."""
    data = pictures(tmp_path / "images")
    with short_of_memory(study, 1, monkeypatch):
        whole = go(study, data, tmp_path / "whole")
    warning = f"memory ran out: batches went from {BATCH[study]} to {SHORT[study]} on the way"
    warnings = whole.results["contrast:2"].warnings if study == "snr" else whole.warnings
    assert list(warnings).count(warning) == 1
    # run.json, one shard, run.json that says that batches are halved, and, of decompose, the absence before all: then
    # the kill comes before the shard is there that was made with half the batches
    count = count or (5 if study == "decompose" else 4)
    with short_of_memory(study, 1, monkeypatch), stopping(phase, count), pytest.raises(Stopped):
        go(study, data, tmp_path / "killed")
    there = RunFolder(tmp_path / "killed", ROWS[study])
    assert len(there.shards()) == (2 if phase == "shard done" else 1)
    go(study, data, tmp_path / "killed")
    assert without_times(tmp_path / "killed") == without_times(tmp_path / "whole")
    made = [there.provenance(index).batch_size for index in range(N_SHARDS)]
    assert made == [BATCH[study], SHORT[study], SHORT[study]]
    assert json.loads((tmp_path / "killed/run.json").read_text())["settled"]["halved"] == {"1": SHORT[study]}


@pytest.mark.parametrize("study", STUDIES)
def test_a_lost_shard_is_made_with_its_own_batch_size(
    study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = pictures(tmp_path / "images"), tmp_path / "run"
    with short_of_memory(study, 1, monkeypatch):
        go(study, data, out)
    before = without_times(out)
    for index in range(N_SHARDS):
        (out / ROWS[study] / f"{index:06d}.parquet").unlink()
        go(study, data, out)
        assert without_times(out) == before


def test_results_kept_in_memory_say_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = pictures(tmp_path / "images")
    with short_of_memory("decompose", 2, monkeypatch):
        found = run("decompose", data, None, Memory().eval())
    assert "memory ran out: batches went from 8 to 4 on the way" in found.warnings
    assert found.about()["settled"]["halved"] == {"2": 4}
    found.save(tmp_path / "saved")
    store = RunFolder(tmp_path / "saved")
    assert [store.provenance(index).batch_size for index in store.shards()] == [8, 8, 4]


def test_memory_that_runs_out_while_attacks_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = pictures(tmp_path / "images")
    plain = go("robustness", data, tmp_path / "plain")
    with short_of_memory("robustness", N_SHARDS, monkeypatch):
        found = go("robustness", data, tmp_path / "short")
    assert found.sanity == plain.sanity and found.warnings == plain.warnings
