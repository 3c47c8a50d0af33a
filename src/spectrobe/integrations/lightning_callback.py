"""The profile of a model in training, logged by Lightning."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from spectrobe.errors import InputError
from spectrobe.studies.watch.overlap import refuse_overlap
from spectrobe.studies.watch.probe import Probe
from spectrobe.studies.watch.reading import Reading


class SpectralCallback(Callback):
    """Measures which frequency bands a LightningModule relies on after every epoch, and logs it.

        Trainer(callbacks=[SpectralCallback((images, labels), bands=8, forward_passes=10_000)])

    Logged to whatever logger the Trainer has, and there for ModelCheckpoint and EarlyStopping to monitor:
    `spectral/band_0` to `band_M-1`, `spectral/score`, `spectral/usable_information` and `spectral/accuracy`, each with
    `_stderr` beside it. `readings` holds (epoch, Reading).

    Training is not affected: with and without the callback the weights are the same, bit for bit. Under DDP each
    process plays its share of the images.
    """

    def __init__(
        self,
        data: Any,
        *,
        every_n_epochs: int = 1,
        prefix: str = "spectral",
        compare: int | None = None,
        **probe: Any,
    ) -> None:
        """data: held-out images in [0, 1] *before* normalisation with labels: a tensor pair, a Dataset, a data string.

        every_n_epochs: how often.   prefix: of logged names.
        compare: how many training images are compared with `data`, whose images must not be among them (default: all
            that are in memory, 5,000 of others).
        probe: what `spectrobe.studies.watch.probe.Probe.of` takes: bands, value, absence, design, forward_passes (of
            one measurement), mean and std (of the normalisation that training applies), forward, seed, ...

        Raises InputError for bad settings and for a budget too small, naming the least that works; when training
        starts, for images that are among the training images, and ModelOutputError for a model without logits.
        """
        super().__init__()
        if every_n_epochs < 1:
            raise InputError(f"expected every_n_epochs of at least 1, got {every_n_epochs!r}")
        self.probe = Probe.of(data, **probe)
        self.every_n_epochs, self.prefix, self.compare = every_n_epochs, prefix, compare
        self.readings: list[tuple[int, Reading]] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse what cannot be measured before any training is spent."""
        game = self.probe.game
        warnings = self.probe.check(pl_module)
        found = refuse_overlap(self.probe.images, trainer.train_dataloader, game.mean, game.std, self.compare)
        for warning in (*warnings, *found.warnings):
            rank_zero_warn(f"{self.prefix}: {warning}")
        rank_zero_info("; ".join((f"{self.prefix}: {self.probe.plan}", *found.told)))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure and log."""
        epoch = trainer.current_epoch
        if (epoch + 1) % self.every_n_epochs != 0:
            return
        reading = self.probe.read(pl_module, trainer.global_rank, trainer.world_size)
        self.readings.append((epoch, reading))
        numbers = {
            name: torch.tensor(number, dtype=torch.float32) for name, number in reading.to_log(self.prefix).items()
        }
        pl_module.log_dict(numbers, on_step=False, on_epoch=True, batch_size=1)
