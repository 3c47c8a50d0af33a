"""Run folders of every kind, made once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import spectrobe as sb
from tests.report.cases import PLAIN, coarse, decomposed, fine, labelled, mixed

PERTURBED = "gaussian_noise:1-3,contrast:3"


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Tiny forward passes are slower on more threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models decomposed and perturbed, and an SNR run, as folders side by side."""
    root = tmp_path_factory.mktemp("runs")
    for model in (coarse, fine):
        decomposed(model, out=root / f"{model.__name__}")
        data = labelled(model, 20)
        sb.robustness(model, data, PERTURBED, batch_size=64, out=root / f"{model.__name__}-robustness")
    sb.snr_study(labelled(coarse, 20)[0], PERTURBED, bands=4, out=root / "snr")
    return root


@pytest.fixture(scope="session")
def low() -> sb.DecomposeResult:
    """A model that leans on the lowest band, and images enough to say so."""
    return decomposed(coarse)


@pytest.fixture(scope="session")
def high() -> sb.DecomposeResult:
    """A model that leans on the highest band, and images enough to say so."""
    return decomposed(fine)


@pytest.fixture(scope="session")
def unclear() -> sb.DecomposeResult:
    """A model that leans on both, and too few images to say on which more."""
    return decomposed(mixed, 20)


@pytest.fixture(scope="session")
def nothing() -> sb.DecomposeResult:
    """A model whose answers have nothing to do with the labels."""
    x, y = labelled(coarse, 20)
    return sb.decompose(coarse, (x, y.roll(1)), **PLAIN)
