"""Look-alikes of results, so that figures are tested without running a model."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from spectrobe.bands import BandPartition

SHAPLEY = (0.63, 0.22, 0.24, 0.21, 0.17, 0.13, 0.11, 0.03)


def fake_result(**changes: Any) -> SimpleNamespace:
    """A result of decompose with 8 square bands; `shapley`, `stderr`, `bands`, ... can be given."""
    bands = changes.get("bands", BandPartition.square(8))
    shapley = np.asarray(changes.get("shapley", np.resize(SHAPLEY, bands.n_bands)), dtype=np.float64)
    stderr = np.asarray(changes.get("stderr", np.full(len(shapley), 0.05)))
    around = np.array([-1.0, 1.0]) * stderr[:, None]
    score = SimpleNamespace(value=0.31, stderr=0.05, low=0.21, high=0.41)
    result = {
        "model_name": "EfficientNet-Lite0",
        "data_name": "demo",
        "bands": bands,
        "image_size": (224, 224),
        "value": "usable-information",
        "absence": "mean",
        "design": "exact",
        "confidence": 0.95,
        "shapley": shapley,
        "stderr": stderr,
        "interval": shapley[:, None] + 2.1 * around,
        "simultaneous": shapley[:, None] + 3.0 * around,
        "score": score,
        "scores": {"signed": score},
        "information": SimpleNamespace(value=1.74, stderr=0.1, low=1.54, high=1.94),
        "unit": "nats",
        "power_db": -1.0 - 6.0 * np.arange(len(shapley)),
        "n_images": 20,
    }
    return SimpleNamespace(**(result | changes))
