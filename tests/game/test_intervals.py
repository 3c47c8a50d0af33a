from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from spectrobe.errors import InputError
from spectrobe.game.intervals import (
    Estimate,
    Replicates,
    bootstrap_weights,
    check_confidence,
    holm,
    images_for,
    mean_estimate,
    mean_intervals,
    one_sided_p,
    percentile,
    studentised,
    weighted_covariance,
)

CORRELATION = 0.5 * np.eye(5) + 0.5


def rows_of(rng: np.random.Generator, n: int) -> np.ndarray:
    """(N, 5) correlated rows, mean 1 ... 5, standard deviation 1 ... 5."""
    return (rng.multivariate_normal(np.ones(5), CORRELATION, size=n)) * np.arange(1, 6)


def replicates_of(rows: np.ndarray, seed: int, n_replicates: int = 999) -> Replicates:
    """Replicates of plain means, as of a value without temperature."""
    n = len(rows)
    weights = np.concatenate([np.ones((1, n)), bootstrap_weights(n, seed, n_replicates)])
    return Replicates(weights @ rows / n, weighted_covariance(rows, rows, weights))


class TestMeanIntervals:
    @given(st.integers(2, 50), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
    def test_pointwise_ones_are_scipys(self, n: int, confidence: float) -> None:
        rows = rows_of(np.random.default_rng(n), n)
        found = mean_intervals(rows, confidence)
        for i in range(5):
            expected = stats.ttest_1samp(rows[:, i], 0).confidence_interval(confidence)
            np.testing.assert_allclose(found.pointwise[i], expected, rtol=1e-9)
        np.testing.assert_allclose(found.mean, rows.mean(axis=0))
        np.testing.assert_allclose(found.stderr, stats.sem(rows, axis=0), rtol=1e-12)

    def test_simultaneous_ones_are_wider_and_share_the_middle(self) -> None:
        found = mean_intervals(rows_of(np.random.default_rng(0), 30))
        np.testing.assert_allclose(found.simultaneous.mean(axis=1), found.mean, rtol=1e-9)
        widening = np.diff(found.simultaneous)[:, 0] / np.diff(found.pointwise)[:, 0]
        np.testing.assert_allclose(widening, widening[0], rtol=1e-9)
        # between one t (2.045 at 29 degrees of freedom) and Bonferroni over 5 bands (2.756)
        assert 1.1 < widening[0] < 2.756 / 2.045

    def test_simultaneous_ones_of_independent_bands_are_sidaks(self) -> None:
        n = 400
        rows = np.random.default_rng(0).normal(size=(n, 8))
        rows = np.linalg.qr(rows - rows.mean(axis=0))[0]  # no correlation at all
        found = mean_intervals(rows)
        quantile = (found.simultaneous[0, 1] - found.mean[0]) / found.stderr[0]
        sidak = stats.t.ppf(0.5 + 0.95 ** (1 / 8) / 2, n - 1)
        assert quantile == pytest.approx(sidak, rel=0.015)  # 20,000 draws

    @pytest.mark.parametrize("n", [12, 50])
    def test_simultaneous_ones_hold_all_bands_at_once(self, n: int) -> None:
        rng, held, alone = np.random.default_rng(n), [], []
        for repeat in range(400):
            found = mean_intervals(rows_of(rng, n), seed=repeat)
            truth = np.arange(1, 6)
            held.append(((found.simultaneous[:, 0] <= truth) & (truth <= found.simultaneous[:, 1])).all())
            alone.append(((found.pointwise[:, 0] <= truth) & (truth <= found.pointwise[:, 1])).all())
        # 95 %, 400 repeats: one standard deviation is 1.1 %
        assert 0.92 < np.mean(held) < 0.98
        assert np.mean(alone) < 0.9

    def test_one_image_many_times_has_a_spread_of_rounding_and_no_correlation(self) -> None:
        draws = np.random.default_rng(0)
        for n in (2, 64, 511):
            row = draws.normal(size=12) * 10.0 ** draws.integers(-6, 3)
            found = mean_intervals(np.repeat(row[None], n, axis=0))
            np.testing.assert_allclose(found.simultaneous, np.stack([row, row], axis=1), rtol=1e-9)

    def test_a_band_without_spread_has_no_width_and_does_not_disturb_the_others(self) -> None:
        rows = rows_of(np.random.default_rng(0), 20)
        rows[:, 2] = 7
        found = mean_intervals(rows)
        np.testing.assert_array_equal(found.simultaneous[2], [7, 7])
        assert np.isfinite(found.simultaneous).all()

    def test_one_column_is_its_own_simultaneous_interval(self) -> None:
        rows = rows_of(np.random.default_rng(0), 20)[:, :1]
        found = mean_intervals(rows)
        np.testing.assert_array_equal(found.simultaneous, found.pointwise)
        estimate = mean_estimate(rows[:, 0])
        assert (estimate.low, estimate.high) == tuple(found.pointwise[0])
        assert (estimate.value, estimate.stderr) == (found.mean[0], found.stderr[0])


class TestEstimate:
    def test_is_a_number(self) -> None:
        estimate = Estimate(0.25, 0.1, 0.05, 0.45)
        assert float(estimate) == 0.25
        assert str(estimate) == "0.250 [0.050, 0.450]"
        assert estimate.confidence == 0.95

    def test_without_value_says_why(self) -> None:
        estimate = Estimate.undefined("nothing to go by", 0.9)
        assert np.isnan(float(estimate)) and np.isnan(estimate.low) and np.isnan(estimate.stderr)
        assert str(estimate) == "not defined (nothing to go by)"
        assert estimate.confidence == 0.9

    @pytest.mark.parametrize("confidence", [0.49, 1.0, 95, float("nan"), -0.95])
    def test_confidence_is_between_a_half_and_one(self, confidence: float) -> None:
        with pytest.raises(InputError, match=r"between 0\.5 and 1"):
            check_confidence(confidence)
        check_confidence(0.5)
        check_confidence(0.999)


class TestBootstrap:
    def test_weights_depend_on_seed_and_number_alone(self) -> None:
        weights = bootstrap_weights(30, 5)
        assert weights.shape == (999, 30)
        np.testing.assert_array_equal(weights.sum(axis=1), 30)
        np.testing.assert_array_equal(weights, bootstrap_weights(30, 5))
        assert (weights != bootstrap_weights(30, 6)).any()
        assert weights.mean() == 1
        assert weights.var() == pytest.approx(1 - 1 / 30, abs=0.05)

    def test_covariances_are_those_of_the_images_drawn(self) -> None:
        rng = np.random.default_rng(0)
        rows, others = rng.normal(size=(2, 12, 3))
        weights = bootstrap_weights(12, 0, 5)
        for drawn, found in zip(weights, weighted_covariance(rows, others, weights), strict=True):
            index = np.repeat(np.arange(12), drawn.astype(int))
            expected = np.cov(rows[index], others[index], rowvar=False)[:3, 3:] / 12
            np.testing.assert_allclose(found, expected, atol=1e-12)

    def test_pairing_puts_two_games_side_by_side(self) -> None:
        rng = np.random.default_rng(0)
        rows, others = rng.normal(size=(2, 12, 3))
        weights = bootstrap_weights(12, 0, 4)
        both = Replicates(weights @ rows / 12, weighted_covariance(rows, rows, weights)).paired(
            Replicates(weights @ others / 12, weighted_covariance(others, others, weights)),
            weighted_covariance(rows, others, weights),
        )
        together = np.concatenate([rows, others], axis=1)
        np.testing.assert_allclose(both.phi, weights @ together / 12)
        np.testing.assert_allclose(both.covariance, weighted_covariance(together, together, weights), atol=1e-14)


class TestStudentised:
    def test_of_a_mean_is_close_to_students_t(self) -> None:
        rows = rows_of(np.random.default_rng(0), 40)
        found, expected = studentised(lambda phi: phi[..., 1], replicates_of(rows, 0)), mean_estimate(rows[:, 1])
        assert found.value == pytest.approx(expected.value, abs=1e-12)
        assert found.stderr == pytest.approx(expected.stderr, rel=1e-6)
        assert found.low == pytest.approx(expected.low, abs=0.2 * expected.stderr)
        assert found.high == pytest.approx(expected.high, abs=0.2 * expected.stderr)

    def test_takes_its_standard_error_from_the_delta_method(self) -> None:
        rows = rows_of(np.random.default_rng(0), 200)
        found = studentised(lambda phi: phi[..., 0] / phi[..., 1], replicates_of(rows, 0))
        mean, covariance = rows.mean(axis=0), np.cov(rows[:, :2], rowvar=False) / 200
        gradient = np.array([1 / mean[1], -mean[0] / mean[1] ** 2])
        assert found.value == pytest.approx(mean[0] / mean[1], abs=1e-12)
        assert found.stderr == pytest.approx(np.sqrt(gradient @ covariance @ gradient), rel=1e-5)

    @pytest.mark.parametrize("n", [15, 60])
    def test_covers_a_ratio_of_skewed_means(self, n: int) -> None:
        rng, held = np.random.default_rng(n), []
        for repeat in range(300):
            rows = rng.gamma(2.0, size=(n, 2)) * [1.0, 2.0]
            found = studentised(lambda phi: phi[..., 0] / phi[..., 1], replicates_of(rows, repeat, 299))
            held.append(found.low <= 0.5 <= found.high)
        assert 0.91 < np.mean(held) < 0.98  # 300 repeats: one standard deviation is 1.3 %

    def test_grows_with_confidence(self) -> None:
        replicates = replicates_of(rows_of(np.random.default_rng(0), 30), 0)
        widths = [
            e.high - e.low for e in (studentised(lambda phi: phi[..., 0], replicates, c) for c in (0.5, 0.9, 0.99))
        ]
        assert widths[0] < widths[1] < widths[2]

    def test_what_cannot_be_told(self) -> None:
        rows = rows_of(np.random.default_rng(0), 30)
        replicates = replicates_of(rows, 0)
        undefined = studentised(lambda phi: np.where(phi[..., 0] > -9, np.nan, 1.0), replicates)
        assert np.isnan(undefined.value) and "not finite" in undefined.reason
        constant = studentised(lambda phi: np.full(phi.shape[:-1], 2.0), replicates)
        assert (constant.value, constant.low, constant.high) == (2, 2, 2)
        assert constant.reason == "no spread between images"
        alone = studentised(lambda phi: phi[..., 0], Replicates(replicates.phi[:1], replicates.covariance[:1]))
        assert alone.stderr == pytest.approx(stats.sem(rows[:, 0]), rel=1e-6)
        assert np.isnan(alone.low) and np.isnan(alone.high) and "too few resamples" in alone.reason


class TestPercentile:
    def test_takes_the_replicates_quantiles(self) -> None:
        replicates = replicates_of(rows_of(np.random.default_rng(0), 30), 0)
        found = percentile(lambda phi: np.abs(phi[..., 0] - 1), replicates, 0.9)
        drawn = np.abs(replicates.phi[1:, 0] - 1)
        assert found.value == abs(replicates.phi[0, 0] - 1)
        assert (found.low, found.high) == tuple(np.quantile(drawn, [0.05, 0.95]))
        assert found.stderr == pytest.approx(drawn.std(ddof=1), rel=1e-12)
        assert found.low >= 0  # it stays within what a folded number can be

    def test_what_cannot_be_told(self) -> None:
        replicates = replicates_of(rows_of(np.random.default_rng(0), 30), 0)
        assert np.isnan(percentile(lambda phi: phi[..., 0] * np.nan, replicates).value)
        alone = percentile(lambda phi: phi[..., 0], Replicates(replicates.phi[:1], replicates.covariance[:1]))
        assert np.isfinite(alone.value) and np.isnan(alone.low) and "too few resamples" in alone.reason


class TestOneSidedP:
    @pytest.mark.parametrize("n", [20, 100])
    def test_is_uniform_when_nothing_is_below_zero(self, n: int) -> None:
        # log of a ratio whose truth is 0, of skewed rows
        rng, found = np.random.default_rng([n, 1]), []
        for repeat in range(1000):
            rows = rng.gamma(2.0, size=(n, 2))
            found.append(one_sided_p(lambda phi: np.log(phi[..., 0] / phi[..., 1]), replicates_of(rows, repeat, 299)))
        assert stats.kstest(found, "uniform").pvalue > 0.01
        assert 0.03 < np.mean(np.array(found) <= 0.05) < 0.07  # one standard deviation is 0.7 %

    def test_is_small_below_zero_and_large_above(self) -> None:
        rows = rows_of(np.random.default_rng(0), 50)
        replicates = replicates_of(rows, 0)
        assert one_sided_p(lambda phi: phi[..., 0] - 3, replicates) == pytest.approx(1 / 1000, abs=1e-3)
        assert one_sided_p(lambda phi: phi[..., 0] + 3, replicates) > 0.99

    def test_without_spread_the_sign_decides(self) -> None:
        replicates = replicates_of(rows_of(np.random.default_rng(0), 20), 0)
        assert one_sided_p(lambda phi: np.zeros(phi.shape[:-1]), replicates) == 1
        assert one_sided_p(lambda phi: np.full(phi.shape[:-1], -1.0), replicates) == 0


class TestHolm:
    def test_an_example_from_the_literature(self) -> None:
        # the textbook example: at 5 % only the first and the fourth are rejected
        np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02], atol=1e-12)

    def test_one_alone_is_left_as_it_is_and_none_is_above_1(self) -> None:
        assert holm([0.2]) == [0.2]
        assert holm([0.9, 0.8]) == [1.0, 1.0]
        assert holm([]) == []

    @given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
    def test_is_never_smaller_than_the_p_value_nor_larger_than_bonferroni(self, p_values: list[float]) -> None:
        for p, adjusted in zip(p_values, holm(p_values), strict=True):
            assert p <= adjusted <= 1
            assert adjusted <= max(len(p_values) * q for q in p_values if q <= p) + 1e-12
        order = np.argsort(p_values, kind="stable")
        assert (np.diff(np.array(holm(p_values))[order]) >= 0).all()

    def test_holds_the_family_at_5_percent(self) -> None:
        rng = np.random.default_rng(0)
        wrong = [min(holm(rng.uniform(size=3).tolist())) <= 0.05 for _ in range(4000)]
        assert 0.04 < np.mean(wrong) < 0.06


class TestImagesFor:
    def test_a_quarter_of_the_width_takes_sixteen_times_the_images(self) -> None:
        at_pilot = images_for(1.959964 * 0.1, 0.1, 50)
        assert at_pilot in (50, 51)
        assert images_for(1.959964 * 0.1 / 4, 0.1, 50) == pytest.approx(16 * 50, abs=1)
        assert images_for(10.0, 0.1, 50) == 2

    def test_the_forecast_holds(self) -> None:
        rows = np.random.default_rng(0).normal(size=(20_000, 1))
        pilot = mean_intervals(rows[:400])
        n = images_for(0.05, float(pilot.stderr[0]), 400)
        low, high = mean_intervals(rows[:n]).pointwise[0]
        assert (high - low) / 2 == pytest.approx(0.05, rel=0.1)
