"""benchmarks/gpu.py runs where there is no GPU too, and with the core alone."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu.py"
TINY = ["--models", "squeezenet1_1", "--size", "64", "--bands", "2", "--minutes", "0.01", "--most-batch", "8",
        "--device", "cpu"]  # fmt: skip


def check(out: str) -> None:
    assert re.search(r"squeezenet1_1 float32: best bare batch 8; \d+ images x 3 coalitions, 3 rounds", out)
    (rates,) = re.findall(r"a second: exact ([\d.]+), bare ([\d.]+), a transform each ([\d.]+)", out)
    assert all(float(rate) > 0 for rate in rates)
    assert re.search(r"exact / bare: [\d.]+ \(rounds .*\); exact / a transform each: [\d.]+ \(rounds", out)
    assert "torch.compile" not in out


def test_it_runs_at_tiny_size_on_a_cpu(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torchvision")
    monkeypatch.setattr(sys, "argv", ["gpu.py", *TINY])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    check(capsys.readouterr().out)


@pytest.mark.slow
def test_it_needs_the_core_alone() -> None:
    pytest.importorskip("torchvision")
    absent = [
        "pydantic",
        "datasets",
        "foolbox",
        "ray",
        "timm",
        "transformers",
        "pyarrow",
        "pandas",
        "matplotlib",
        "typer",
    ]
    code = (
        f"import runpy, sys; sys.modules.update(dict.fromkeys({absent})); sys.argv = ['gpu.py', *{TINY}]; "
        f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr[-2000:]
    check(done.stdout)
