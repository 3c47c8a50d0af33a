"""`spectrobe study`: both studies from the command line, their files, and endings."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

import spectrobe as sb
from tests.cli.calls import Cli
from tests.cli.test_repeat import repeated

pytestmark = pytest.mark.slow

pytest.importorskip("lightning")
pytest.importorskip("sklearn")
SMALL = ("--seeds", 2, "--epochs", 1, "--arch", "resnet:4", "--batch", 64, "--images", 200, "--bands", 4)


def test_label_noise(cli: Cli) -> None:
    outcome = cli("study", "label-noise", "demo", *SMALL, "--rates", "0,.8", "--precision", "float32")
    assert outcome.code == 0, outcome.err
    folder = "runs/study-label-noise-demo-1"
    found = sb.load(folder)
    assert found.demo and found.rates == (0.0, 0.8)
    assert "Demo, no evidence" in outcome.out and "never counts as evidence" in outcome.err.replace("\n", " ")
    assert "4 trainings of 1 epochs" in outcome.err.replace("\n", " ")
    assert (
        outcome.out.splitlines()[-1]
        == f"{folder}: run.json, readings, result.json, figures/label-noise.svg, figures/label-noise.png"
    )
    repeated(cli, folder)
    assert cli("figure", "label_noise", folder, "-o", "ln.svg", "--width", "single").code == 0
    assert Path("ln.svg").stat().st_size > 10_000


def test_feature_snr(cli: Cli) -> None:
    outcome = cli(
        "study", "feature-snr", "demo", *SMALL, "--inject", "none", "--test-images", 60, "--perturb",
        "gaussian_noise:3,contrast:2", "--out", "there",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    found = sb.load("there")
    assert found.perturbations == ("gaussian_noise:3", "contrast:2") and found.injected_accuracy is None
    assert "there: run.json, predictions, result.json, figures/snr-training.svg" in outcome.out
    repeated(cli, "there")
    assert cli("figure", "snr_training", "there", "-o", "st.svg").code == 0


@pytest.mark.parametrize(
    "words, said",
    [
        (("label-noise", "demo", "--rates", "0,2"), "expected rates of label noise in [0, 1], got 2.0"),
        (("label-noise", "demo", "--rates", "0,x"), "expected rates as numbers with commas"),
        (("feature-snr", "demo", "--groups", "0-1,2-9"), "got band 9"),
        (("feature-snr", "demo", "--inject", "-30"), "dB and more"),
        (("feature-snr", "demo", "--inject", "5,10"), "expected --inject as an SNR in dB, such as 10, or none"),
        (("feature-snr", "demo", "--test-images", "5"), "expected --test-images of at least 20, got 5"),
        (("label-noise", "demo", "--batch", "1"), "expected --batch-size of at least 2, got 1"),
        (("label-noise", "nowhere"), "no such folder"),
    ],
)
def test_bad_input_is_one_line(cli: Cli, words: tuple[str, ...], said: str) -> None:
    outcome = cli("study", *words, "--quiet")
    assert outcome.code == 2 and said in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1
    assert not list(Path("runs").glob("*")) if Path("runs").exists() else True


def test_every_study_has_the_options_of_trainings(cli: Cli) -> None:
    """Said once, in `shared`: what a study takes in Python it takes on the command line."""
    import inspect

    for name in ("label_noise", "feature_snr"):
        shown = cli("study", name.replace("_", "-"), "--help").out
        named = {"batch_size": "batch", "budget_only": "budget", "perturbations": "perturb", "rate": "learning-rate"}
        for option in set(inspect.signature(getattr(sb, name)).parameters) - {
            "data",
            "for_data",
            "progress",
            "inject_db",
        }:
            assert f"--{named.get(option, option).replace('_', '-')}" in shown, (name, option)
    told = cli("study", "label-noise", "demo", "--rate", 0.05, "--budget", "--quiet")
    assert (told.code, told.out) == (0, ""), "the learning rate was called --rate before"


def test_an_unknown_study_names_the_help(cli: Cli) -> None:
    outcome = cli("study", "nonsense")
    assert outcome.code == 2 and "study --help" in outcome.err


def test_interrupted(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from spectrobe.studies.training import lightning_loop

    def press(self: object, *given: object) -> None:
        signal.raise_signal(signal.SIGINT)

    step = lightning_loop._Module.training_step
    monkeypatch.setattr(lightning_loop._Module, "training_step", press)
    call = (
        "study",
        "label-noise",
        "demo",
        *SMALL,
        "--rates",
        "0",
        "--seeds",
        1,
        "--precision",
        "float32",
        "--out",
        "there",
    )
    outcome = cli(*call)
    assert outcome.code == 130 and "the same call goes on from there" in outcome.err
    monkeypatch.setattr(lightning_loop._Module, "training_step", step)
    assert cli(*call).code == 0
