"""`spectrobe response`: what it prints and writes, its exit codes, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

import spectrobe as sb
from tests.cli.calls import Cli

pytestmark = pytest.mark.slow

CALL = (
    "response", "python:toys:colour", "{world}/images", "--num-classes", "3", "--batch-size", "6", "--bands", "4",
    "--powers", "0.01,0.04", "--quiet",
)  # fmt: skip


def call(world: Path, *more: object) -> list[object]:
    return [word.format(world=world) for word in CALL] + list(more)


def test_prints_tables_and_writes_the_run(cli: Cli, world: Path, tmp_path: Path) -> None:
    more = ("--perturb", "fog:1-3,contrast:1-3,shot_noise:1-3,zoom_blur:1-2", "--heat-map", "1", "--heat-map-step", "8",
            "--out", "run")  # fmt: skip
    done = cli(*call(world, *more))
    assert done.code == 0, done.err
    for part in ("12 images of 16 x 16", "noise 0.1", "half-way noise", "high-pass under", "Band noise:", "Cut-offs:",
                 "Fourier basis noise of L2 norm 1", "forward passes at most"):  # fmt: skip
        assert part in done.out
    assert "Does response x perturbation spectrum predict" in done.out or "was not tested" in done.out
    assert {p.name for p in (tmp_path / "run").iterdir() if p.name != ".lock"} == {
        "run.json", "response", "absence.safetensors", "result.json", "figures",
    }  # fmt: skip
    assert (tmp_path / "run/figures/response.svg").exists()
    assert isinstance(sb.load("run"), sb.ResponseResult)
    again = cli(*call(world, *more, "--json"))
    assert again.code == 0 and again.result["kind"] == "response"
    assert again.out == (tmp_path / "run/result.json").read_text()


def test_the_profile_of_a_decomposition_is_drawn_beside(cli: Cli, world: Path, tmp_path: Path) -> None:
    made = cli("decompose", *call(world)[1:9], "--out", "profile", "--images", "12", "--quiet")
    assert made.code == 0, made.err
    done = cli(*call(world, "--run", "profile", "--under", "none", "--out", "run"))
    assert done.code == 0, done.err
    assert (tmp_path / "run/figures/response-with-profile.svg").exists() and "under" not in done.out.split("figures")[0]


@pytest.mark.usefixtures("undrawn")
def test_what_cannot_be_measured_is_listed_and_exits_with_1(cli: Cli, world: Path) -> None:
    (world / "hard.py").write_text(
        "import numpy as np\n\ndef numpy_model(x):\n    return 40 * x.numpy().mean((2, 3))\n", encoding="utf-8"
    )
    arguments = call(world, "--json", "--out", "run")
    arguments[1] = "python:hard:numpy_model"
    done = cli(*arguments)
    assert done.code == 1
    assert "could not be measured: gradient power spectrum" in done.err
    assert done.result["gradient"] is None and done.result["masking"]["accuracy"]["value"]  # type: ignore[index]


BAD = [
    ("--perturb gausian_noise", ["unknown perturbation: 'gausian_noise'", "gaussian_noise"]),
    ("--powers much", ["expected powers as numbers", "'much'"]),
    ("--powers 4", ["above 0 and at most 1"]),
    ("--bands octave:3", ["expected bands such as"]),
    ("--heat-map 1 --heat-map-step 0", ["--heat-map-step", "at least 1"]),
    ("--heat-map 99", ["--heat-map as an L2 norm of at most"]),
    ("--under snow", ["expected one perturbation of the cut-off images"]),
    ("--run nowhere", ["nowhere", "run folder"]),
    ("--images 99", ["at most 12 images"]),
]


@pytest.mark.parametrize("options,parts", BAD, ids=[case[0] for case in BAD])
def test_bad_input_is_one_line_and_writes_nothing(
    cli: Cli, world: Path, tmp_path: Path, options: str, parts: list[str]
) -> None:
    done = cli(*call(world, *options.split()))
    assert done.code == 2 and done.out == ""
    assert done.err.count("\n") == 1 and "Traceback" not in done.err
    for part in parts:
        assert part in done.err
    assert not list(tmp_path.glob("runs/*/run.json"))
