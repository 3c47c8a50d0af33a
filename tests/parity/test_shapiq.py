"""Shapley values and interactions against shapiq's exact computer (Muschalik et al., NeurIPS 2024)."""

from __future__ import annotations

import numpy as np
import pytest

from spectrobe.game.coalitions import ExactDesign
from spectrobe.game.fit import Payoffs, fit
from spectrobe.game.shapley import interactions, moebius, shapley_values
from spectrobe.game.values import make_value
from tests.real_table import real_table

shapiq = pytest.importorskip("shapiq")


@pytest.fixture(scope="module", params=["random", "real"])
def table(request: pytest.FixtureRequest) -> np.ndarray:
    """v of every coalition, by mask: a random game of 6 players, and the real game of 4 bands."""
    if request.param == "random":
        return np.random.default_rng(0).normal(size=64)
    return fit(Payoffs.of(real_table()), ExactDesign(4), make_value("usable-information")).values


def exact_computer(table: np.ndarray) -> object:
    n = len(table).bit_length() - 1
    weights = 1 << np.arange(n)
    return shapiq.ExactComputer(n_players=n, game=lambda coalitions: table[np.asarray(coalitions, dtype=int) @ weights])


def test_shapley_values(table: np.ndarray) -> None:
    found = exact_computer(table)("SV")
    expected = [found[(i,)] for i in range(found.n_players)]
    np.testing.assert_allclose(shapley_values(table), expected, rtol=0, atol=1e-10)


def test_pairwise_interactions(table: np.ndarray) -> None:
    found = exact_computer(table)("SII", order=2)
    ours = interactions(table)
    for i in range(found.n_players):
        for j in range(i):
            assert ours[i, j] == pytest.approx(found[(j, i)], abs=1e-10)


def test_moebius_transform(table: np.ndarray) -> None:
    n = len(table).bit_length() - 1
    found = exact_computer(table)("Moebius")
    ours = moebius(table)
    for mask in range(1, 2**n):
        assert ours[mask] == pytest.approx(found[tuple(i for i in range(n) if mask >> i & 1)], abs=1e-10)
