"""`spectrobe track`: checkpoints by pattern, a table and a figure, and endings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import spectrobe as sb
from tests.cli.calls import Cli

pytestmark = pytest.mark.slow

NETS = '''
import torch


class Colour(torch.nn.Module):
    """Three classes, told apart by mean colour, as sure as it has learned to be."""

    def __init__(self):
        super().__init__()
        self.sure = torch.nn.Parameter(torch.ones(3))

    def forward(self, x):
        return self.sure * x.mean((2, 3))
'''


@pytest.fixture
def ckpts(tmp_path: Path) -> Path:
    (tmp_path / "nets.py").write_text(NETS)
    folder = tmp_path / "ckpts"
    folder.mkdir()
    for epoch, sure in ((1, 1.0), (2, 20.0), (10, 40.0)):
        torch.save({"state_dict": {"net.sure": torch.full((3,), sure)}}, folder / f"epoch={epoch}.ckpt")
    return folder


def call(world: Path, *more: object) -> tuple[object, ...]:
    return (
        "track", "ckpts/*.ckpt", "--model", "python:nets.py:Colour", "--data", world / "images", "--num-classes", 3,
        "--bands", 4, "--batch-size", 32, "--precision", "float32", *more,
    )  # fmt: skip


def test_profiles_of_checkpoints(cli: Cli, world: Path, ckpts: Path) -> None:
    outcome = cli(*call(world))
    assert outcome.code == 0, outcome.err
    folder = Path("runs/track-python-nets.py-Colour-1")
    found = sb.load(folder)
    assert found.names == ("epoch=1", "epoch=2", "epoch=10")
    rows = [" ".join(line.split()) for line in outcome.out.splitlines()]
    for name, result in zip(found.names, found.results, strict=True):
        total, score = result.information, result.score
        numbers = f"{total.value:+.3f} ±{total.stderr:.3f} {score.value:+.3f} ±{score.stderr:.3f}"
        profile = " ".join(f"{phi:+.3f}" for phi in result.shapley)
        assert f"{name} {result.accuracy.value:.3f} {numbers} {profile}" in rows
    assert found.sentence() in outcome.out.replace("\n", " ")
    assert rows[-1] == f"{folder}: run.json, checkpoints, result.json, figures/track.svg, figures/track.png"


def test_the_design_s_form_takes_files_one_by_one(cli: Cli, world: Path, ckpts: Path) -> None:
    outcome = cli("track", "ckpts/epoch=10.ckpt", "ckpts/epoch=1.ckpt", *call(world, "--out", "run", "--json")[2:])
    assert outcome.code == 0, outcome.err
    assert outcome.out == Path("run/result.json").read_text() and outcome.result["kind"] == "track"
    assert [entry["name"] for entry in outcome.result["checkpoints"]] == ["epoch=10", "epoch=1"]
    shown = cli("show", "run")
    assert shown.code == 0 and "epoch=10: " in shown.out


def test_the_same_call_goes_on_with_checkpoints_that_came_since(cli: Cli, world: Path, ckpts: Path) -> None:
    late = ckpts / "epoch=10.ckpt"
    late.rename("kept")
    assert cli(*call(world, "--out", "run")).code == 0
    before = Path("run/figures/track.svg").read_bytes()
    Path("kept").rename(late)
    outcome = cli(*call(world, "--out", "run"))
    assert outcome.code == 0 and "checkpoint 1 of 1: epoch=10" in outcome.err
    assert len(sb.load("run").names) == 3 and Path("run/figures/track.svg").read_bytes() != before


def test_a_checkpoint_that_cannot_be_measured_is_listed(cli: Cli, world: Path, ckpts: Path) -> None:
    (ckpts / "epoch=3.ckpt").write_bytes(b"torn")
    outcome = cli(*call(world, "--out", "run"))
    assert outcome.code == 1
    assert outcome.err.splitlines()[-1] == "spectrobe: 1 of 4 checkpoints could not be measured: epoch=3"
    assert "epoch=3: not measured (expected a safetensors or torch checkpoint" in outcome.out
    assert sb.load("run").names == ("epoch=1", "epoch=2", "epoch=10")


class Recipe:
    """What someone gave to save_hyperparameters()."""


@pytest.mark.parametrize("more, message", [
    (("--bands", 12), "largest number of square bands"),
    (("--value", "surprise"), "expected a value out of"),
    (("--images", 500), "expected at most 12 images"),
    (("--num-classes", 5), "num_classes|classes"),
])  # fmt: skip
def test_bad_input_is_one_line(cli: Cli, world: Path, ckpts: Path, more: tuple[object, ...], message: str) -> None:
    outcome = cli(*call(world, *more, "--out", "run"))
    assert outcome.code == 2 and outcome.out == ""
    assert re.search(message, outcome.err.splitlines()[-1]) and "Traceback" not in outcome.err


def test_files_that_are_not_there(cli: Cli, world: Path, ckpts: Path) -> None:
    outcome = cli("track", "nothing/*.pt", *call(world)[2:])
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == "spectrobe: expected files that match 'nothing/*.pt', found none\n"
    assert not Path("runs").exists()


def test_pickles_are_refused_and_the_message_helps(cli: Cli, world: Path, ckpts: Path) -> None:
    for path in ckpts.iterdir():
        path.unlink()
    content = {"state_dict": {"net.sure": torch.ones(3)}, "hyper_parameters": {"recipe": Recipe()}}
    torch.save(content, ckpts / "epoch=1.ckpt")
    outcome = cli(*call(world))
    assert (outcome.code, outcome.out) == (2, "")
    [line] = [line for line in outcome.err.splitlines() if line.startswith("spectrobe:")]
    assert "epoch=1.ckpt holds more than tensors (tests.cli.test_track.Recipe)" in line
    assert "give it plain values, or save torch.save(module.state_dict(), FILE) beside" in line
    assert line.endswith("--allow-pickle")
    assert cli(*call(world, "--allow-pickle")).code == 0
