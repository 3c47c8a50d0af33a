"""The command that a report prints for a run is that run: called again on its folder, it finds it done."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest
import torch

import spectrobe as sb
from spectrobe.report.commands import command_of
from spectrobe.report.runs import open_runs
from tests.cli.calls import Cli, photo, png
from tests.cli.nets import NETS

pytestmark = pytest.mark.slow

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


@pytest.fixture
def table(folder: Path) -> str:
    """Images in a column that nobody would guess, beside another one; labels as words in one of two columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pixels = [png(photo(number % 3, number)) for number in range(6)]
    words = [["red", "green", "blue"][number % 3] for number in range(6)]
    columns = {"photo": pixels, "thumb": pixels[::-1], "tone": words, "mood": ["calm"] * 6}
    pq.write_table(pa.table(columns), folder / "table.parquet")
    (folder / "tones.json").write_text('{"red": 0, "green": 1, "blue": 2}')
    return "parquet:table.parquet"


COLUMNS = ("--image-column", "photo", "--label-column", "tone", "--class-map", "tones.json")


@pytest.mark.parametrize(
    "call",
    [
        ("decompose", "python:toys:blunt", "--bands", 2),
        ("robustness", "python:toys:blunt", "--perturb", "contrast:2"),
        ("response", "python:toys:blunt", "--bands", "edges:0,.4,1", "--powers", "0.01,0.02", "--under", "none"),
    ],
    ids=lambda call: call[0],
)
def test_what_was_said_of_columns_and_classes_is_said_again(
    call: tuple[object, ...], cli: Cli, table: str, undrawn: None
) -> None:
    command, model, *more = call
    model_options = ("--size", 16, "--num-classes", 3)
    outcome = cli(command, model, table, *model_options, *more, *COLUMNS, "--out", "run", "--quiet")
    assert outcome.code == 0, outcome.err
    about = json.loads(Path("run", "run.json").read_text())
    said = {"class_map": "tones.json", "image_column": "photo", "label_column": "tone"}
    assert about["data_options"] == said and "data_options" not in about["identity"]
    assert shlex.join(map(str, COLUMNS[-2:])) in command_of(open_runs("run")[0])
    repeated(cli, "run")


def test_what_was_not_said_is_not_recorded_and_older_runs_have_their_command(cli: Cli, folder: Path) -> None:
    call = ("decompose", "python:toys:blunt?class_names=names.txt", "images", "--bands", 2, "--out", "run", "--quiet")
    assert cli(*call).code == 0
    assert "data_options" not in json.loads(Path("run", "run.json").read_text())
    assert "--class-map" not in command_of(open_runs("run")[0])


def test_the_data_stand_in_the_command_as_they_were_given(cli: Cli, folder: Path, tmp_path: Path) -> None:
    """With folders, which a report cuts off unless it is to show paths."""
    where = Path("images").resolve()
    call = ("decompose", "python:toys:blunt?class_names=names.txt", where, "--bands", 2, "--out", "run", "--quiet")
    assert cli(*call).code == 0
    assert json.loads(Path("run", "run.json").read_text())["data_written"] == str(where)
    assert str(where) in command_of(open_runs("run")[0])
    for shown in (False, True):
        sb.report("run", tmp_path / "report.html", photographs=0, show_paths=shown)
        assert (str(where) in (tmp_path / "report.html").read_text()) is shown


def test_a_class_map_that_was_no_file_is_named_as_one(folder: Path) -> None:
    x = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    data = sb.data.open_data((x, torch.arange(6) % 2 + 4), class_map={"4": 0, "5": 1})
    sb.decompose(lambda x: x.mean((2, 3))[:, :2], data, bands=2, batch_size=8, precision="float32", out=folder / "run")
    assert json.loads((folder / "run" / "run.json").read_text())["data_options"] == {"class_map": {"4": 0, "5": 1}}
    assert command_of(open_runs(folder / "run")[0]).endswith("--class-map CLASSES.json")


def test_a_robustness_run_on_stored_images_is_not_taken_for_perturbations(cli: Cli, folder: Path, world: Path) -> None:
    for severity in (1, 2):
        shutil.copytree(world / "images", Path("tree", "fog", str(severity)))
    model = "python:toys:blunt?class_names=names.txt"
    call = ("robustness", model, "images", "--tree", "tree", "--perturb", "contrast:2", "--out", "run", "--quiet")
    assert cli(*call).code == 0
    words = shlex.split(command_of(open_runs("run")[0]))
    assert words[words.index("--perturb") + 1] == "contrast:2" and words[words.index("--tree") + 1] == "ROOT"
    assert "--against" not in words


def test_a_perturbation_that_was_refused_is_asked_for_again(
    cli: Cli, folder: Path, undrawn: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("stairs.py").write_text(NETS)
    monkeypatch.syspath_prepend(str(folder))
    model = "python:stairs:steps?class_names=names.txt"
    call = ("robustness", model, "images", "--perturb", "contrast:2,pgd_linf:eps=4/255;steps=2", "--out", "run")
    assert cli(*call, "--quiet").code == 1
    [run] = open_runs("run")
    words = shlex.split(command_of(run))
    assert words[words.index("--perturb") + 1] == "contrast:2,pgd_linf:eps=4/255;steps=2"


def test_an_snr_run_too(cli: Cli, folder: Path) -> None:
    attack = "gaussian_noise:1-2,fgsm_linf:eps=4/255"
    predicted = ("--model", "python:toys:blunt?class_names=names.txt&size=16", "--labels", "prediction")
    for more in (
        (),
        predicted,
        ("--model", "python:toys:blunt?class_names=names.txt&size=16", "--dc", "in-band", "--images", 5),
    ):
        out = f"run{len(more)}"
        perturb = attack if more else "gaussian_noise:1"
        call = ("snr", "images", "--perturb", perturb, "--bands", 2, "--quantize", 8, *more, "--out", out, "--quiet")
        assert cli(*call).code == 0
        repeated(cli, out)


def test_checkpoints_too(cli: Cli, folder: Path) -> None:
    from safetensors.torch import save_file

    for step in (1, 2):
        torch.manual_seed(step)
        save_file(torch.nn.Linear(3, 3).state_dict(prefix="head."), f"step{step}.safetensors")
    call = ("track", "step*.safetensors", "--model", "python:toys:Net?class_names=names.txt", "--data", "images",
            "--num-classes", 3, "--images", 6, "--bands", 2, "--out", "run", "--quiet")  # fmt: skip
    outcome = cli(*call)
    assert outcome.code == 0, outcome.err
    repeated(cli, "run")
