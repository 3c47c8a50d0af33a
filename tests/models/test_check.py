"""The self-check: each mistake that is common in this field is found, and a sound model passes without a word."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spectrobe.errors import InputError, ModelOutputError
from spectrobe.models import check_model, open_model
from tests.models.conftest import SmallNet


class Reading(nn.Module):
    """Reads the class off the first pixel of the red channel: 4 classes, right on `labelled` images."""

    def __init__(self, after=None):
        super().__init__()
        self.after = after or nn.Identity()

    def forward(self, x):
        level = x[:, 0, 0, 0, None]
        return self.after(-30 * (level - torch.arange(4) / 3).abs())


@pytest.fixture
def labelled() -> tuple[torch.Tensor, torch.Tensor]:
    """(24, 3, 8, 8) and the class that the first pixel says."""
    labels = torch.arange(24) % 4
    pixels = torch.rand(24, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    pixels[:, 0, 0, 0] = labels / 3
    return pixels, labels


def test_a_sound_model_passes_without_a_word(labelled):
    pixels, labels = labelled
    assert check_model(open_model(Reading()), pixels, labels) == []
    assert check_model(open_model(SmallNet().train()), pixels) == []
    assert check_model(open_model(Reading(nn.LogSoftmax(1))), pixels, labels) == []
    assert check_model(open_model(Reading()), pixels[:1], labels[:1]) == []


def test_probabilities(labelled):
    (warning,) = check_model(open_model(Reading(nn.Softmax(1))), *labelled)
    assert "returns probabilities, not logits (rows sum to 1)" in warning
    assert "return the values before the softmax" in warning


def test_sigmoid_outputs(labelled):
    (warning,) = check_model(open_model(Reading(nn.Sigmoid())), *labelled)
    assert "sigmoid outputs of a multi-label head?" in warning


def test_near_chance_asks_the_question(labelled):
    pixels, labels = labelled
    (warning,) = check_model(open_model(Reading()), pixels, (labels + 1) % 4)
    assert "gets 0 of 24 intact images right, near chance (25.0%)" in warning
    assert "normalisation or label order?" in warning
    assert "it is given pixels in [0, 1] as they are: if it was trained on others, say mean and std" in warning
    (warning,) = check_model(open_model(Reading(), mean=1.0, std=0.01), pixels, labels)
    assert "normalisation or label order? (mean, std, size and --class-map" in warning


def test_just_above_chance_is_no_warning(labelled):
    pixels, labels = labelled
    shuffled = labels.clone()
    shuffled[:16] = (labels[:16] + 1) % 4  # 8 of 24 right: .333 <= .25 + .1 * .75 = .325 fails
    assert check_model(open_model(Reading()), pixels, shuffled) == []
    shuffled[16] = (labels[16] + 1) % 4  # 7 of 24 = .292
    assert len(check_model(open_model(Reading()), pixels, shuffled)) == 1


def test_randomness_and_batch_statistics(images):
    def dropout(x):
        return nn.functional.dropout(x.mean((2, 3)), 0.5, training=True)

    def batch_norm(x):
        return nn.functional.batch_norm(x.mean((2, 3)), None, None, training=True)

    (warning,) = check_model(open_model(dropout), images)
    assert "is not repeatable" in warning
    with pytest.raises(ModelOutputError, match=r"change by .* with the other images of its batch.*module\.eval\(\)"):
        check_model(open_model(batch_norm), images)


def test_output_that_ignores_the_input(images):
    (warning,) = check_model(open_model(lambda x: torch.tensor([[1.0, -2.0]]).expand(len(x), 2)), images[:1])
    assert "gives the same output for every image" in warning


def test_a_normalisation_that_nobody_applies(images):
    net = SmallNet()
    net.pretrained_cfg = {"mean": (0.5,) * 3, "std": (0.5,) * 3}
    (warning,) = check_model(open_model(net), images)
    assert "names mean (0.5, 0.5, 0.5) and std (0.5, 0.5, 0.5), which nobody applies here" in warning
    assert check_model(open_model(net, mean=0.5, std=0.5), images) == []
    net.pretrained_cfg = {"mean": (0.0,) * 3, "std": (1.0,) * 3}
    assert check_model(open_model(net), images) == []


PIXELS = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(2))


def failing(x):
    raise ValueError("input height 8 does not match 224\nsecond line")


@pytest.mark.parametrize(
    "model, options, pixels, labels, error, message",
    [
        (SmallNet(), {}, PIXELS * 255, None, InputError, r"expected pixels in \[0, 1\], got .* divided by 255"),
        (SmallNet(), {}, PIXELS - 0.5, None, InputError, r"expected pixels in \[0, 1\]"),
        (SmallNet(), {}, PIXELS * torch.nan, None, InputError, r"expected pixels in \[0, 1\], got \[nan"),
        (SmallNet(), {}, PIXELS[0], None, InputError, "expected floating images"),
        (SmallNet(), {}, PIXELS[:0], None, InputError, "expected floating images"),
        (SmallNet(), {}, (PIXELS * 255).byte(), None, InputError, "got torch.uint8"),
        (SmallNet(), {"size": 16}, PIXELS, None, InputError, r"expected images of \(16, 16\), got \(8, 8\)"),
        (SmallNet(), {"mean": 0.5, "std": 0.5}, PIXELS[:, :1], None, InputError, r"of 3 channel\(s\), got 1"),
        (SmallNet(), {}, PIXELS, torch.tensor([0, 1, 2, 5]), InputError, "labels from 0 to 4, .*5 classes, got 0 to 5"),
        (SmallNet(), {}, PIXELS, torch.tensor([0, 1, 2, -1]), InputError, "got -1 to 2"),
        (SmallNet(), {}, PIXELS, torch.tensor([0, 1]), InputError, r"expected labels of shape \(4,\)"),
        (failing, {}, PIXELS, None, InputError, r"failed on images of shape \(4, 3, 8, 8\): input height 8 .* 224$"),
        (lambda x: x, {}, PIXELS, None, ModelOutputError, "dense head is no classifier"),
        (
            lambda x: x.mean((2, 3)) * torch.nan,
            {},
            PIXELS,
            None,
            ModelOutputError,
            r"4 image\(s\): 0, 1, 2, \.\.\.$",
        ),
        (lambda x: x.mean((1, 2, 3)), {}, PIXELS, None, ModelOutputError, "give num_classes=2"),
        (SmallNet(), {"num_classes": 7}, PIXELS, None, ModelOutputError, "expected 7 classes .* got logits of 5"),
    ],
)
def test_fatal_in_one_line(model, options, pixels, labels, error, message):
    with pytest.raises(error, match=message) as caught:
        check_model(open_model(model, **options), pixels, labels)
    assert "\n" not in str(caught.value)


def test_out_of_memory_is_left_to_the_caller():
    def full(x):
        raise torch.OutOfMemoryError("full")

    with pytest.raises(torch.OutOfMemoryError):
        check_model(open_model(full), PIXELS)


def test_the_module_is_only_borrowed(images):
    net = SmallNet().train()
    check_model(open_model(net), images)
    assert net.training
    assert net.conv.weight.requires_grad
