"""What the model is shown, against the perturbation band_noise, coalition images and Parseval in numpy."""

from __future__ import annotations

import numpy as np
import torch

import spectrobe as sb
from spectrobe.perturbations import perturbation
from spectrobe.studies.response.stimuli import cut_off, gradient_energy, masked, noise_power
from tests.perturbations.test_band_noise import power_by_band
from tests.toys import pixels

BANDS = sb.BandPartition.square(4)


def test_masked_images_are_those_of_the_perturbation() -> None:
    x, ids = pixels(3), ["a", "b", "c"]
    found = {(band, power): images for band, power, images in masked(x, BANDS, (0.001, 0.01), ids, 5)}
    assert len(found) == 8
    for (band, power), images in found.items():
        p = perturbation("band_noise", power=power, band=band, bands=4)
        assert torch.equal(images, p(x, ids=ids, seed=5))


def test_cut_off_images_are_coalition_images() -> None:
    x, absence = pixels(3), pixels(4, seed=9).mean(0)
    low_first = torch.tril(torch.ones(4, 4)).bool()  # row k: bands 0..k
    low = sb.coalition_images(x, BANDS, low_first[:-1], absence)
    high = sb.coalition_images(x, BANDS, ~low_first[:-1], absence)
    for cut, below, above in cut_off(x, absence, BANDS):
        torch.testing.assert_close(below, low[:, cut - 1], rtol=0, atol=1e-6)
        torch.testing.assert_close(above, high[:, cut - 1], rtol=0, atol=1e-6)


def test_power_and_gradient_energy_obey_parseval() -> None:
    delta = torch.randn(3, 3, 15, 16, generator=torch.Generator().manual_seed(0)) + 0.3
    power, mean = noise_power(delta, BANDS)
    expected = power_by_band(delta.double().numpy(), BANDS)
    np.testing.assert_allclose(np.column_stack([power, mean]), expected, rtol=1e-5)
    np.testing.assert_allclose(power.sum(1) + mean, delta.double().square().mean((1, 2, 3)), rtol=1e-5)
    energy, of_mean = gradient_energy(delta, BANDS)
    np.testing.assert_allclose(np.column_stack([energy, of_mean]), expected * 3 * 15 * 16, rtol=1e-5)


def test_power_is_what_the_spectral_snr_measures() -> None:
    from spectrobe.spectrum import CleanSpectra

    x = pixels(3)
    y = perturbation("gaussian_noise", severity=3)(x)
    terms = CleanSpectra(x, BANDS).terms(y)
    power, mean = noise_power(y - x, BANDS)
    scale = 3 * (16 * 16) ** 2
    np.testing.assert_allclose(power * scale, terms.noise.numpy(), rtol=1e-5)
    np.testing.assert_allclose(mean * scale, terms.dc[:, 1].numpy(), rtol=1e-3, atol=1e-3)
