"""`spectrobe demo` on tiny stand-ins; `test_demo_itself.py` has the real model and photographs."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest

import spectrobe as sb
from spectrobe.cli import main
from spectrobe.cli.commands import demo
from spectrobe.studies.decompose.wording import sentence
from tests.cli.calls import Cli, Outcome, photo, save


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A tiny model and tiny photographs, named as foolbox names its own, in the demo's place."""
    folder = tmp_path_factory.mktemp("photographs")
    for number in range(12):
        save(folder / f"imagenet_{number:02}_{number % 3}.png", photo(number % 3, number, 32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "MODEL", "python:toys:blunt")
        patch.setattr(demo, "PHOTOGRAPH", 7)
        patch.setattr("spectrobe.data.demo._folder", lambda: folder)
        patch.setattr("spectrobe.data.demo._NAME", re.compile(r"imagenet_\d\d_(\d+)\.png"))
        yield


@pytest.fixture(scope="module")
def stored(stand_ins: None, world: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """What the demo left in runs/demo, and what it printed."""
    root = tmp_path_factory.mktemp("demo")
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed):
        patch.chdir(root)
        patch.syspath_prepend(str(world))
        assert main(["demo"]) == 0
    return root / "runs", printed.getvalue()


@pytest.fixture
def shown(cli: Cli, stored: tuple[Path, str], tmp_path: Path) -> Cli:
    """The command line beside a copy of it."""
    shutil.copytree(stored[0], tmp_path / "runs")
    return cli


def test_what_the_demo_prints_and_writes(shown: Cli, stored: tuple[Path, str]) -> None:
    outcome = Outcome(0, stored[1], "")
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


def test_a_second_demo_returns_at_once(shown: Cli, stored: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spectrobe.models.open_model", None)  # neither model nor data are opened again
    monkeypatch.setattr("spectrobe.data.open_data", None)
    second = shown("demo")
    assert second.code == 0 and second.out == stored[1] and second.err == ""


def test_a_demo_with_another_seed_does_not_pass_for_the_first(shown: Cli) -> None:
    outcome = shown("demo", "--seed", 1)
    assert outcome.code == 2
    assert "runs/demo holds a run of other settings" in outcome.err and "seed: there 0, now 1" in outcome.err


def test_json(shown: Cli) -> None:
    Path("runs/demo").rename("elsewhere")
    outcome = shown("demo", "--json", "--out", "elsewhere")
    assert outcome.code == 0 and outcome.out == Path("elsewhere/result.json").read_text()
