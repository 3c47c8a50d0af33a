from __future__ import annotations

import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectrobe.errors import InputError
from spectrobe.game.coalitions import Design, ExactDesign, PermutationDesign, make_design, members, sizes
from spectrobe.game.orders import Orders
from spectrobe.game.shapley import shapley_values

BANDS = st.integers(2, 8)


class TestMasks:
    def test_bit_i_is_band_i(self) -> None:
        np.testing.assert_array_equal(members(np.array([0, 1, 6]), 3), [[0, 0, 0], [1, 0, 0], [0, 1, 1]])
        assert members(np.array([[5]]), 4).shape == (1, 1, 4)

    @given(st.lists(st.integers(0, 2**20 - 1), min_size=1))
    def test_sizes_count_bits(self, masks: list[int]) -> None:
        np.testing.assert_array_equal(sizes(np.array(masks)), [mask.bit_count() for mask in masks])


@pytest.mark.parametrize("make", [ExactDesign, PermutationDesign])
@given(n_bands=BANDS, image=st.text(max_size=5))
def test_every_design_shows_the_full_coalition_first_and_the_empty_one_last(
    make: type[ExactDesign] | type[PermutationDesign], n_bands: int, image: str
) -> None:
    design: Design = make(n_bands)
    masks = design.coalitions(image)
    assert masks.shape == (design.n_coalitions,)
    assert masks[0] == 2**n_bands - 1
    assert masks[-1] == 0
    assert len(set(masks.tolist())) == len(masks)
    groups = design.groups(masks)
    assert groups.min() >= 0
    assert groups.max() < design.n_groups


class TestExact:
    @given(BANDS)
    def test_shows_every_coalition_and_shares_no_temperature(self, n_bands: int) -> None:
        design = ExactDesign(n_bands)
        assert sorted(design.coalitions("any")) == list(range(2**n_bands))
        assert design.n_coalitions == design.n_groups == 2**n_bands
        assert len(set(design.groups(np.arange(2**n_bands)).tolist())) == 2**n_bands

    def test_rows_are_shapley_values_of_each_image(self) -> None:
        tables = np.random.default_rng(0).normal(size=(5, 16))
        design = ExactDesign(4)
        masks = np.tile(design.coalitions(""), (5, 1))
        payoffs = np.take_along_axis(tables, masks, axis=1)
        np.testing.assert_allclose(design.shapley_rows(masks, payoffs), shapley_values(tables), atol=1e-12)


