"""How many images a shard holds: little for a small run, not too many files for a large one, and for good."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spectrobe.engine import local
from spectrobe.engine.local import shard_size
from spectrobe.studies.snr import preparation as snr_preparation
from tests.studies.runs import ROWS, Stopped, files, pictures, run, stopping

PAIRS: dict[str, dict[str, int]] = {"decompose": {"batch_size": 2}, "snr": {}, "robustness": {"batch_size": 2}}
"""Study -> what makes its batches two images."""
EXACT, PERMUTATION, TWO_BANDS = 255, 15, 3  # forward passes an image


@pytest.mark.parametrize(
    ("passes", "images", "size"),
    [
        (EXACT, 1, 8), (EXACT, 4096, 8), (EXACT, 4097, 9), (EXACT, 50_000, 98), (EXACT, 10**7, 512),
        (PERMUTATION, 10, 136), (PERMUTATION, 69_632, 136), (PERMUTATION, 100_000, 196),
        (TWO_BANDS, 131_072, 256), (10**6, 300, 1),
    ],
)  # fmt: skip
def test_two_thousand_passes_or_a_512th_of_the_run(passes: int, images: int, size: int) -> None:
    assert shard_size(passes, images) == size


def test_a_pilot_is_a_shard_at_most() -> None:
    assert shard_size(EXACT, 50_000, 50) == 50
    assert shard_size(PERMUTATION, 50_000, 50) == 136


@pytest.fixture
def three_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two images a shard, or as many as make three files."""
    monkeypatch.setattr(local, "_MOST_IMAGES_PER_SHARD", 2)
    monkeypatch.setattr(snr_preparation, "_PER_SHARD", 2)
    monkeypatch.setattr(local, "_MANY_SHARDS", 3)


@pytest.mark.parametrize("study", ROWS)
def test_a_run_goes_on_with_the_shards_that_it_began_with(
    study: str, tmp_path: Path, three_files: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = pictures(tmp_path / "images")
    run(study, data, tmp_path / "whole", **PAIRS[study])
    with stopping("shard done"), pytest.raises(Stopped):
        run(study, data, tmp_path / "stopped", **PAIRS[study])
    monkeypatch.setattr(local, "_MANY_SHARDS", 1)  # another rule
    run(study, data, tmp_path / "stopped", **PAIRS[study])
    whole, stopped = files(tmp_path / "whole"), files(tmp_path / "stopped")
    assert len(list((tmp_path / "whole" / ROWS[study]).iterdir())) == 3
    assert {**whole, "run.json": b""} == {**stopped, "run.json": b""}


@pytest.mark.parametrize("study", ROWS)
def test_a_run_from_before_it_was_written_down_has_small_shards(
    study: str, tmp_path: Path, three_files: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, about = pictures(tmp_path / "images"), tmp_path / "old/run.json"
    with monkeypatch.context() as patch:
        patch.setattr(local, "_MANY_SHARDS", 1000)
        with stopping("shard done", 2), pytest.raises(Stopped):
            run(study, data, tmp_path / "old", **PAIRS[study])
    begun = json.loads(about.read_text())
    assert begun["settled"].pop("images_per_shard") == 2
    about.write_text(json.dumps(begun))
    run(study, data, tmp_path / "old", **PAIRS[study])
    monkeypatch.setattr(local, "_MANY_SHARDS", 1000)
    run(study, data, tmp_path / "whole", **PAIRS[study])
    assert len(list((tmp_path / "old" / ROWS[study]).iterdir())) == 6
    assert {**files(tmp_path / "old"), "run.json": b""} == {**files(tmp_path / "whole"), "run.json": b""}
