"""`spectrobe decompose`: from a folder of images to a run folder, tables, a sentence and a figure."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import spectrobe as sb
from spectrobe.cli.folders import readable
from spectrobe.studies.words import left_out
from tests.cli.calls import Cli

SETTINGS = ("--num-classes", 3, "--bands", 4, "--batch-size", 32, "--precision", "float32")


def test_a_run_from_a_folder_of_images(cli: Cli, world: Path) -> None:
    outcome = cli("decompose", "python:toys:blunt", world / "images", *SETTINGS)
    assert outcome.code == 0
    folder = Path("runs/decompose-python-toys-blunt-1")
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert names - {".lock"} == {
        "run.json", "result.json", "absence.safetensors", "payoffs/000000.parquet", "figures/profile.svg",
        "figures/profile.png",
    }  # fmt: skip
    result = sb.load(folder)
    lines = outcome.out.splitlines()
    assert lines[0] == "python:toys:blunt on images: 12 images, 4 bands, absence mean, exact design"
    for band in range(4):
        low, high = result.interval[band]
        numbers = f"{result.shapley[band]:+.3f} {result.stderr[band]:.3f} [{low:+.3f}, {high:+.3f}]"
        wanted = f"{band} {band / 8:.3f}-{(band + 1) / 8:.3f} {numbers}"
        assert any(" ".join(line.split()).startswith(wanted) for line in lines), wanted
    total = result.information
    assert f"v(all) - v(empty), usable-information: {total} nats; efficiency gap" in outcome.out
    assert f"\n{result.forward_passes:,} forward passes\n" in outcome.out
    assert "\npython:toys:blunt leans on coarse structure" in outcome.out
    assert lines[-1] == (
        f"{folder}: run.json, payoffs, result.json, figures/profile.svg, figures/profile.png"
    )  # fmt: skip


@pytest.mark.usefixtures("undrawn")
def test_the_same_answer_as_in_python(cli: Cli, world: Path) -> None:
    assert cli("decompose", "python:toys:blunt", world / "images", *SETTINGS, "--out", "run").code == 0
    model = sb.open_model("python:toys:blunt", num_classes=3)
    there = sb.decompose(
        model, str(world / "images"), bands=4, value="usable-information", absence="mean", design="exact",
        batch_size=32, precision="float32",
    )  # fmt: skip
    assert np.array_equal(sb.load("run").shapley, there.shapley)


@pytest.mark.usefixtures("undrawn")
def test_every_option_reaches_the_study(cli: Cli, world: Path) -> None:
    outcome = cli(
        "decompose", "python:toys:blunt", world / "images", "--json",
        "--bands", "edges:0,.25,1", "--value", "accuracy", "--absence", "noise", "--design", "permutation",
        "--images", 8, "--confidence", 0.9, "--seed", 7, "--batch-size", 4, "--precision", "float32", "--device", "cpu",
        "--class-map", world / "map.json", "--on-bad-image", "skip", "--workers", 0, "--num-classes", 3,
        "--mean", ".5", "--std", ".5,.5,.5", "--size", "12x16", "--crop", "1", "--interpolation", "nearest",
        "--clip", "--out", "run",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    settings = outcome.result["settings"]
    assert settings == {
        "model_name": "python:toys:blunt", "data_name": "images", "image_size": [12, 16], "value": "accuracy",
        "absence": "noise", "design": "permutation", "confidence": 0.9, "seed": 7, "labelled": True, "force": False,
        "clip": True,
        "bands": {"edges": [0.0, 0.25, 1.0], "norm": "square", "dc": "in-band", "linear": False, "scheme": "edges"},
    }  # fmt: skip
    assert outcome.result["n_images"] == 8
    identity = json.loads(Path("run/run.json").read_text())["identity"]
    assert identity["model"]["mean"] == [0.5] * 3 and identity["model"]["geometry"]["interpolation"] == "nearest"
    assert identity["asked"] == {"precision": "float32", "batch_size": 4}


@pytest.mark.usefixtures("undrawn")
def test_what_was_clipped_is_shown_and_is_part_of_the_run(cli: Cli, world: Path) -> None:
    call = ("decompose", "python:toys:blunt", world / "images", *SETTINGS, "--absence", "zero", "--out", "run")
    outcome = cli(*call, "--clip")
    assert outcome.code == 0 and "pixels clipped" in outcome.out
    share = sb.load("run").clipped_share
    assert share is not None and 0.05 < share < 0.5
    line = f"coalition images are clipped to [0, 1]: {100 * share:.2g}% of their pixel values lay outside"
    assert line in outcome.out.splitlines() and line in sb.load("run").summary().splitlines()
    assert cli("show", "run").out.count(line) == 1
    refused = cli(*call)
    assert refused.code == 2
    assert refused.err.splitlines()[-1].startswith(
        "spectrobe: run holds a run of other settings (clip: there True, now"
    )


@pytest.mark.usefixtures("undrawn")
def test_json_is_the_result_file_and_nothing_else(cli: Cli, world: Path) -> None:
    outcome = cli("decompose", "python:toys:blunt", world / "images", *SETTINGS, "--json", "--out", "run")
    assert outcome.code == 0
    assert outcome.out == Path("run/result.json").read_text()
    assert outcome.result["schema_version"] == 1 and outcome.result["kind"] == "decompose"
    assert outcome.err.count("\n") >= 2  # notes are still told, beside


@pytest.mark.usefixtures("undrawn")
def test_quiet_prints_the_result_alone(cli: Cli, world: Path) -> None:
    outcome = cli("decompose", "python:toys:blunt", world / "images", *SETTINGS, "--quiet")
    assert outcome.code == 0 and outcome.err == ""
    assert "leans on coarse structure" in outcome.out


@pytest.mark.usefixtures("undrawn")
def test_the_first_free_number_is_taken(cli: Cli, world: Path) -> None:
    Path("runs/decompose-python-toys-blunt-2").mkdir(parents=True)
    for number in (1, 3):
        assert cli("decompose", "python:toys:blunt", world / "images", *SETTINGS).code == 0
        assert Path(f"runs/decompose-python-toys-blunt-{number}/result.json").exists()
    assert not list(Path("runs/decompose-python-toys-blunt-2").iterdir())


def test_a_finished_run_is_shown_again_without_the_game(cli: Cli, world: Path) -> None:
    call = ("decompose", "python:toys:blunt", world / "images", *SETTINGS, "--out", "run")
    first = cli(*call)
    before = {path: path.stat().st_mtime_ns for path in Path("run").rglob("[!.]*") if path.is_file()}
    second = cli(*call)
    assert second.code == 0 and second.out == first.out
    assert "forward passes" not in second.err
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.usefixtures("undrawn")
def test_unlabelled_images_with_agreement(cli: Cli, world: Path) -> None:
    outcome = cli(
        "decompose", "python:toys:blunt", world / "unlabelled", "--bands", 4, "--value", "agreement", "--json"
    )
    assert outcome.code == 0, outcome.err
    assert outcome.result["accuracy"] is None and outcome.result["information"]["value"] > 0.3


@pytest.mark.usefixtures("undrawn")
def test_bad_images_are_left_out_when_asked_and_listed(cli: Cli, world: Path) -> None:
    outcome = cli("decompose", "python:toys:blunt", world / "broken", *SETTINGS, "--on-bad-image", "skip")
    assert outcome.code == 0
    assert "6 images, 4 bands" in outcome.out
    (line,) = [line for line in outcome.out.splitlines() if line.startswith("left out")]
    assert re.fullmatch(r"left out: image a/torn\.png: cannot be decoded \(.*\)", line)  # no advice to leave it out


def test_a_long_list_of_images_left_out_is_shortened() -> None:
    lines = left_out({f"{i}.png": f"image {i}.png: torn" for i in range(1234)})
    assert lines[:2] == ["left out: image 0.png: torn", "left out: image 1.png: torn"]
    assert lines[10:] == ["left out: 1,224 more, listed in result.json"]
    assert len(left_out({f"{i}": "x" for i in range(10)})) == 10 and left_out({}) == []


def test_every_absence(cli: Cli, world: Path) -> None:
    call = ("decompose", "python:toys:blunt", world / "images", *SETTINGS, "--absence", "all", "--out", "run")
    outcome = cli(*call)
    assert outcome.code == 0, outcome.err
    assert "rank agreement" in outcome.out
    assert "a run each: run/zero, run/mean, run/noise, run/donor" in outcome.out.splitlines()
    for name in ("zero", "mean", "noise", "donor"):
        assert sb.load(f"run/{name}").absence == name
    again = cli(*call, "--json")
    assert list(again.result["results"]) == ["zero", "mean", "noise", "donor"]
    assert np.allclose(np.diag(again.result["rank_agreement"]), 1)


def test_a_figure_that_cannot_be_written_leaves_the_result(
    cli: Cli, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("spectrobe.figures.style.save_figure", full)
    outcome = cli("decompose", "python:toys:blunt", world / "images", *SETTINGS, "--out", "run")
    assert outcome.code == 1
    assert outcome.err.splitlines()[-1] == (
        "spectrobe: the result is kept in run, but figures/profile could not be written (No space left on device)"
    )
    assert sb.load("run").n_images == 12


@pytest.mark.parametrize("model, name", [
    ("timm:resnet50.a1_in1k", "timm-resnet50.a1_in1k"),
    ("timm:resnet50?checkpoint=best model.pt&num_classes=10", "timm-resnet50"),
    ("hf:google/vit-base-patch16-224", "hf-vit-base-patch16-224"),
    ("onnx:/home/me/My Models/net (2).onnx", "onnx-net-2-.onnx"),
    ("python:../code/net.py:make", "python-net.py-make"),
    ("modèle:ü", "mod-le"),
    (":..", "model"),
    ("timm:" + "x" * 99, "timm-" + "x" * 55),
])  # fmt: skip
def test_names_of_models_as_names_of_folders(model: str, name: str) -> None:
    assert readable(model) == name
