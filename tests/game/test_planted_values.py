"""Information of Gaussian evidence by quadrature, against other ways to work it out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from spectrobe.errors import InputError
from spectrobe.game.planted import binary_information, planted_shapley, planted_values, usable


def by_entropies(dprime: float) -> float:
    """h(U) - h(U | class) of U ~ N(+-d'/2, 1), on a fine grid: no log-likelihood ratio, no quadrature rule."""
    u = np.linspace(-15 - dprime, 15 + dprime, 400_001)
    density = sum(np.exp(-((u - s * dprime / 2) ** 2) / 2) for s in (-1, 1)) / (2 * np.sqrt(2 * np.pi))
    mixture = -np.trapezoid(special.xlogy(density, density), u)
    return float(mixture - 0.5 * np.log(2 * np.pi * np.e))


@pytest.mark.parametrize("dprime", [0.0, 0.1, 0.7, 1.5, 2.0, 4.0, 9.0])
def test_the_information_of_a_binary_class(dprime: float) -> None:
    assert binary_information(dprime) == pytest.approx(by_entropies(dprime), abs=1e-8)


def test_small_and_large_sensitivities() -> None:
    assert binary_information(0.01) == pytest.approx(0.01**2 / 8, rel=1e-3)  # Fisher information: d'^2 / 8
    assert binary_information(40.0) == pytest.approx(np.log(2), abs=1e-12)


def test_a_reader_of_the_wrong_gains() -> None:
    d, g = np.array([1.5, 0.5, 1.0]), np.array([0.2, 3.0, -1.0])
    values = planted_values(d, g)
    nodes, weights = np.polynomial.hermite_e.hermegauss(180)
    for mask in range(8):
        present = np.array([mask >> i & 1 for i in range(3)], dtype=float)
        evidence = present @ (g * d) / 2 + np.sqrt(present @ g**2) * nodes
        taus = np.linspace(0, 20, 8001)
        expected = (special.log_expit(taus[:, None] * evidence) @ weights) / weights.sum() + np.log(2)
        assert values[mask] == pytest.approx(expected.max(), abs=1e-5), mask


def test_a_reader_too_timid_for_the_cap_on_temperatures() -> None:
    [_, value] = planted_values([1.0], [0.001])  # the best inverse temperature would be 1,000
    assert value == usable(0.0005, 1e-6, 20.0)
    assert 0 < value < 0.1 * binary_information(1.0)


def test_shapley_values_of_what_is_planted() -> None:
    d = [0.0, 1.5, 1.0, 1.0]
    phi = planted_shapley(d)
    assert phi.sum() == pytest.approx(binary_information(np.sqrt(1.5**2 + 2)), abs=1e-9)
    assert phi[0] == pytest.approx(0, abs=1e-12) and phi[2] == pytest.approx(phi[3], abs=1e-12) and phi[1] > phi[2] > 0
    # two bands by hand: half of what it gives alone, half of what it adds to the other
    j1, j2, both = binary_information(1.0), binary_information(2.0), binary_information(np.sqrt(5))
    assert planted_shapley([1.0, 2.0]) == pytest.approx([(j1 + both - j2) / 2, (j2 + both - j1) / 2], abs=1e-9)
    assert planted_shapley([1.0, 2.0], n_bits=3) == pytest.approx(3 * planted_shapley([1.0, 2.0]))


def test_readers_that_are_wrong_by_design() -> None:
    d = [1.0, 0.5, 2.0]
    assert planted_shapley(d, [0, 0, 1]) == pytest.approx([0, 0, binary_information(2.0)], abs=1e-9)
    assert planted_shapley(d, [0, 0, 0]).tolist() == [0, 0, 0]
    assert planted_shapley(d, [10, 5, 20]) == pytest.approx(planted_shapley(d), abs=1e-9)  # the temperature mends that
    with pytest.raises(InputError, match="one d' and one gain a band"):
        planted_shapley(d, [1, 2])
