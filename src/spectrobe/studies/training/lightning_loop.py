"""Lightning's loop around one training: its bar, its checkpoints, its resume. Imported by `train` alone."""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from torch import Tensor, nn

from spectrobe.engine.phases import reach
from spectrobe.engine.progress import Progress
from spectrobe.errors import SpectrobeError
from spectrobe.seeding import torch_generator
from spectrobe.studies.training.budget import PASSES
from spectrobe.studies.training.job import AtEpochEnd, EpochFacts, Job
from spectrobe.studies.training.recipe import Recipe


def fit(
    net: nn.Module,
    job: Job,
    recipe: Recipe,
    device: torch.device,
    precision: str,
    at_epoch_end: AtEpochEnd | None,
    checkpoint: Path | None,
    progress: Progress,
) -> None:
    """Train `net` in place, from the checkpoint where there is one, which is written after every epoch.

    at_epoch_end is called before the checkpoint is written: a checkpoint says that its epoch is dealt with.
    Raises KeyboardInterrupt on Ctrl-C, which Lightning would make an exit of, and SpectrobeError for a loss that is
    not finite.
    """
    module = _Module(net, job, recipe)
    callbacks: list[Callback] = [_AtEpochEnd(at_epoch_end, checkpoint), _Bar(progress)]
    with _quiet():
        trainer = Trainer(
            max_epochs=recipe.epochs, accelerator=_ACCELERATORS[device.type], devices=_devices(device),
            precision="bf16-mixed" if precision == "bfloat16" else "32-true", callbacks=callbacks, logger=False,
            enable_checkpointing=False, enable_model_summary=False, num_sanity_val_steps=0,
        )  # fmt: skip
        begun = str(checkpoint) if checkpoint is not None and checkpoint.exists() else None
        with _interruptible():
            trainer.fit(module, _Batches(job, recipe.batch_size), ckpt_path=begun, weights_only=True)


_ACCELERATORS = {"cpu": "cpu", "cuda": "gpu", "mps": "mps"}


def _devices(device: torch.device) -> Any:
    return 1 if device.type != "cuda" else [device.index or 0]


class _Batches:
    """Batches of positions, in another order every epoch; Lightning tells the epoch to the sampler, here itself."""

    def __init__(self, job: Job, batch_size: int) -> None:
        self.job, self.batch_size, self.epoch = job, batch_size, 0
        self.sampler = self

    def set_epoch(self, epoch: int) -> None:
        """Which order to take."""
        self.epoch = epoch

    def __len__(self) -> int:
        return max(1, len(self.job) // self.batch_size)

    def __iter__(self) -> Iterator[Tensor]:
        order: Tensor = torch.randperm(
            len(self.job), generator=torch_generator(self.job.seed, "order of images", self.epoch)
        )
        for step in range(len(self)):
            yield order[step * self.batch_size : (step + 1) * self.batch_size]


class _Module(LightningModule):
    """The network, its images and labels, and what to do with a batch of positions."""

    def __init__(self, net: nn.Module, job: Job, recipe: Recipe) -> None:
        super().__init__()
        self.net, self.job, self.recipe = net, job, recipe
        self.here = (job.pixels, job.labels, job.wrong)
        self.sums = torch.zeros(6, dtype=torch.float64)

    def configure_optimizers(self) -> Any:
        """As the recipe says."""
        optimizer, schedule = self.recipe.optimizer(self.net, len(self.job))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_start(self) -> None:
        """All images to the device, once."""
        pixels, labels, wrong = (part.to(self.device) for part in self.here)
        self.here = (pixels, labels, wrong)

    def on_train_epoch_start(self) -> None:
        """Count anew."""
        self.sums = torch.zeros(6, dtype=torch.float32, device=self.device)

    def training_step(self, positions: Tensor, index: int) -> Tensor:
        """The loss of a batch."""
        pixels, labels, wrong = (part[positions] for part in self.here)
        if pixels.dtype == torch.uint8:
            pixels = pixels.to(torch.float32).div_(255)
        logits = self.net(pixels.contiguous(memory_format=self.recipe.memory_format)).float()
        loss: Tensor = F.cross_entropy(logits, labels)
        with torch.no_grad():
            hit, right = logits.argmax(1) == labels, ~wrong
            self.sums += torch.stack(
                [
                    loss.detach(),
                    torch.ones_like(loss),
                    (hit & right).sum(),
                    right.sum(),
                    (hit & wrong).sum(),
                    wrong.sum(),
                ]
            )
        return loss

    def facts(self) -> EpochFacts:
        """Of the epoch that has just ended."""
        loss, steps, right, of_right, fitted, of_wrong = self.sums.tolist()
        return EpochFacts(
            loss / steps, right / of_right if of_right else math.nan, fitted / of_wrong if of_wrong else math.nan
        )


class _AtEpochEnd(Callback):
    """What the study does after each epoch, then the checkpoint: written aside and renamed."""

    def __init__(self, act: AtEpochEnd | None, checkpoint: Path | None) -> None:
        self.act, self.checkpoint = act, checkpoint

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        done, facts = trainer.current_epoch + 1, pl_module.facts()
        if not math.isfinite(facts.loss):
            raise SpectrobeError(
                f"the loss of {pl_module.job.name} is not finite in epoch {done}: give a lower learning rate"
            )
        if self.act is not None:
            self.act(done, pl_module.net, facts)
        if self.checkpoint is not None:
            aside = self.checkpoint.with_suffix(".part")
            aside.parent.mkdir(parents=True, exist_ok=True)
            trainer.save_checkpoint(aside)
            os.replace(aside, self.checkpoint)
        reach("shard done")


class _Bar(ProgressBar):
    """Lightning's bar, shown by whatever shows the run's progress."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self.progress = progress

    def disable(self) -> None:
        """Nothing to do: the run's own progress may be silent."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """What an earlier call did."""
        job, recipe = pl_module.job, pl_module.recipe
        an_epoch = recipe.steps(len(job)) * min(recipe.batch_size, len(job))
        self.progress.advance(PASSES * an_epoch * trainer.current_epoch)

    def on_train_batch_end(self, *of_step: Any, **more: Any) -> None:
        """So many images more."""
        self.progress.advance(PASSES * len(of_step[3]))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's notes on hardware it did not find and loaders it would like."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            warnings.filterwarnings("ignore", message=".*lr_scheduler.*")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C inside is KeyboardInterrupt outside, and is answered again afterwards."""
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT) if main else None
    try:
        yield
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        if main and handler is not None:
            signal.signal(signal.SIGINT, handler)
