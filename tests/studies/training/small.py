"""Studies that train for a second or two, on the digits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import spectrobe as sb

LABEL_NOISE: dict[str, Any] = {
    "rates": [0, 0.9], "seeds": 2, "epochs": 2, "arch": "resnet:4", "batch_size": 64, "images": 256, "bands": 4,
    "forward_passes": 1_600, "precision": "float32",
}  # fmt: skip
FEATURE_SNR: dict[str, Any] = {
    "seeds": 2, "epochs": 2, "arch": "resnet:4", "batch_size": 64, "images": 256, "bands": 4, "groups": "0-1,2,3",
    "inject_db": 20, "test_images": 100, "precision": "float32",
}  # fmt: skip


def run(study: str, out: Path | None, **more: Any) -> Any:
    """The result of a study, kept in a folder or in memory."""
    settings = {"label_noise": LABEL_NOISE, "feature_snr": FEATURE_SNR}[study]
    return getattr(sb, study)("digits", **{**settings, **more}, out=out)
