"""The command that a report prints for a run is that run: called again on its folder, it finds it done."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from spectrobe.report.commands import command_of
from spectrobe.report.runs import open_runs
from tests.cli.calls import Cli

OWN = ("--num-classes", 3, "--mean", 0.1, "--std", "0.9,0.8,0.7", "--size", "14x12")
CALLS: dict[str, tuple[object, ...]] = {
    "decompose": ("--bands", 2, "--images", 6, "--seed", 3, "--precision", "float32", "--value", "accuracy"),
    "robustness": ("--perturb", "contrast:2,pgd_linf:eps=4/255;steps=2", "--confidence", 0.9, "--batch-size", 8),
    "response": ("--bands", "edges:0,.4,1", "--powers", "0.01,0.02", "--under", "none", "--perturb", "fog:1",
                 "--heat-map", 1, "--heat-map-step", 5, "--heat-map-images", 3),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, world: Path) -> Path:
    """Images of classes that the model string names in a file."""
    (tmp_path / "names.txt").write_text("a\nb\nc\n")
    (tmp_path / "images").symlink_to(world / "images")
    return tmp_path


def repeated(cli: Cli, out: str) -> None:
    before = Path(out, "result.json").read_bytes()
    [run] = open_runs(out)
    words = shlex.split(command_of(run))
    again = cli(*words[1:], "--out", out, "--quiet", "--json")
    assert (again.code, again.err) == (0, ""), " ".join(words)
    assert again.out.encode() == before == Path(out, "result.json").read_bytes()


@pytest.mark.parametrize("command", CALLS)
def test_it_is_the_same_run_with_what_was_said_beside_the_model(command: str, cli: Cli, folder: Path) -> None:
    call = (command, "python:toys:blunt?class_names=names.txt", "images", *OWN, *CALLS[command])
    assert cli(*call, "--out", "run", "--quiet").code == 0
    repeated(cli, "run")


def test_an_snr_run_too(cli: Cli, folder: Path) -> None:
    attack = "gaussian_noise:1-2,fgsm_linf:eps=4/255"
    for more in ((), ("--model", "python:toys:blunt?class_names=names.txt&size=16", "--dc", "in-band", "--images", 5)):
        out = f"run{len(more)}"
        perturb = attack if more else "gaussian_noise:1"
        call = ("snr", "images", "--perturb", perturb, "--bands", 2, "--quantize", 8, *more, "--out", out, "--quiet")
        assert cli(*call).code == 0
        repeated(cli, out)


def test_checkpoints_too(cli: Cli, folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    for step in (1, 2):
        torch.manual_seed(step)
        save_file(torch.nn.Linear(3, 3).state_dict(prefix="head."), f"step{step}.safetensors")
    call = ("track", "step*.safetensors", "--model", "python:toys:Net?class_names=names.txt", "--data", "images",
            "--num-classes", 3, "--images", 6, "--bands", 2, "--out", "run", "--quiet")  # fmt: skip
    outcome = cli(*call)
    assert outcome.code == 0, outcome.err
    repeated(cli, "run")
