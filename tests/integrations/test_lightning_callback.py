"""The Lightning callback: what it logs, what it refuses, and that training does not notice it."""

from __future__ import annotations

import csv
import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from spectrobe.errors import InputError, ModelOutputError
from spectrobe.integrations import SpectralCallback
from spectrobe.studies.watch.probe import Probe
from tests.integrations.nets import MEAN, STD, Images, Net, generators, held_out, modes

PROBE: dict[str, Any] = {"bands": 3, "mean": MEAN, "std": STD, "forward_passes": 300}


class Training(LightningModule):
    """An ordinary module: what it does in each step depends on the global generators."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.modes: list[dict[str, bool]] = []

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        x, y = batch
        self.modes.append(modes(self))
        return nn.functional.cross_entropy(self(x), y)

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        self.log("val_loss", nn.functional.cross_entropy(self(batch[0]), batch[1]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)


def trainer(folder: Path, *callbacks: Any, epochs: int = 2, **more: Any) -> Trainer:
    settings: dict[str, Any] = {
        "max_epochs": epochs, "accelerator": "cpu", "devices": 1, "callbacks": list(callbacks), "logger": False,
        "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False,
        "default_root_dir": folder, "num_sanity_val_steps": 0,
    }  # fmt: skip
    return Trainer(**(settings | more))


def loader(data: Dataset[Any]) -> DataLoader[Any]:
    return DataLoader(data, batch_size=8, shuffle=True)


def fit(made: Trainer, module: LightningModule, *loaders: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's advice on workers and logging intervals
        made.fit(module, *loaders)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_training_is_the_same_bit_for_bit(precision: str, tmp_path: Path) -> None:
    ends = []
    for callbacks in ([], [SpectralCallback(held_out(), **PROBE)]):
        random.seed(5), np.random.seed(5), torch.manual_seed(5)  # noqa: NPY002
        module, data = Training(Net(noisy=True)), Images(40)
        made = trainer(tmp_path, *callbacks, precision=precision)
        fit(made, module, loader(data), loader(Images(16, seed=3)))
        fetched = data.fetched[-80:]  # the callback's own look at the training images comes before
        optimizer = made.optimizers[0].state_dict()["state"]
        ends.append((module, fetched, generators(), optimizer, module.modes, module.net.calls))
    (plain, order, states, momentum, how, calls), (watched, *rest) = ends
    assert rest == [order, states, rest[2], how, calls]
    for key, value in plain.state_dict().items():
        assert torch.equal(value, watched.state_dict()[key]), key
    for index, kept in momentum.items():
        assert torch.equal(kept["momentum_buffer"], rest[2][index]["momentum_buffer"])
    assert {name: p.grad is None for name, p in plain.named_parameters()} == {
        name: p.grad is None for name, p in watched.named_parameters()
    }
    assert len(set(order)) == 40 and how[0]["net.stem.1"] and not how[0]["net.frozen"]


def test_what_is_logged(tmp_path: Path) -> None:
    callback = SpectralCallback(held_out(), **PROBE)
    best = ModelCheckpoint(tmp_path, monitor="spectral/usable_information", mode="max", save_on_train_epoch_end=True)
    logger = CSVLogger(tmp_path)
    module = Training(Net())
    made = trainer(tmp_path, callback, best, logger=logger, enable_checkpointing=True, log_every_n_steps=1)
    fit(made, module, loader(Images(40)))
    written = Path(logger.log_dir, "metrics.csv").read_text().splitlines()
    rows = [row for row in csv.DictReader(written) if row["spectral/band_0"]]
    assert [epoch for epoch, _ in callback.readings] == [0, 1] == [int(row["epoch"]) for row in rows]
    for row, (_, reading) in zip(rows, callback.readings, strict=True):
        for name, number in reading.to_log().items():
            assert float(row[name]) == pytest.approx(number, rel=1e-5, nan_ok=True), name
    assert best.best_model_score == pytest.approx(max(r.information.value for _, r in callback.readings), rel=1e-5)
    # the last reading is that of the weights as they are now
    now = Probe.of(held_out(), **PROBE).read(module.net)
    assert np.allclose(now.shapley, callback.readings[-1][1].shapley, atol=1e-6)


def test_two_processes_log_what_one_logs(tmp_path: Path) -> None:
    data, settings = Images(16, augment=False), PROBE | {"design": "exact"}
    logged = []
    for devices, strategy in ((1, "auto"), (2, "ddp_fork")):
        logger = CSVLogger(tmp_path / str(devices), version=0)
        module = Training(Net())
        for parameter in module.parameters():
            parameter.requires_grad_(False)
        module.net.head[2].bias.requires_grad_(True)  # else there is nothing to train
        module.configure_optimizers = lambda own=module: torch.optim.SGD(own.parameters(), lr=0.0)  # type: ignore
        made = trainer(
            tmp_path, SpectralCallback(held_out(), **settings), epochs=1, logger=logger, log_every_n_steps=1,
            devices=devices, strategy=strategy,
        )  # fmt: skip
        module.net.stem[1].eval()  # batch norm that stays as it is: all processes have the same network
        fit(made, module, DataLoader(data, batch_size=8))
        written = Path(logger.log_dir, "metrics.csv").read_text().splitlines()
        logged.append([row for row in csv.DictReader(written) if row["spectral/band_0"]])
    [[one], [two]] = logged
    for name in one:
        if name.startswith("spectral/"):
            assert float(two[name]) == pytest.approx(float(one[name]), abs=1e-6, nan_ok=True), name


def test_every_so_many_epochs(tmp_path: Path) -> None:
    callback = SpectralCallback(held_out(), every_n_epochs=2, prefix="net", **PROBE)
    fit(trainer(tmp_path, callback, epochs=5), Training(Net()), loader(Images(16)))
    assert [epoch for epoch, _ in callback.readings] == [1, 3]
    with pytest.raises(InputError, match="every_n_epochs of at least 1, got 0"):
        SpectralCallback(held_out(), every_n_epochs=0, **PROBE)


def test_the_budget_is_kept_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Counted(Net):
        seen = 0

        def forward(self, x: Tensor) -> Tensor:
            type(self).seen += len(x) * (not self.training)
            return super().forward(x)

    callback = SpectralCallback(held_out(), **PROBE)
    caplog.set_level("INFO", logger="lightning.pytorch")
    fit(trainer(tmp_path, callback, epochs=1), Training(Counted()), loader(Images(16, augment=False)))
    reading = callback.readings[0][1]
    checked = 16 + 3 * 4 + 1  # the self-check, before training
    assert Counted.seen - checked == reading.forward_passes == 281 <= 300
    said = "exact design on 40 of 40 images: 281 forward passes each time, of at most 300; 16 of 16 training images"
    assert any(said in message for message in caplog.messages)
    with pytest.raises(InputError, match="expected at least 141 forward passes for 3 bands"):
        SpectralCallback(held_out(), bands=3, forward_passes=140)


def test_random_transforms_are_a_warning_and_no_assurance(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="lightning.pytorch")
    with pytest.warns(UserWarning, match=r"spectral: whether images .* could not be checked: two fetches"):
        trainer(tmp_path, SpectralCallback(held_out(), **PROBE), epochs=1).fit(Training(Net()), loader(Images(16)))
    assert any("281 forward passes" in message for message in caplog.messages)
    assert not any("none is among" in message for message in caplog.messages)


def test_images_that_are_trained_on_are_refused(tmp_path: Path) -> None:
    data = Images(30, augment=False)
    callback = SpectralCallback((data.x, data.y), **PROBE)
    module = Training(Net())
    with pytest.raises(InputError, match="is training image 0, by its content"):
        fit(trainer(tmp_path, callback), module, loader(data))
    assert module.global_step == 0


class InParts(Training):
    def forward(self, x: Tensor) -> Any:
        return {"scores": self.net(x), "features": x.mean((2, 3))}

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        return nn.functional.cross_entropy(self(batch[0])["scores"], batch[1])


def test_a_module_without_logits_is_refused_before_it_trains(tmp_path: Path) -> None:
    module = InParts(Net())
    with pytest.raises(ModelOutputError, match="InParts: expected one tensor of logits"):
        fit(trainer(tmp_path, SpectralCallback(held_out(), **PROBE)), module, loader(Images(16)))
    assert module.global_step == 0
    told = SpectralCallback(held_out(), forward=lambda module, x: module(x)["scores"], **PROBE)
    fit(trainer(tmp_path, told, epochs=1), module, loader(Images(16)))
    assert len(told.readings) == 1


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(TypeError, match="band"):
        SpectralCallback(held_out(), band=3)
