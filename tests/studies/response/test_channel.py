"""Sensitivities and channels, from accuracies that a known channel gives."""

from __future__ import annotations

import numpy as np
import pytest

from spectrobe.studies.response.channel import falling, fit_channel, fit_sensitivity

FREQUENCY = np.arange(-7.0, 0.0)  # log2 cycles/pixel, an octave apart
POWER = np.tile([0.001, 0.004, 0.016, 0.064, 0.256], (7, 1))


def bell(centre: float = -3.3, bandwidth: float = 2.0, peak: float = 120.0) -> np.ndarray:
    """Sensitivities that halve at half the bandwidth from the centre."""
    return peak * 0.5 ** ((2 * (FREQUENCY - centre) / bandwidth) ** 2)


def accuracy(sensitivity: np.ndarray, slope: float = 1.3, clean: float = 0.8, chance: float = 0.1) -> np.ndarray:
    """(1, M, P), written out."""
    return (chance + (clean - chance) / (1 + (sensitivity[:, None] * POWER) ** slope))[None]


def test_the_curve_is_half_way_at_a_dose_of_one_and_ends_at_chance() -> None:
    found = falling(np.asarray(0.8), 0.1, np.asarray([0.0, 1.0, 1e12]), np.asarray(1.3))
    np.testing.assert_allclose(found, [0.8, 0.45, 0.1], atol=1e-12)


def test_sensitivities_come_back() -> None:
    true = bell()
    found = fit_sensitivity(accuracy(true), np.asarray([0.8]), 0.1, POWER)
    tried = (1 / true >= 0.001) & (1 / true <= 0.256)
    assert tried.sum() == 4
    np.testing.assert_allclose(found.sensitivity[0][tried], true[tried], rtol=0.02)
    assert found.slope[0] == pytest.approx(1.3, rel=0.06)  # slopes lie 9 % apart
    np.testing.assert_array_equal(found.extrapolated, ~tried)


def test_noise_that_changes_nothing_gives_the_least_sensitivity_there_is() -> None:
    found = fit_sensitivity(np.full((1, 7, 5), 0.8), np.asarray([0.8]), 0.1, POWER)
    np.testing.assert_allclose(found.sensitivity, 1 / (64 * 0.256), rtol=0.2)
    assert found.extrapolated.all()
    assert "no noise tried" in fit_channel(FREQUENCY, found.sensitivity, 0.256).reason


def test_data_sets_do_not_mix() -> None:
    one, other = accuracy(bell()), accuracy(bell(-2.0), clean=0.6)
    clean = np.asarray([0.8, 0.6])
    both = fit_sensitivity(np.concatenate([one, other]), clean, 0.1, POWER)
    for i, alone in enumerate((one, other)):
        np.testing.assert_allclose(
            both.sensitivity[i], fit_sensitivity(alone, clean[i : i + 1], 0.1, POWER).sensitivity[0], rtol=1e-9
        )


@pytest.mark.parametrize("centre,bandwidth", [(-3.3, 2.0), (-4.0, 1.2), (-2.1, 3.5)])
def test_a_channel_comes_back(centre: float, bandwidth: float) -> None:
    found = fit_channel(FREQUENCY, bell(centre, bandwidth)[None], 0.256)
    assert found.good[0] and found.reason == ""
    assert found.log2_centre[0] == pytest.approx(centre, abs=0.01)
    assert found.bandwidth[0] == pytest.approx(bandwidth, rel=0.01)
    assert found.peak[0] == pytest.approx(120.0, rel=0.01)


def test_an_independent_optimiser_agrees_where_nothing_fits_exactly() -> None:
    from scipy.optimize import curve_fit

    values = bell() + np.asarray([5.0, 12.0, 3.0, 9.0, -6.0, 11.0, 4.0])
    (peak, centre, sigma), _ = curve_fit(
        lambda u, a, c, s: a * np.exp(-0.5 * ((u - c) / s) ** 2), FREQUENCY, values, [100, -3, 1]
    )
    found = fit_channel(FREQUENCY, values[None], 0.256)
    got = found.peak[0], found.log2_centre[0], found.bandwidth[0] / (2 * np.sqrt(2 * np.log(2)))
    np.testing.assert_allclose(got, (peak, centre, abs(sigma)), rtol=5e-3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full(7, 50.0), "about as sensitive"),
        (2.0 ** np.arange(7.0), "highest in the highest band"),
        (2.0 ** np.arange(7.0)[::-1], "highest in the lowest band"),
        (np.asarray([1, 80.0, 1, 60, 1, 80, 1]), "that is no channel|about as sensitive"),
        (np.full(7, 0.5), "no noise tried"),
    ],
    ids=["flat", "rising", "falling", "ragged", "none"],
)
def test_why_there_is_no_channel(values: np.ndarray, message: str) -> None:
    found = fit_channel(FREQUENCY, values[None], 0.256)
    assert not found.good[0]
    assert any(part in found.reason for part in message.split("|"))


def test_three_bands_are_too_few() -> None:
    found = fit_channel(FREQUENCY[:3], bell()[None, :3], 0.256)
    assert np.isnan(found.bandwidth).all() and "at least 4 bands, there are 3" in found.reason


@pytest.mark.slow
def test_intervals_of_a_channel_cover_it() -> None:
    """40 studies of 300 images, each resampled 149 times; of 95 % intervals, 80 % and more hold the channel."""
    true, n = bell(), 300
    inside = []
    for study in range(40):
        draws = np.random.default_rng(study)
        right = (draws.random((n, 7, 5)) < accuracy(true)[0]).reshape(n, -1)
        clean = draws.random(n) < 0.8
        weights = np.concatenate([np.ones((1, n)), draws.multinomial(n, np.full(n, 1 / n), size=149)]) / n
        found = fit_sensitivity((weights @ right).reshape(-1, 7, 5), weights @ clean, 0.1, POWER)
        channel = fit_channel(FREQUENCY, found.sensitivity, 0.256)
        assert channel.good.mean() > 0.9
        ends = [np.quantile(v[1:], [0.025, 0.975]) for v in (channel.log2_centre, channel.bandwidth, channel.peak)]
        inside.append([low <= value <= high for value, (low, high) in zip((-3.3, 2.0, 120.0), ends, strict=True)])
    assert (np.mean(inside, axis=0) >= 0.8).all()
