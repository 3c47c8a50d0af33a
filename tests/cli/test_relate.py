"""`spectrobe relate` and `spectrobe zoo`."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import spectrobe as sb
from spectrobe.studies.relate.study import relate
from spectrobe.studies.zoo.study import measure_zoo
from tests.cli.calls import Cli
from tests.cli.nets import NETS

pytestmark = pytest.mark.slow

ZOO = (
    NETS
    + """
def c(): return net(2)
def d(): return net(3)
def broken(): raise RuntimeError("planted: no such layer")
"""
)
MODELS = """
models = ["python:zoonets:a?num_classes=3"]
[[model]]
model = "python:zoonets:b?num_classes=3"
name = "second"
recipe = "pair"
[[model]]
model = "python:zoonets:c"
name = "third"
recipe = "pair"
options = { size = 16, num_classes = 3 }
"""
A = "python:zoonets:a?num_classes=3"
FOLDER = "python-zoonets-a-num_classes-3"
PERTURB = "contrast:2,pgd_linf:eps=4/255;steps=2"
SETTINGS: tuple[object, ...] = ("--perturb", PERTURB, "--bands", 2, "--batch-size", 16, "--quiet")


@pytest.fixture
def zoo(cli: Cli, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Models that can be opened, and a file of three of them."""
    (world / "zoonets.py").write_text(ZOO)
    for name, few in (("n_resamples", 199), ("n_permutations", 199)):
        monkeypatch.setitem(relate.__kwdefaults__, name, few)
    (tmp_path / "models.toml").write_text(MODELS)
    return cli


