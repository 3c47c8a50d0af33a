"""Train one network after another on small images, each resumed where it was stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

from spectrobe.engine.progress import Progress
from spectrobe.engine.store import RunFolder
from spectrobe.errors import InputError, MissingExtraError
from spectrobe.studies.training.job import AtEpochEnd, Job
from spectrobe.studies.training.recipe import Recipe


def require_lightning(purpose: str) -> None:
    """Raise MissingExtraError, with the install command, unless Lightning is there."""
    try:
        there = find_spec("lightning") is not None
    except ValueError:  # a module of that name without a spec
        there = False
    if not there:
        raise MissingExtraError("lightning", "train", purpose)


def training_device(device: str) -> torch.device:
    """ "auto" is the accelerator, if there is one; InputError for a device that is not here."""
    if device == "auto":
        found = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device(found)
    try:
        wanted = torch.device(device)
    except (RuntimeError, TypeError):
        raise InputError(f"expected device auto, cpu, cuda, cuda:0, ... or mps, got {device!r}") from None
    here = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not here.get(wanted.type, False):
        raise InputError(f"device {device!r} is not available here")
    return wanted


@dataclass(frozen=True)
class Workshop:
    """Where and how all networks of a study are trained. folder: of the run, None for a run in memory."""

    recipe: Recipe
    device: torch.device
    precision: str
    folder: RunFolder | None

    def train(
        self,
        job: Job,
        make: Callable[[], nn.Module],
        at_epoch_end: AtEpochEnd | None,
        progress: Progress,
        trusted: bool = True,
    ) -> nn.Module:
        """The trained network, in eval mode.

        at_epoch_end: called after each epoch, before its checkpoint is written.   trusted: whether a checkpoint may be
        gone on from.
        """
        from spectrobe.studies.training.lightning_loop import fit

        place = self.checkpoint(job)
        if place is not None and not trusted:
            place.unlink(missing_ok=True)
        net = make()
        fit(net, job, self.recipe, self.device, self.precision, at_epoch_end, place, progress)
        return net.eval()

    def checkpoint(self, job: Job) -> Path | None:
        """Lightning's checkpoint of a training that has begun; only on a local disk."""
        if self.folder is None or not self.folder.local:
            return None
        return Path(self.folder.root, "checkpoints", f"{job.name}.ckpt")

    def forget(self, job: Job) -> None:
        """Remove the checkpoint of a training that all is known of."""
        place = self.checkpoint(job)
        if place is not None:
            place.unlink(missing_ok=True)
            if place.parent.is_dir() and not any(place.parent.iterdir()):
                place.parent.rmdir()
