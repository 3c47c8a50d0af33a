"""Hugging Face classifiers from local folders: preprocessing is measured, heads are checked, the hub may be away."""

from __future__ import annotations

import json
import os
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from spectrobe.data.decode import decode_image
from spectrobe.errors import InputError, MissingExtraError
from spectrobe.models import check_model, open_model
from spectrobe.models.image_processor import processor_preprocessing

transformers = pytest.importorskip("transformers")

INET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
HALF = ([0.5] * 3, [0.5] * 3)
CLIP = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])


def vit_config(**more):
    return transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=8,
        **more,
    )


def saved_vit(folder, processor=None, **more) -> str:
    torch.manual_seed(0)
    transformers.ViTForImageClassification(vit_config(**more)).save_pretrained(folder)
    if processor is None:
        processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    if processor:
        processor.save_pretrained(folder)
    return f"hf:{folder}"


PROCESSORS = [
    # make, keyword arguments, size, resize, interpolation, (mean, std)
    ("ViTImageProcessor", {}, (224, 224), (224, 224), "bilinear", HALF),
    (
        "ViTImageProcessor",
        {"size": {"height": 64, "width": 48}, "resample": 3, "image_mean": INET[0], "image_std": INET[1]},
        (64, 48),
        (64, 48),
        "bicubic",
        INET,
    ),
    ("ViTImageProcessor", {"do_normalize": False}, (224, 224), (224, 224), "bilinear", (None, None)),
    ("ViTImageProcessor", {"do_resize": False}, None, None, "bilinear", HALF),
    ("BitImageProcessor", {}, (224, 224), 224, "bicubic", CLIP),
    ("DeiTImageProcessor", {}, (224, 224), (256, 256), "bicubic", HALF),
    ("ConvNextImageProcessor", {"size": {"shortest_edge": 224}}, (224, 224), 256, "bicubic", HALF),
    ("ConvNextImageProcessor", {}, (384, 384), (384, 384), "bicubic", HALF),
    ("LevitImageProcessor", {}, (224, 224), 256, "bicubic", INET),
    ("PoolFormerImageProcessor", {}, (224, 224), 248, "bicubic", INET),
    ("MobileNetV2ImageProcessor", {}, (224, 224), 256, "bilinear", HALF),
    ("EfficientNetImageProcessor", {"include_top": False}, (346, 346), (346, 346), "bicubic", HALF),
    # include_top (the default) divides by the std once more, in the processor and hence here
    ("EfficientNetImageProcessor", {}, (346, 346), (346, 346), "bicubic", ([0.5] * 3, [0.25] * 3)),
    ("BitImageProcessor", {"size": {"shortest_edge": 518}, "crop_size": 518}, (518, 518), 518, "bicubic", CLIP),
    ("BitImageProcessor", {"size": {"shortest_edge": 1152}, "crop_size": 1024}, (1024, 1024), 1152, "bicubic", CLIP),
    ("BitImageProcessor", {"size": {"shortest_edge": 37}, "crop_size": 32}, (32, 32), 37, "bicubic", CLIP),
    ("CLIPImageProcessor", {}, (224, 224), 224, "bicubic", CLIP),
]


@pytest.mark.parametrize("kind, given, size, resize, interpolation, normalisation", PROCESSORS)
def test_what_a_processor_does(kind, given, size, resize, interpolation, normalisation):
    own = processor_preprocessing("hf:x", getattr(transformers, kind)(**given))
    assert (own.geometry.size, own.geometry.resize) == (size, resize)
    assert own.geometry.interpolation == interpolation
    mean, std = normalisation
    if mean is None:
        assert own.mean is own.std is None
    else:
        np.testing.assert_allclose([own.mean, own.std], [mean, std], atol=1e-6)


def test_digits_are_those_of_the_configuration():
    own = processor_preprocessing("hf:x", transformers.CLIPImageProcessor())
    assert (list(own.mean), list(own.std)) == CLIP


def test_rescaling_that_shifts():
    """EfficientNet's rescale_offset: x / 127.5 - 1, then the normalisation."""
    processor = transformers.EfficientNetImageProcessor(
        rescale_factor=1 / 127.5, rescale_offset=True, include_top=False
    )
    own = processor_preprocessing("hf:x", processor)
    np.testing.assert_allclose(own.mean, [0.75] * 3, atol=1e-5)
    np.testing.assert_allclose(own.std, [0.25] * 3, atol=1e-5)


