"""The permutation design against the exact one on a stored real table: bias, standard error, shared temperatures."""

from __future__ import annotations

import numpy as np
import pytest

from tests.simulation import SamplerRuns, sampler_runs

pytestmark = pytest.mark.slow

N_IMAGES, RUNS = 400, 200


@pytest.fixture(scope="module")
def runs() -> SamplerRuns:
    return sampler_runs("usable-information", N_IMAGES, RUNS)


def test_is_unbiased_at_the_same_temperatures(runs: SamplerRuns) -> None:
    bias = (runs.estimate - runs.same).mean(axis=0) / runs.stderr.mean(axis=0)
    print("mean - exact at the same temperatures, in standard errors of one run:", bias.round(3))
    assert np.abs(bias).max() < 0.1


def test_reports_the_standard_error_it_has(runs: SamplerRuns) -> None:
    ratio = runs.stderr.mean(axis=0) / runs.estimate.std(axis=0, ddof=1)
    print("reported / empirical standard error:", ratio.round(3))
    np.testing.assert_allclose(ratio, 1, atol=0.1)


def test_sharing_temperatures_moves_it_a_little(runs: SamplerRuns) -> None:
    in_stderr = runs.shift / runs.stderr.mean(axis=0)
    off = (runs.estimate.mean(axis=0) - runs.truth) / runs.stderr.mean(axis=0)
    print("shift from sharing temperatures, in nats:", runs.shift.round(4), "in standard errors:", in_stderr.round(3))
    assert 0.05 < np.abs(in_stderr).max() < 0.25
    # all that is off is the shift, up to the noise of 200 runs (0.07 standard errors each)
    np.testing.assert_allclose(off, in_stderr, atol=0.2)


def test_a_value_without_temperature_is_unbiased_outright() -> None:
    plain = sampler_runs("log-likelihood", 50, RUNS)
    bias = (plain.estimate - plain.same).mean(axis=0) / plain.stderr.mean(axis=0)
    np.testing.assert_allclose(bias, 0, atol=0.1)
    np.testing.assert_array_equal(plain.shift, np.zeros(4))
    np.testing.assert_allclose(plain.stderr.mean(axis=0) / plain.estimate.std(axis=0, ddof=1), 1, atol=0.12)