class TestPermutation:
    @given(BANDS, st.integers(0, 100), st.text(max_size=5))
    def test_shows_the_chain_of_an_order_and_of_its_reverse(self, n_bands: int, seed: int, image: str) -> None:
        design = PermutationDesign(n_bands, seed)
        order = design.order(image)
        assert sorted(order) == list(range(n_bands))
        masks = design.coalitions(image)
        assert design.n_coalitions == len(masks) == 2 * n_bands  # full and empty once each
        full = 2**n_bands - 1
        forward, backward = (
            {sum(1 << int(b) for b in chain[:k]) for k in range(n_bands + 1)} for chain in (order, order[::-1])
        )
        assert set(masks.tolist()) == forward | backward
        assert {full - int(mask) for mask in masks} == set(masks.tolist())  # the chains are complements

    def test_orders_depend_on_seed_and_image_alone(self) -> None:
        orders = {(seed, image): tuple(PermutationDesign(6, seed).order(image)) for seed in range(3) for image in "abc"}
        assert len(set(orders.values())) == 9
        assert tuple(PermutationDesign(6, 1).order("b")) == orders[1, "b"]

    def test_every_order_comes_as_often(self) -> None:
        counts = dict.fromkeys(itertools.permutations(range(3)), 0)
        for image in range(6000):
            counts[tuple(PermutationDesign(3).order(str(image)).tolist())] += 1
        # binomial(6000, 1/6): 1000 +- 29; four standard deviations
        assert all(880 < count < 1120 for count in counts.values())

    @given(BANDS, st.integers(0, 100))
    def test_rows_add_up_to_all_minus_empty(self, n_bands: int, seed: int) -> None:
        design = PermutationDesign(n_bands, seed)
        masks = np.stack([design.coalitions(str(image)) for image in range(4)])
        payoffs = np.random.default_rng(seed).normal(size=masks.shape)
        rows = design.shapley_rows(masks, payoffs)
        np.testing.assert_allclose(rows.sum(axis=1), payoffs[:, 0] - payoffs[:, -1], atol=1e-12)

    @given(BANDS, st.integers(0, 100))
    def test_an_additive_game_is_met_by_one_image(self, n_bands: int, seed: int) -> None:
        worth = np.random.default_rng(seed).normal(size=n_bands)
        design = PermutationDesign(n_bands, seed)
        masks = design.coalitions("image")[None]
        payoffs = members(masks, n_bands) @ worth + 3
        np.testing.assert_allclose(design.shapley_rows(masks, payoffs)[0], worth, atol=1e-12)

    def test_a_pair_of_reverse_orders_meets_games_of_pairs(self) -> None:
        # with dividends of at most two players, order and reverse give each half: exact for every image
        rng = np.random.default_rng(0)
        masks = np.arange(32)
        table = sum(rng.normal() * (masks & t == t) for t in masks if 0 < int(t).bit_count() <= 2)
        design = PermutationDesign(5)
        for image in "abcdef":
            shown = design.coalitions(image)[None]
            np.testing.assert_allclose(design.shapley_rows(shown, table[shown])[0], shapley_values(table), atol=1e-12)

    def test_is_unbiased(self) -> None:
        # over all 24 orders, weighted as they come, the mean of the rows is exact: checked by drawing each once
        table = np.random.default_rng(1).normal(size=16)
        design, rows = PermutationDesign(4), {}
        for image in itertools.count():
            order = tuple(design.order(str(image)).tolist())
            if order not in rows:
                masks = design.coalitions(str(image))[None]
                rows[order] = design.shapley_rows(masks, table[masks])[0]
            if len(rows) == math.factorial(4):
                break
        np.testing.assert_allclose(np.mean(list(rows.values()), axis=0), shapley_values(table), atol=1e-12)

    @given(BANDS)
    def test_groups_are_those_of_one_size_and_one_lowest_band(self, n_bands: int) -> None:
        design = PermutationDesign(n_bands)
        masks = np.arange(2**n_bands)
        kinds: dict[int, set[tuple[int, int]]] = {}
        for mask, group in zip(masks.tolist(), design.groups(masks).tolist(), strict=True):
            lowest = (mask & -mask).bit_length() if mask else 0
            kinds.setdefault(group, set()).add((mask.bit_count(), lowest))
        assert all(len(kind) == 1 for kind in kinds.values())
        assert len(kinds) == len({kind for found in kinds.values() for kind in found})
        assert max(kinds) < design.n_groups


SCHEMES = [(shifts, reverse) for shifts in (1, 2, 3, 4) for reverse in (False, True)]


