"""What sharing temperatures costs: the permutation design fits one a group of coalitions, the exact design one each."""

from __future__ import annotations

import numpy as np

from spectrobe.game.coalitions import ExactDesign, PermutationDesign
from spectrobe.game.fit import Payoffs, fit, fit_temperatures
from spectrobe.game.temperature import best_temperature
from spectrobe.game.values import Value


def shift_from_shared_temperatures(payoffs: Payoffs, value: Value) -> np.ndarray:
    """How far Shapley values move when coalitions of a group share one temperature: (M,), in the value's unit.

    payoffs: a table of the exact design. The shift is that of the permutation design's expectation on the same images;
    it does not shrink with their number: hold it against the standard error. Zero for values without temperature.
    """
    exact, shared = ExactDesign(payoffs.n_bands), PermutationDesign(payoffs.n_bands)
    own, curves = fit_temperatures(payoffs, exact, np.ones((1, len(payoffs))))
    # coalitions of one size are equally likely on a random chain, and a group is within one size: plain means
    groups = shared.groups(np.arange(exact.n_groups))
    together = np.zeros((shared.n_groups, curves.shape[2]))
    np.add.at(together, groups, curves[0])
    cells = np.bincount(groups, minlength=shared.n_groups)
    of_group = best_temperature(together / np.maximum(cells, 1)[:, None])
    moved, fitted = (fit(payoffs, exact, value, tau).rows.mean(axis=0) for tau in (of_group[groups], own[0]))
    return np.asarray(moved - fitted)
