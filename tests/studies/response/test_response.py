"""Whole runs on models whose response is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import Tensor

import spectrobe as sb
from spectrobe.perturbations import as_perturbation
from spectrobe.perturbations.band_noise import unit_band_noise, white_spectra
from spectrobe.studies.response import predictors as of
from spectrobe.studies.response.claim import YES
from tests.perturbations.attack_models import SmallNet, linear
from tests.studies.response.cases import (
    AMPLITUDE,
    BAND,
    BANDS,
    CYCLES,
    POWERS,
    SIDE,
    masked_accuracy,
    measure,
    one_band,
    wave,
)
from tests.toys import pixels


@pytest.fixture(scope="module")
def seen() -> sb.ResponseResult:
    """A model that reads one wave, in band 2."""
    model, data = one_band()
    return measure(model, data, under="band_noise:power=0.16;band=2;bands=4", heat_map=3.0, heat_map_images=60)


class TestAModelThatReadsOneBand:
    def test_its_gradient_lies_there(self, seen: sb.ResponseResult) -> None:
        assert seen.gradient is not None
        np.testing.assert_allclose(seen.gradient.share.value, np.eye(4)[BAND], atol=1e-6)
        assert seen.gradient.centroid.value == pytest.approx(np.log2(seen.frequency[BAND]), abs=1e-5)
        np.testing.assert_allclose(seen.gradient.per_bin.value * seen.bins, seen.gradient.energy.value, rtol=1e-12)

    def test_only_noise_there_masks_and_as_much_as_it_must(self, seen: sb.ResponseResult) -> None:
        accuracy = seen.masking.accuracy.value.reshape(4, len(POWERS))
        assert seen.accuracy.value == 1
        # at .16 clipping spreads the noise, below hardly any pixel is clipped; 400 images: standard error .025 at most
        np.testing.assert_array_equal(np.delete(accuracy, BAND, axis=0)[:, :3], 1.0)
        assert np.delete(accuracy, BAND, axis=0).min() > 0.95
        np.testing.assert_allclose(accuracy[BAND, :3], masked_accuracy(np.asarray(POWERS[:3])), atol=0.06)
        assert accuracy[BAND, 2] < 0.85
        np.testing.assert_array_equal(seen.masking.of_band(BAND).value, accuracy[BAND])

    def test_its_sensitivity_is_one_over_the_half_way_power(self, seen: sb.ResponseResult) -> None:
        bins = float(BANDS.bins(SIDE, SIDE)[BAND])
        half_way = AMPLITUDE**2 * bins / (2 * norm.ppf(0.75) ** 2)  # where accuracy is half way from 1 to chance, 1/2
        low, high = seen.masking.sensitivity.interval[BAND]
        assert 0.7 / half_way < seen.masking.sensitivity.value[BAND] < 1.4 / half_way
        assert low < seen.masking.sensitivity.value[BAND] < high
        assert list(seen.masking.extrapolated[[0, 1, 3]]) == [True] * 3
        assert max(np.delete(seen.masking.sensitivity.value, BAND)) < 0.1 * seen.masking.sensitivity.value[BAND]

    def test_the_channel_lies_there(self, seen: sb.ResponseResult) -> None:
        masking, f = seen.masking, seen.frequency
        assert np.sqrt(f[1] * f[2]) < masking.centre.value < np.sqrt(f[2] * f[3])
        assert masking.bandwidth.value < 1.0 and masking.bandwidth.low < masking.bandwidth.high
        assert masking.centre.reason == ""

    def test_cut_offs_below_and_above_it(self, seen: sb.ResponseResult) -> None:
        cutoffs = seen.cutoffs
        np.testing.assert_allclose(cutoffs.frequency, [0.125, 0.25, 0.375])
        low, high = cutoffs.low_pass.value, cutoffs.high_pass.value
        assert low[2] == 1 and max(low[:2]) < 0.65
        assert list(high[:2]) == [1, 1] and high[2] < 0.65
        assert seen.low_pass_accuracy.value == pytest.approx(low.mean(), abs=1e-12)
        assert seen.high_pass_accuracy.value == pytest.approx(high.mean(), abs=1e-12)

    def test_under_a_perturbation_of_its_band_cut_offs_do_not_help(self, seen: sb.ResponseResult) -> None:
        cutoffs = seen.cutoffs
        masked = seen.masking.of_band(BAND).value[3]
        assert cutoffs.accuracy_under is not None and cutoffs.accuracy_under.value == masked
        assert cutoffs.low_pass_under is not None and cutoffs.high_pass_under is not None
        # what is cut off is not what the model reads, and the noise that clipping spread beyond its band is little
        assert cutoffs.low_pass_under.value[2] == pytest.approx(masked, abs=0.01)
        np.testing.assert_allclose(cutoffs.high_pass_under.value[:2], masked, atol=0.01)

    def test_the_heat_map_has_one_hot_frequency(self, seen: sb.ResponseResult) -> None:
        found = seen.heat_map
        assert found is not None and found.n_images == 60
        hot = [tuple(k) in ((0, CYCLES), (0, -CYCLES)) for k in found.frequencies.tolist()]
        assert sum(hot) == 1
        # the sign is drawn: half of the images have their wave turned round
        assert found.error.value[hot] == pytest.approx(0.5, abs=0.2)
        assert found.error.value[~np.asarray(hot)].max() == 0
        np.testing.assert_allclose(found.delivered, 3.0, rtol=1e-3)
        assert found.short == 0
        assert seen.settings.heat_map is not None and seen.settings.heat_map.step == 1
        plane = found.plane((SIDE, SIDE), 1)
        assert plane[SIDE // 2, SIDE // 2 + CYCLES] == plane[SIDE // 2, SIDE // 2 - CYCLES] == found.error.value[hot]

    def test_what_was_delivered_is_told(self, seen: sb.ResponseResult) -> None:
        x = one_band()[1][0]
        p = sb.perturbation("band_noise", power=POWERS[2], band=1, bands=4)
        delta = p(x, ids=[str(i) for i in range(len(x))], seed=0) - x
        power = delta.double().square().mean((1, 2, 3))
        assert seen.masking.delivered_power[1, 2] == pytest.approx(float(power.quantile(0.5)), rel=0.02)
        l2 = delta.double().flatten(1).norm(dim=1)
        assert seen.masking.delivered_l2[1, 2] == pytest.approx(float(l2.quantile(0.5)), rel=0.02)
        assert (seen.masking.delivered_power[:, -1] < 0.9 * POWERS[-1]).all()  # much is clipped
        assert 0.5 < seen.masking.in_band.min() < 1 and seen.masking.in_band[:, 0].min() > 0.999


class TestGradients:
    def test_of_a_linear_model_they_are_its_weights(self) -> None:
        """Two classes: the gradient is (1 - q_y) (w_other - w_y), whatever the image."""
        model, x = linear((3, 15, 16), classes=2, scale=0.05), pixels(40, (3, 15, 16))
        labels = torch.arange(40) % 2
        bands = sb.BandPartition.radial(3)
        found = measure(model, (x, labels), bands=bands).gradient
        assert found is not None
        w = (model.weight[1] - model.weight[0]).detach().double().numpy()
        spectrum = np.abs(np.fft.fft2(w)) ** 2
        f = np.hypot(np.fft.fftfreq(15)[:, None], np.fft.fftfreq(16)) / 0.5
        ring = np.minimum((f * 3).astype(int), 2)
        spectrum[:, 0, 0] = 0
        energy = np.asarray([spectrum[:, ring == band].sum() for band in range(3)]) / (15 * 16)
        np.testing.assert_allclose(found.share.value, energy / energy.sum(), rtol=1e-5)
        assert float(np.ptp(found.share.interval, axis=1).max()) < 1e-5  # all images have the same shares
        with torch.no_grad():
            q = torch.softmax(model(x).double(), 1).gather(1, labels[:, None])[:, 0].numpy()
        np.testing.assert_allclose(found.energy.value, energy * ((1 - q) ** 2).mean(), rtol=1e-5)
        assert found.norm.value == pytest.approx(float(np.linalg.norm(w) * (1 - q).mean()), rel=1e-5)
        of_mean = (w.sum((1, 2)) ** 2).sum() / (15 * 16) * ((1 - q) ** 2).mean()
        assert found.mean.value == pytest.approx(of_mean, rel=1e-4)

    def test_of_a_network_they_are_finite_differences(self) -> None:
        model, x = SmallNet().double().eval(), pixels(4, (3, 16, 16)).double()
        labels = torch.tensor([0, 3, 7, 7])
        direction = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

        def loss(points: Tensor) -> Tensor:
            return torch.nn.functional.cross_entropy(model(points), labels, reduction="none")

        from spectrobe.studies.response.gradients import pixel_gradients

        gradient = pixel_gradients(model, x, labels)
        with torch.no_grad():
            slope = (loss(x + 1e-5 * direction) - loss(x - 1e-5 * direction)) / 2e-5
        torch.testing.assert_close((gradient * direction).sum((1, 2, 3)), slope, rtol=1e-5, atol=1e-8)

    def test_a_model_without_them_is_named_and_the_rest_goes_on(self) -> None:
        model, (x, labels) = one_band(60)

        def numpy_model(images: Tensor) -> np.ndarray:
            with torch.no_grad():
                return model(torch.from_numpy(images.numpy())).numpy()

        found = measure(numpy_model, (x, labels), under="brightness:1")
        assert found.gradient is None and "gradients" in found.failed["gradient power spectrum"]
        assert math.isnan(found.gradient_norm.value) and "no gradients" in found.gradient_norm.reason
        assert found.masking.accuracy.value.shape == (16,) and found.cutoffs.accuracy_under is not None
        assert "failed: gradient power spectrum" in found.summary()


def band_2(power: float, other: float = 0.0, name: str = "p") -> sb.perturbation:  # type: ignore[valid-type]
    """Noise of some power in band 2, and of another in band 0."""

    def noise(x: Tensor, *, ids: list[str], seed: int) -> Tensor:
        spectra = white_spectra(SIDE, SIDE, ids, seed + 1)
        in_2, in_0 = (unit_band_noise(spectra, BANDS, band, SIDE) for band in (BAND, 0))
        return x + math.sqrt(power) * in_2 + math.sqrt(other) * in_0

    return as_perturbation(noise, name)


class TestTheClaim:
    def test_noise_that_the_response_weighs_right_is_predicted(self) -> None:
        """Most of the noise lies where the model does not look; how much lies in its band is what costs accuracy."""
        model, data = one_band()
        steps = [0.002, 0.018, 0.006, 0.054]
        others = [(0.03, 0.001), (0.0, 0.05), (0.05, 0.0), (0.002, 0.03), (0.001, 0.0), (0.03, 0.0)]
        perturbations = [
            band_2(steps[(2 * kind + k) % 4], other, f"kind{kind}:{k}")
            for kind, pair in enumerate(others)
            for k, other in enumerate(pair)
        ]
        found = measure(model, data, perturbations, powers=(0.002, 0.008, 0.03, 0.1))
        assert found.claim is not None and found.untested == ""
        claim = found.claim
        assert claim.kinds[:4] == ("kind0", "kind0", "kind1", "kind1")
        accuracy = found.accuracy.value - claim.drop
        np.testing.assert_allclose(accuracy[:3], masked_accuracy(np.asarray(steps[:3])), atol=0.06)
        masking, direct = claim.predictions[of.MASKING], claim.predictions[of.DIRECT]
        assert masking.rank_correlation.value > 0.9 and masking.error.value < 0.04
        assert direct.error.value < 0.04  # the curve fitted to band noise alone
        assert claim.predictions[of.BAND_POWER].error.value > 0.08
        assert claim.verdicts[of.MASKING].answer == YES and claim.verdicts[of.GRADIENT].answer == YES
        assert "helps" in found.summary()

    def test_what_is_no_matter_of_power_is_not(self) -> None:
        """Equal powers in one band, of which some turn the wave round and others lie beside it."""
        model, (x, labels) = one_band()
        sign = (2.0 * labels - 1).view(-1, 1, 1, 1)

        def against(times: float, name: str, aligned: bool) -> object:
            shape = wave() if aligned else wave(phase=math.pi / 2)

            def change(images: Tensor, *, ids: list[str]) -> Tensor:
                return images - times * AMPLITUDE * sign[[int(i) for i in ids]] * shape

            return as_perturbation(change, name)

        perturbations = [
            against(times, f"kind{kind}:{k}", aligned=(kind + k) % 2 == 0)
            for kind in range(3)
            for k, times in enumerate((1.5, 1.8, 2.1, 2.4))
        ]
        found = measure(model, (x, labels), perturbations)
        assert found.claim is not None
        np.testing.assert_allclose(found.claim.drop, [1.0, 0, 1, 0, 0, 1, 0, 1, 1, 0, 1, 0], atol=1e-12)
        for name in (of.MASKING, of.GRADIENT):
            assert found.claim.verdicts[name].answer != YES
            assert found.claim.predictions[name].error.value > 0.4
        assert "these perturbations do not show" in found.summary() or "does harm" in found.summary()

    def test_without_perturbations_it_is_said_to_be_untested(self, seen: sb.ResponseResult) -> None:
        assert seen.claim is None and "no perturbations were given" in seen.untested
        assert "was not tested: no perturbations" in seen.summary()

    def test_a_model_at_chance_has_nothing_to_take_away(self) -> None:
        model, (x, _) = one_band(60)
        half = measure(model, (x, torch.arange(60) // 2 % 2), "brightness:1")
        assert half.accuracy.value == 0.5
        assert half.claim is None and "not 0.05 above chance" in half.untested
        assert "nothing to take away" in half.masking.centre.reason and np.isnan(half.masking.sensitivity.value).all()


def test_a_perturbation_that_fails_is_named_and_the_others_go_on() -> None:
    model, data = one_band(40)

    def broken(x: Tensor) -> Tensor:
        raise RuntimeError("no such lens")

    found = measure(model, data, ["brightness:1", broken, "fog:1"], under=broken)
    assert found.failed == {"broken": "RuntimeError: no such lens"}
    assert found.cutoffs.under == "broken" and found.cutoffs.accuracy_under is None
    assert "measured were 2 of 1" in found.untested


def test_the_default_bands_are_octaves_or_half_octaves() -> None:
    from spectrobe.studies.response.settings import octave_bands

    assert octave_bands(224, 256) == sb.BandPartition.octaves(7)
    assert octave_bands(64, 64).n_bands == 9  # of half an octave but the lowest
    small = octave_bands(32, 32)
    np.testing.assert_allclose(np.asarray(small.edges[1:]) * 16, [2, 2 * 2**0.5, 4, 4 * 2**0.5, 8, 8 * 2**0.5, 16])
    for side in range(8, 130):
        bins = octave_bands(side, side + 3).bins(side, side + 3)
        assert int(bins.min()) > 0 and int(bins[0]) > 1
