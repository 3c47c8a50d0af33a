"""A model that sees colour and fine stripes, a folder of photos, a session and a running page."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from spectrobe.data import open_data
from spectrobe.explore.server import PageServer
from spectrobe.explore.session import Session, open_session
from spectrobe.models import open_model
from tests.browser import browser, watched_page
from tests.cli.calls import photo, save

__all__ = ["browser", "watched_page"]

NAMES = ("red <script>alert(1)</script>", "green & co", "blue", "stripes")
SIDE, BANDS = 16, 4


def model(x: Tensor) -> Tensor:
    """Mean colour (band 0) for three classes, contrast between neighbouring columns (fine bands) for the fourth."""
    stripes = (x[..., 1:] - x[..., :-1]).abs().mean((1, 2, 3))
    return torch.cat([30 * x.mean((2, 3)), 12 * stripes[:, None]], dim=1)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny forward passes are slower on more threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four photos of each of three colours, and one file that is none."""
    root = tmp_path_factory.mktemp("photos") / "colours"
    for index in range(3):
        for number in range(4):
            save(root / "abc"[index] / f"{number}.png", photo(index, number, SIDE))
    (root / "c" / "torn.png").write_bytes((root / "c/0.png").read_bytes()[:60])
    return root


@pytest.fixture
def session(folder: Path) -> Iterator[Session]:
    """A session on the photos, 4 bands, absence mean."""
    opened = open_model(model, num_classes=4, size=SIDE, class_names=NAMES)
    data = open_data(folder, n_classes=4, class_names=NAMES, class_map={"a": 0, "b": 1, "c": 2})
    with open_session(opened, data, torch.device("cpu"), bands=BANDS, absence="mean", seed=0) as found:
        yield found


@pytest.fixture
def server(session: Session) -> Iterator[PageServer]:
    """The page of that session, served."""
    with PageServer(session, 0) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()