@pytest.mark.parametrize(
    "kind, given, message",
    [
        (
            "MobileViTImageProcessor",
            {"size": {"shortest_edge": 288}},
            "red, green, blue, this one reorders or mixes",
        ),
        ("DetrImageProcessor", {"do_pad": True, "pad_size": {"height": 2000, "width": 2000}}, "pads or adds a border"),
        ("MobileViTImageProcessor", {}, "pads or adds a border"),
        ("ViltImageProcessor", {}, "this one's depends on the image: give mean, std and size"),
        ("BitImageProcessor", {"do_center_crop": False}, "this one's depends on the image"),
    ],
)
def test_what_cannot_be_mirrored_is_refused(kind, given, message):
    if not hasattr(transformers, kind):
        pytest.skip(f"no {kind} in this version")
    with pytest.raises(InputError, match=message):
        processor_preprocessing("hf:x", getattr(transformers, kind)(**given))


@pytest.mark.parametrize("kind", ["ViTImageProcessor", "LevitImageProcessor", "CLIPImageProcessor"])
def test_our_pixels_normalised_are_the_processors(kind):
    """A photograph-like image of exactly the model's size: the processor and our normalisation agree."""
    processor = getattr(transformers, kind)()
    own = processor_preprocessing("hf:x", processor)
    pixels = torch.randint(0, 256, (3, 224, 224), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    theirs = processor(images=[pixels], do_resize=False, return_tensors="pt")["pixel_values"][0]
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (own.mean, own.std))
    torch.testing.assert_close((pixels / 255 - mean) / std, theirs, atol=1e-5, rtol=0)


WHOLE = ("ViT", "DeiT", "Bit", "CLIP", "ConvNext", "Levit", "PoolFormer", "MobileNetV2")


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("shape", [(500, 375, 3), (333, 500, 3)])
def test_the_pixels_of_a_photograph_are_the_processors(kind, shape):
    """Resized and cropped too, to the rounding of 8-bit filters: newer processors resize with torch, not with Pillow.

    The margins here are even: of an odd one, some crop the pixel more on the left, some on the right.
    """
    processor = getattr(transformers, f"{kind}ImageProcessor")()
    own = processor_preprocessing("hf:x", processor)
    image = Image.fromarray(smooth_photo(shape))
    theirs = processor(images=[image], return_tensors="pt")["pixel_values"][0]
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (own.mean, own.std))
    levels = ((decode_image(image, own.geometry, "image") - mean) / std - theirs).abs() * std * 255
    assert levels.max() < 2.01 and levels.mean() < 0.05


def smooth_photo(shape):
    y, x = np.mgrid[: shape[0], : shape[1]]
    waves = [np.sin(x / 9 + i) + np.cos(y / 7 - i) + np.sin((x + y) / 31) for i in range(3)]
    return np.round(127 + 40 * np.stack(waves, -1)).clip(0, 255).astype(np.uint8)


def test_local_folder(tmp_path):
    text = saved_vit(
        tmp_path, num_labels=3, id2label={0: "cat", 1: "dog", 2: "emu"}, label2id={"cat": 0, "dog": 1, "emu": 2}
    )
    model = open_model(text)
    assert (model.n_classes, model.class_names) == (3, ("cat", "dog", "emu"))
    assert (model.geometry.size, model.mean, model.std) == ((32, 32), (0.5,) * 3, (0.5,) * 3)
    x = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    theirs = transformers.ViTForImageClassification.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        torch.testing.assert_close(model.forward(x), theirs((x - 0.5) / 0.5).logits, atol=1e-5, rtol=0)
    assert check_model(model, x) == []
    assert set(model.identity()["versions"]) == {"torch", "transformers"}


def test_overrides_and_checkpoint(tmp_path):
    text = saved_vit(tmp_path / "base", num_labels=3)
    assert open_model(text).class_names is None  # LABEL_0, LABEL_1, ... name nothing
    with pytest.raises(InputError, match="expected num_classes=7 as asked, got a model of 3 classes"):
        open_model(text, num_classes=7)
    tuned = transformers.ViTForImageClassification(vit_config(num_labels=7))
    tuned.save_pretrained(tmp_path / "tuned")
    model = open_model(
        f"{text}?checkpoint={tmp_path}/tuned/model.safetensors&num_classes=7&mean=0.4&std=0.3&size=40&crop=1"
    )
    assert (model.n_classes, model.mean, model.geometry.size) == (7, (0.4,) * 3, (40, 40))
    assert torch.equal(model.module.classifier.weight, tuned.classifier.weight)
    a, b = (open_model(f"{text}?pretrained=false") for _ in range(2))
    assert a.identity()["weights_sha256"] == b.identity()["weights_sha256"]
    assert a.identity()["notes"] == ["random weights (seed 0)"]


