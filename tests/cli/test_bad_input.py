"""What a new user gets wrong: the call, the one line that is printed, exit code 2, and nothing written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from spectrobe.cli.app import as_options
from spectrobe.engine.store import RunFolder
from tests.cli.calls import Cli, assert_refused

pytestmark = pytest.mark.usefixtures("undrawn")

GOOD = "decompose python:toys:colour {world}/images --num-classes 3 --bands 4"
MAPPED = "decompose --class-map {world}/map.json"

# (what is wrong, the call, parts of the line that is printed)
CASES = [
    # the command itself
    ("no such command", "decmpose a b", ["no such command 'decmpose'", "see spectrobe --help"]),
    ("an argument is missing", "decompose", ["missing argument 'MODEL'", "see spectrobe decompose --help"]),
    ("unknown option", f"{GOOD} --bandz 4", ["no such option: --bandz", "--bands"]),
    ("words for a number", f"{GOOD} --images many", ["'--images'", "integer"]),
    ("unknown list", "list colours", ["expected one of models, perturbations, values", "got 'colours'"]),
    # settings
    ("no such bands", f"{GOOD} --bands wavelet:8", ["expected bands such as 8", "'wavelet:8'"]),
    ("edges out of order", f"{GOOD} --bands edges:0,.5,.3,1", ["rise from 0 to 1", "0.5, 0.3"]),
    ("one band", f"{GOOD} --bands 1", ["at least 2 bands"]),
    ("13 exact bands", f"{GOOD} --bands 13", ["8,192 forward passes an image", "--force", "--design 'permutation'"]),
    ("17 exact bands, forced", f"{GOOD} --bands 17 --force", ["at most 16", "131,072 forward passes", "permutation"]),
    ("more bands than pixels", f"{GOOD} --bands 10", ["16 x 16", "largest number of square bands that works is 9"]),
    ("unknown value", f"{GOOD} --value usable-informtion", ["'usable-informtion'", "did you mean usable-information"]),
    ("unknown absence", f"{GOOD} --absence men", ["expected an absence out of zero, mean", "did you mean mean"]),
    ("unknown design", f"{GOOD} --design sampled", ["'permutation' or 'auto'", "'sampled'"]),
    ("no tolerance at all", f"{GOOD} --tolerance 0", ["a tolerance above 0", "0.0"]),
    ("tolerance is no number", f"{GOOD} --tolerance nan", ["a tolerance above 0", "nan"]),
    ("confidence in percent", f"{GOOD} --confidence 95", ["confidence between 0.5 and 1, such as 0.95", "95.0"]),
    ("negative images", f"{GOOD} --images -3", ["at least 2 images", "-3"]),
    ("more images than there are", f"{GOOD} --images 99", ["at most 12 images", "99"]),
    ("unknown precision", f"{GOOD} --precision half", ["'tf32' or 'bfloat16'", "'half'"]),
    ("batches of nothing", f"{GOOD} --batch-size 0", ["--batch-size 'auto' or a whole number", "0"]),
    ("batches of words", f"{GOOD} --batch-size large", ["--batch-size 'auto' or a whole number", "'large'"]),
    ("negative workers", f"{GOOD} --workers -1", ["workers", "0 or more", "-1"]),
    ("unknown device", f"{GOOD} --device gpu", ["expected device auto, cpu, cuda", "'gpu'"]),
    ("unknown way with bad images", f"{GOOD} --on-bad-image ignore", ["--on-bad-image 'error' or 'skip'", "'ignore'"]),
    # models
    ("no scheme", "decompose resnet50 {world}/images", ["expected a model such as timm:resnet50", "'resnet50'"]),
    ("unknown scheme", "decompose tim:resnet50 {world}/images", ["unknown model scheme tim:", "nearest", "timm"]),
    ("misspelt name", "decompose timm:resnet5O {world}/images", ["resnet5O", "nearest", "resnet50"]),
    ("misspelt demo model", "decompose demo:efficientnet {world}/images", ["'efficientnet'", "efficientnet-lite0"]),
    ("no such module", "decompose python:toyz:colour {world}/images", ["python:toyz:colour", "toyz"]),
    ("no such function", "decompose python:toys:color {world}/images", ["no color in toys", "nearest", "colour"]),
    ("not a model", "decompose python:toys:text {world}/images --num-classes 3", ["expected a model", "got str"]),
    ("no such ONNX file", "decompose onnx:net.onnx {world}/images", ["net.onnx"]),
    ("unknown option of a scheme", "decompose timm:resnet10t?weights=a {world}/images", ["weights", "known are"]),
    ("no such checkpoint", "decompose timm:resnet10t --checkpoint a.pt --num-classes 3 {world}/images", ["a.pt"]),
    ("mean in 0-255", f"{GOOD} --mean 123,117,104 --std 58,57,57", ["mean of pixels in [0, 1]", "by 255"]),
    ("mean without std", f"{GOOD} --mean .5", ["mean and std together"]),
    ("no such size", f"{GOOD} --size huge", ["size", "'huge'"]),
    ("crop in percent", f"{GOOD} --crop 87.5", ["crop in (0, 1]", "87.5"]),
    ("unknown interpolation", f"{GOOD} --interpolation cubic", ["interpolation", "bicubic", "'cubic'"]),
    ("one class", GOOD.replace("classes 3", "classes 1"), ["at least 2 classes", "--num-classes 1"]),
    ("one logit", f"{MAPPED} python:toys:one_logit {{world}}/images", ["2 logits", "got 1", "--num-classes 2"]),
    ("boxes", GOOD.replace("colour", "boxes"), ["python:toys:boxes", "boxes", "no classifier"]),
    ("another class count", f"{MAPPED} python:toys:colour {{world}}/images --num-classes 4", ["4 classes", "of 3"]),
    ("fewer folders than classes", GOOD.replace("classes 3", "classes 4"), ["4 classes", "--class-map"]),
    ("NaN outputs", GOOD.replace("colour", "nan"), ["python:toys:nan", "finite logits", "NaN"]),
    ("a model that fails", GOOD.replace("colour", "raises"), ["python:toys:raises failed", "no such layer"]),
    # data
    ("missing folder", GOOD.replace("images", "imagse"), ["no such folder", "imagse"]),
    ("empty folder", GOOD.replace("images", "empty"), ["no images in", "expected FOLDER/CLASS/image.jpg"]),
    ("unknown data scheme", "decompose python:toys:colour s4:images", ["unknown data 's4:images'", "parquet"]),
    ("no labels", GOOD.replace("images", "unlabelled"), ["has no labels", "--value agreement"]),
    ("one class only", f"{MAPPED} python:toys:colour {{world}}/one_class", ["of one class (0)", "--value agreement"]),
    ("a single image", f"{MAPPED} python:toys:colour {{world}}/single", ["at least 2 images, got 1"]),
    ("a flat image", GOOD.replace("images", "flat"), ["a/flat.png", "flat", "--on-bad-image skip"]),
    ("a torn image", GOOD.replace("images", "broken"), ["a/torn.png", "--on-bad-image skip"]),
    ("images of several sizes", GOOD.replace("images", "sizes"), ["(3, 1", "--size"]),
    ("classes nobody knows", "decompose python:toys:colour {world}/images", ["class folders (a, b, c)", "--class-map"]),
    ("class map out of range", f"{GOOD} --class-map {{world}}/map_far.json", ["maps 'c' to 7", "0 to 2"]),
    ("class map too short", f"{GOOD} --class-map {{world}}/map_short.csv", ["map_short.csv", "c"]),
    ("class map no JSON", f"{GOOD} --class-map {{world}}/map_torn.json", ["map_torn.json", "not JSON"]),
    ("no such class map", f"{GOOD} --class-map nowhere.json", ["'nowhere.json' does not exist"]),
    ("class map for plain images", f"{MAPPED} python:toys:colour {{world}}/unlabelled", ["--class-map", "leave it"]),
    ("column of a folder", f"{GOOD} --image-column pixels", ["--image-column 'pixels'", "an image folder"]),
    # comparing
    ("too few runs", "compare a", ["missing argument 'RUN_B'"]),
    ("a gate without its option", "compare a b --metric score", ["--metric together with --fail-if-worse"]),
    ("no run there", "compare nowhere nothing", ["nowhere", "expected a run folder"]),
]  # fmt: skip


@pytest.mark.parametrize("call, line", [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_bad_input_is_one_line_that_says_what_to_do(
    call: str, line: list[str], cli: Cli, world: Path, tmp_path: Path
) -> None:
    assert_refused(cli(*call.format(world=world).split()), line, tmp_path)


@pytest.mark.parametrize("message, said", [
    ("expected batch_size 'auto', got images=3", "expected --batch-size 'auto', got --images 3"),
    ("give size=224x224 (size=...), or workers=2", "give --size 224x224 (--size ...), or --workers 2"),
    ("timm:a?num_classes=10&size=3 in image_size=3", "timm:a?num_classes=10&size=3 in image_size=3"),
    ("--class-map, the value of a size", "--class-map, the value of a size"),
    ("if you trust it, allow_pickle=True (--allow-pickle)", "if you trust it, --allow-pickle"),
    ("or force=True (--force) up to 16 bands", "or --force up to 16 bands"),
    ("expected allow_pickle beside the model string", "expected --allow-pickle beside the model string"),
])  # fmt: skip
def test_arguments_are_named_as_options(message: str, said: str) -> None:
    assert as_options(message) == said


def test_a_missing_extra_is_named_with_its_install_command(cli: Cli, world: Path, no_timm: None) -> None:
    outcome = cli("decompose", "timm:resnet10t", world / "images")
    assert outcome.code == 2 and len(outcome.err.splitlines()) == 1
    assert "needs timm, which is not installed: pip install 'spectrobe[timm]'" in outcome.err


def test_cuda_that_is_not_there_is_refused(cli: Cli, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    outcome = cli(*GOOD.format(world=world).split(), "--device", "cuda")
    assert outcome.code == 2
    assert "spectrobe: device 'cuda' is not available here (available: cpu" in outcome.err


def test_labels_outside_the_models_classes_name_the_image(cli: Cli, world: Path) -> None:
    outcome = cli("decompose", "python:toys:colour", f"parquet:{world}/far.parquet", "--num-classes", 3, "--bands", 4)
    assert outcome.code == 2 and len(outcome.err.splitlines()) == 1
    assert "has label 7, expected 0 to 2" in outcome.err


def test_labels_outside_classes_that_only_the_outputs_tell(cli: Cli, world: Path) -> None:
    outcome = cli("decompose", "python:toys:colour", f"parquet:{world}/far.parquet", "--bands", 4)
    assert outcome.code == 2 and len(outcome.err.splitlines()) == 1
    assert "expected labels from 0 to 2" in outcome.err


def test_nan_for_some_coalitions_names_image_and_bands_and_keeps_what_was_done(cli: Cli, world: Path) -> None:
    call = GOOD.format(world=world).replace("colour", "nan_without_colour").split()
    outcome = cli(*call, "--out", "run", "--absence", "zero", "--batch-size", 8, "--precision", "float32")
    assert outcome.code == 2
    last = outcome.err.splitlines()[-1]
    assert "NaN or infinite logits for image" in last and "with bands [1, 2, 3] present" in last
    assert (Path("run") / "run.json").exists() and not (Path("run") / "result.json").exists()


def test_a_run_of_other_settings_is_refused_naming_the_difference(cli: Cli, world: Path) -> None:
    call = GOOD.format(world=world).split()
    assert cli(*call, "--out", "run", "--batch-size", 32).code == 0
    before = files(Path("run"))
    for option, there, now in (
        (("--value", "accuracy"), "'usable-information'", "'accuracy'"),
        (("--seed", 1), "seed: there 0", "now 1"),
        (("--images", 6), "images: there all", "now 6"),
    ):
        outcome = cli(*call, "--out", "run", "--batch-size", 32, *option)
        assert outcome.code == 2
        last = outcome.err.splitlines()[-1]
        assert "run holds a run of other settings" in last and there in last and now in last
    assert files(Path("run")) == before


def test_a_run_of_another_model_is_refused(cli: Cli, world: Path) -> None:
    call = GOOD.format(world=world)
    assert cli(*call.split(), "--out", "run").code == 0
    outcome = cli(*call.replace("colour", "blunt").split(), "--out", "run")
    assert outcome.code == 2
    assert "there 'python:toys:colour', now 'python:toys:blunt'" in outcome.err.splitlines()[-1]


@pytest.mark.parametrize("name", ["run.json", "result.json"])
def test_a_run_of_a_newer_schema_is_refused(name: str, cli: Cli, world: Path) -> None:
    call = GOOD.format(world=world).split()
    assert cli(*call, "--out", "run").code == 0
    path = Path("run") / name
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 99}))
    for again in ((*call, "--out", "run"), ("compare", "run", "run")):
        outcome = cli(*again)
        assert outcome.code == 2
        assert f"{name} has schema version 99" in outcome.err and "update spectrobe" in outcome.err


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": 1, "kind": "decompose"}'])
def test_a_damaged_result_is_named_and_made_anew_once_deleted(text: str, cli: Cli, world: Path) -> None:
    call = (*GOOD.format(world=world).split(), "--out", "run")
    first = cli(*call, "--json").out
    (Path("run") / "result.json").write_text(text)
    outcome = cli(*call)
    assert outcome.code == 2
    assert "result.json is damaged" in outcome.err and "delete it" in outcome.err.splitlines()[-1]
    (Path("run") / "result.json").unlink()
    assert cli(*call, "--json").out == first


def test_a_folder_that_cannot_be_written(cli: Cli, world: Path) -> None:
    outcome = cli(*GOOD.format(world=world).split(), "--out", world / "map.json" / "run")
    assert outcome.code == 2
    assert "cannot make or write this folder" in outcome.err and "choose another --out" in outcome.err


def test_runs_that_cannot_be_made_here(cli: Cli, world: Path) -> None:
    Path("runs").write_text("a file is in the way")
    outcome = cli(*GOOD.format(world=world).split())
    assert outcome.code == 2 and len(outcome.err.splitlines()) == 1
    assert "cannot make a folder in" in outcome.err and "give --out" in outcome.err


def test_a_folder_in_use_is_refused(cli: Cli, world: Path) -> None:
    with RunFolder("run").lock():
        outcome = cli(*GOOD.format(world=world).split(), "--out", "run")
    assert outcome.code == 2
    assert "another run is writing here" in outcome.err


def test_payoffs_without_a_run_are_not_taken_for_one(cli: Cli, world: Path) -> None:
    (Path("run") / "payoffs").mkdir(parents=True)
    (Path("run") / "payoffs" / "000000.parquet").write_text("?")
    outcome = cli(*GOOD.format(world=world).split(), "--out", "run")
    assert outcome.code == 2
    assert "holds payoffs but no run.json" in outcome.err


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
