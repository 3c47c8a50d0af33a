"""A label-noise result made by hand, without training."""

from __future__ import annotations

from typing import Any

import numpy as np

from spectrobe.studies.label_noise.result import LabelNoiseResult, summarise
from spectrobe.studies.label_noise.settings import Settings
from spectrobe.studies.training.job import EpochFacts
from spectrobe.studies.training.readings import Stored

NAME = "images <b>of</b> $x$"  # hostile: must be shown as it is


def stored(rate: float, seed: int, epoch: int) -> Stored:
    draws = np.random.default_rng([seed, epoch])
    rows = draws.normal([0.5, 0.3, 0.2], 0.3, (40, 3)) * (1 - rate) * epoch
    return Stored(
        tuple(map(str, range(40))), draws.random(40) < 0.7, rows, rows.sum(axis=1), 0.2 + 0.01 * seed, 0.1,
        EpochFacts(1.0, 0.8, 0.1 if rate else np.nan),
    )  # fmt: skip


def made_by_hand(rates: tuple[float, ...] = (0, 0.8), seeds: int = 3) -> LabelNoiseResult:
    """Three bands, four epochs; wrong labels take the same part of every band."""
    settings = Settings.of(rates, "symmetric", seeds, "resnet:8", 4, 64, 0.1, 3)
    made = [[[stored(rate, s, e) for e in range(1, 5)] for s in range(seeds)] for rate in settings.rates]
    told = tuple(tuple({"rate": rate, "share": rate, "changed": 0} for _ in range(seeds)) for rate in settings.rates)
    facts: dict[str, Any] = {
        "data_name": NAME, "held_out_name": NAME, "demo": False, "n_train": 100, "n_held_out": 40, "n_classes": 10,
        "design": "exact", "image_size": (32, 32), "forward_passes": 1000,
    }  # fmt: skip
    return summarise(made, settings, told, facts, ())
