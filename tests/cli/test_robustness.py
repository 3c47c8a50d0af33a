"""`spectrobe robustness`: what it prints and writes, its exit codes, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import spectrobe as sb
from tests.cli.calls import Cli, photo, save

CALL = ("robustness", "python:toys:colour", "{world}/images", "--num-classes", "3", "--batch-size", "6", "--quiet")


def call(world: Path, *more: object) -> list[object]:
    return [word.format(world=world) for word in CALL] + list(more)


def test_prints_tables_and_writes_the_run(cli: Cli, world: Path, tmp_path: Path) -> None:
    done = cli(*call(world, "--perturb", "fog:1-2,noise_linf:eps=1/255..2/255,brightness:1-2", "--out", "run"))
    assert done.code == 0, done.err
    for part in ("12 images, 6 perturbations", "severity 1", "brightness", "eps 0", "1/255", "area", "clean",
                 "mean corruption error, not normalised", "forward passes at most", "is right on"):  # fmt: skip
        assert part in done.out
    assert {p.name for p in (tmp_path / "run").iterdir() if p.name != ".lock"} == {
        "run.json", "predictions", "result.json", "figures",
    }  # fmt: skip
    assert (tmp_path / "run/figures/robustness.svg").exists()
    found = sb.load("run")
    assert found.n_images == 12 and next(iter(found.accuracy)) == "fog:1"
    again = cli(
        *call(world, "--perturb", "fog:1-2,noise_linf:eps=1/255..2/255,brightness:1-2", "--out", "run", "--json")
    )
    assert again.code == 0 and again.result["kind"] == "robustness"
    assert again.out == (tmp_path / "run/result.json").read_text()


@pytest.mark.usefixtures("undrawn")
def test_what_cannot_be_measured_is_listed_and_exits_with_1(cli: Cli, world: Path) -> None:
    (world / "hard.py").write_text(
        "import numpy as np\n\ndef numpy_model(x):\n    return 40 * x.numpy().mean((2, 3))\n", encoding="utf-8"
    )
    arguments = call(world, "--perturb", "pgd_linf:eps=1/255,brightness:1", "--json", "--out", "run")
    arguments[1] = "python:hard:numpy_model"
    done = cli(*arguments)
    assert done.code == 1
    assert "1 of 2 perturbations could not be measured: pgd_linf:eps=1/255" in done.err
    assert "square_linf or square_l2" in str(done.result["failed"])
    assert json.loads(done.out)["accuracy"]["brightness:1"]["value"] is not None


@pytest.mark.usefixtures("undrawn")
def test_a_tree_with_and_without_clean_images(cli: Cli, world: Path, tmp_path: Path) -> None:
    for severity in (1, 2):
        shutil.copytree(world / "images", tmp_path / f"tree/haze/{severity}")
    alone = cli("robustness", "python:toys:colour", "--tree", "tree", "--num-classes", "3", "--quiet", "--json")
    assert alone.code == 0, alone.err
    assert alone.result["clean"] is None and list(alone.result["accuracy"]) == ["haze:1", "haze:2"]  # type: ignore[call-overload]
    both = cli(*call(world, "--tree", "tree", "--json"))
    assert both.code == 0 and both.result["accuracy"]["haze:1"] == {  # type: ignore[index]
        key: value
        for key, value in both.result["clean"].items()
        if key != "log_likelihood"  # type: ignore[attr-defined]
    }


@pytest.mark.usefixtures("undrawn")
def test_against_a_second_folder_and_relative_to_another_run(cli: Cli, world: Path, tmp_path: Path) -> None:
    for index in range(3):
        for number in range(4):
            save(tmp_path / "noisy" / "abc"[index] / f"{number}.png", 255 - photo(index, number))
    done = cli(*call(world, "--against", "noisy", "--perturb", "contrast:4-5", "--out", "a"))
    assert done.code == 0 and "noisy" in done.out
    assert "log-likelihood (nats) under" in done.out  # severities have a row of both, without asking for more
    assert done.out.count("contrast  ") >= 2
    blunt = call(world, "--perturb", "contrast:4-5", "--relative-to", "a", "--out", "b")
    blunt[1] = "python:toys:confused"
    compared = cli(*blunt)
    assert compared.code == 0, compared.err
    assert "mCE relative to python:toys:colour on images" in compared.out and "relative" in compared.out


BAD = [
    ("--perturb gausian_noise", ["unknown perturbation: 'gausian_noise'", "gaussian_noise"]),
    ("--perturb pgd_linf:eps=8", ["at most 1 in Linf, got 8", "8/255"]),
    ("--perturb snow:0", ["severity from 1 to 5, got 0"]),
    ("", ["expected perturbations, a tree"]),
    ("--perturb snow --images 99", ["at most 12 images"]),
    ("--perturb snow --relative-to nowhere", ["nowhere", "run folder"]),
    ("--tree nowhere", ["no such folder: 'nowhere'"]),
    ("--against {world}/pair", ["pair lacks 9 of 12 images"]),
]


@pytest.mark.parametrize("options,parts", BAD, ids=[case[0] for case in BAD])
def test_bad_input_is_one_line_and_writes_nothing(
    cli: Cli, world: Path, tmp_path: Path, options: str, parts: list[str]
) -> None:
    done = cli(*call(world, *options.format(world=world).split()))
    assert done.code == 2 and done.out == ""
    assert done.err.count("\n") == 1 and "Traceback" not in done.err
    for part in parts:
        assert part in done.err
    assert not list(tmp_path.glob("runs/*/run.json"))


def test_data_may_be_left_out_only_with_a_tree(cli: Cli) -> None:
    done = cli("robustness", "python:toys:colour", "--perturb", "snow")
    assert done.code == 2 and "expected clean images (DATA)" in done.err
