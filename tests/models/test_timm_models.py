"""timm: preprocessing is timm's own, names are checked, weights are the user's, the hub's or random on request."""

from __future__ import annotations

import pathlib
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from spectrobe.data.decode import decode_image
from spectrobe.errors import InputError, MissingExtraError
from spectrobe.models import open_model
from spectrobe.models.timm_models import timm_preprocessing

timm = pytest.importorskip("timm")

FAMILIES = {
    "resnet50.a1_in1k": ((224, 224), 235, "bicubic", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "vit_base_patch16_224.augreg_in21k_ft_in1k": ((224, 224), 248, "bicubic", (0.5,) * 3, (0.5,) * 3),
    "convnext_tiny.fb_in22k": ((224, 224), 256, "bicubic", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "mixer_b16_224.goog_in21k_ft_in1k": ((224, 224), 256, "bicubic", (0.5,) * 3, (0.5,) * 3),
    "tf_efficientnet_b0.ns_jft_in1k": ((224, 224), 256, "bicubic", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "levit_128s.fb_dist_in1k": ((224, 224), 248, "bicubic", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "convnext_tiny.fb_in22k_ft_in1k_384": ((384, 384), (384, 384), "bicubic", None, None),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_preprocessing_is_what_timm_resolves(name):
    config = timm.data.resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg(name).to_dict())
    own = timm_preprocessing(name, config)
    size, resize, interpolation, mean, std = FAMILIES[name]
    assert own.geometry.size == size == config["input_size"][1:]
    assert own.geometry.resize == resize
    assert own.geometry.interpolation == interpolation == config["interpolation"]
    assert own.mean == tuple(config["mean"])
    assert own.std == tuple(config["std"])
    assert (mean is None or own.mean == mean) and (std is None or own.std == std)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("shape", [(300, 411, 3), (411, 300, 3), (120, 97, 3)])
def test_the_pixels_are_those_of_timms_own_transform(name, shape):
    config = timm.data.resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg(name).to_dict())
    own = timm_preprocessing(name, config)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    theirs = timm.data.create_transform(**config)(image)
    pixels = decode_image(image, own.geometry, "image")
    ours = (pixels - torch.tensor(own.mean).view(3, 1, 1)) / torch.tensor(own.std).view(3, 1, 1)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "text",
    [
        "timm:resnet18.a1_in1k?pretrained=false",
        "timm:vit_tiny_patch16_224.augreg_in21k?pretrained=false&num_classes=10",
    ],
)
def test_models_without_weights(text):
    model, again = open_model(text), open_model(text)
    config = timm.data.resolve_data_config(model=model.module)
    assert model.geometry.size == config["input_size"][1:]
    assert (model.mean, model.std) == (tuple(config["mean"]), tuple(config["std"]))
    assert model.n_classes == (10 if "num_classes" in text else 1000)
    assert model.identity()["notes"] == ["random weights (seed 0)"]
    assert model.identity()["weights_sha256"] == again.identity()["weights_sha256"]
    assert set(model.identity()["versions"]) == {"torch", "timm"}


def test_the_callers_random_stream_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    open_model("timm:resnet10t?pretrained=false")
    assert torch.equal(torch.rand(3), expected)


def test_size_of_a_transformer_reaches_its_position_table():
    model = open_model("timm:vit_tiny_patch16_224?pretrained=false&size=64&num_classes=10")
    assert (model.geometry.size, model.geometry.resize) == ((64, 64), 70)  # timm's crop, .9, is kept
    assert model.forward(torch.rand(2, 3, 64, 64)).shape == (2, 10)


def test_own_checkpoint(tmp_path):
    net = timm.create_model("resnet10t", num_classes=7)
    torch.save({"state_dict": {f"module.{key}": value for key, value in net.state_dict().items()}}, tmp_path / "w.pt")
    model = open_model(f"timm:resnet10t.c3_in1k?checkpoint={tmp_path}/w.pt&num_classes=7")
    x = torch.rand(2, 3, 64, 64)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (model.mean, model.std))
    with torch.no_grad():
        torch.testing.assert_close(model.forward(x), net.eval()((x - mean) / std), atol=1e-5, rtol=0)
    assert model.identity()["notes"][-1] == "stripped module. from the keys of w.pt"
    with pytest.raises(InputError, match=r"of 1000 classes \(no num_classes given\), w.pt has 7: give num_classes=7"):
        open_model(f"timm:resnet10t?checkpoint={tmp_path}/w.pt")


@pytest.mark.parametrize(
    "text, message",
    [
        ("timm:resnet5O", r"timm has no model 'resnet5O'; the nearest names are resnet50"),
        ("timm:resnet50.a1_in2k", r"timm has no weights 'resnet50.a1_in2k'; the nearest names are resnet50.a1_in1k"),
        ("timm:resnet10t?num_classes=10", "expected num_classes=1000, the pretrained head's, got 10: give"),
        (
            "timm:resnet10t",
            r"pretrained weights could not be loaded .*\?checkpoint=FILE, or go without, ",
        ),
        ("timm:vit_small_patch14_dinov2?pretrained=false", "has no classifier .num_classes 0"),
        (
            "timm:resnet10t?in_chans=1",
            "unknown option in_chans of timm: models; known are checkpoint, pretr",
        ),
    ],
)
def test_refused_in_one_line(no_hub, text, message):
    with pytest.raises(InputError, match=message) as caught:
        open_model(text)
    assert "\n" not in str(caught.value)


def test_a_local_folder(tmp_path):
    net = timm.create_model("resnet10t", num_classes=7)
    net.pretrained_cfg = net.pretrained_cfg | {"mean": (0.1, 0.2, 0.3), "crop_pct": 1.0}
    timm.models.save_for_hf(net, tmp_path)
    model = open_model(f"timm:local-dir:{tmp_path}")
    assert (model.n_classes, model.mean, model.geometry.resize) == (7, (0.1, 0.2, 0.3), model.geometry.size[0])
    assert torch.equal(model.module.fc.weight, net.fc.weight)


def test_a_local_folder_of_pickles_is_refused(tmp_path):
    net = timm.create_model("resnet10t", num_classes=7)
    timm.models.save_for_hf(net, tmp_path)
    for file in tmp_path.glob("*model.*"):
        file.unlink()
    torch.save(net.state_dict() | {"more": pathlib.PurePosixPath("x")}, tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"more than tensors, .* allow_pickle=True \(--allow-pickle\)$"):
        open_model(f"timm:local-dir:{tmp_path}")


def test_crop_modes_that_pad_are_refused():
    config = {"input_size": (3, 224, 224), "crop_mode": "border", "crop_pct": 1.0}
    with pytest.raises(InputError, match=r"timm:x pads its images \(crop mode border\)"):
        timm_preprocessing("x", config)


def test_without_timm(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtraError, match=r"timm:resnet50 needs timm.*pip install 'spectrobe\[timm\]'"):
        open_model("timm:resnet50")
