"""Calls of the command line, in this process, each in a folder of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from spectrobe.cli import main, outcome
from tests.cli.calls import MODELS, Cli, Outcome, photo, png, save


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], world: Path) -> Cli:
    """Run the command line on some arguments, in the empty folder `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(world))

    def run(*argv: object) -> Outcome:
        capfd.readouterr()
        code = main([str(word) for word in argv])
        return Outcome(code, *capfd.readouterr())

    return run


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models (`python:toys:NAME`) and image folders: what a user brings along."""
    root = tmp_path_factory.mktemp("world")
    (root / "toys.py").write_text(MODELS)
    for folder, n_images in (("images", 4), ("pair", 1)):
        for index in range(3):
            for number in range(n_images):
                save(root / folder / "abc"[index] / f"{number}.png", photo(index, number))
    for number in range(6):
        index, name = number % 3, f"{'abc'[number % 3]}/{number}.png"
        save(root / "unlabelled" / f"{number}.png", photo(index, number))
        save(root / "one_class" / "a" / f"{number}.png", photo(0, number))
        save(root / "flat" / name, photo(index, number))
        save(root / "broken" / name, photo(index, number))
        save(root / "sizes" / name, photo(index, number, 16 + number))
    save(root / "flat" / "a" / "flat.png", np.full((16, 16, 3), 90, dtype=np.uint8))
    (root / "broken" / "a" / "torn.png").write_bytes((root / "images/a/0.png").read_bytes()[:60])
    save(root / "single" / "a" / "0.png", photo(0, 0))
    (root / "empty").mkdir()
    pixels = [photo(number % 3, number) for number in range(6)]
    encoded = [{"bytes": png(image), "path": None} for image in pixels]
    labels = pa.array([0, 1, 2, 0, 1, 7])
    pq.write_table(pa.table({"image": encoded, "label": labels}), root / "far.parquet")
    (root / "map.json").write_text('{"a": 0, "b": 1, "c": 2}')
    (root / "map_far.json").write_text('{"a": 0, "b": 1, "c": 7}')
    (root / "map_short.csv").write_text("a,0\nb,1\n")
    (root / "map_torn.json").write_text('{"a": 0,')
    return root


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without figures, which take longer than the runs here and have tests of their own."""
    monkeypatch.setattr(outcome, "_draw", lambda folder, figure, draw: "")


@pytest.fixture
def no_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without timm."""
    monkeypatch.setitem(sys.modules, "timm", None)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny forward passes are slower on more threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
