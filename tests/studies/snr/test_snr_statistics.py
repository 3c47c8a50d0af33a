"""Intervals cover what they say, slopes are least squares, categories and exceptions follow their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from spectrobe.bands import BandPartition
from spectrobe.studies.snr.statistics import (
    Energies,
    Summary,
    categories,
    decay,
    decibels,
    exceptions,
    fewest_images,
    forecast_stderr,
    median_summary,
    modulus,
    order_statistics,
    ratio_of_sums,
)

FREQUENCY = BandPartition.square(8).mean_frequency(224, 224)


@pytest.mark.parametrize("n", [6, 7, 20, 21, 100, 999])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_order_statistics_cover_at_least_and_no_tighter_pair_does(n: int, confidence: float) -> None:
    low, high = order_statistics(n, confidence)

    def coverage(low: int, high: int) -> float:
        return float(stats.binom.cdf(high, n, 0.5) - stats.binom.cdf(low, n, 0.5))

    assert low + high == n - 1
    assert coverage(low, high) >= confidence
    assert coverage(low + 1, high - 1) < confidence


def test_fewest_images() -> None:
    assert fewest_images(0.95) == 6
    assert fewest_images(0.99) == 8
    assert order_statistics(6, 0.95) == (0, 5)
    assert order_statistics(5, 0.95) == (0, 4)


def test_a_median_among_infinite_and_missing_values() -> None:
    values = np.array([[1.0, np.inf], [2.0, np.inf], [np.nan, 3.0], [4.0, np.inf], [5.0, -np.inf], [6.0, np.inf]])
    found = median_summary(values, 0.95, 0)
    assert found.value.tolist() == [4.0, np.inf]
    assert found.interval.tolist() == [[1.0, 6.0], [-np.inf, np.inf]]
    assert np.isnan(found.stderr[1])


@pytest.mark.parametrize("n", [20, pytest.param(60, marks=pytest.mark.long)])
def test_medians_and_slopes_are_covered(n: int) -> None:
    """Skewed SNRs whose bands share an image's level and slope: coverage of 150 runs, 95 % meant."""
    octave = np.log2(FREQUENCY)
    centred = octave - octave.mean()
    truth = 10 - 6 * centred

    def draw(seed: int) -> np.ndarray:
        draws = np.random.default_rng(seed)
        shared = 4 * draws.standard_normal((n, 1)) + 1.5 * draws.standard_normal((n, 1)) * centred
        return np.asarray(truth + shared + 3 * (draws.exponential(size=(n, 8)) - np.log(2)))

    population = np.median(np.concatenate([draw(seed) for seed in range(10_000, 10_000 + 100_000 // n)]), axis=0)
    slope = population @ centred / (centred @ centred)
    median_hits, slope_hits = [], []
    for seed in range(150):
        summary = median_summary(draw(seed), 0.95, seed)
        median_hits.append((summary.interval[:, 0] <= population) & (population <= summary.interval[:, 1]))
        found = decay(summary, FREQUENCY, 0.95).db_per_octave
        slope_hits.append(found.low <= slope <= found.high)
    assert 0.92 <= np.mean(median_hits) <= 0.99
    assert 0.91 <= np.mean(slope_hits) <= 0.99


def test_ratios_of_sums_are_covered() -> None:
    hits = []
    for seed in range(200):
        draws = np.random.default_rng(seed)
        signal = draws.lognormal(0, 0.5, (40, 2)) * draws.lognormal(0, 0.3, (40, 1))
        noise = 0.5 * draws.lognormal(0, 0.5, (40, 2))
        db, mu = ratio_of_sums(Energies(signal, noise, np.zeros((40, 2)), signal), 0.95, seed)
        ratio = np.exp(0.125 + 0.045) / (0.5 * np.exp(0.125))
        truths = (10 * np.log10(ratio), ratio / (1 + ratio))
        hits.append([(s.interval[:, 0] <= t) & (t <= s.interval[:, 1]) for s, t in zip((db, mu), truths, strict=True)])
    share = np.mean(hits, axis=(0, 2))
    assert (share >= 0.91).all()
    assert (share <= 0.99).all()


def test_stderr_of_the_median_is_that_over_repetitions() -> None:
    medians, reported = [], []
    for seed in range(300):
        values = np.random.default_rng(seed).standard_normal((60, 1))
        found = median_summary(values, 0.95, seed)
        medians.append(found.value[0])
        reported.append(found.stderr[0])
    assert np.mean(reported) == pytest.approx(np.std(medians), rel=0.12)
    assert forecast_stderr(np.random.default_rng(1).standard_normal((4000, 1)), 60) == pytest.approx(
        1.2533 / np.sqrt(60), rel=0.05
    )


def test_decibels() -> None:
    signal, noise = np.array([1.0, 1.0, 0.0, 0.0, 1.0]), np.array([0.1, 1e-11, 1.0, 0.0, 1e-9])
    np.testing.assert_allclose(decibels(signal, noise), [10, np.inf, -np.inf, np.nan, 90])


def test_modulus() -> None:
    # noise of SNR 3, attenuation by .8, amplification, removal, inversion, noise where nothing was, nothing at all
    signal = np.array([3.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0])
    noise = np.array([1.0, 0.04, 0.25, 1.0, 4.0, 1.0, 0.0])
    cross = np.array([0.0, -0.2, 0.5, -1.0, -2.0, 0.0, 0.0])
    np.testing.assert_allclose(modulus(signal, noise, cross), [0.75, 0.64, 1, 0, 0, 0, np.nan], atol=1e-15)


def test_categories_and_exceptions() -> None:
    assert categories(np.array([[0.6, 0.9], [0.4, 0.6], [0.1, 0.4], [0.5, 0.9]])) == (
        "robust", "undecided", "non-robust", "undecided",
    )  # fmt: skip
    r, u, n = "robust", "undecided", "non-robust"
    assert exceptions((r, r, u, n)) == ((), ())
    assert exceptions((r, r)) == exceptions((n, n)) == exceptions((u, u)) == ((), ())
    assert exceptions((n, r, u, n)) == ((0,), (1,))
    assert exceptions((r, n, n, r, n, r)) == ((1, 2, 4), (3, 5))


class TestDecay:
    def fixed(self, db: np.ndarray) -> Summary:
        still = np.zeros((len(db), 2))
        return Summary(db, np.zeros(len(db)), still, np.tile(db, (999, 1)))

    def test_is_least_squares(self) -> None:
        db = np.array([30.0, 21, 17, 12, 9, 9, 5, 4])
        found = decay(self.fixed(db), FREQUENCY, 0.95)
        slope, rest, *_ = np.polyfit(np.log2(FREQUENCY), db, 1, full=True)
        assert found.db_per_octave.value == pytest.approx(slope[0], rel=1e-12)
        assert found.db_per_octave.low == pytest.approx(slope[0], rel=1e-12)
        assert found.aic_octave == pytest.approx(8 * np.log(rest[0] / 8) + 6, rel=1e-9)
        slope, rest, *_ = np.polyfit(FREQUENCY, db, 1, full=True)
        assert found.db_per_cycle.value == pytest.approx(slope[0], rel=1e-12)
        assert found.aic_cycle == pytest.approx(8 * np.log(rest[0] / 8) + 6, rel=1e-9)
        assert found.aic_difference.value == pytest.approx(found.aic_cycle - found.aic_octave, rel=1e-12)

    def test_leaves_infinite_bands_out_and_lists_them(self) -> None:
        db = np.array([np.inf, 20, 16, 12, np.inf, 8, 6, -np.inf])
        found = decay(self.fixed(db), FREQUENCY, 0.95)
        assert found.left_out == (0, 4, 7)
        kept = [1, 2, 3, 5, 6]
        assert found.db_per_octave.value == pytest.approx(
            np.polyfit(np.log2(FREQUENCY)[kept], db[kept], 1)[0], rel=1e-12
        )

    def test_two_bands_make_no_line(self) -> None:
        found = decay(self.fixed(np.array([20.0, 16] + [np.inf] * 6)), FREQUENCY, 0.95)
        assert np.isnan(found.db_per_octave.value)
        assert "3 bands" in found.db_per_octave.reason

    def test_has_no_interval_where_resampled_bands_are_infinite(self) -> None:
        curve = self.fixed(np.arange(8.0))
        curve.replicates[:200, 3] = np.inf
        found = decay(curve, FREQUENCY, 0.95).db_per_octave
        assert np.isfinite(found.value)
        assert np.isnan(found.low)
        assert found.reason
