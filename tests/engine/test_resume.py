"""Killed at any named point, the same call goes on, and result.json ends byte for byte as without the kill."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from spectrobe.engine.phases import PHASES
from tests.engine.driver import go

DRIVER = Path(__file__).parent / "driver.py"
KILLS = [("shard write", 2), ("between write and rename", 3), ("tau fit", 1)]


def run(out: Path, phase: str = "never", count: int = 1, design: str = "exact") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(DRIVER), str(out), phase, str(count), design]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    done = run(out)
    assert done.returncode == 0, done.stderr
    return (out / "result.json").read_bytes()


@pytest.mark.parametrize(("study", "rows", "phase", "count"), [
    ("snr", "snr", "between write and rename", 3), ("robustness", "predictions", "shard write", 2),
])  # fmt: skip
def test_other_studies_go_on_after_a_kill(tmp_path: Path, study: str, rows: str, phase: str, count: int) -> None:
    killed = run(tmp_path / "run", phase, count, study)
    assert killed.returncode == -9 and killed.stdout == f"killed at {phase} {count}\n", killed.stderr
    assert len(list((tmp_path / "run" / rows).glob("*.parquet"))) == 1
    assert not (tmp_path / "run/result.json").exists()
    go(study, tmp_path / "run")
    go(study, tmp_path / "whole")
    names = {path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*") if path.is_file()}
    assert names == {path.relative_to(tmp_path / "run") for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert sum(path.suffix == ".parquet" for path in names) >= 2
    for name in names - {Path("run.json")}:
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


@pytest.mark.parametrize("phase,count", KILLS)
def test_killed_run_goes_on_to_the_same_bytes(tmp_path: Path, undisturbed: bytes, phase: str, count: int) -> None:
    out = tmp_path / "run"
    killed = run(out, phase, count)
    assert killed.returncode == -9
    assert not (out / "result.json").exists()
    done = run(out)
    assert done.returncode == 0, done.stderr
    assert (out / "result.json").read_bytes() == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize("design,most", [("exact", 3), ("permutation", 1)])
def test_ten_kills_of_each_design_end_in_the_same_bytes(tmp_path: Path, design: str, most: int) -> None:
    """Twenty kills in all, drawn with a seed, each phase at least once; `most`: how many shards the design has here."""
    draws = random.Random(design)
    assert {"shard write", "between write and rename", "tau fit", "result write"} <= set(PHASES)
    kills = [(phase, 1) for phase in PHASES] + [(draws.choice(PHASES), draws.randint(1, most)) for _ in range(5)]
    reference = tmp_path / "reference"
    assert run(reference, design=design).returncode == 0
    expected = (reference / "result.json").read_bytes()
    for number, (phase, count) in enumerate(kills):
        if phase in ("tau fit", "result write"):
            count = 1  # reached once a run
        out = tmp_path / str(number)
        killed = run(out, phase, count, design)
        print(f"{design}, kill {number}: {killed.stdout.strip()}")
        assert killed.returncode == -9 and killed.stdout == f"killed at {phase} {count}\n", killed.stderr
        done = run(out, design=design)
        assert done.returncode == 0, done.stderr
        assert (out / "result.json").read_bytes() == expected


def test_three_kills_in_one_folder(tmp_path: Path, undisturbed: bytes) -> None:
    out = tmp_path / "run"
    for phase in ("shard done", "between write and rename", "result write"):
        assert run(out, phase).returncode == -9, phase
    assert run(out).returncode == 0
    assert (out / "result.json").read_bytes() == undisturbed
