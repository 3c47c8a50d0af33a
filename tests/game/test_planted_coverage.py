"""Intervals of the permutation design at 16 bands hold the truth of a planted game as often as they say."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from spectrobe.bands import BandPartition
from spectrobe.game.coalitions import PermutationDesign, members
from spectrobe.game.fit import Payoffs, fit, replicate
from spectrobe.game.intervals import bootstrap_weights, mean_estimate, mean_intervals
from spectrobe.game.planted import planted_shapley
from spectrobe.game.scores import score_estimates, score_functions
from spectrobe.game.table import PayoffTable, cells_from_logits
from spectrobe.game.values import make_value
from spectrobe.seeding import numpy_generator

N_BANDS = 16
DPRIME = np.array([1.2] * 3 + [0.5] * 9 + [0.0] * 4)  # few kinds of bands, so that the truth is quick to work out
VALUE = make_value("usable-information")


@cache
def truth() -> np.ndarray:
    return planted_shapley(DPRIME.tolist())


def planted(design: PermutationDesign, n_images: int, seed: int) -> Payoffs:
    """What the Bayes classifier answers to coalitions of bands that hold Gaussian evidence of these d'."""
    draws = numpy_generator(seed, "planted", n_images)
    sign = draws.choice([-1.0, 1.0], n_images)
    evidence = draws.normal(sign[:, None] * DPRIME / 2, 1.0)
    ids = [str(image) for image in range(n_images)]
    masks = np.stack([design.coalitions(image) for image in ids])
    ratio = np.einsum("nkm,nm->nk", members(masks, N_BANDS), DPRIME * evidence)
    logits = torch.from_numpy(np.stack([ratio / 2, -ratio / 2], axis=-1).reshape(-1, 2)).float()
    label = (sign < 0).astype(np.int64)
    cells = cells_from_logits(logits, torch.from_numpy(label.repeat(masks.shape[1])))
    columns = {name: cell.numpy().reshape(n_images, masks.shape[1], *cell.shape[1:]) for name, cell in cells.items()}
    table = PayoffTable(np.arange(n_images), tuple(ids), label, ("",) * n_images, np.ones((n_images, N_BANDS)), masks,
                        **columns, n_classes=2)  # fmt: skip
    return Payoffs.of(table)


def held(shifts: int, reverse: bool, n_images: int, repeats: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whether each band's interval held the truth (repeats, M), whether all did, and the estimates (repeats, M)."""
    each, together, estimates = [], [], []
    for repeat in range(repeats):
        design = PermutationDesign(N_BANDS, repeat, shifts, reverse)
        means = mean_intervals(fit(planted(design, n_images, repeat), design, VALUE).rows, seed=repeat)
        each.append((means.pointwise[:, 0] <= truth()) & (truth() <= means.pointwise[:, 1]))
        together.append(((means.simultaneous[:, 0] <= truth()) & (truth() <= means.simultaneous[:, 1])).all())
        estimates.append(means.mean)
    return np.stack(each), np.stack(together), np.stack(estimates)


@pytest.mark.parametrize(("shifts", "reverse"), [(1, True), (1, False), (2, True)])
def test_quickly(shifts: int, reverse: bool) -> None:
    each, together, _ = held(shifts, reverse, n_images=200, repeats=15)
    # 15 repeats of 16 bands that go together: one standard deviation is 3 % or less
    assert 0.88 <= each.mean() <= 0.995
    assert together.mean() >= 0.8


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("shifts", "reverse"), [(1, True), (1, False), (2, False), (2, True)])
@pytest.mark.parametrize("n_images", [100, 400])
def test_every_band(shifts: int, reverse: bool, n_images: int) -> None:
    each, together, estimates = held(shifts, reverse, n_images, repeats=400)
    print(shifts, reverse, n_images, each.mean(axis=0).round(3), together.mean())
    # at 100 images shared temperatures still take a little from the lowest band, whose interval holds 88 %
    assert (each.mean(axis=0) >= 0.86).all() and (each.mean(axis=0) <= 0.995).all()
    assert 0.92 <= each.mean() <= 0.975
    assert 0.89 <= together.mean() <= 0.98
    off = (estimates.mean(axis=0) - truth()) / estimates.std(axis=0, ddof=1)
    # in standard errors of one run: what fitted temperatures take or give, which falls faster than these
    assert np.abs(off).max() < 10 / np.sqrt(n_images)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_scores() -> None:
    bands, repeats, n_images = BandPartition.square(N_BANDS), 200, 300
    functions, found = score_functions(bands), dict.fromkeys(("signed", "centroid", "information"), 0)
    for repeat in range(repeats):
        design = PermutationDesign(N_BANDS, repeat)
        payoffs = planted(design, n_images, repeat)
        solved = fit(payoffs, design, VALUE)
        weights = np.concatenate([np.ones((1, n_images)), bootstrap_weights(n_images, repeat, 199)])
        replicates = replicate(payoffs, design, VALUE, solved.rows, weights)
        information = mean_estimate(solved.payoffs[:, 0] - solved.payoffs[:, -1])
        estimates = score_estimates(bands, solved.rows, information, replicates)
        for name in found:
            found[name] += estimates[name].low <= float(functions[name](truth())) <= estimates[name].high
    print({name: count / repeats for name, count in found.items()})
    assert found["information"] / repeats == pytest.approx(0.95, abs=0.04)
    # the clipped profile is biased upwards by noise in the four bands that hold nothing (docs/method.md)
    assert all(found[name] / repeats >= 0.85 for name in ("signed", "centroid"))
