"""Intervals and sums against published values, hand computations and simulated coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from spectrobe.studies.robustness.measures import area_rows, median_estimate, relative_errors, share_estimate, wilson


class TestWilson:
    # Newcombe 1998 (Statistics in Medicine 17, 857-872), table I, method 3
    @pytest.mark.parametrize(
        "successes,n,low,high",
        [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
    )
    def test_published_intervals(self, successes: int, n: int, low: float, high: float) -> None:
        found = wilson(successes, n)
        assert found.value == successes / n
        assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)

    @pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
    def test_agrees_with_scipy(self, confidence: float) -> None:
        for successes, n in ((0, 7), (3, 7), (7, 7), (499, 500)):
            theirs = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
            found = wilson(successes, n, confidence)
            assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)

    def test_ends_are_exact_where_all_are_right_or_wrong(self) -> None:
        assert wilson(0, 40).low == 0.0 and wilson(0, 40).high > 0.05
        assert wilson(40, 40).high == 1.0 and wilson(40, 40).low < 0.95

    def test_mean_coverage(self) -> None:
        """Over p from .05 to .95, exactly, from the binomial distribution at n = 30."""
        n = 30
        bounds = [wilson(k, n) for k in range(n + 1)]
        chances = np.linspace(0.05, 0.95, 181)
        held = [
            sum(stats.binom.pmf(k, n, p) for k, found in enumerate(bounds) if found.low <= p <= found.high)
            for p in chances
        ]
        assert np.mean(held) == pytest.approx(0.95, abs=0.01)
        assert min(held) > 0.90


class TestShare:
    def test_right_or_wrong_is_wilson(self) -> None:
        assert share_estimate(np.asarray([1, 0, 0, 1, 0])) == wilson(2, 5)

    def test_shares_of_several_severities_are_students_t(self) -> None:
        rows = np.asarray([0.2, 0.4, 0.6, 0.4])
        found = share_estimate(rows)
        half = stats.t.ppf(0.975, 3) * rows.std(ddof=1) / 2
        assert (found.value, found.low, found.high) == pytest.approx((0.4, 0.4 - half, 0.4 + half), abs=1e-12)

    def test_is_cut_to_zero_and_one(self) -> None:
        found = share_estimate(np.asarray([0.0, 0.0, 0.5]))
        assert found.low == 0.0 and 0 < found.high < 1

    def test_without_spread_the_interval_has_a_width(self) -> None:
        found = share_estimate(np.full(12, 0.4))
        assert found.value == pytest.approx(0.4, abs=1e-12)
        assert found.low < 0.2 and found.high > 0.6


class TestMedian:
    def test_by_hand(self) -> None:
        """n = 10: P(Bin(10, 1/2) <= 1) = .0107, so that the interval runs from the 2nd to the 9th of the ordered."""
        found = median_estimate(np.asarray([5.0, 1, 2, 3, 4, 6, 7, 8, 9, 10]))
        assert (found.value, found.low, found.high) == (5.5, 2.0, 9.0)

    def test_too_few_images_say_nothing(self) -> None:
        found = median_estimate(np.asarray([1.0, 2, 3, 4, 5]))
        assert (found.value, found.low, found.high) == (3.0, 0.0, np.inf)

    def test_distances_that_were_not_found_are_infinite(self) -> None:
        found = median_estimate(np.asarray([0.0] * 4 + [1.0] + [np.inf] * 5))
        assert found.value == np.inf and found.low == 0.0 and found.high == np.inf

    def test_coverage(self) -> None:
        draws = np.random.default_rng(0).exponential(size=(2000, 25))
        held = [found.low <= np.log(2) <= found.high for found in map(median_estimate, draws)]
        assert 0.94 <= np.mean(held) <= 0.98  # 1 - 2 P(Bin(25, 1/2) <= 7) = .957


class TestArea:
    def test_by_hand(self) -> None:
        """Right up to eps 1 of 0, 1, 2, 4: one whole trapezoid and a half one, over a range of 4."""
        right = np.asarray([[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]])
        np.testing.assert_allclose(area_rows(right, [0, 1, 2, 4]), [1.5 / 4, 1.0, 0.0], rtol=0, atol=1e-15)

    def test_mean_of_areas_is_the_area_of_the_mean(self) -> None:
        right = np.random.default_rng(0).random((50, 4)) < 0.5
        curve = right.mean(axis=0)
        by_hand = (0.5 * (curve[0] + curve[1]) + 0.5 * (curve[1] + curve[2]) + 1.0 * (curve[2] + curve[3])) / 4
        assert area_rows(right, [0, 1, 2, 4]).mean() == pytest.approx(by_hand, abs=1e-12)


class TestRelativeErrors:
    def test_by_hand(self) -> None:
        """Corruption A: .5 against .25 is 2; B: .25 against .5 is .5; mCE 1.25."""
        errors = np.asarray([[1.0, 0.0], [0.0, 0.5], [1.0, 0.0], [0.0, 0.5]])
        reference = np.asarray([[0.5, 0.5], [0.0, 0.5], [0.5, 0.5], [0.0, 0.5]])
        mean, each = relative_errors(errors, reference)
        assert [e.value for e in each] == pytest.approx([2.0, 0.5], abs=1e-12)
        assert mean.value == pytest.approx(1.25, abs=1e-12)
        assert mean.low < 1.25 < mean.high

    def test_a_model_against_itself_is_one_for_sure(self) -> None:
        errors = np.random.default_rng(0).random((30, 3))
        mean, _ = relative_errors(errors, errors)
        assert (mean.value, mean.low, mean.high) == pytest.approx((1.0, 1.0, 1.0), abs=1e-12)

    def test_a_reference_without_errors_is_undefined(self) -> None:
        mean, each = relative_errors(np.ones((4, 2)), np.asarray([[0.0, 1.0]] * 4))
        assert np.isnan(mean.value) and "no error" in mean.reason
        assert np.isnan(each[0].value) and each[1].value == 1.0

    def test_coverage(self) -> None:
        draws = np.random.default_rng(1)
        own, theirs = np.asarray([0.3, 0.5, 0.6]), np.asarray([0.5, 0.6, 0.7])
        truth, held = float((own / theirs).mean()), []
        for _ in range(600):
            hard = draws.normal(size=(200, 1))  # what an image's errors share, within a model and between them
            wrong = [
                draws.normal(size=(200, 3)) + hard < np.sqrt(2) * stats.norm.ppf(chance) for chance in (own, theirs)
            ]
            found = relative_errors(wrong[0].astype(float), wrong[1].astype(float))[0]
            held.append(found.low <= truth <= found.high)
        assert 0.925 <= np.mean(held) <= 0.975