@pytest.mark.parametrize(
    "change, num_classes, message",
    [
        (lambda s: s, None, r"of 3 classes \(no num_classes given\), w.pt has 7: give num_classes=7$"),
        (lambda s: s, 4, r"of 4 classes \(num_classes=4\), w.pt has 7: give num_classes=7$"),
        (lambda s: s | {"more": torch.zeros(1)}, 7, r"w.pt does not fit the model: 1 extra \(more\)$"),
        (lambda s: {k: v for k, v in s.items() if "layernorm" not in k}, 7, r": \d+ missing \(vit.*\)$"),
    ],
)
def test_a_checkpoint_that_does_not_fit(tmp_path, capfd, change, num_classes, message):
    text = saved_vit(tmp_path, num_labels=3)
    state = transformers.ViTForImageClassification(vit_config(num_labels=7)).state_dict()
    torch.save(change(state), tmp_path / "w.pt")
    capfd.readouterr()
    with pytest.raises(InputError, match=message) as caught:
        open_model(f"{text}?checkpoint={tmp_path}/w.pt", num_classes=num_classes)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_weights_in_half_precision_are_run_in_float32(tmp_path):
    transformers.ViTForImageClassification(vit_config()).bfloat16().save_pretrained(tmp_path)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    model = open_model(f"hf:{tmp_path}")
    assert model.module.classifier.weight.dtype == torch.float32


def test_a_folder_without_a_processor(tmp_path):
    text = saved_vit(tmp_path, processor=False)
    with pytest.raises(InputError, match=r"image processor could not be loaded .* give mean, std and size") as caught:
        open_model(text)
    assert "\n" not in str(caught.value)
    model = open_model(f"{text}?mean=0&std=1&size=32")
    assert (model.mean, model.geometry.size) == (None, (32, 32))


def test_a_backbone_without_a_head(tmp_path):
    transformers.ViTModel(vit_config()).save_pretrained(tmp_path)
    transformers.ViTImageProcessor().save_pretrained(tmp_path)
    with pytest.raises(
        InputError, match=r"no trained classifier, its classifier\.bias, classifier\.weight are missing"
    ):
        open_model(f"hf:{tmp_path}")


def test_multi_label_is_refused_by_name(tmp_path):
    text = saved_vit(tmp_path, num_labels=3, problem_type="multi_label_classification")
    with pytest.raises(InputError, match="is a multi-label classifier"):
        open_model(text)


def test_models_that_classify_no_images(tmp_path):
    transformers.BertConfig(hidden_size=8, num_attention_heads=1, num_hidden_layers=1).save_pretrained(tmp_path)
    transformers.ViTImageProcessor().save_pretrained(tmp_path)
    with pytest.raises(InputError, match="is a bert model, for which transformers has no image classifier"):
        open_model(f"hf:{tmp_path}")


@pytest.mark.parametrize(
    "text, message",
    [
        ("hf:/no/such/folder", "expected a folder with config.json, or a hub name"),
        ("hf:./nets", "expected a folder with config.json, or a hub name"),
        ("hf:someone/something", "configuration could not be loaded .*: give the name of a local folder"),
    ],
)
def test_what_cannot_be_had(no_hub, text, message):
    with pytest.raises(InputError, match=message) as caught:
        open_model(text)
    assert "\n" not in str(caught.value)


def test_a_folder_with_a_broken_configuration(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "no-such-type"}))
    with pytest.raises(InputError, match="configuration could not be loaded") as caught:
        open_model(f"hf:{tmp_path}")
    assert "\n" not in str(caught.value)


class Hostile:
    """Runs code where it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("unpickled",)


def test_pickled_weights_need_the_flag(tmp_path, monkeypatch):
    name = saved_vit(tmp_path / "vit", num_labels=3)
    weights = open_model(name).module.state_dict()
    (tmp_path / "vit/model.safetensors").unlink()
    torch.save(weights, tmp_path / "vit/pytorch_model.bin")
    assert open_model(name).n_classes == 3  # tensors alone
    torch.save(weights | {"more": Hostile()}, tmp_path / "vit/pytorch_model.bin")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"more than tensors, .* allow_pickle=True \(--allow-pickle\)$"):
        open_model(name)
    assert not (tmp_path / "unpickled").exists()


def test_code_that_a_model_brings_along_is_not_run(tmp_path):
    """Nor is anybody asked whether it may run."""
    config = {"model_type": "theirs", "auto_map": {"AutoConfig": "code.Config"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "code.py").write_text("import os; os.mkdir('ran')\n")
    with pytest.raises(InputError, match=r"brings code of its own, which is never run: .* python:FILE\.py:FUNCTION"):
        open_model(f"hf:{tmp_path}")


def test_without_transformers(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"hf:x needs transformers.*pip install 'spectrobe\[hf\]'"):
        open_model("hf:x")
