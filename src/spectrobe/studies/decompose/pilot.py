"""The pilot: the first images of a run forecast the standard error, and with a tolerance how many images are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from spectrobe.engine.payoffs import payoffs_of
from spectrobe.errors import ShardsFailedError
from spectrobe.game.fit import fit
from spectrobe.game.intervals import Replicates, images_for, studentised, weighted_covariance
from spectrobe.game.scores import DEFAULT_SCORE, score_functions
from spectrobe.game.values import make_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spectrobe.engine.progress import Progress
    from spectrobe.game.coalitions import Design
    from spectrobe.game.fit import Payoffs
    from spectrobe.studies.decompose.preparation import Preparation
    from spectrobe.studies.decompose.settings import Settings

N_PILOT = 50
_ROUNDING = 1e-9


def how_many_images(run: Preparation, progress: Progress) -> tuple[int, list[str]]:
    """Play the pilot, say what standard error to expect, and settle the number of images.

    The pilot's images are the first of the run, so nothing is played twice. Returns the number and warnings.
    """
    most, tolerance = len(run.order), run.selection["tolerance"]
    passes = run.evaluator.passes_per_image
    n_pilot = min(most, N_PILOT if tolerance is not None or most >= 4 * N_PILOT else max(8, most // 4))
    whole = run.shards(most)
    pilot: dict[int, Sequence[int]] = {}
    for index, positions in whole.items():
        if _images_in(pilot) >= n_pilot:
            break
        pilot[index] = positions
    progress.expect(passes * (most if tolerance is None else _images_in(pilot)))
    try:
        run.evaluate(pilot, progress)
    except ShardsFailedError:
        if tolerance is not None:
            raise
        progress.note("forecast: none, a shard of the pilot failed")
        progress.expect(passes * most)
        return most, []  # the others come first
    stderr, n_played = _score_stderr(run, list(pilot))
    if not np.isfinite(stderr):
        progress.note(f"forecast: none, the score is not defined on the pilot's {n_played} images")
        progress.expect(passes * most)
        return most, [] if tolerance is None else [
            f"the pilot gave no score, so tolerance {tolerance:g} could not be planned for"
        ]
    z = stats.norm.ppf(0.5 + run.settings.confidence / 2)
    if tolerance is None:
        progress.note(f"forecast: standard error of the score {stderr * np.sqrt(n_played / most):.3f} at {most} images")
        return most, []
    wanted = max(images_for(tolerance, stderr, n_played, run.settings.confidence), _images_in(pilot))
    progress.note(f"forecast: {wanted:,} images for a half-width of {tolerance:g} on the score")
    progress.expect(passes * min(wanted, most))
    if wanted <= most:
        return wanted, []
    reach = z * stderr * np.sqrt(n_played / most)
    return most, [
        f"too few images: a half-width of {tolerance:g} on the score needs about {wanted:,}, there are {most:,} "
        f"(which reach about {reach:.2g})"
    ]


def _images_in(shards: dict[int, Sequence[int]]) -> int:
    return sum(len(positions) for positions in shards.values())


def _score_stderr(run: Preparation, shards: list[int]) -> tuple[float, int]:
    if all(run.store.read_shard(index)[0] is None for index in shards):
        return np.nan, 0  # every image of the pilot was left out
    return score_stderr(payoffs_of(run.store, shards), run.settings.make_design(), run.settings)


def score_stderr(payoffs: Payoffs, design: Design, settings: Settings) -> tuple[float, int]:
    """Standard error of the score on a pilot's payoffs, by the delta method (NaN: it has none); number of images."""
    if len(payoffs) < 2:
        return np.nan, len(payoffs)
    rows = fit(payoffs, design, make_value(settings.value)).rows
    if rows.sum(axis=1).mean() < _ROUNDING:  # no gain to share out: what the score would be made of is rounding
        return np.nan, len(rows)
    ones = np.ones((1, len(rows)))
    alone = Replicates(rows.mean(axis=0)[None], weighted_covariance(rows, rows, ones))
    statistic = score_functions(settings.bands)[DEFAULT_SCORE]
    return studentised(statistic, alone, settings.confidence).stderr, len(rows)
