"""Perturbation-aware scores are the sums they are defined as, with the mean (DC) where the decomposition has it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import spectrobe as sb
from spectrobe.bands import BandPartition
from spectrobe.errors import InputError
from spectrobe.spectrum import band_images
from spectrobe.studies.score_under import score_under, summary

IMAGES = 0.2 + 0.6 * torch.rand(40, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def colour(x: Tensor) -> Tensor:
    """Sees mean colour, and a little of a chessboard (the highest band)."""
    board = torch.ones(16, 16)
    board[::2, 1::2] = board[1::2, ::2] = -1
    return 60 * x.mean((2, 3)) + 20 * (x * board).mean((2, 3))


def decomposed(bands: BandPartition | int = 4) -> sb.DecomposeResult:
    labels = colour(IMAGES).argmax(1)
    return sb.decompose(
        colour, (IMAGES, labels), bands=bands, value="usable-information", absence="mean", design="exact", batch_size=64
    )


@pytest.fixture(scope="module")
def result() -> sb.DecomposeResult:
    return decomposed()


def low_pass(x: Tensor) -> Tensor:
    return band_images(x, 4)[:, :2].sum(1)


def test_sums_of_phi_and_mu(result: sb.DecomposeResult) -> None:
    study = sb.snr_study(IMAGES, ["gaussian_noise:2", "contrast:2"], bands=4)
    found = score_under(result, study)
    assert list(found) == ["gaussian_noise:2", "contrast:2"]
    for name, score in found.items():
        mu = study.results[name].resummarised(dc="in-band").modulus
        phi = result.shapley
        np.testing.assert_array_equal(score.modulus, mu)
        assert score.surviving_information.value == pytest.approx(float(phi @ mu), abs=1e-12)
        clipped = np.maximum(phi, 0)
        assert score.perturbation_aware.value == pytest.approx(float(clipped @ mu / clipped.sum()), abs=1e-12)
        assert score.surviving_information.low < score.surviving_information.value < score.surviving_information.high
        assert score.unit == "nats"
        assert name in summary(found)


def test_what_nothing_touches_survives_whole(result: sb.DecomposeResult) -> None:
    (score,) = score_under(result, sb.spectral_snr(IMAGES, lambda x: x, bands=4)).values()
    assert score.perturbation_aware.value == pytest.approx(1, abs=1e-12)
    assert score.surviving_information.value == pytest.approx(result.information.value, abs=1e-9)


def test_what_a_low_pass_takes_away_is_gone(result: sb.DecomposeResult) -> None:
    (score,) = score_under(result, sb.spectral_snr(IMAGES, low_pass, bands=4)).values()
    # pixels that leave [0, 1] are cut, which leaves a trace in the removed bands
    assert score.surviving_information.value == pytest.approx(float(result.shapley[:2].sum()), abs=0.02)


def test_the_mean_as_a_band_of_its_own() -> None:
    own = BandPartition.square(4, dc="own")
    result = decomposed(own)
    brighter = sb.spectral_snr(IMAGES, lambda x: x - 0.15, bands=4)
    (score,) = score_under(result, brighter).values()
    assert score.modulus.shape == (5,)
    assert score.modulus[0] == pytest.approx(brighter.dc_modulus.value, abs=1e-12)
    assert score.modulus[0] < 0.6
    np.testing.assert_allclose(score.modulus[1:], 1.0, atol=1e-9)
    same = sb.spectral_snr(IMAGES, lambda x: x - 0.15, bands=own)
    np.testing.assert_array_equal(score_under(result, same)["<lambda>"].modulus, score.modulus)


def test_other_bands_are_refused(result: sb.DecomposeResult) -> None:
    for bands in (5, "radial:4", "octaves:3"):
        with pytest.raises(InputError, match=r"expected bands square:4, got an SNR run with bands .*--bands square:4"):
            score_under(result, sb.spectral_snr(IMAGES, "contrast:2", bands=bands))


def test_a_model_without_information_has_no_share_but_an_amount() -> None:
    draws = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 3, (40,), generator=draws)
    result = sb.decompose(
        colour, (IMAGES, labels), bands=4, value="usable-information", absence="mean", design="exact", batch_size=64
    )
    (score,) = score_under(result, sb.spectral_snr(IMAGES, "contrast:2", bands=4)).values()
    assert np.isnan(score.perturbation_aware.value)
    assert "not above 0" in score.perturbation_aware.reason
    assert np.isfinite(score.surviving_information.value)
