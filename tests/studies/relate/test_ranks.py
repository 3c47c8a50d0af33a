"""Rank correlations of weighted models against scipy, and what changes places when recipes are permuted."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from spectrobe.studies.relate.permute import permuted, permuted_partial
from spectrobe.studies.relate.ranks import kendall, partial, signs, spearman
from spectrobe.studies.relate.resampling import left_out, recipe_permutations, recipe_weights

NUMBERS = st.lists(st.integers(0, 5).map(float), min_size=7, max_size=7).filter(lambda x: len(set(x)) > 1)


@given(NUMBERS, NUMBERS, st.lists(st.integers(0, 3), min_size=7, max_size=7))
def test_a_weighted_correlation_is_that_of_the_repeated_models(x: list[float], y: list[float], w: list[int]) -> None:
    a, b, weights = np.array(x), np.array(y), np.array(w)
    longer = np.repeat(a, weights), np.repeat(b, weights)
    found = spearman(signs(a), signs(b), weights[None].astype(float))[0]
    tau = kendall(signs(a), signs(b), weights[None].astype(float))[0]
    if len(set(longer[0])) < 2 or len(set(longer[1])) < 2:
        assert np.isnan(found) and np.isnan(tau)
        return
    assert found == pytest.approx(stats.spearmanr(*longer).statistic, abs=1e-12)
    assert tau == pytest.approx(stats.kendalltau(*longer).statistic, abs=1e-12)


@given(NUMBERS, NUMBERS, NUMBERS)
def test_the_partial_correlation_is_that_of_what_a_line_in_the_third_rank_leaves(
    x: list[float], y: list[float], z: list[float]
) -> None:
    ranks = [stats.rankdata(v) for v in (x, y, z)]
    line = np.stack([np.ones(7), ranks[2]], axis=1)
    left = [r - line @ np.linalg.lstsq(line, r, rcond=None)[0] for r in ranks[:2]]
    a, b, c = (signs(np.array(v)) for v in (x, y, z))
    one = np.ones((1, 7))
    found = partial(spearman(a, b, one), spearman(a, c, one), spearman(b, c, one))[0]
    if min(np.linalg.norm(part) for part in left) < 1e-6:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(np.corrcoef(*left)[0, 1], abs=1e-9)


def test_kendalls_partial_by_hand() -> None:
    # tau_xy = .6, tau_xz = .4, tau_yz = .2: (.6 - .08) / sqrt(.84 * .96)
    assert partial(np.array(0.6), np.array(0.4), np.array(0.2)) == pytest.approx(0.52 / np.sqrt(0.8064), abs=1e-12)
    assert np.isnan(partial(np.array(0.6), np.array(1.0), np.array(0.2)))


RECIPE = np.array([4, 4, 4, 1, 1, 7, 9, 2])


def test_recipes_are_drawn_whole() -> None:
    weights = recipe_weights(RECIPE, seed=0, n_resamples=500)
    assert (
        weights.shape == (500, 8) and (weights[:, 0] == weights[:, 1]).all() and (weights[:, 3] == weights[:, 4]).all()
    )
    by_recipe = weights[:, [0, 3, 5, 6, 7]]
    assert (by_recipe.sum(1) == 5).all()
    assert by_recipe.mean(0) == pytest.approx(np.ones(5), abs=0.15)
    assert np.array_equal(weights, recipe_weights(RECIPE, seed=0, n_resamples=500))
    assert not np.array_equal(weights, recipe_weights(RECIPE, seed=1, n_resamples=500))


def test_a_recipe_takes_the_numbers_of_one_recipe() -> None:
    index = recipe_permutations(RECIPE, seed=0, n_permutations=400)
    assert index.shape == (400, 8)
    for row in index:
        sources = [set(RECIPE[row[recipe == RECIPE]]) for recipe in np.unique(RECIPE)]
        assert all(len(source) == 1 for source in sources)
        assert set.union(*sources) == set(RECIPE)  # every recipe gives its numbers once
        taken = row[RECIPE == 4]
        n_there = (RECIPE[taken[0]] == RECIPE).sum()
        assert len(set(taken)) == min(3, n_there)  # no model twice unless there are too few
    first_of = index[:, 0]
    counts = np.bincount(first_of, minlength=8) / 400
    assert counts[:3].sum() == pytest.approx(0.2, abs=0.07) and counts[5] == pytest.approx(0.2, abs=0.07)
    assert counts[:3].min() > 0.02  # in random order


def test_models_that_are_recipes_of_their_own_are_plainly_permuted() -> None:
    index = recipe_permutations(np.arange(4), seed=0, n_permutations=4000)
    assert (np.sort(index, axis=1) == np.arange(4)).all()
    seen = {tuple(row) for row in index.tolist()}
    assert seen == set(itertools.permutations(range(4)))


def test_leaving_out_one_recipe_at_a_time() -> None:
    expected = [[0, 0, 0, 1, 1, 1], [1, 1, 1, 0, 0, 1], [1, 1, 1, 1, 1, 0]]
    assert left_out(np.array([1, 1, 1, 2, 2, 5])).tolist() == expected


def test_permuted_correlations_are_those_of_the_permuted_numbers() -> None:
    draws = np.random.default_rng(0)
    x, y, z = draws.normal(size=(3, 9)).round(1), draws.normal(size=9).round(1), draws.normal(size=9)
    index = recipe_permutations(np.array([0, 0, 0, 1, 1, 2, 3, 4, 5]), seed=0, n_permutations=20)
    rho, tau = permuted(x, y, index)
    for p, s in itertools.product(range(20), range(3)):
        assert rho[p, s] == pytest.approx(stats.spearmanr(x[s], y[index[p]]).statistic, abs=1e-12)
        assert tau[p, s] == pytest.approx(stats.kendalltau(x[s], y[index[p]]).statistic, abs=1e-12)
    as_they_are = permuted_partial(x, y, z, np.arange(9)[None])[0]
    one = np.ones((1, 9))
    for s in range(3):
        pairs = [(x[s], y), (x[s], z), (y, z)]
        expected = partial(*(spearman(signs(a), signs(b), one) for a, b in pairs))[0]
        assert as_they_are[s] == pytest.approx(expected, abs=1e-12)
