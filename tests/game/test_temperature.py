from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp

from spectrobe.game.table import cells_from_logits
from spectrobe.game.temperature import CAP, TEMPERATURES, UNIT, at_temperature, best_temperature, interpolation_weights
from tests.real_table import real_logits, real_table


def curve_of(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The stored mean curve of one coalition: logits (N, C) -> (32,)."""
    cells = cells_from_logits(torch.from_numpy(logits.astype(np.float32)), torch.from_numpy(labels))
    return cells["log_q"].numpy().astype(np.float64).mean(axis=0)


def mean_log_q(tau: float, logits: np.ndarray, labels: np.ndarray) -> float:
    z = tau * logits.astype(np.float64)
    return float((z[np.arange(len(z)), labels] - logsumexp(z, axis=1)).mean())


def optimum(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """The best temperature in [0, cap] and its value, by a general optimiser on the logits themselves."""
    grid = np.concatenate([[0.0], np.geomspace(1e-3, CAP, 80)])
    best = int(np.argmax([mean_log_q(tau, logits, labels) for tau in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    found = minimize_scalar(
        lambda tau: -mean_log_q(tau, logits, labels), bounds=(low, high), method="bounded", options={"xatol": 1e-9}
    )
    return max(((tau, mean_log_q(tau, logits, labels)) for tau in (found.x, grid[best])), key=lambda pair: pair[1])


class TestGrid:
    def test_0_then_geometric_over_1_to_20(self) -> None:
        assert len(TEMPERATURES) == 32
        assert TEMPERATURES[0] == 0
        assert TEMPERATURES[1] == pytest.approx(0.01, rel=1e-12)
        assert TEMPERATURES[-1] == CAP == 20
        ratio = TEMPERATURES[2:] / TEMPERATURES[1:-1]
        assert 1.28 < ratio.min() <= ratio.max() < 1.3
        assert not TEMPERATURES.flags.writeable

    def test_unit_is_the_models_own_temperature(self) -> None:
        assert TEMPERATURES[UNIT] == 1.0
        logits, labels = np.random.default_rng(0).normal(size=(50, 10)) * 3, np.arange(50) % 10
        cells = cells_from_logits(torch.from_numpy(logits), torch.from_numpy(labels))
        expected = log_softmax(logits, axis=1)[np.arange(50), labels]
        np.testing.assert_allclose(cells["log_q"][:, UNIT].numpy(), expected, rtol=0, atol=2e-6)


class TestBestTemperature:
    @pytest.mark.parametrize("n_classes", [2, 10, 100, 1000])
    @pytest.mark.parametrize(("scale", "tolerance"), [(1.0, 1e-4), (3.0, 5e-5), (10.0, 5e-5), (30.0, 2e-4)])
    def test_meets_an_optimiser_on_the_logits(self, n_classes: int, scale: float, tolerance: float) -> None:
        rng = np.random.default_rng([n_classes, int(scale)])
        for signal in (0.5, 1.0, 2.0):
            labels = rng.integers(n_classes, size=60)
            logits = rng.normal(size=(60, n_classes)) * scale
            logits[np.arange(60), labels] += signal * scale
            logits = logits.astype(np.float32)
            tau, value = optimum(logits, labels)
            assert 0 < tau < CAP / 2  # away from the cap, where knots are 5 apart
            curve = curve_of(logits, labels)
            found = best_temperature(curve)
            assert float(at_temperature(curve, found)) == pytest.approx(value, abs=tolerance)  # the spline's own error
            assert mean_log_q(float(found), logits, labels) == pytest.approx(value, abs=1e-6)  # lost by a tau beside it
            assert float(found) == pytest.approx(tau, rel=2e-3)

    def test_meets_it_on_real_curves(self) -> None:
        logits, labels, _ = real_logits()
        curves = real_table().log_q.astype(np.float64).mean(axis=0)
        for k in range(15):  # the empty coalition, last, has one flat curve
            tau, value = optimum(logits[:, k], labels)
            found = best_temperature(curves[k])
            assert float(at_temperature(curves[k], found)) == pytest.approx(value, abs=2e-5)
            assert float(found) == pytest.approx(tau, rel=1e-3)

    def test_is_0_for_anti_informative_curves(self) -> None:
        logits = np.array([[2.0, -2.0], [1.0, -1.0]])
        curve = curve_of(logits, np.array([1, 1]))  # always the other class
        assert best_temperature(curve) == 0
        assert float(at_temperature(curve, np.array(0.0))) == pytest.approx(-np.log(2), abs=1e-7)

    def test_is_the_cap_when_every_image_is_right(self) -> None:
        logits = np.array([[0.2, -0.2], [-0.1, 0.1]])
        curve = curve_of(logits, np.array([0, 1]))
        assert best_temperature(curve) == CAP
        assert float(at_temperature(curve, np.array(CAP))) == pytest.approx(
            mean_log_q(CAP, logits, np.array([0, 1])), abs=1e-6
        )

    def test_of_gaussian_logits_with_a_known_optimum(self) -> None:
        # z_y - z_other ~ N(m, s^2): calibrated, and so best at tau = 1, when m = s^2 / 2, at 1/k when scaled by k
        margins = np.random.default_rng(0).normal(0.5, 1.0, size=200_000)
        for k in (0.5, 1.0, 4.0):
            logits = np.stack([k * margins, np.zeros_like(margins)], axis=1)
            found = best_temperature(curve_of(logits, np.zeros(len(margins), dtype=np.int64)))
            assert float(found) == pytest.approx(1 / k, rel=0.02)

    def test_batch_axes_are_kept(self) -> None:
        curves = real_table().log_q[:60].astype(np.float64).reshape(5, 12, 16, 32)
        found = best_temperature(curves)
        assert found.shape == (5, 12, 16)
        for at in np.ndindex(5, 12):
            np.testing.assert_allclose(found[at], best_temperature(curves[at]), rtol=1e-9, atol=1e-12)


class TestInterpolation:
    def test_is_exact_at_the_stored_temperatures(self) -> None:
        np.testing.assert_allclose(interpolation_weights(TEMPERATURES), np.eye(32), rtol=0, atol=1e-12)
        np.testing.assert_array_equal(interpolation_weights(np.array(1.0)), np.eye(32)[UNIT])

    def test_constants_are_exact_and_straight_lines_nearly(self) -> None:
        tau = np.random.default_rng(0).uniform(0, 20, size=100)
        weights = interpolation_weights(tau)
        np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=0, atol=1e-12)
        np.testing.assert_allclose(weights @ TEMPERATURES, tau, rtol=2e-4)

    def test_is_linear_in_the_curves(self) -> None:
        one, other = np.random.default_rng(0).normal(size=(2, 32))
        tau = np.array(0.7)
        mixed = at_temperature(0.25 * one + 0.75 * other, tau)
        assert mixed == pytest.approx(0.25 * at_temperature(one, tau) + 0.75 * at_temperature(other, tau), abs=1e-12)

    def test_derivatives_are_those_of_the_curve(self) -> None:
        curve = real_table().log_q[:, 0].mean(axis=0).astype(np.float64)
        u, step = np.log1p(np.array([0.05, 0.8, 3.0]) / 0.1), 1e-4

        def value(at: np.ndarray, derivative: int = 0) -> np.ndarray:
            return np.asarray(interpolation_weights(0.1 * np.expm1(at), derivative) @ curve)

        np.testing.assert_allclose(value(u, 1), (value(u + step) - value(u - step)) / (2 * step), rtol=1e-5)
        second = (value(u + step) - 2 * value(u) + value(u - step)) / step**2
        np.testing.assert_allclose(value(u, 2), second, rtol=1e-3)
