"""`spectrobe show`: a finished run once more, by class, its unusual images, other values; and `--absence all`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.calls import Cli

pytestmark = pytest.mark.usefixtures("undrawn")

SETTINGS = ("--bands", 4, "--batch-size", 32, "--precision", "float32")


@pytest.fixture
def labelled(cli: Cli, world: Path) -> Path:
    call = ("decompose", "python:toys:blunt", world / "images", "--num-classes", 3, *SETTINGS, "--out", "run")
    assert cli(*call, "--quiet").code == 0
    return Path("run")


def rows(text: str, title: str) -> list[list[str]]:
    """The table under the line that begins with `title`: its head, and its rows."""
    lines = text[text.index(title) :].splitlines()[1:]
    table = [line.split() for line in lines[: lines.index("")] if line.strip("─ ")] if "" in lines else []
    return table or [line.split() for line in lines if line.strip("─ ")]


def test_by_class(cli: Cli, labelled: Path) -> None:
    shown = cli("show", labelled, "--by-class")
    assert shown.code == 0
    head, *classes = rows(shown.out, "Shapley values by class, nats; temperatures fitted on all images")
    assert head == ["class", "images", *(word for i in range(4) for word in ("band", str(i)))]
    assert [row[:2] for row in classes] == [["0", "4"], ["1", "4"], ["2", "4"]]
    content = cli("show", labelled, "--by-class", "--json").result["classes"]
    assert content["classes"] == [0, 1, 2] and content["predicted"] is False
    for row, profile in zip(classes, content["shapley"], strict=True):
        assert float(row[2]) == pytest.approx(profile[0], abs=0.006)


def test_unusual_images(cli: Cli, labelled: Path) -> None:
    shown = cli("show", labelled, "--unusual", 3)
    head, *images = rows(shown.out, "images with the most unusual profiles (nats)")
    assert head[:3] == ["image", "class", "distance"] and len(images) == 3
    content = cli("show", labelled, "--unusual", 3, "--json").result["unusual"]
    assert [row[0] for row in images] == [image["id"] for image in content]
    distances = [image["distance"] for image in content]
    assert distances == sorted(distances, reverse=True) and distances[-1] > 0


def test_classes_of_unlabelled_images_are_called_predicted(cli: Cli, world: Path) -> None:
    call = ("decompose", "python:toys:blunt", world / "unlabelled", *SETTINGS, "--value", "agreement", "--out", "run")
    assert cli(*call, "--quiet").code == 0
    shown = cli("show", "run", "--by-class", "--unusual", 2)
    assert shown.code == 0, shown.err
    head, *classes = rows(shown.out, "Shapley values by predicted class (there are no labels), ")
    assert head[:3] == ["predicted", "class", "images"]
    assert sum(int(row[1]) for row in classes) <= 6
    assert rows(shown.out, "images with the most unusual profiles")[0][:3] == ["image", "predicted", "class"]
    assert cli("show", "run", "--by-class", "--json").result["classes"]["predicted"] is True


def test_another_value_needs_no_model(cli: Cli, labelled: Path) -> None:
    shown = cli("show", labelled, "--value", "accuracy", "--json")
    assert shown.result["settings"]["value"] == "accuracy"
    assert shown.result["values"][-1] == json.loads((labelled / "result.json").read_text())["accuracy"]["value"]


def test_a_run_json_of_a_newer_schema_is_refused(cli: Cli, labelled: Path) -> None:
    content = json.loads((labelled / "run.json").read_text())
    (labelled / "run.json").write_text(json.dumps(content | {"schema_version": 99}))
    for call in (
        ("show", "run"),
        ("show", "run", "--json"),
        ("compare", "run", "run"),
        ("score", "run", "--under", "run"),
    ):
        outcome = cli(*call)
        assert outcome.code == 2 and outcome.out == ""
        assert outcome.err.splitlines() == [
            "spectrobe: run: run.json has schema version 99, this spectrobe reads up to 1: update spectrobe"
        ]


def test_a_lost_shard_is_one_line(cli: Cli, labelled: Path) -> None:
    (labelled / "payoffs/000000.parquet").unlink()
    for more in (("--by-class",), ("--value", "accuracy"), ("--unusual", 2)):
        outcome = cli("show", labelled, *more)
        assert outcome.code == 2 and len(outcome.err.splitlines()) == 1, outcome.err
        assert "payoffs/000000.parquet is missing" in outcome.err and "makes it anew" in outcome.err


def test_every_absence_and_a_run_do_not_share_a_folder(cli: Cli, world: Path) -> None:
    call = (
        "decompose",
        "python:toys:blunt",
        world / "images",
        "--num-classes",
        3,
        *SETTINGS,
        "--out",
        "run",
        "--quiet",
    )
    assert cli(*call, "--absence", "all").code == 0
    before = files(Path("run"))
    plain = cli(*call)
    assert plain.code == 2 and plain.err.splitlines() == [
        "spectrobe: run holds a result of decompose --absence all, not of decompose: choose another --out"
    ]
    assert files(Path("run")) == before
    again = cli(*call, "--absence", "all", "--json")
    assert again.code == 0 and files(Path("run")) == before
    shown = cli("show", "run")
    assert shown.code == 2 and "give one of run/zero, run/mean, run/noise, run/donor" in shown.err
    assert cli("show", "run/mean").code == 0
    other = cli(*call[:-2], "run/mean", "--absence", "all")
    assert other.code == 2 and other.err.splitlines()[-1] == (
        "spectrobe: run/mean holds a run of decompose, not of decompose --absence all: choose another --out"
    )
    assert files(Path("run")) == before


@pytest.mark.parametrize("command", [
    "decompose python:toys:blunt {world}/images --num-classes 3", "snr {world}/images --perturb contrast:2",
    "robustness python:toys:blunt {world}/images --num-classes 3 --perturb contrast:2", "compare run run",
])  # fmt: skip
def test_an_empty_folder_name_is_refused(command: str, cli: Cli, world: Path, tmp_path: Path) -> None:
    if command.startswith("compare"):
        assert (
            cli("decompose", "python:toys:blunt", world / "images", "--num-classes", 3, *SETTINGS, "--out", "run").code
            == 0
        )
    before = files(tmp_path)
    outcome = cli(*command.format(world=world).split(), "--out", "")
    assert outcome.code == 2
    assert "got an empty name" in outcome.err.splitlines()[-1]
    assert files(tmp_path) == before and not Path("runs").exists()


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