@pytest.fixture(scope="module")
def finished(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs of a zoo that was measured, without what relates them."""
    root = tmp_path_factory.mktemp("zoo")
    (root / "zoonets.py").write_text(ZOO)
    (root / "models.toml").write_text(MODELS)
    sys.path.insert(0, str(root))
    measure_zoo(
        root / "models.toml", str(world / "images"), PERTURB, bands=2, batch_size=16, out=root / "z",
        relate_with={"n_resamples": 100, "n_permutations": 100},
    )  # fmt: skip
    sys.path.remove(str(root))
    sys.modules.pop("zoonets", None)
    return root / "z"


@pytest.fixture
def runs(zoo: Cli, finished: Path, tmp_path: Path) -> Cli:
    """The command line beside a copy of them."""
    shutil.copytree(finished, tmp_path / "z")
    return zoo


def test_a_zoo_ends_in_a_relation(zoo: Cli, world: Path) -> None:
    outcome = zoo("zoo", "models.toml", world / "images", *SETTINGS, "--out", "z", "--absence", "mean,zero")
    assert outcome.code == 0, outcome.err
    for folder in (FOLDER, "second", "third"):
        for run in ("decompose-mean", "decompose-zero", "robustness"):
            assert Path(f"z/{folder}/{run}/result.json").exists()
    found = sb.load("z/relate")
    assert found.models == (A, "second", "third")
    assert found.recipes == (A, "pair", "pair")
    assert "signed/accuracy/zero" in found.scores and "accuracy/contrast:2" in found.measures
    assert "With 3 models nothing is claimed." in outcome.out
    assert Path("z/relate/figures/score-robustness.png").exists()
    before = {path: path.read_bytes() for path in Path("z").rglob("result.json")}
    again = zoo("zoo", "models.toml", world / "images", *SETTINGS, "--out", "z", "--absence", "mean,zero")
    assert again.code == 0
    assert {path: path.read_bytes() for path in Path("z").rglob("result.json")} == before


def test_the_budget_alone(zoo: Cli, world: Path) -> None:
    outcome = zoo("zoo", "models.toml", world / "images", *SETTINGS, "--out", "z", "--budget", "--json")
    assert outcome.code == 0 and not Path("z").exists()
    costs = outcome.result["models"]
    # 3 coalitions of 2 bands on 12 images, and the empty one, which is shared
    assert [cost["decompose"] for cost in costs] == [37, 37, 37]  # type: ignore[index,union-attr]
    assert all(cost["seconds"] > 0 for cost in costs)  # type: ignore[union-attr]
    shown = zoo("zoo", "models.toml", world / "images", *SETTINGS, "--out", "z", "--budget")
    assert [line.split()[2] for line in shown.out.splitlines()[2:5]] == ["37"] * 3


def test_one_failing_model_is_set_aside(zoo: Cli, world: Path) -> None:
    Path("models.toml").write_text(MODELS.replace("models = [", 'models = ["python:zoonets:broken", '))
    outcome = zoo("zoo", "models.toml", world / "images", *SETTINGS, "--out", "z")
    assert outcome.code == 1
    assert "spectrobe: python:zoonets:broken: " in outcome.err and "planted: no such layer" in outcome.err
    assert sb.load("z/relate").n_models == 3
    assert "planted: no such layer" in Path("z/python-zoonets-broken/failed.txt").read_text()


def test_a_perturbation_that_fails_on_one_model_is_told(zoo: Cli, world: Path) -> None:
    # a function without gradients cannot be attacked, and everything else goes on
    Path("models.toml").write_text(MODELS.replace("models = [", 'models = ["python:zoonets:steps?num_classes=3", '))
    outcome = zoo("zoo", "models.toml", world / "images", *SETTINGS, "--out", "z")
    assert outcome.code == 1 and "steps?num_classes=3 under pgd_linf:eps=4/255;steps=2: " in outcome.err
    found = sb.load("z/relate")
    assert found.n_models == 4
    assert found.relation("clean-accuracy", "accuracy/contrast:2").n_models == 4
    attacked = found.relation("clean-accuracy", "accuracy/pgd_linf:eps=4/255;steps=2")
    assert attacked.missing == ("python:zoonets:steps?num_classes=3",)


def test_fewer_than_three_models_are_measured_and_not_related(zoo: Cli, world: Path) -> None:
    Path("models.toml").write_text(MODELS.rpartition("[[model]]")[0])
    outcome = zoo("zoo", "models.toml", world / "images", *SETTINGS[:-1], "--out", "z")
    assert (
        "2 models, " in outcome.err and "their bands cut, once and kept in memory, at 16x16 for 2 models" in outcome.err
    )
    assert outcome.code == 0 and "2 models were measured, of which at least 3 are needed" in outcome.err
    assert not Path("z/relate").exists()


@pytest.mark.parametrize(
    "text, message",
    [
        ("models = []", "no models: expected models ="),
        ("models = 3", "expected models ="),
        ("model = [1]", "model 1: expected models ="),
        ("other = 1", "unknown key other"),
        ("models = [", "is no TOML"),
        ('[[model]]\nname = "x"', "model 1: expected model to be a text, got None"),
        ('[[model]]\nmodel = "a:b"\nrecipes = "x"', "unknown key recipes; known are model, name, recipe, options"),
        ('[[model]]\nmodel = "a:b"\noptions = { widht = 3 }', "unknown option widht; known are checkpoint"),
        ('[[model]]\nmodel = "a:b"\nname = 3', "expected name to be a text, got 3"),
        ('models = ["a:b", "a:b"]', "two models are called 'a:b'"),
        ('models = ["python:zoonets:broken"]', "none of the 1 models can be measured; python:zoonets:broken: "),
    ],
)
def test_files_of_models_that_cannot_be_used(text: str, message: str, zoo: Cli, world: Path) -> None:
    Path("models.toml").write_text(text)
    outcome = zoo("zoo", "models.toml", world / "images", *SETTINGS)
    assert outcome.code == 2 and message in outcome.err and outcome.err.count("\n") == 1


def test_arguments_are_checked_before_models_are_opened(zoo: Cli, world: Path) -> None:
    for more, message in (
        (("--absence", "men"), "men"),
        (("--perturb", "contast:2"), "contast"),
        (("--images", 1), "at least 2"),
        (("--value", "acuracy"), "acuracy"),
    ):
        outcome = zoo("zoo", "models.toml", world / "images", *SETTINGS, *more)
        assert outcome.code == 2 and message in outcome.err
    outcome = zoo("zoo", "nowhere.toml", world / "images", *SETTINGS)
    assert outcome.code == 2 and "cannot read 'nowhere.toml'" in outcome.err


def test_relate_shows_all_and_writes_what_it_shows(runs: Cli) -> None:
    Path("r.csv").write_text(f"model,top1,family\n{A},3,x\nsecond,1,y\nthird,2,y\n")
    outcome = runs("relate", "z", "--against", "r.csv", "--group-column", "family", "--quiet", "--out", "r")
    assert outcome.code == 0, outcome.err
    found = sb.load("r")
    assert found.recipes == ("x", "y", "y") and list(found.measures)[-1] == "top1"
    text = [" ".join(line.split()) for line in outcome.out.splitlines()]
    one = found.relation("low-band/log-likelihood/mean", "top1")
    assert any(line.startswith(f"low-band/log-likelihood/mean 3 {one.spearman.value:.2f}") for line in text)
    assert text[0].startswith("3 models of 2 recipes, ")
    assert "r: run.json, result.json, figures/score-robustness.svg, figures/score-robustness.png" in text
    as_json = runs("relate", "z", "--against", "r.csv", "--group-column", "family", "--quiet", "--json", "--out", "r")
    assert as_json.code == 0 and as_json.out == Path("r/result.json").read_text()
    assert as_json.result["kind"] == "relate" and as_json.result["claims"] is False
    other = runs("relate", "z", "--quiet", "--out", "r")
    assert other.code == 2 and "r holds another result: choose another folder" in other.err


def test_relate_shows_some(runs: Cli) -> None:
    outcome = runs("relate", "z", "--measure", "accuracy/con*", "--score", "signed/*", "--quiet")
    assert outcome.code == 0 and "entropy" not in outcome.out.split("measured robustness")[0]
    assert "pgd_linf" not in outcome.out and Path("runs/relate-models-1/result.json").exists()
    for option, name in (("--measure", "top9"), ("--score", "sined/*"), ("--only", "sined/*")):
        outcome = runs("relate", "z", option, name, "--quiet")
        assert outcome.code == 2 and f"is called {name!r}; there are " in outcome.err
    few = runs("relate", "z", "--only", "signed/*", "--quiet", "--json")
    kinds = {name.partition("/")[0] for name in few.result["scores"]}  # type: ignore[attr-defined]
    assert kinds == {"signed", "clean-accuracy"}
    assert json.loads(few.out)["settings"]["only"] == ["signed/*"]


def test_relate_refuses_what_cannot_be_related(runs: Cli) -> None:
    outcome = runs("relate", "z/second", "--quiet")
    assert (
        outcome.code == 2 and "expected at least 3 models with a score and a measured robustness, got 1" in outcome.err
    )
    outcome = runs("relate", "z", "nowhere", "--quiet")
    assert outcome.code == 2 and "no such folder: 'nowhere'" in outcome.err
    outcome = runs("relate", "z", "--without", "zz", "--quiet")
    assert outcome.code == 2 and "without 'zz': no model and no recipe has such a name" in outcome.err
    assert not Path("runs").exists() or not any(Path("runs").iterdir())


def test_weights_of_the_same_file_are_one_model(zoo: Cli, world: Path) -> None:
    # two names for the same checkpoint: told, not counted twice
    torch.manual_seed(0)
    save_file(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, 3)).state_dict(), "w.safetensors")
    twins = ", ".join(f'"python:zoonets:{name}?checkpoint=w.safetensors&num_classes=3"' for name in "bc")
    Path("models.toml").write_text(f'models = ["{A}", "python:zoonets:d?num_classes=3", {twins}]')
    outcome = zoo("zoo", "models.toml", world / "images", *SETTINGS, "--out", "z")
    assert outcome.code == 2 and "has two decompositions with absence mean: z/" in outcome.err
    assert np.isfinite(sb.load(f"z/{FOLDER}/decompose-mean").information.value)
