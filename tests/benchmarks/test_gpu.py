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


ABSENT = [
    "pydantic", "datasets", "foolbox", "ray", "timm", "transformers", "pyarrow", "pandas", "matplotlib", "typer",
    "rich", "fsspec", "safetensors", "huggingface_hub", "jinja2",
]  # fmt: skip
"""More than the GPU machine lacks."""


def without(name: str, *arguments: str) -> str:
    """What the script prints when it is run as the module `name` and these libraries cannot be imported."""
    code = (
        f"import runpy, sys; sys.modules.update(dict.fromkeys({ABSENT})); sys.argv = ['gpu.py', *{list(arguments)}]; "
        f"runpy.run_path({str(SCRIPT)!r}, run_name={name!r}); print('ended')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
def test_what_it_imports_is_the_core() -> None:
    pytest.importorskip("torchvision")
    assert without("imported") == "ended\n"


@pytest.mark.long
def test_it_needs_the_core_alone() -> None:
    pytest.importorskip("torchvision")
    check(without("__main__", *TINY))