@pytest.mark.parametrize(("shifts", "reverse"), SCHEMES)
class TestOrders:
    @pytest.mark.parametrize("n_bands", [4, 7, 16])
    def test_every_chain_leads_from_all_bands_to_none_one_at_a_time(
        self, shifts: int, reverse: bool, n_bands: int
    ) -> None:
        orders = Orders(n_bands, shifts, reverse)
        assert orders.n_chains == len(orders.chains) == shifts * (1 + reverse)
        assert len({place.tobytes() for place in orders.places}) == len(orders.places)
        assert orders.places[0].all() and not orders.places[-1].any()
        for chain in orders.places[orders.chains]:
            np.testing.assert_array_equal(chain.sum(axis=1), np.arange(n_bands, -1, -1))
            assert (chain[1:] <= chain[:-1]).all()

    @pytest.mark.parametrize("n_bands", [8, 16])
    def test_shifts_put_a_band_into_each_part_of_the_order_once(self, shifts: int, reverse: bool, n_bands: int) -> None:
        if n_bands % shifts:
            pytest.skip("parts of unequal length")
        orders = Orders(n_bands, shifts, reverse)
        for chain in orders.places[orders.chains[:: 1 + reverse]]:
            assert chain.shape == (n_bands + 1, n_bands)
        dropped = [chain.sum(axis=0) for chain in orders.places[orders.chains[:: 1 + reverse]]]
        parts = np.sort((np.stack(dropped) - 1) // (n_bands // shifts), axis=0)
        np.testing.assert_array_equal(parts, np.arange(shifts)[:, None].repeat(n_bands, axis=1))

    def test_is_unbiased(self, shifts: int, reverse: bool) -> None:
        # the mean over all 120 random orders, drawn once each, is exact
        table = np.random.default_rng(1).normal(size=32)
        orders = Orders(5, shifts, reverse)
        masks = np.stack([orders.places @ (1 << np.array(order)) for order in itertools.permutations(range(5))])
        rows = PermutationDesign(5, 0, shifts, reverse).shapley_rows(masks, table[masks])
        np.testing.assert_allclose(rows.mean(axis=0), shapley_values(table), atol=1e-12)

    def test_rows_add_up_and_weights_are_those_of_the_rows(self, shifts: int, reverse: bool) -> None:
        design = PermutationDesign(6, 3, shifts, reverse)
        masks = np.stack([design.coalitions(str(image)) for image in range(4)])
        payoffs = np.random.default_rng(0).normal(size=masks.shape)
        rows = design.shapley_rows(masks, payoffs)
        np.testing.assert_allclose(rows.sum(axis=1), payoffs[:, 0] - payoffs[:, -1], atol=1e-12)
        one_by_one = np.stack(
            [design.shapley_rows(masks, cell * np.ones(masks.shape)) for cell in np.eye(masks.shape[1])]
        )
        np.testing.assert_allclose(design.shapley_weights(masks), one_by_one.transpose(1, 0, 2), atol=1e-12)


def test_shifted_and_reversed_chains_share_the_coalitions_in_which_they_meet() -> None:
    # order AB, shift BA, and their reverses: A and B alone are each met by two chains
    assert len(Orders(8, 2, True).places) == 4 * 7 - 2 + 2
    assert len(Orders(8, 2, False).places) == 2 * 7 + 2


class TestMakeDesign:
    def test_by_name(self) -> None:
        assert make_design("exact", 8) == ExactDesign(8)
        assert make_design("permutation", 12, seed=3) == PermutationDesign(12, 3)
        assert make_design("exact", 12) == ExactDesign(12)
        assert make_design("exact", 16, force=True) == ExactDesign(16)
        assert make_design("permutation", 20) == PermutationDesign(20)

    @pytest.mark.parametrize("n_bands", [13, 16])
    def test_many_bands_name_the_price_and_both_ways_out(self, n_bands: int) -> None:
        message = (
            rf"costs {2**n_bands:,} forward passes an image: use design='permutation' \({2 * n_bands - 1} an image\)"
        )
        with pytest.raises(InputError, match=message + r", or force=True \(--force\) up to 16 bands"):
            make_design("exact", n_bands)

    @pytest.mark.parametrize("force", [False, True])
    def test_seventeen_bands_are_refused(self, force: bool) -> None:
        with pytest.raises(InputError, match=r"at most 16 bands, got 17 \(131,072 forward passes an image\)"):
            make_design("exact", 17, force=force)

    @pytest.mark.parametrize(
        ("name", "n_bands", "message"),
        [
            ("exakt", 4, "expected design 'exact' or 'permutation', got 'exakt'"),
            ("exact", 1, "at least 2 bands"),
            ("permutation", 1, "at least 2 bands"),
            ("permutation", 21, "at most 20 bands in the permutation design, got 21"),
        ],
    )
    def test_bad_input(self, name: str, n_bands: int, message: str) -> None:
        with pytest.raises(InputError, match=re.escape(message)):
            make_design(name, n_bands)
