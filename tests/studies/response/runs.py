"""One small run with everything in it, the same in every process."""

from __future__ import annotations

import os
from typing import Any

import spectrobe as sb
from spectrobe.engine.progress import Progress
from tests.studies.response.cases import BANDS
from tests.toys import planted

SETTINGS: dict[str, Any] = {
    "bands": BANDS,
    "powers": (0.01, 0.04, 0.16),
    "heat_map": 2.0,
    "heat_map_step": 4,
    "heat_map_images": 20,
    "batch_size": 20,
}
PERTURBATIONS = "brightness:1-3,contrast:1-3,gaussian_noise:1-3,gaussian_blur:1-3"


def run(out: str | os.PathLike[str] | None, progress: Progress | None = None, **changes: Any) -> sb.ResponseResult:
    """60 images, 3 shards; a linear network."""
    net, data = planted(60)
    perturbations = changes.pop("perturbations", PERTURBATIONS)
    return sb.response(net, data, perturbations, out=out, progress=progress, **{**SETTINGS, **changes})
