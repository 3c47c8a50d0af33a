"""Zero-shot classifiers: tiny CLIP and SigLIP models with random weights, saved in a local folder."""

from __future__ import annotations

import json

import pytest
import torch

from spectrobe.errors import InputError
from spectrobe.models import check_model, open_model

transformers = pytest.importorskip("transformers")

NAMES = ["cat", "dog", "sea urchin"]
TEXT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
VISION = dict(TEXT, image_size=32, patch_size=8)


def save_tokenizer(folder) -> None:
    """CLIP's tokenizer over single letters."""
    letters = "abcdefghijklmnopqrstuvwxyz."
    vocabulary = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(vocabulary)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizer.from_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    text = dict(TEXT, vocab_size=56, max_position_embeddings=40, bos_token_id=54, eos_token_id=55, pad_token_id=55)
    config = transformers.CLIPConfig(text_config=text, vision_config=VISION, projection_dim=12)
    transformers.CLIPModel(config).save_pretrained(folder)
    size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    transformers.CLIPImageProcessor(**size).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


@pytest.fixture
def pixels():
    return torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def theirs(folder, pixels, prompts):
    """CLIPModel's own logits_per_image for one prompt a class."""
    model = transformers.CLIPModel.from_pretrained(folder).eval()
    tokens = transformers.CLIPTokenizer.from_pretrained(folder)(prompts, padding=True, return_tensors="pt")
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)
    with torch.no_grad():
        return model(**tokens, pixel_values=(pixels - mean) / std).logits_per_image


def test_logits_are_clips_own(folder, pixels):
    model = open_model(f"clip:{folder}", class_names=NAMES)
    logits = model.forward(pixels)
    torch.testing.assert_close(logits, theirs(folder, pixels, [f"a photo of a {n}." for n in NAMES]), atol=1e-4, rtol=0)
    assert model.class_names == tuple(NAMES)
    assert model.n_classes == 3
    assert (model.geometry.size, model.geometry.resize) == ((32, 32), 32)
    assert check_model(model, pixels) == []
    assert model.identity()["notes"] == ["prompt 'a photo of a {}.'"]


def test_prompts_and_a_file_of_classes(folder, pixels, tmp_path):
    (tmp_path / "classes.txt").write_text("\n".join(NAMES))
    model = open_model(f"clip:{folder}?class_names={tmp_path}/classes.txt&prompts=art of a {{}}")
    wanted = theirs(folder, pixels, [f"art of a {n}" for n in NAMES])
    torch.testing.assert_close(model.forward(pixels), wanted, atol=1e-4, rtol=0)
    both = open_model(f"clip:{folder}", class_names=NAMES, prompts=["art of a {}", "a {}."])
    assert len({m.identity()["weights_sha256"] for m in (model, both)}) == 2
    one, two = (theirs(folder, pixels, [prompt.format(n) for n in NAMES]) for prompt in ("art of a {}", "a {}."))
    mean = (one + two) / 2  # up to the length of the mean embedding, one factor a class
    ratio = both.forward(pixels) / mean
    torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio), atol=1e-3, rtol=0)
    assert (ratio >= 1).all()


def test_gradients_reach_the_pixels(folder, pixels):
    model = open_model(f"clip:{folder}", class_names=NAMES)
    x = pixels.clone().requires_grad_()
    with model.prepared(torch.device("cpu")) as forward:
        (gradient,) = torch.autograd.grad(forward(x).sum(), x)
    assert gradient.abs().max() > 0


def test_siglip(folder, pixels, tmp_path):
    torch.manual_seed(0)
    text = dict(TEXT, vocab_size=56, max_position_embeddings=40)
    config = transformers.SiglipConfig(text_config=text, vision_config=VISION)
    model = transformers.SiglipModel(config).eval()
    model.save_pretrained(tmp_path)
    transformers.SiglipImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    save_tokenizer(tmp_path)
    opened = open_model(f"clip:{tmp_path}", class_names=NAMES)
    tokens = transformers.AutoTokenizer.from_pretrained(tmp_path)(
        [f"a photo of a {n}." for n in NAMES], padding="max_length", max_length=40, return_tensors="pt"
    )
    with torch.no_grad():
        wanted = model(**tokens, pixel_values=(pixels - 0.5) / 0.5).logits_per_image
    torch.testing.assert_close(opened.forward(pixels), wanted, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "options, message",
    [
        ({}, "expected class names, which zero-shot models need"),
        (
            {"class_names": NAMES, "prompts": "a photo"},
            r"expected prompts with \{\} where the class name goes",
        ),
        ({"class_names": NAMES, "num_classes": 4}, "expected 4 class names, one a class, got 3"),
        ({"class_names": NAMES, "checkpoint": "x.pt"}, "unknown option checkpoint of clip: models"),
    ],
)
def test_refused_in_one_line(folder, options, message):
    with pytest.raises(InputError, match=message):
        open_model(f"clip:{folder}", **options)


def test_other_models_are_refused(folder, tmp_path):
    vit = transformers.ViTModel(transformers.ViTConfig(**VISION))
    vit.save_pretrained(tmp_path)
    transformers.ViTImageProcessor().save_pretrained(tmp_path)
    save_tokenizer(tmp_path)
    with pytest.raises(InputError, match="expected a CLIP or SigLIP model, got ViTModel"):
        open_model(f"clip:{tmp_path}", class_names=NAMES)
