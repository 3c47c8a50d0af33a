"""What is drawn: recipes with replacement for intervals, recipes' places for p-values.

Strengths and seeds of one recipe are not independent models, so that a recipe is the unit of both.
"""

from __future__ import annotations

import numpy as np

from spectrobe.seeding import numpy_generator

N_RESAMPLES = 1999
N_PERMUTATIONS = 9999


def recipe_weights(recipe: np.ndarray, seed: int, n_resamples: int = N_RESAMPLES) -> np.ndarray:
    """How often each model counts when recipes are drawn with replacement: recipe ints (N,) -> (B, N)."""
    member, n = _members(recipe)
    draws = numpy_generator(seed, len(n), "relate", "bootstrap")
    return draws.multinomial(len(n), np.full(len(n), 1 / len(n)), size=n_resamples).astype(np.float64)[:, member]


def recipe_permutations(recipe: np.ndarray, seed: int, n_permutations: int = N_PERMUTATIONS) -> np.ndarray:
    """Whose number each model is given when recipes change places: recipe ints (N,) -> indices (P, N).

    The models of a recipe take the numbers of one other recipe's, in random order, some twice where those are fewer.
    Where every model is a recipe of its own these are plain permutations.
    """
    member, n = _members(recipe)
    draws = numpy_generator(seed, len(member), len(n), "relate", "permutation")
    # the models of each recipe side by side, in random order: recipe h begins at start[h]
    shuffled = np.argsort(member + draws.random((n_permutations, len(member))), axis=1)
    start = np.cumsum(n) - n
    place = np.empty(len(member), dtype=np.int64)
    place[np.argsort(member, kind="stable")] = np.concatenate([np.arange(count) for count in n])
    source = np.argsort(draws.random((n_permutations, len(n))), axis=1)[:, member]
    return np.take_along_axis(shuffled, start[source] + place % n[source], axis=1)


def left_out(recipe: np.ndarray) -> np.ndarray:
    """Weights with one recipe at a time left out: recipe ints (N,) -> (G, N), recipes ascending."""
    return np.asarray(recipe[None, :] != np.unique(recipe)[:, None], dtype=np.float64)


def _members(recipe: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each model's recipe as 0 ... G - 1, and how many models each has."""
    _, member, n = np.unique(recipe, return_inverse=True, return_counts=True)
    return np.asarray(member), np.asarray(n)
