from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from spectrobe.bands import BandPartition
from spectrobe.game.intervals import (
    Replicates,
    bootstrap_weights,
    mean_estimate,
    percentile,
    studentised,
    weighted_covariance,
)
from spectrobe.game.scores import (
    DEFAULT_SCORE,
    FOLDED,
    MEANINGS,
    NEEDS_INFORMATION,
    band_octaves,
    clipped_share,
    falling_weights,
    published_score,
    score_estimate,
    score_estimates,
    score_functions,
    share_rows,
    signed_rows,
)

PARTITIONS = [
    BandPartition.square(8),
    BandPartition.radial(5),
    BandPartition.octaves(5),
    BandPartition.from_edges([0, 0.1, 0.3, 1]),
    BandPartition.square(4, dc="own"),
]
PROFILE = np.array([0.5, 0.3, -0.1, 0.2, 0.1, 0.0, 0.05, -0.02])


@pytest.fixture
def eight() -> dict[str, object]:
    return dict(score_functions(BandPartition.square(8)))


def score(name: str, phi: np.ndarray, bands: BandPartition | None = None) -> float:
    return float(score_functions(bands or BandPartition.square(8))[name](phi))


class TestPublished:
    def test_all_weight_on_one_band_folds_the_sign(self) -> None:
        found = published_score(np.eye(8))
        np.testing.assert_allclose(found, [0.52, 0.29, 0.11, 0.03, 0.13, 0.20, 0.26, 0.30], rtol=0, atol=0.006)

    def test_worked_out_by_hand(self) -> None:
        # beta = (1, .75), |beta| = 1.25, eta = 1.75 / 2.5 = .7; all on band 0: <(.8, .6), (1, 0)> = .8
        assert published_score(np.array([1.0, 0.0])) == pytest.approx(0.1 / 0.3, abs=1e-12)
        assert published_score(np.array([3.0, 2.0])) == pytest.approx(0.1 / 0.3, abs=1e-12)  # the smallest is taken off
        assert published_score(np.array([0.0, 1.0])) == pytest.approx(0.1 / 0.3, abs=1e-12)  # and the sign is lost

    @given(st.floats(-5, 5), st.floats(0.1, 9))
    def test_does_not_see_shift_and_scale(self, shift: float, scale: float) -> None:
        assert published_score(scale * PROFILE + shift) == pytest.approx(float(published_score(PROFILE)), abs=1e-9)

    def test_of_a_flat_profile_is_not_defined(self) -> None:
        assert np.isnan(published_score(np.full(8, 0.3)))


class TestSigned:
    @pytest.mark.parametrize("bands", PARTITIONS, ids=str)
    def test_is_1_in_the_lowest_band_0_when_flat_and_negative_in_the_highest(self, bands: BandPartition) -> None:
        m = bands.n_bands
        for name in ("signed", "signed-unclipped"):
            assert score(name, np.eye(m)[0], bands) == pytest.approx(1, abs=1e-12)
            assert score(name, np.full(m, 0.2), bands) == pytest.approx(0, abs=1e-12)
            assert score(name, np.eye(m)[-1], bands) < -0.1
            ladder = [score(name, row, bands) for row in np.eye(m)]
            assert (np.diff(ladder[int(bands.dc == "own") :]) < 0).all()

    def test_worked_out_by_hand(self) -> None:
        # beta = (1, .75^4): the mean of .75^(8 r) over the upper half against the lower
        beta = 0.75**4
        expected = (0.75 + 0.25 * beta - (1 + beta) / 2) / (1 - (1 + beta) / 2)
        assert score("signed", np.array([3.0, 1.0]), BandPartition.square(2)) == pytest.approx(expected, abs=1e-12)
        assert expected == pytest.approx(0.5, abs=1e-12)

    def test_negative_bands_are_clipped_or_not(self) -> None:
        clipped = np.maximum(PROFILE, 0)
        assert score("signed", PROFILE) == pytest.approx(score("signed-unclipped", clipped), abs=1e-12)
        assert score("signed", PROFILE) != pytest.approx(score("signed-unclipped", PROFILE), abs=1e-3)

    @given(st.floats(0.01, 100))
    def test_does_not_see_scale(self, scale: float) -> None:
        for name in ("signed", "signed-unclipped", "centroid", "bandwidth", "entropy"):
            assert score(name, scale * PROFILE) == pytest.approx(score(name, PROFILE), rel=1e-9)

    def test_without_anything_positive_is_not_defined(self) -> None:
        for name in NEEDS_INFORMATION:
            assert np.isnan(score(name, -np.ones(8)))


class TestFallingWeights:
    def test_are_powers_of_three_quarters_for_eight_linear_bands(self) -> None:
        np.testing.assert_allclose(falling_weights(BandPartition.square(8)), 0.75 ** np.arange(8), rtol=1e-12)
        np.testing.assert_allclose(falling_weights(BandPartition.radial(8)), 0.75 ** np.arange(8), rtol=1e-12)

    @pytest.mark.parametrize("bands", PARTITIONS, ids=str)
    def test_are_means_over_the_band(self, bands: BandPartition) -> None:
        means = [
            quad(lambda r: 0.75 ** (8 * r), a, b)[0] / (b - a)
            for a, b in zip(bands.edges, bands.edges[1:], strict=False)
        ]
        expected = np.array(means) / means[0]
        if bands.dc == "own":
            expected = np.concatenate([[1.0], expected])
        np.testing.assert_allclose(falling_weights(bands), expected, rtol=1e-9)


