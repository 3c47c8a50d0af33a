"""--engine ray from the command line: Ctrl-C, the same call again, and the bytes of --engine local."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

pytest.importorskip("ray")

SOURCES = Path(__file__).resolve().parents[2] / "src"
MODEL = """
import time
import torch

def net(x):
    time.sleep(0.05)
    return x.mean((1, 2))[:, :4] * 50
"""
CALL = ["decompose", "python:net.py:net", "planted:bands=4;dprime=1:1.5;size=16;classes=4;images=400", "--bands", "8",
        "--batch-size", "64", "--precision", "float32", "--absence", "zero", "--images", "80"]  # fmt: skip


def start(folder: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "spectrobe", *CALL, *more], cwd=folder, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(SOURCES), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.mark.long
@pytest.mark.timeout(900)
def test_interrupted_and_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(MODEL)
    ray = ("--engine", "ray", "--ray-workers", "2", "--out", "run")
    first = start(tmp_path, *ray)
    try:
        until = time.monotonic() + 100
        while len(list(tmp_path.glob("run/payoffs/*.parquet"))) < 2:
            assert first.poll() is None and time.monotonic() < until, first.communicate()
            time.sleep(0.1)
        os.killpg(first.pid, signal.SIGINT)  # as a terminal does: Ray's processes are in the group
        out, err = first.communicate(timeout=60)
    finally:
        first.kill()
    assert first.returncode == 130 and out == ""
    assert err.splitlines()[-1] == (
        "spectrobe: interrupted; what was done is kept in run: the same call goes on from there"
    )
    assert "Traceback" not in err and not (tmp_path / "run/result.json").exists()
    kept = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("run/payoffs/*.parquet")}
    again, here = start(tmp_path, *ray, "--json"), start(tmp_path, "--out", "local")
    try:
        found, _ = again.communicate(timeout=300)
        here.communicate(timeout=300)
    finally:
        again.kill()
        here.kill()
    assert again.returncode == here.returncode == 0
    result = (tmp_path / "run/result.json").read_bytes()
    assert found.encode() == result == (tmp_path / "local/result.json").read_bytes()
    for name, written in kept.items():
        assert (tmp_path / "run/payoffs" / name).stat().st_mtime_ns == written
