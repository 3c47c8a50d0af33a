"""Killed at any named point, the same call goes on, and result.json ends byte for byte as without the kill."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spectrobe.engine.phases import PHASES
from tests.engine.driver import go

pytestmark = pytest.mark.slow

DRIVER = Path(__file__).parent / "driver.py"
KILLED = -signal.SIGKILL
KILLS = [("shard write", 2), ("between write and rename", 3), ("tau fit", 1)]


Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Makes a run in a process of its own, killed at a phase where one is named: exit code, output."""
    with subprocess.Popen([sys.executable, DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdin is not None and driver.stdout is not None
        orders, answers = driver.stdin, driver.stdout

        def ask(out: Path, phase: str = "never", count: int = 1, what: str = "exact") -> tuple[int, str]:
            print(json.dumps([str(out), phase, count, what]), file=orders, flush=True)
            code, printed = json.loads(answers.readline())
            return code, printed

        yield ask
        orders.close()  # ends the driver


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, run: Run) -> bytes:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    assert run(out) == (0, "")
    return (out / "result.json").read_bytes()


@pytest.mark.parametrize(("study", "rows", "phase", "count"), [
    ("snr", "snr", "between write and rename", 3), ("robustness", "predictions", "shard write", 2),
])  # fmt: skip
def test_other_studies_go_on_after_a_kill(
    tmp_path: Path, run: Run, study: str, rows: str, phase: str, count: int
) -> None:
    assert run(tmp_path / "run", phase, count, study) == (KILLED, f"killed at {phase} {count}\n")
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
def test_killed_run_goes_on_to_the_same_bytes(
    tmp_path: Path, run: Run, undisturbed: bytes, phase: str, count: int
) -> None:
    out = tmp_path / "run"
    assert run(out, phase, count) == (KILLED, f"killed at {phase} {count}\n")
    assert not (out / "result.json").exists()
    assert run(out) == (0, "")
    assert (out / "result.json").read_bytes() == undisturbed


@pytest.mark.long
@pytest.mark.parametrize("design,most", [("exact", 3), ("permutation", 1)])
def test_ten_kills_of_each_design_end_in_the_same_bytes(tmp_path: Path, run: Run, design: str, most: int) -> None:
    """Twenty kills in all, drawn with a seed, each phase at least once; `most`: how many shards the design has here."""
    draws = random.Random(design)
    assert {"shard write", "between write and rename", "tau fit", "result write"} <= set(PHASES)
    kills = [(phase, 1) for phase in PHASES] + [(draws.choice(PHASES), draws.randint(1, most)) for _ in range(5)]
    reference = tmp_path / "reference"
    assert run(reference, what=design) == (0, "")
    expected = (reference / "result.json").read_bytes()
    for number, (phase, count) in enumerate(kills):
        if phase in ("tau fit", "result write"):
            count = 1  # reached once a run
        out = tmp_path / str(number)
        code, printed = run(out, phase, count, design)
        print(f"{design}, kill {number}: {printed.strip()}")
        assert (code, printed) == (KILLED, f"killed at {phase} {count}\n")
        assert run(out, what=design) == (0, "")
        assert (out / "result.json").read_bytes() == expected


def test_three_kills_in_one_folder(tmp_path: Path, run: Run, undisturbed: bytes) -> None:
    out = tmp_path / "run"
    for phase in ("shard done", "between write and rename", "result write"):
        assert run(out, phase) == (KILLED, f"killed at {phase} 1\n")
    assert run(out) == (0, "")
    assert (out / "result.json").read_bytes() == undisturbed