class TestOctaves:
    def test_centroid_of_one_band_is_its_centre(self) -> None:
        for band in range(8):
            expected = np.log2((2 * band + 1) / 16)
            assert score("centroid", np.eye(8)[band]) == pytest.approx(expected, abs=1e-12)
            assert score("bandwidth", np.eye(8)[band]) == pytest.approx(0, abs=1e-7)

    def test_of_two_bands_lies_between(self) -> None:
        phi = np.array([1.0, 3.0])
        low, high = band_octaves(BandPartition.square(2))
        assert (low, high) == (-2, np.log2(0.75))
        assert score("centroid", phi, BandPartition.square(2)) == pytest.approx((low + 3 * high) / 4, abs=1e-12)
        expected = (high - low) * np.sqrt(3) / 4
        assert score("bandwidth", phi, BandPartition.square(2)) == pytest.approx(expected, abs=1e-12)

    def test_the_means_own_band_counts_as_the_lowest_ring(self) -> None:
        octaves = band_octaves(BandPartition.square(4, dc="own"))
        np.testing.assert_allclose(octaves, np.log2([1 / 8, 1 / 8, 3 / 8, 5 / 8, 7 / 8]))


class TestEntropy:
    def test_of_one_band_is_0_and_of_a_flat_profile_log_m(self) -> None:
        for m in (2, 8):
            bands = BandPartition.square(m)
            assert score("entropy", np.eye(m)[1], bands) == 0
            assert score("entropy", np.full(m, 0.2), bands) == pytest.approx(np.log(m), abs=1e-12)

    def test_worked_out_by_hand_with_negative_bands_clipped(self) -> None:
        phi = np.array([3.0, -5.0, 1.0])
        expected = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
        assert score("entropy", phi, BandPartition.square(3)) == pytest.approx(expected, abs=1e-12)


class TestInNats:
    def test_information_is_the_sum_and_low_band_the_first(self) -> None:
        assert score("information", PROFILE) == pytest.approx(PROFILE.sum(), abs=1e-12)
        assert score("low-band", PROFILE) == 0.5
        assert score("low-band", PROFILE[:5], BandPartition.square(4, dc="own")) == pytest.approx(0.8, abs=1e-12)


@pytest.mark.parametrize("bands", PARTITIONS, ids=str)
def test_scores_take_batches(bands: BandPartition) -> None:
    phi = np.random.default_rng(0).uniform(0.1, 1, size=(3, 4, bands.n_bands))
    for function in score_functions(bands).values():
        found = function(phi)
        assert found.shape == (3, 4)
        np.testing.assert_allclose(found[1, 2], function(phi[1, 2]), rtol=1e-12)


@given(st.lists(st.floats(-1, 1), min_size=8, max_size=8))
def test_the_clipped_share_adds_up_to_one(profile: list[float]) -> None:
    share = clipped_share(np.array(profile))
    if max(profile) > 0:
        assert share.sum() == pytest.approx(1, abs=1e-9)
        assert share.min() >= 0
        assert (share[np.array(profile) <= 0] == 0).all()
    else:
        assert np.isnan(share).all()


def test_rows_of_shares_and_score_are_derivatives_by_the_weight_of_an_image() -> None:
    rows, eps = np.random.default_rng(0).normal([1.0, 0.5, 0.2, -1.0], 0.6, (2, 30, 4)), 1e-6
    bands = BandPartition.of(4)
    signed = score_functions(bands)["signed"]
    shares, scores = share_rows(rows), signed_rows(rows, bands)
    assert np.allclose(shares.mean(axis=1), 0, atol=1e-12) and (shares[..., 3] == 0).all()
    for i in (0, 7):
        moved = rows.mean(axis=1) + eps * (rows[:, i] - rows.mean(axis=1))
        slope = (clipped_share(moved) - clipped_share(rows.mean(axis=1))) / eps
        assert np.allclose(shares[:, i], slope, atol=1e-4)
        assert np.allclose(scores[:, i], (signed(moved) - signed(rows.mean(axis=1))) / eps, atol=1e-4)
    assert np.isnan(share_rows(-np.abs(rows))).all()


def test_every_score_has_its_meaning_and_interval() -> None:
    functions = score_functions(BandPartition.square(8))
    assert set(functions) == set(MEANINGS)
    assert {DEFAULT_SCORE, *NEEDS_INFORMATION, *FOLDED} <= set(functions)
    rng = np.random.default_rng(0)
    replicates = Replicates(PROFILE + rng.normal(size=(300, 8)) * 0.01, np.tile(np.eye(8) * 1e-4, (300, 1, 1)))
    for name, function in functions.items():
        expected = (percentile if name == "published" else studentised)(function, replicates, 0.9)
        assert score_estimate(name, function, replicates, 0.9) == expected


def test_means_among_the_scores_have_students_interval_and_the_others_a_bootstraps() -> None:
    rng = np.random.default_rng(0)
    for bands, lowest in ((BandPartition.square(8), 1), (BandPartition.square(7, dc="own"), 2)):
        rows = PROFILE + rng.normal(size=(50, 8)) * 0.1
        weights = np.concatenate([np.ones((1, 50)), bootstrap_weights(50, 0, 199)])
        replicates = Replicates(weights @ rows / 50, weighted_covariance(rows, rows, weights))
        information = mean_estimate(rows.sum(axis=1), 0.9)
        found = score_estimates(bands, rows, information, replicates)
        assert set(found) == set(MEANINGS)
        assert found["information"] == information
        assert found["low-band"] == mean_estimate(rows[:, :lowest].sum(axis=1), 0.9)
        functions = score_functions(bands)
        for name in set(found) - {"information", "low-band"}:
            assert found[name] == score_estimate(name, functions[name], replicates, 0.9)
        for name, estimate in found.items():
            assert estimate.value == pytest.approx(float(functions[name](rows.mean(axis=0))), abs=1e-12)
            assert estimate.low < estimate.value < estimate.high or name == "published"
