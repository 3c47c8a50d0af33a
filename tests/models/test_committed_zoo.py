"""The zoo that is committed: small enough to carry, what its manifest says it is, and as different as it should be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import spectrobe as sb
from benchmarks.zoo.plan import ZOO
from benchmarks.zoo.store import MOST_BYTES, MOST_BYTES_IN_ALL
from tests.shared import SHARED

FOLDER = Path(__file__).resolve().parents[2] / "zoo"
MODELS: dict[str, Any] = json.loads((FOLDER / "manifest.json").read_text())["models"]
TEST = SHARED / "data" / "cifar10" / "test.parquet"
FEW = 500


def test_it_is_the_plan_and_a_small_download() -> None:
    assert list(MODELS) == [entry.name for entry in ZOO if entry.name in MODELS] and len(MODELS) >= 8
    sizes = {name: (FOLDER / one["file"]).stat().st_size for name, one in MODELS.items()}
    assert max(sizes.values()) <= MOST_BYTES and sum(sizes.values()) <= MOST_BYTES_IN_ALL
    files = {path.name for path in FOLDER.glob("*.safetensors")}
    assert files == {one["file"] for one in MODELS.values()}


def test_it_differs_in_what_should_matter() -> None:
    assert {one["architecture"] for one in MODELS.values()} == {"resnet", "cnn", "vit"}
    assert {"standard", "no-augmentation", "mixup", "noise", "blur", "low-pass", "at"} <= {
        one["group"] for one in MODELS.values()
    }
    strongest = max(one["pgd20_8"] for one in MODELS.values() if one["group"] == "at")
    standard = [one["pgd20_8"] for one in MODELS.values() if one["group"] == "standard"]
    assert strongest > 0.2 and standard and max(standard) < 0.05


@pytest.mark.slow
@pytest.mark.skipif(not TEST.exists(), reason=f"needs {TEST}, which is not there")
@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_as_accurate_as_its_manifest_says(name: str) -> None:
    """On the first test images, within four standard errors of a share."""
    data = sb.open_data(f"parquet:{TEST}", n_classes=10)
    model = sb.open_model(f"demo:zoo/{name}?folder={FOLDER}")
    x = torch.stack([data.pixels(i, model.geometry) for i in range(FEW)])
    with torch.inference_mode():
        right = (model.forward(x).argmax(1).numpy() == np.asarray(data.labels)[:FEW]).mean()
    expected = MODELS[name]["accuracy"]
    assert abs(right - expected) < 4 * np.sqrt(expected * (1 - expected) / FEW)
