from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectrobe.errors import InputError
from spectrobe.game.shapley import interactions, moebius, shapley_values

PLAYERS = st.integers(1, 6)
SEED = st.integers(0, 2**31)


def random_table(n_players: int, seed: int, *batch: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(*batch, 2**n_players))


def table_of(dividends: dict[int, float], n_players: int) -> np.ndarray:
    """A sum of unanimity games: each mask T adds its dividend to every coalition that contains T."""
    masks = np.arange(2**n_players)
    return sum((d * (masks & t == t) for t, d in dividends.items()), np.zeros(2**n_players))


def relabelled(table: np.ndarray, new: np.ndarray) -> np.ndarray:
    """The same game with player i called new[i]."""
    out = np.empty_like(table)
    for mask in range(len(table)):
        out[sum(1 << new[i] for i in range(len(new)) if mask >> i & 1)] = table[mask]
    return out


def by_all_orders(table: np.ndarray, n_players: int) -> np.ndarray:
    """Shapley's own definition: a player's mean gain over all orders in which players could come."""
    gains = np.zeros(n_players)
    for order in itertools.permutations(range(n_players)):
        mask = 0
        for player in order:
            gains[player] += table[mask | 1 << player] - table[mask]
            mask |= 1 << player
    return gains / math.factorial(n_players)


class TestAxioms:
    @given(PLAYERS, SEED)
    def test_efficiency(self, n: int, seed: int) -> None:
        table = random_table(n, seed)
        assert shapley_values(table).sum() == pytest.approx(table[-1] - table[0], abs=1e-12)

    @given(st.integers(2, 6), SEED, st.data())
    def test_symmetry(self, n: int, seed: int, data: st.DataObject) -> None:
        i, j = data.draw(st.permutations(range(n)))[:2]
        swap = np.arange(n)
        swap[[i, j]] = j, i
        table = random_table(n, seed)
        table = table + relabelled(table, swap)  # i and j now do the same to every coalition
        phi = shapley_values(table)
        assert phi[i] == pytest.approx(phi[j], abs=1e-12)

    @given(st.integers(2, 6), SEED, st.data())
    def test_null_player(self, n: int, seed: int, data: st.DataObject) -> None:
        null = data.draw(st.integers(0, n - 1))
        table = random_table(n, seed)
        table = table[np.arange(2**n) & ~(1 << null)]
        assert shapley_values(table)[null] == pytest.approx(0, abs=1e-14)
        others = np.delete(np.arange(n), null)
        np.testing.assert_allclose(interactions(table)[null][others], 0, atol=1e-14)

    @given(PLAYERS, SEED)
    def test_linearity(self, n: int, seed: int) -> None:
        one, other = random_table(n, seed, 2)
        for transform in (shapley_values, interactions, moebius):
            np.testing.assert_allclose(
                transform(2 * one - 3 * other), 2 * transform(one) - 3 * transform(other), atol=1e-12
            )

    @given(PLAYERS, SEED, st.data())
    def test_names_of_players_do_not_matter(self, n: int, seed: int, data: st.DataObject) -> None:
        new = np.array(data.draw(st.permutations(range(n))))
        table = random_table(n, seed)
        renamed = relabelled(table, new)
        np.testing.assert_allclose(shapley_values(renamed)[new], shapley_values(table), atol=1e-12)
        np.testing.assert_allclose(interactions(renamed)[np.ix_(new, new)], interactions(table), atol=1e-12)

    @given(PLAYERS, SEED)
    def test_a_constant_is_worth_nothing(self, n: int, seed: int) -> None:
        table = random_table(n, seed)
        np.testing.assert_allclose(shapley_values(table + 7), shapley_values(table), atol=1e-12)

    @given(st.integers(1, 5), SEED)
    def test_equals_the_mean_over_all_orders(self, n: int, seed: int) -> None:
        table = random_table(n, seed)
        np.testing.assert_allclose(shapley_values(table), by_all_orders(table, n), atol=1e-12)


