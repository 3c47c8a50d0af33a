"""The callback of Hugging Face's Trainer: what it logs, what it refuses, and that training does not notice it."""

from __future__ import annotations

import logging
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import (
    ResNetConfig,
    ResNetForImageClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    ViTConfig,
    ViTForImageClassification,
)

from spectrobe.errors import InputError, ModelOutputError
from spectrobe.integrations import SpectralTrainerCallback
from spectrobe.studies.watch.probe import Probe
from tests.integrations.nets import MEAN, STD, Images, generators, held_out

PROBE: dict[str, Any] = {"bands": 3, "mean": MEAN, "std": STD, "forward_passes": 300}


class Items(Dataset[dict[str, Any]]):
    """Items as an image processor makes them."""

    def __init__(self, images: Images) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Any]:
        image, label = self.images[index]
        return {"pixel_values": image, "labels": label}


def vit() -> nn.Module:
    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=16, patch_size=4,
        num_labels=4, hidden_dropout_prob=0.1,
    )  # fmt: skip
    return ViTForImageClassification(config)


def resnet() -> nn.Module:
    torch.manual_seed(0)
    config = ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=4,
        downsample_in_first_stage=False,
    )  # fmt: skip
    return ResNetForImageClassification(config)


def trainer(model: nn.Module, data: Dataset[Any], folder: Path, epochs: int = 2) -> Trainer:
    arguments = TrainingArguments(
        str(folder), num_train_epochs=epochs, per_device_train_batch_size=8, learning_rate=1e-3, report_to=[],
        save_strategy="no", disable_tqdm=True, use_cpu=True, logging_steps=2, dataloader_pin_memory=False,
    )  # fmt: skip
    return Trainer(model, arguments, train_dataset=data)


@pytest.mark.slow
@pytest.mark.parametrize("make", [vit, resnet])
def test_training_is_the_same_bit_for_bit(make: Any, tmp_path: Path) -> None:
    ends = []
    for watched in (False, True):
        model, images = make(), Images(32)
        made = trainer(model, Items(images), tmp_path)
        if watched:
            made.add_callback(SpectralTrainerCallback(made, held_out(), **PROBE))
        random.seed(5), np.random.seed(5), torch.manual_seed(5)  # noqa: NPY002
        made.train()
        optimizer = made.optimizer.state_dict()["state"]
        ends.append((model.state_dict(), images.fetched[-64:], generators(), optimizer))
    (weights, order, states, moments), (others, *rest) = ends
    assert rest[:2] == [order, states] and len(set(order)) == 32
    assert all(torch.equal(value, others[name]) for name, value in weights.items())
    assert all(torch.equal(kept["exp_avg"], rest[2][i]["exp_avg"]) for i, kept in moments.items())


class Keeps(TrainerCallback):
    """Stands for the loggers that Trainer has."""

    def __init__(self) -> None:
        self.logs: list[dict[str, float]] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        self.logs.append(dict(logs))


def test_what_is_logged(tmp_path: Path) -> None:
    model = resnet()
    made = trainer(model, Items(Images(16)), tmp_path)
    logger, callback = Keeps(), SpectralTrainerCallback(made, held_out(), **PROBE)
    made.add_callback(logger)
    made.add_callback(callback)
    made.train()
    spectral = [logs for logs in logger.logs if "spectral/band_0" in logs]
    assert [epoch for epoch, _ in callback.readings] == [1.0, 2.0] == [logs["epoch"] for logs in spectral]
    for logs, (_, reading) in zip(spectral, callback.readings, strict=True):
        own = {name: number for name, number in logs.items() if name.startswith("spectral/")}
        assert own == pytest.approx(reading.to_log(), nan_ok=True)
    history = [entry for entry in made.state.log_history if "spectral/score" in entry]
    assert [entry["step"] for entry in history] == [2, 4]
    last = Probe.of(held_out(), **PROBE).read(model)
    assert np.allclose(last.shapley, callback.readings[-1][1].shapley, atol=1e-6)


def test_the_budget_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = trainer(resnet(), Items(Images(16, augment=False)), tmp_path, epochs=1)
    made.add_callback(SpectralTrainerCallback(made, held_out(), every_n_epochs=1, **PROBE))
    with caplog.at_level(logging.INFO, logger="spectrobe"):
        made.train()
    said = "exact design on 40 of 40 images: 281 forward passes each time, of at most 300; 16 of 16 training images"
    assert any(said in message for message in caplog.messages)


def test_random_transforms_are_a_warning_and_no_assurance(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = trainer(resnet(), Items(Images(16)), tmp_path, epochs=1)
    made.add_callback(SpectralTrainerCallback(made, held_out(), **PROBE))
    with caplog.at_level(logging.INFO, logger="spectrobe"):
        made.train()
    warned = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert any("could not be checked: two fetches" in message for message in warned)
    assert not any("none is among" in message for message in caplog.messages)


def test_images_that_are_trained_on_are_refused(tmp_path: Path) -> None:
    images = Images(30, augment=False)
    made = trainer(resnet(), Items(images), tmp_path)
    made.add_callback(SpectralTrainerCallback(made, (images.x, images.y), **PROBE))
    with pytest.raises(InputError, match="is training image 0, by its content"):
        made.train()
    assert made.state.global_step == 0


class WithoutLogits(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = resnet()

    def forward(self, pixel_values: Tensor, labels: Tensor | None = None) -> Any:
        out = self.net(pixel_values, labels=labels)
        return {"loss": out.loss, "scores": out.logits, "mean": pixel_values.mean((2, 3))}


def test_a_model_without_logits_is_refused_before_it_trains(tmp_path: Path) -> None:
    made = trainer(WithoutLogits(), Items(Images(16)), tmp_path)
    made.add_callback(SpectralTrainerCallback(made, held_out(), **PROBE))
    with pytest.raises(ModelOutputError, match="WithoutLogits: expected one tensor of logits"):
        made.train()
    assert made.state.global_step == 0


def test_the_trainer_comes_first() -> None:
    with pytest.raises(InputError, match="expected the Trainer first, got tuple"):
        SpectralTrainerCallback(held_out(), held_out())
    with pytest.raises(InputError, match="every_n_epochs of at least 1, got -1"):
        SpectralTrainerCallback(object(), held_out(), every_n_epochs=-1)
