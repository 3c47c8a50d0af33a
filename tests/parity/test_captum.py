"""Shapley values of frequency bands against captum's sampler (Kokhlikyan et al. 2020), on one small network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spectrobe.bands import BandPartition
from spectrobe.game.coalitions import members
from spectrobe.game.shapley import shapley_values
from spectrobe.spectrum import coalition_images

pytestmark = pytest.mark.slow

attr = pytest.importorskip("captum.attr")
BANDS = BandPartition.square(4)


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 5, 2), nn.ReLU(), nn.Conv2d(8, 8, 3, 2), nn.ReLU(), nn.Flatten(), nn.LazyLinear(5)
    )
    with torch.no_grad():
        network(torch.zeros(1, 3, 20, 23))
    return network.eval()


@pytest.fixture(scope="module")
def image() -> Tensor:
    return torch.rand(1, 3, 20, 23, generator=torch.Generator().manual_seed(1))


def our_values(model: nn.Module, image: Tensor, target: int) -> np.ndarray:
    everything = coalition_images(image, BANDS, torch.from_numpy(members(np.arange(16), 4)))[0]
    with torch.no_grad():
        return shapley_values(model(everything)[:, target].numpy())


def game_of(model: nn.Module, image: Tensor, target: int) -> object:
    """The same game as captum sees it: four inputs, 1 = band present, 0 = absent."""

    def forward(present: Tensor) -> Tensor:
        return model(coalition_images(image, BANDS, present > 0.5)[0])[:, target]

    return forward


@pytest.mark.parametrize("target", [0, 3])
def test_exact_values_equal_captums_over_all_orders(model: nn.Module, image: Tensor, target: int) -> None:
    with torch.no_grad():
        found = attr.ShapleyValues(game_of(model, image, target)).attribute(torch.ones(1, 4))
    np.testing.assert_allclose(our_values(model, image, target), found[0].numpy(), rtol=0, atol=1e-5)


def test_captums_sampler_comes_close(model: nn.Module, image: Tensor) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        sampler = attr.ShapleyValueSampling(game_of(model, image, 1))
        found = sampler.attribute(torch.ones(1, 4), n_samples=400)[0].numpy()
    ours = our_values(model, image, 1)
    np.testing.assert_allclose(found, ours, rtol=0, atol=0.05 * float(np.abs(ours).max()))
    assert found.sum() == pytest.approx(ours.sum(), abs=1e-4)
