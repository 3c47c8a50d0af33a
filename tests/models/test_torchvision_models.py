"""torchvision: preprocessing is that of the weights' own transforms; only classifiers are taken."""

from __future__ import annotations

import sys
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image

from spectrobe.data.decode import decode_image
from spectrobe.errors import InputError, MissingExtraError
from spectrobe.models import open_model
from spectrobe.models.torchvision_models import weights_preprocessing

torchvision = pytest.importorskip("torchvision")
models = torchvision.models


@pytest.mark.parametrize(
    "weights, size, resize, interpolation",
    [
        (models.ResNet18_Weights.IMAGENET1K_V1, 224, 256, "bilinear"),
        (models.ResNet50_Weights.IMAGENET1K_V2, 224, 232, "bilinear"),
        (models.EfficientNet_B0_Weights.DEFAULT, 224, 256, "bicubic"),
        (models.ViT_H_14_Weights.IMAGENET1K_SWAG_E2E_V1, 518, 518, "bicubic"),
        (models.Inception_V3_Weights.DEFAULT, 299, 342, "bilinear"),
    ],
)
def test_preprocessing_is_that_of_the_weights(weights, size, resize, interpolation):
    own, theirs = weights_preprocessing(weights), weights.transforms()
    assert own.geometry.size == (size, size) == tuple(theirs.crop_size * 2)
    assert [own.geometry.resize] == [resize] == theirs.resize_size
    assert own.geometry.interpolation == interpolation == theirs.interpolation.value
    assert own.geometry.antialias
    assert (list(own.mean), list(own.std)) == (theirs.mean, theirs.std)
    for shape in ((300, 411, 3), (411, 300, 3), (120, 97, 3)):
        image = Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
        pixels = decode_image(image, own.geometry, "image")
        ours = (pixels - torch.tensor(own.mean).view(3, 1, 1)) / torch.tensor(own.std).view(3, 1, 1)
        torch.testing.assert_close(ours, theirs(image), atol=1e-5, rtol=0)


def test_without_weights_and_with_ones_own(tmp_path):
    net = models.resnet18(num_classes=6)
    torch.save({"model": net.state_dict()}, tmp_path / "w.pth")
    model = open_model(f"torchvision:resnet18?checkpoint={tmp_path}/w.pth&num_classes=6")
    x = torch.rand(2, 3, 64, 64)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        torch.testing.assert_close(model.forward(x), net.eval()((x - mean) / std), atol=1e-4, rtol=1e-4)
    assert model.identity()["notes"] == ["weights from w.pth", "took 'model' of w.pth"]
    assert model.class_names is None
    a, b = (open_model("torchvision:mobilenet_v3_small?pretrained=false", num_classes=4) for _ in range(2))
    assert a.n_classes == 4
    assert a.identity()["weights_sha256"] == b.identity()["weights_sha256"]


def test_pretrained_weights_bring_their_class_names(monkeypatch):
    state = models.resnet18().state_dict()
    monkeypatch.setattr(models.ResNet18_Weights, "get_state_dict", lambda self, *args, **kwargs: state)
    model = open_model("torchvision:resnet18?weights=IMAGENET1K_V1")
    assert model.n_classes == 1000
    assert model.class_names[:2] == ("tench", "goldfish")
    assert model.identity()["notes"] == ["weights IMAGENET1K_V1"]
    assert all(torch.equal(value, state[key]) for key, value in model.module.state_dict().items())


def test_auxiliary_heads_are_left_aside(recwarn):
    model = open_model("torchvision:googlenet?pretrained=false&num_classes=4")
    model.module.train()  # in this mode it returns three heads
    x = torch.rand(2, 3, 96, 96)
    assert model.module(x).aux_logits1.shape == (2, 4)
    assert model.forward(x).shape == (2, 4)
    assert not [w for w in recwarn if "init" in str(w.message)]


def offline(*args, **kwargs):
    raise URLError("[Errno -2] Name or service not known")


@pytest.mark.parametrize(
    "text, message",
    [
        ("torchvision:resnet19", "torchvision has no classifier 'resnet19'; the nearest names are resnet1"),
        (
            "torchvision:fasterrcnn_resnet50_fpn",
            "is a detection model: expected one of torchvision's",
        ),
        ("torchvision:deeplabv3_resnet50", "is a segmentation model"),
        ("torchvision:r3d_18", "is a video model"),
        ("torchvision:resnet18?weights=V9", "has no weights 'V9', expected one of IMAGENET1K_V1"),
        (
            "torchvision:resnet18?num_classes=10",
            r"expected num_classes=1000, the pretrained head's, got 10: give",
        ),
        (
            "torchvision:resnet18",
            r"pretrained weights could not be loaded .*Name or service.*: give your own,",
        ),
    ],
)
def test_refused_in_one_line(monkeypatch, text, message):
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", offline)
    with pytest.raises(InputError, match=message) as caught:
        open_model(text)
    assert "\n" not in str(caught.value)


def test_without_torchvision(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'spectrobe\[torchvision\]'"):
        open_model("torchvision:resnet18")
