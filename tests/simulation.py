"""Repeated studies on images drawn from the stored real table: do intervals hold the truth, how far do samplers err."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spectrobe.bands import BandPartition
from spectrobe.game.coalitions import ExactDesign, PermutationDesign, make_design
from spectrobe.game.fit import Payoffs, fit, fit_temperatures, replicate
from spectrobe.game.intervals import bootstrap_weights, mean_estimate, mean_intervals
from spectrobe.game.scores import score_estimates, score_functions
from spectrobe.game.sharing import shift_from_shared_temperatures
from spectrobe.game.values import make_value
from spectrobe.seeding import numpy_generator
from tests.real_table import draw, real_table

BANDS = BandPartition.square(4)


@dataclass(frozen=True)
class Coverage:
    """Shares of `repeats` studies whose interval held the population's number, and how wide the intervals were.

    covered, half_width: by name (phi_0 ... phi_3, all phi (simultaneous), and each score).
    """

    covered: dict[str, float]
    half_width: dict[str, float]
    repeats: int


def coverage(value: str, design: str, n_images: int, repeats: int, n_replicates: int = 299, seed: int = 0) -> Coverage:
    """Coverage of 95 % intervals over studies of `n_images` drawn with replacement; the truth is the exact design's."""
    table, scores, game_value = real_table(), score_functions(BANDS), make_value(value)
    truth = fit(Payoffs.of(table), ExactDesign(table.n_bands), game_value).rows.mean(axis=0)
    held: dict[str, list[bool]] = {}
    half: dict[str, list[float]] = {}

    def note(name: str, low: float, high: float, true: float) -> None:
        held.setdefault(name, []).append(bool(low <= true <= high))
        half.setdefault(name, []).append((high - low) / 2)

    for repeat in range(repeats):
        rows = numpy_generator(seed, "images", n_images, repeat).integers(len(table), size=n_images)
        game = make_design(design, table.n_bands, seed=repeat)
        payoffs = draw(table, rows, game)
        fitted = fit(payoffs, game, game_value)
        means = mean_intervals(fitted.rows, seed=repeat)
        for band, (low, high) in enumerate(means.pointwise):
            note(f"phi_{band}", low, high, truth[band])
        inside = (means.simultaneous[:, 0] <= truth) & (truth <= means.simultaneous[:, 1])
        note("all phi", 0.0, 0.0, 0.0 if inside.all() else 1.0)
        weights = np.concatenate([np.ones((1, n_images)), bootstrap_weights(n_images, repeat, n_replicates)])
        replicates = replicate(payoffs, game, game_value, fitted.rows, weights)
        information = mean_estimate(fitted.payoffs[:, 0] - fitted.payoffs[:, -1])
        for name, estimate in score_estimates(BANDS, fitted.rows, information, replicates).items():
            note(name, estimate.low, estimate.high, float(scores[name](truth)))
    del half["all phi"]
    return Coverage(
        {name: float(np.mean(found)) for name, found in held.items()},
        {name: float(np.mean(found)) for name, found in half.items()},
        repeats,
    )


@dataclass(frozen=True)
class SamplerRuns:
    """Runs of the permutation design beside the exact design at the same temperatures on the same images; no model.

    estimate, stderr, same: (runs, M) a run's Shapley values, the standard errors it reports, and what the exact design
    gives on its images at its temperatures.   truth: (M,) the exact design on the whole table.
    shift: (M,) what sharing temperatures moves on the whole table.
    """

    estimate: np.ndarray
    stderr: np.ndarray
    same: np.ndarray
    truth: np.ndarray
    shift: np.ndarray


def sampler_runs(value: str, n_images: int, runs: int, seed: int = 0) -> SamplerRuns:
    """Runs of the permutation design, each on images of its own (drawn with replacement) and with orders of its own."""
    table, game_value = real_table(), make_value(value)
    exact, whole = ExactDesign(table.n_bands), Payoffs.of(table)
    found: dict[str, list[np.ndarray]] = {"estimate": [], "stderr": [], "same": []}
    for run in range(runs):
        rows = numpy_generator(seed, "sampler", n_images, run).integers(len(table), size=n_images)
        design = PermutationDesign(table.n_bands, seed=run)
        means = mean_intervals(fit(payoffs := draw(table, rows, design), design, game_value).rows)
        tau = fit_temperatures(payoffs, design, np.ones((1, n_images)))[0][0]
        tau = np.nan_to_num(tau)[design.groups(np.arange(exact.n_groups))]
        found["estimate"].append(means.mean)
        found["stderr"].append(means.stderr)
        found["same"].append(fit(draw(table, rows, exact), exact, game_value, tau).rows.mean(axis=0))
    truth = fit(whole, exact, game_value).rows.mean(axis=0)
    shift = shift_from_shared_temperatures(whole, game_value)
    return SamplerRuns(*(np.stack(found[name]) for name in ("estimate", "stderr", "same")), truth, shift)
