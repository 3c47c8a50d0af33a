"""Readings of networks in training, an epoch each, as they are stored: everything else is made from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from spectrobe.engine.local import Run
from spectrobe.errors import RunFolderError
from spectrobe.game.fit import Payoffs, fit
from spectrobe.game.values import make_value
from spectrobe.studies.training.job import EpochFacts
from spectrobe.studies.watch.probe import Probe
from spectrobe.studies.watch.reading import read

FOLDER = "readings"


@dataclass(frozen=True, eq=False)
class Stored:
    """One reading on N images: ids; right: bool (N,), top class right on the intact image.

    rows: float64 (N, M), each image's Shapley values.   gain: (N,), its v(all) - v(empty).
    score, score_stderr: NaN where not defined.   facts: of the epoch's training.
    """

    ids: tuple[str, ...]
    right: np.ndarray
    rows: np.ndarray
    gain: np.ndarray
    score: float
    score_stderr: float
    facts: EpochFacts

    def columns(self) -> dict[str, Any]:
        """As a shard holds it: a row an image, numbers of the whole repeated."""
        whole = {
            "score": self.score, "score_stderr": self.score_stderr, "loss": self.facts.loss,
            "accuracy": self.facts.accuracy, "fitted": self.facts.fitted,
        }  # fmt: skip
        return {
            "id": self.ids, "right": self.right, "shapley": self.rows, "gain": self.gain,
            **{name: np.full(len(self.ids), value) for name, value in whole.items()},
        }  # fmt: skip

    @classmethod
    def of(cls, probe: Probe, model: Any, facts: EpochFacts) -> Stored:
        """Read the model as it is now."""
        table, game = probe.table(model), probe.game
        found = fit(Payoffs.of(table), game.make_design(), make_value(game.value))
        score = read(table, game, probe.plan.forward_passes).score
        return cls(
            ids=tuple(table.ids), right=table.predicted[:, 0] == table.label, rows=found.rows,
            gain=found.payoffs[:, 0] - found.payoffs[:, -1], score=score.value, score_stderr=score.stderr, facts=facts,
        )  # fmt: skip

    @classmethod
    def read(cls, run: Run, index: int) -> Stored:
        """What shard `index` of a run holds; RunFolderError where it is not such a shard."""
        columns, _ = run.read_shard(index)
        try:
            found: Any = columns
            whole = [float(found[name][0]) for name in ("score", "score_stderr", "loss", "accuracy", "fitted")]
            return cls(
                ids=tuple(found["id"]), right=np.asarray(found["right"], dtype=bool), rows=np.asarray(found["shapley"]),
                gain=np.asarray(found["gain"]), score=whole[0], score_stderr=whole[1], facts=EpochFacts(*whole[2:]),
            )  # fmt: skip
        except (KeyError, TypeError, IndexError) as error:
            raise RunFolderError(
                f"{FOLDER}/{index:06d}.parquet is damaged ({error!r}): delete it, and the same call makes it anew"
            ) from None
