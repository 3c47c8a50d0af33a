"""The trainings of a feature-snr study, in the order of their shards, and what those that are done came to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spectrobe.engine.local import Run
from spectrobe.game.intervals import mean_estimate, wilson
from spectrobe.studies.feature_snr.settings import Settings
from spectrobe.studies.training.so_far import TrainingSoFar

FOLDER = "predictions"


@dataclass(frozen=True)
class Condition:
    """One training. group: of bands.   injected: whether training images hold injected noise.   seed: its number."""

    group: int
    injected: bool
    seed: int

    def name(self, settings: Settings) -> str:
        """low-injected-seed-0"""
        group = settings.names[self.group].replace(" ", "-")
        return f"{group}{'-injected' * self.injected}-seed-{self.seed}"


def conditions(settings: Settings) -> list[Condition]:
    """Without injected noise first, seed by seed, group by group: a shard each."""
    return [
        Condition(group, injected, s)
        for injected in (False, True)[: 1 + (settings.inject_db is not None)]
        for s in range(settings.seeds)
        for group in range(settings.groups.n_bands)
    ]


def trainings_so_far(run: Run, settings: Settings) -> list[TrainingSoFar]:
    """Every training that was measured; accuracies on images of its own bands, with intervals over images."""
    there, epochs, level, found = set(run.shards()), settings.recipe.epochs, settings.confidence, []
    for shard, one in enumerate(conditions(settings)):
        if shard not in there:
            continue
        columns, _ = run.read_shard(shard)
        right = np.asarray((columns or {})["right"], dtype=np.float64)
        own = right[:, : right.shape[1] // 2]  # intact first; the other half is on images of all bands
        numbers = {
            "accuracy": wilson(int(own[:, 0].sum()), len(own), level),
            "accuracy under perturbations": mean_estimate(own[:, 1:].mean(axis=1), level),
        }
        told = f"bands {settings.names[one.group]}{', injected noise' * one.injected}, seed {one.seed}"
        found.append(TrainingSoFar(told, epochs, epochs, numbers))
    return found
