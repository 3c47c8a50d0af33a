"""What a label-noise study that is not finished holds so far."""

from __future__ import annotations

from spectrobe.engine.local import Run
from spectrobe.game.intervals import mean_estimate, wilson
from spectrobe.game.values import make_value
from spectrobe.studies.label_noise.settings import Settings
from spectrobe.studies.training.readings import Stored
from spectrobe.studies.training.so_far import TrainingSoFar
from spectrobe.studies.words import percent


def trainings_so_far(run: Run, settings: Settings) -> list[TrainingSoFar]:
    """Every training that has a reading, rate by rate; its last reading, with intervals over images."""
    there, found = set(run.shards()), []
    for r, rate in enumerate(settings.rates):
        for s in range(settings.seeds):
            shards = settings.shards(r, s)
            kept = [shard for shard in shards if shard in there]
            if not kept:
                continue
            last = Stored.read(run, kept[-1])
            numbers = {
                "accuracy": wilson(int(last.right.sum()), len(last.right), settings.confidence),
                f"v(all) − v(empty) ({make_value(settings.value).unit})": mean_estimate(last.gain, settings.confidence),
            }
            name = f"{percent(rate)} of the labels wrong, seed {s}" if rate else f"clean labels, seed {s}"
            found.append(TrainingSoFar(name, len(kept), len(shards), numbers))
    return found
