"""One reading of a model in training: the profile, the score and the information, with standard errors, and no more.

A reading does without the bootstrap, which takes longer than the game itself on a few hundred images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from spectrobe.bands import BandPartition
from spectrobe.errors import InputError
from spectrobe.game.fit import Payoffs, fit
from spectrobe.game.intervals import (
    Estimate,
    Replicates,
    mean_estimate,
    mean_intervals,
    studentised,
    weighted_covariance,
    wilson,
)
from spectrobe.game.scores import DEFAULT_SCORE, score_functions
from spectrobe.game.table import PayoffTable
from spectrobe.game.values import make_value
from spectrobe.studies.watch.game import Game
from spectrobe.studies.words import percent


@dataclass(frozen=True, eq=False)
class Reading:
    """What a model relies on at one moment of its training; M bands, arrays float64 and read-only.

    shapley, stderr: (M,).   interval: (M, 2), Student t over images.   score: the signed score; its standard error and
    interval are those of the delta method.   information: v(all) - v(empty).   accuracy: on the intact images.
    n_images: scored.   forward_passes: spent.   repeated: images left out because they came more than once.
    """

    bands: BandPartition
    value: str
    design: str
    shapley: np.ndarray
    stderr: np.ndarray
    interval: np.ndarray
    score: Estimate
    information: Estimate
    accuracy: Estimate
    n_images: int
    forward_passes: int
    repeated: int = 0

    def to_log(self, prefix: str = "spectral") -> dict[str, float]:
        """What loggers are given: `spectral/band_0`, `spectral/band_0_stderr`, ..., `spectral/score`, and so on.

        A score that is not defined (no information by its interval) is NaN, so that every log has every key.
        """
        gain = "accuracy_gain" if self.value == "accuracy" else self.value.replace("-", "_")
        found: dict[str, float] = {}
        for band, (phi, stderr) in enumerate(zip(self.shapley, self.stderr, strict=True)):
            found |= {f"band_{band}": float(phi), f"band_{band}_stderr": float(stderr)}
        for name, estimate in (("score", self.score), (gain, self.information), ("accuracy", self.accuracy)):
            found |= {name: estimate.value, f"{name}_stderr": estimate.stderr}
        return {f"{prefix}/{name}": number for name, number in found.items()}


def distinct(table: PayoffTable) -> PayoffTable:
    """The table in the order of its images' digests, each image with one label once: however it was put together.

    Samplers that share a data set out over processes repeat some images, so that all have as many.
    """
    order = sorted(range(len(table)), key=lambda i: (table.ids[i], table.label[i]))
    kept = [
        i for n, i in enumerate(order) if n == 0 or (table.ids[i], table.label[i]) != _key(table, order[n - 1])
    ]  # fmt: skip
    rows = table.rows(np.asarray(kept, dtype=np.int64))
    return PayoffTable.from_columns({**rows.columns(), "position": np.arange(len(rows))})


def read(table: PayoffTable, game: Game, forward_passes: int) -> Reading:
    """The reading of a table. Raises InputError for fewer than 2 different images."""
    rows_in = len(table)
    table = distinct(table)
    n = len(table)
    if n < 2:
        raise InputError(f"expected at least 2 different images, got {n}: intervals over images need more")
    value, design = make_value(game.value), game.make_design()
    found = fit(Payoffs.of(table), design, value)
    means = mean_intervals(found.rows, game.confidence, game.seed)
    information = mean_estimate(found.payoffs[:, 0] - found.payoffs[:, -1], game.confidence)
    for array in (means.mean, means.stderr, means.pointwise):
        array.setflags(write=False)
    return Reading(
        bands=game.bands,
        value=game.value,
        design=game.design,
        shapley=means.mean,
        stderr=means.stderr,
        interval=means.pointwise,
        score=_score(found.rows, information, game),
        information=information,
        accuracy=wilson(int((table.predicted[:, 0] == table.label).sum()), n, game.confidence),
        n_images=n,
        forward_passes=forward_passes,
        repeated=rows_in - n,
    )


def _score(rows: np.ndarray, information: Estimate, game: Game) -> Estimate:
    """The signed score with Student's interval around it, its standard error by the delta method."""
    if not information.low > 0:
        reason = f"v(all) - v(empty) is not above 0 by its {percent(game.confidence)} interval"
        return Estimate.undefined(reason, game.confidence)
    alone = Replicates(rows.mean(axis=0)[None], weighted_covariance(rows, rows, np.ones((1, len(rows)))))
    found = studentised(score_functions(game.bands)[DEFAULT_SCORE], alone, game.confidence)
    half = float(stats.t.ppf(0.5 + game.confidence / 2, len(rows) - 1)) * found.stderr
    return Estimate(
        found.value, found.stderr, found.value - half, found.value + half, game.confidence, "by the delta method"
    )


def _key(table: PayoffTable, row: int) -> tuple[str, int]:
    return table.ids[row], int(table.label[row])
