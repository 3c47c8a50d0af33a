"""The test of the claim, where response predicts the drops and where it cannot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from spectrobe.studies.response import predictors as of
from spectrobe.studies.response.claim import YES, Claim, check_claim, kind_of, why_untested
from spectrobe.studies.response.predictors import Evidence
from spectrobe.studies.response.resampled import rank_correlation
from tests.studies.response.cases import evidence


def outcome(found: Evidence, drop: np.ndarray, spread: float = 0.005, seed: int = 0) -> Claim:
    """With these drops, resampled ones a little beside them."""
    draws = np.random.default_rng(seed)
    noisy = np.concatenate([drop[None], drop + spread * draws.standard_normal((len(found.clean) - 1, len(drop)))])
    return check_claim(replace(found, drop=noisy), np.stack([drop - 0.01, drop + 0.01], axis=1), 0.95, 0)


def test_drops_that_follow_the_response_are_predicted() -> None:
    found, dose = evidence()
    drop = 0.3 + 0.12 * np.log10(dose)
    result = outcome(found, drop)
    masking = result.predictions[of.MASKING]
    assert masking.error.value < 0.003 and masking.rank_correlation.value == pytest.approx(1.0, abs=1e-9)
    for name in (of.CLEAN, of.SEVERITY, of.POWER, of.BAND_POWER, of.BASELINES):
        assert result.predictions[name].error.low > 0.02
    verdict = result.verdicts[of.MASKING]
    assert verdict.answer == YES and verdict.together.low > 0.01 and verdict.alone.low > 0.01
    # the other response is the wrong way round, and adds nothing
    assert result.verdicts[of.GRADIENT].answer != YES
    assert result.predictions[of.GRADIENT].error.value > 0.05


def test_drops_that_do_not_are_not() -> None:
    found, _ = evidence()
    drop = np.random.default_rng(7).uniform(0.0, 0.6, len(found.names))
    result = outcome(found, drop)
    assert result.verdicts[of.MASKING].answer != YES and result.verdicts[of.MASKING].together.value < 0.01
    assert result.predictions[of.MASKING].error.value > 0.9 * result.predictions[of.CLEAN].error.value
    assert result.predictions[of.MASKING].rank_correlation.low < 0


def test_predictions_are_lines_through_the_other_kinds() -> None:
    found, dose = evidence()
    drop = np.clip(0.3 + 0.1 * np.log10(dose) + np.random.default_rng(1).normal(0, 0.05, len(dose)), 0, 0.9)
    predicted = outcome(found, drop).predictions[of.MASKING].predicted
    kinds = np.asarray([kind_of(base) for base in found.bases])
    assert dict.fromkeys(kinds) == dict.fromkeys(["weather", "digital", "blur", "noise", "own"])
    for kind in dict.fromkeys(kinds):
        out = kinds == kind
        slope, level = np.polyfit(np.log10(dose[~out]), drop[~out], 1)
        np.testing.assert_allclose(predicted[out], np.clip(level + slope * np.log10(dose[out]), 0, 0.9), atol=1e-9)


def test_the_prediction_without_a_line_is_the_masking_curve() -> None:
    found, dose = evidence()
    predicted = outcome(found, np.full(len(dose), 0.2)).predictions[of.DIRECT].predicted
    np.testing.assert_allclose(predicted, 0.8 * dose / (1 + dose), rtol=1e-9)  # 0.9 - (0.1 + 0.8 / (1 + dose))


def test_one_severity_is_no_baseline_and_a_constant_has_no_rank() -> None:
    found, dose = evidence()
    result = outcome(replace(found, severity=np.full(len(dose), 3.0)), 0.3 + 0.1 * np.log10(dose))
    assert (
        np.isnan(result.predictions[of.SEVERITY].error.value)
        and "all have one" in result.predictions[of.SEVERITY].reason
    )
    assert "same of every perturbation" in result.predictions[of.CLEAN].rank_correlation.reason
    assert result.verdicts[of.MASKING].answer == YES


def test_without_gradients_the_masking_response_is_tested_alone() -> None:
    found, dose = evidence()
    result = outcome(replace(found, gradient=None), 0.3 + 0.1 * np.log10(dose))
    assert list(result.verdicts) == [of.MASKING] and of.GRADIENT not in result.predictions


def test_intervals_cover_what_drawing_the_perturbations_anew_does() -> None:
    """Of 60 drawings, most intervals hold the mean over drawings; 95 % of them would, were 6 names many."""
    found, dose = evidence(replicates=200)
    ranks, errors = [], []
    for seed in range(60):
        draws = np.random.default_rng(100 + seed)
        drop = 0.3 + 0.1 * np.log10(dose) + draws.normal(0, 0.08, len(dose))
        masking = outcome(found, drop, seed=seed).predictions[of.MASKING]
        ranks.append(masking.rank_correlation)
        errors.append(masking.error)
    for estimates in (ranks, errors):
        mean = float(np.mean([e.value for e in estimates]))
        assert 0.84 <= np.mean([e.low <= mean <= e.high for e in estimates]) <= 1.0
        spread = float(np.std([e.value for e in estimates]))
        assert 0.75 < np.mean([e.stderr for e in estimates]) / spread < 1.4


def test_rank_correlations_are_scipys() -> None:
    draws = np.random.default_rng(0)
    a, b = draws.integers(0, 5, (3, 30)).astype(float), draws.normal(size=(3, 30))
    count = np.stack([np.ones(30), draws.integers(0, 3, 30), draws.integers(0, 3, 30)])
    found = rank_correlation(a, b, count)
    for row in range(3):
        often = count[row].astype(int)
        expected = spearmanr(np.repeat(a[row], often), np.repeat(b[row], often)).statistic
        assert found[row] == pytest.approx(expected, abs=1e-12)
    assert np.isnan(rank_correlation(np.ones((1, 4)), np.arange(4.0)[None], np.ones((1, 4))))


@pytest.mark.parametrize(
    ("bases", "missing"),
    [
        (["fog", "snow", "gaussian_noise"], "measured were 3 of 2"),
        (["fog"] * 5 + ["pgd_linf"] * 5, "measured were 10 of 2"),
        (["fog"] * 9 + ["pgd_linf", "shot_noise"], "measured were 11 of 3"),
    ],
)
def test_too_few_perturbations_are_named(bases: list[str], missing: str) -> None:
    assert missing in why_untested(bases)


def test_imagenet_c_at_one_severity_is_enough() -> None:
    from spectrobe.perturbations.corruptions import IMAGENET_C, IMAGENET_C_EXTRA

    assert why_untested(IMAGENET_C) == ""
    assert {kind_of(name) for name in (*IMAGENET_C, *IMAGENET_C_EXTRA)} == {"noise", "blur", "weather", "digital"}
