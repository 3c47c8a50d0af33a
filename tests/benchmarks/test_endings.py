"""How benchmark scripts end: in one line where the command line says one line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import evidence_training
from benchmarks.machine import ended
from spectrobe.engine.store import RunFolder
from spectrobe.errors import InputError


def test_a_script_returns_its_own_exit_code() -> None:
    assert [ended(lambda code=code: code) for code in (None, 0, 1)] == [0, 0, 1]


def test_bad_input_and_interruption_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def bad() -> None:
        raise InputError("expected\nthis, got that")

    def stopped() -> None:
        raise KeyboardInterrupt

    assert [ended(bad), ended(stopped)] == [2, 130]
    first, second = capsys.readouterr().err.splitlines()
    assert first == "spectrobe: expected this, got that" and "interrupted" in second


def test_an_error_of_the_script_itself_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        ended(lambda: 1 // 0)


def test_a_folder_of_another_run_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("lightning")
    RunFolder(tmp_path / "run").write_json("run.json", {"command": "decompose", "identity": {}})
    call = ["evidence_training", "label-noise", "--out", str(tmp_path / "run"), "--data", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", call)
    assert ended(evidence_training.main) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1 and "holds a run of decompose, not of study label-noise" in told[0]