class TestUnanimityGames:
    @given(st.integers(2, 6), st.data())
    def test_known_values_interactions_and_dividends(self, n: int, data: st.DataObject) -> None:
        dividends = data.draw(st.dictionaries(st.integers(1, 2**n - 1), st.integers(-9, 9).map(float), max_size=5))
        phi, pairs, expected_dividends = np.zeros(n), np.zeros((n, n)), np.zeros(2**n)
        for mask, dividend in dividends.items():
            inside = [i for i in range(n) if mask >> i & 1]
            phi[inside] += dividend / len(inside)  # shared by those who are needed
            for i, j in itertools.permutations(inside, 2):
                pairs[i, j] += dividend / (len(inside) - 1)  # Grabisch & Roubens 1999: 1 / (t - 2 + 1)
            expected_dividends[mask] += dividend
        table = table_of(dividends, n)
        np.testing.assert_allclose(shapley_values(table), phi, atol=1e-12)
        np.testing.assert_allclose(moebius(table), expected_dividends, atol=1e-12)
        np.fill_diagonal(pairs, np.nan)
        np.testing.assert_allclose(interactions(table), pairs, atol=1e-12)

    def test_a_game_worked_out_by_hand(self) -> None:
        # a glove game: players 0 and 1 hold a left glove, 2 the right one; a pair is worth 1
        table = np.array([0, 0, 0, 0, 0, 1, 1, 1.0])
        np.testing.assert_allclose(shapley_values(table), [1 / 6, 1 / 6, 4 / 6], atol=1e-15)
        np.testing.assert_allclose(moebius(table), [0, 0, 0, 0, 0, 1, 1, -1], atol=1e-15)
        nan = np.nan
        np.testing.assert_allclose(
            interactions(table), [[nan, -0.5, 0.5], [-0.5, nan, 0.5], [0.5, 0.5, nan]], atol=1e-15
        )


class TestMoebius:
    @given(PLAYERS, SEED)
    def test_values_are_sums_of_the_dividends_of_subsets(self, n: int, seed: int) -> None:
        table = random_table(n, seed)
        dividends = moebius(table)
        for mask in range(2**n):
            subsets = [t for t in range(2**n) if t & mask == t]
            assert dividends[subsets].sum() == pytest.approx(table[mask], abs=1e-11)

    def test_leaves_the_table_as_it_is(self) -> None:
        table = random_table(3, 0)
        kept = table.copy()
        moebius(table)
        np.testing.assert_array_equal(table, kept)


class TestShapes:
    @given(PLAYERS, SEED, st.lists(st.integers(1, 3), max_size=3))
    def test_batch_axes_are_kept(self, n: int, seed: int, batch: list[int]) -> None:
        tables = random_table(n, seed, *batch)
        flat = tables.reshape(-1, 2**n)
        for transform, shape in ((shapley_values, (n,)), (interactions, (n, n)), (moebius, (2**n,))):
            found = transform(tables)
            assert found.shape == (*batch, *shape)
            assert found.dtype == np.float64
            np.testing.assert_allclose(found.reshape(-1, *shape), [transform(table) for table in flat], atol=1e-12)

    @given(SEED)
    def test_interactions_are_symmetric_with_nan_on_the_diagonal(self, seed: int) -> None:
        found = interactions(random_table(4, seed))
        np.testing.assert_array_equal(found, found.T)
        assert np.isnan(np.diag(found)).all()
        assert np.isnan(found).sum() == 4

    def test_lists_and_whole_numbers_will_do(self) -> None:
        np.testing.assert_array_equal(shapley_values([0, 1]), [1.0])

    def test_sixteen_players(self) -> None:
        # additive: each player is worth its index
        masks = np.arange(2**16)
        table = sum(i * (masks >> i & 1) for i in range(16))
        np.testing.assert_allclose(shapley_values(table), np.arange(16), atol=1e-9)

    @pytest.mark.parametrize("table", [[], [1.0], [1, 2, 3], np.zeros((4, 6)), 3.0, np.zeros((2, 0))])
    def test_refuses_what_is_no_table(self, table: object) -> None:
        for transform in (shapley_values, interactions, moebius):
            with pytest.raises(InputError, match=r"2\*\*M"):
                transform(table)  # type: ignore[arg-type]
