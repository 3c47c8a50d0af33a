"""`spectrobe demo`: on tiny stand-ins here; on the real model and photographs among the slow tests."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

import spectrobe as sb
from spectrobe.cli.commands import demo
from spectrobe.studies.decompose.wording import sentence
from tests.cli.calls import Cli, photo, save


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A tiny model and tiny photographs, named as foolbox names its own, in the demo's place."""
    folder = tmp_path_factory.mktemp("photographs")
    for number in range(12):
        save(folder / f"imagenet_{number:02}_{number % 3}.png", photo(number % 3, number, 32))
    monkeypatch.setattr(demo, "MODEL", "python:toys:blunt")
    monkeypatch.setattr(demo, "PHOTOGRAPH", 7)
    monkeypatch.setattr("spectrobe.data.demo._folder", lambda: folder)
    monkeypatch.setattr("spectrobe.data.demo._NAME", re.compile(r"imagenet_\d\d_(\d+)\.png"))


def test_what_the_demo_prints_and_writes(cli: Cli, stand_ins: None) -> None:
    outcome = cli("demo")
    assert outcome.code == 0, outcome.err
    result = sb.load("runs/demo")
    text = [" ".join(line.split()) for line in outcome.out.splitlines()]
    other = result.with_value("log-likelihood")
    for band in range(8):
        cells = [
            f"{r.shapley[band]:+.3f} {r.stderr[band]:.3f} [{r.interval[band, 0]:+.3f}, {r.interval[band, 1]:+.3f}]"
            for r in (result, other)
        ]
        line = next(line for line in text if line.startswith(f"{band} {band / 16:.3f}-"))
        assert all(cell in line for cell in cells)
    for r in (result, other):
        assert f"v(all) - v(empty), {r.value}: {r.information} nats; efficiency gap" in outcome.out
    assert "12 images, 8 bands, absence mean, exact design" in outcome.out
    assert f"{12 * 255 + 1:,} forward passes" in outcome.out
    assert sentence(result) in outcome.out
    assert (
        "spectrobe decompose 'timm:resnet50?checkpoint=weights.safetensors&num_classes=10' path/to/images"
        in outcome.out
    )
    for name in ("run.json", "payoffs", "result.json", "figures/overview.svg", "figures/overview.png"):
        assert (Path("runs/demo") / name).exists()


def test_a_second_demo_returns_at_once(cli: Cli, stand_ins: None, monkeypatch: pytest.MonkeyPatch) -> None:
    first = cli("demo")
    monkeypatch.setattr("spectrobe.models.open_model", None)  # neither model nor data are opened again
    monkeypatch.setattr("spectrobe.data.open_data", None)
    second = cli("demo")
    assert second.code == 0 and second.out == first.out and second.err == ""


def test_a_demo_with_another_seed_does_not_pass_for_the_first(cli: Cli, stand_ins: None) -> None:
    assert cli("demo").code == 0
    outcome = cli("demo", "--seed", 1)
    assert outcome.code == 2
    assert "runs/demo holds a run of other settings" in outcome.err and "seed: there 0, now 1" in outcome.err


def test_json(cli: Cli, stand_ins: None) -> None:
    outcome = cli("demo", "--json", "--out", "elsewhere")
    assert outcome.code == 0 and outcome.out == Path("elsewhere/result.json").read_text()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_demo_on_the_real_model_and_photographs(cli: Cli) -> None:
    pytest.importorskip("timm", reason="needs spectrobe[demo]")
    pytest.importorskip("foolbox", reason="needs spectrobe[demo]")
    outcome = cli("demo", "--quiet")
    assert outcome.code == 0, outcome.err
    result = sb.load("runs/demo")
    assert result.n_images == 20 and result.forward_passes == 20 * 255 + 1
    assert result.accuracy is not None and result.accuracy.value >= 0.8
    assert abs(result.efficiency_gap) < 1e-9
    # measured with float32 on x86: the profile falls from 3.1 to 0.02 nats, its score is 0.60
    assert result.shapley[0] == pytest.approx(3.135, abs=0.05)
    assert result.score.value == pytest.approx(0.597, abs=0.02)
    assert "demo:efficientnet-lite0 leans on coarse structure" in outcome.out
    start = time.monotonic()
    assert cli("demo").out == outcome.out
    assert time.monotonic() - start < 60
