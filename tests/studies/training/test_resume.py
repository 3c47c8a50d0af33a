"""Killed at any epoch, the same call goes on and ends in the same result."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from spectrobe.engine.progress import Silent
from spectrobe.errors import RunFolderError
from tests.studies.training.small import run

pytestmark = pytest.mark.slow

pytest.importorskip("lightning")
pytest.importorskip("sklearn")
ROOT = Path(__file__).resolve().parents[3]


def in_process(study: str, out: Path, *kill: object) -> int:
    call = [sys.executable, "-m", "tests.studies.training.driver", study, str(out), *map(str, kill)]
    return subprocess.run(call, cwd=ROOT, check=False).returncode


def killed_and_gone_on(study: str, tmp_path: Path, *kills: int) -> None:
    assert in_process(study, tmp_path / "whole") == 0
    for kill in kills:
        assert in_process(study, tmp_path / "killed", kill) == -signal.SIGKILL
        assert not (tmp_path / "killed" / "result.json").exists()
    assert in_process(study, tmp_path / "killed") == 0
    results = [(tmp_path / name / "result.json").read_bytes() for name in ("whole", "killed")]
    assert results[0] == results[1]
    assert not (tmp_path / "killed" / "checkpoints").exists()


@pytest.mark.long
@pytest.mark.parametrize("study", ["label_noise", "feature_snr"])
def test_killed_several_times(study: str, tmp_path: Path) -> None:
    killed_and_gone_on(study, tmp_path, 1, 2, 3)


class Stop(Exception):
    """Stands in for a kill, within one process."""


def test_stopped_within_a_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The third epoch is stopped after its reading is written and before its checkpoint is."""
    from spectrobe.studies.training import lightning_loop, over_seeds

    monkeypatch.setattr(over_seeds, "DRAWS", 250)
    whole = run("label_noise", tmp_path / "whole")
    written = 0

    def stop(self: object, path: object) -> None:
        nonlocal written
        written += 1
        if written == 3:
            raise Stop
        saving(self, path)

    saving = lightning_loop.Trainer.save_checkpoint
    monkeypatch.setattr(lightning_loop.Trainer, "save_checkpoint", stop)
    with pytest.raises(Stop):
        run("label_noise", tmp_path / "stopped")
    assert len(list((tmp_path / "stopped" / "readings").iterdir())) == 3
    monkeypatch.setattr(lightning_loop.Trainer, "save_checkpoint", saving)
    run("label_noise", tmp_path / "stopped")
    assert (tmp_path / "stopped/result.json").read_bytes() == (tmp_path / "whole/result.json").read_bytes()
    lost = sorted((tmp_path / "stopped" / "readings").iterdir())[0]
    content = lost.read_bytes()
    lost.unlink()  # of the first epoch, which no checkpoint can bring back
    again = run("label_noise", tmp_path / "stopped")
    assert lost.read_bytes() == content
    assert again.to_dict().keys() == whole.to_dict().keys()
    assert (again.shapley == whole.shapley).all()
    with pytest.raises(RunFolderError, match="seeds"):
        run("label_noise", tmp_path / "stopped", seeds=3)


class Pressed(Silent):
    """Ctrl-C when training number `at` is announced. noted: all that was said."""

    def __init__(self, at: int | None = None) -> None:
        self.at, self.noted = at, list[str]()

    def note(self, text: str) -> None:
        self.noted.append(text)
        if self.at is not None and text.startswith(f"training {self.at} of"):
            raise KeyboardInterrupt

    def trainings(self) -> list[str]:
        """Numbers of those that were begun."""
        return [text.split()[1] for text in self.noted if text.startswith("training ")]


def test_feature_snr_goes_on_after_the_first_training(tmp_path: Path) -> None:
    few = {"seeds": 1, "epochs": 1, "images": 128, "test_images": 20, "inject": False}
    whole, stopped, again = Pressed(), Pressed(at=2), Pressed()
    run("feature_snr", tmp_path / "whole", progress=whole, **few)
    with pytest.raises(KeyboardInterrupt):
        run("feature_snr", tmp_path / "stopped", progress=stopped, **few)
    [first] = (tmp_path / "stopped/predictions").iterdir()
    before = first.read_bytes()
    assert not (tmp_path / "stopped/result.json").exists()
    run("feature_snr", tmp_path / "stopped", progress=again, **few)
    assert whole.trainings() == ["1", "2", "3"]
    assert again.trainings() == whole.trainings()[1:] and first.read_bytes() == before
    assert (tmp_path / "stopped/result.json").read_bytes() == (tmp_path / "whole/result.json").read_bytes()


def test_interrupted_training_is_an_interruption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning would end the process with exit code 1 and ignore Ctrl-C from then on."""
    from spectrobe.studies.training import lightning_loop

    def press(self: object, *given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(lightning_loop._Module, "training_step", press)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run("label_noise", tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) == before
