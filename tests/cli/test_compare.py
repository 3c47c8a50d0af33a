"""`spectrobe compare`: paired differences, and the gate."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import spectrobe as sb
from spectrobe.cli import main
from tests.cli.calls import Cli

SETTINGS = ("--num-classes", 3, "--bands", 4, "--batch-size", 32, "--precision", "float32", "--quiet")


@pytest.fixture(scope="module")
def made(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs on the same images: `good` reads colour well, `poor` takes one colour for another now and then."""
    root = tmp_path_factory.mktemp("compared")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(world))
        for name, function in (("good", "colour"), ("poor", "confused")):
            call = ("decompose", f"python:toys:{function}", world / "images", *SETTINGS, "--out", root / name)
            assert main([str(word) for word in call]) == 0
    return root


@pytest.fixture
def runs(cli: Cli, made: Path, tmp_path: Path) -> Cli:
    """The command line beside a copy of them."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return cli


def test_differences_band_by_band_and_by_score(runs: Cli) -> None:
    outcome = runs("compare", "good", "poor")
    assert outcome.code == 0 and outcome.err == ""
    a, b = sb.load("good"), sb.load("poor")
    found = sb.compare(a, b)
    assert outcome.out.splitlines()[:3] == [
        "A: python:toys:colour", "B: python:toys:confused", "12 images, usable-information (nats), paired",
    ]  # fmt: skip
    text = [" ".join(line.split()) for line in outcome.out.splitlines()]
    for band in range(4):
        low, high = found.interval[band]
        assert (
            f"{band} {band / 8:.3f}-{(band + 1) / 8:.3f} {a.shapley[band]:+.3f} {b.shapley[band]:+.3f} "
            f"{found.difference[band]:+.3f} [{low:+.3f}, {high:+.3f}]"
        ) in text
    assert any(line.startswith(f"information {a.scores['information'].value:+.3f}") for line in text)
    assert "gate" not in outcome.out


def test_the_gate_fails_a_worse_model(runs: Cli) -> None:
    outcome = runs("compare", "good", "poor", "--fail-if-worse", "--metric", "information")
    assert outcome.code == 1
    p = sb.compare(sb.load("good"), sb.load("poor")).worse(["information"])["information"]
    assert f"gate: information of B is worse (one-sided p = {p:.3g})" in outcome.out


@pytest.mark.parametrize("a, b", [("poor", "good"), ("good", "good")])
def test_the_gate_passes_a_model_that_is_not_worse(a: str, b: str, runs: Cli) -> None:
    outcome = runs("compare", a, b, "--fail-if-worse", "--metric", "information")
    assert outcome.code == 0
    assert "gate: information of B is not shown to be worse (one-sided p = " in outcome.out


def test_several_metrics_are_adjusted_together(runs: Cli) -> None:
    outcome = runs(
        "compare", "good", "good", "--fail-if-worse", "--metric", "score", "--metric", "information", "--json"
    )
    assert outcome.code == 0
    assert list(outcome.result["p_worse"]) == ["score", "information"] and outcome.result["worse"] == []
    text = runs("compare", "good", "good", "--fail-if-worse", "--metric", "score", "--metric", "information").out
    assert text.count("Holm-adjusted") == 2


def test_json_and_files_when_asked(runs: Cli, tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))
    shown = runs("compare", "good", "poor", "--json")
    assert set(tmp_path.rglob("*")) == before  # nothing is written unless asked
    kept = runs("compare", "good", "poor", "--json", "--out", "difference")
    assert kept.out == shown.out == Path("difference/result.json").read_text()
    assert Path("difference/figures/profile.svg").exists() and Path("difference/figures/profile.png").exists()
    found = sb.compare(sb.load("good"), sb.load("poor"))
    assert shown.result["kind"] == "compare" and shown.result["schema_version"] == 1
    assert np.array_equal(shown.result["difference"], found.difference)
    assert shown.result["scores"]["information"]["value"] == found.scores["information"].value
    assert runs("compare", "good", "poor", "--out", "difference").code == 0  # the same again is no conflict


@pytest.mark.usefixtures("undrawn")
def test_another_result_is_not_overwritten(runs: Cli) -> None:
    assert runs("compare", "good", "poor", "--out", "difference").code == 0
    for out, other in (("difference", "good"), ("good", "poor")):
        before = Path(out, "result.json").read_bytes()
        outcome = runs("compare", "good", other, "--out", out)
        assert outcome.code == 2
        assert outcome.err == f"spectrobe: {out} holds another result: choose another --out\n"
        assert Path(out, "result.json").read_bytes() == before


@pytest.mark.usefixtures("undrawn")
def test_runs_that_cannot_be_compared(runs: Cli, world: Path) -> None:
    for option, wanted in (
        (("--value", "accuracy"), "value is usable-information in A and accuracy in B"),
        (("--bands", 5), "bands is square:4 in A and square:5 in B"),
        (("--absence", "zero"), "absence is mean in A and zero in B"),
    ):
        out = "other-" + str(option[1])
        assert runs("decompose", "python:toys:colour", world / "images", *SETTINGS, *option, "--out", out).code == 0
        outcome = runs("compare", "good", out)
        assert outcome.code == 2 and wanted in outcome.err
    for name, other, absence, wanted in (
        ("good", "pair", "mean", "was made from other images in A than in B"),
        ("other-zero", "pair-zero", "zero", "not on the same images"),
    ):
        call = ("decompose", "python:toys:colour", world / "pair", *SETTINGS, "--absence", absence, "--out", other)
        assert runs(*call).code == 0
        outcome = runs("compare", name, other)
        assert outcome.code == 2 and wanted in outcome.err


@pytest.mark.usefixtures("undrawn")
def test_an_unknown_metric_and_one_that_is_not_defined(runs: Cli, world: Path) -> None:
    outcome = runs("compare", "good", "poor", "--fail-if-worse", "--metric", "acuracy")
    assert outcome.code == 2
    assert outcome.err == "spectrobe: expected metrics out of score, information, got acuracy\n"
    assert runs("decompose", "python:toys:constant", world / "images", *SETTINGS, "--out", "nothing").code == 0
    outcome = runs("compare", "good", "nothing", "--fail-if-worse", "--metric", "score")
    assert outcome.code == 2 and "score cannot be gated: python:toys:constant: v(all) - v(empty)" in outcome.err
    assert runs("compare", "good", "nothing").code == 0  # only shown, it may be undefined


def test_a_run_that_is_not_finished(runs: Cli) -> None:
    Path("good/result.json").unlink()
    outcome = runs("compare", "good", "poor")
    assert outcome.code == 2 and "good: this run is not finished" in outcome.err
