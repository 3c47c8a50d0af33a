"""Trains one model of the zoo; stopped at any point, the same call goes on from its last checkpoint."""

from __future__ import annotations

import json
import math
import os
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.zoo.plan import Entry
from benchmarks.zoo.recipes import adversarial, noisy_labels
from spectrobe.models.zoo_networks import NETWORKS
from spectrobe.seeding import stream

CLASSES = 10
USUAL_BATCH = 512
FEWEST_STEPS = 8  # of the schedule, whose first part must have one
WARM_UP = 0.3
"""Share of the epochs over which adversarial training comes to its full radius."""


@dataclass(frozen=True)
class Settings:
    """How long and on what.

    epochs: of a residual network, the others' in proportion.   images: of the training set, None for all.
    """

    epochs: int | None = None
    images: int | None = None
    batch: int = 512
    attack_steps: int = 3
    every: int = 1
    """Epochs between checkpoints."""


class OutOfTime(Exception):
    """The time given is up; a checkpoint is written."""


def train(
    entry: Entry, images: Tensor, labels: Tensor, settings: Settings, work: Path, deadline: float | None = None
) -> tuple[nn.Module, dict[str, Any]]:
    """The trained network in eval mode, and what there is to say of the training.

    images: uint8 (N, 3, 32, 32) and labels int64 (N,), on the device to train on.   deadline: of time.monotonic().
    Raises OutOfTime after the epoch that passes it, SystemExit for a checkpoint of other settings or a loss that is not
    finite.
    """
    device, epochs = images.device, entry.epochs_of(settings.epochs)
    labels = noisy_labels(labels.cpu(), entry.rules.label_noise, seed=0).to(device)
    torch.manual_seed(stream(entry.seed, entry.name, "weights") % 2**32)
    net = NETWORKS[entry.architecture]().to(device, memory_format=torch.channels_last)
    steps = max(1, math.ceil(len(images) / settings.batch))
    optimizer, schedule = _optimizer(entry, net, epochs * steps, settings.batch)
    about = {**asdict(entry), **asdict(settings), "epochs": epochs, "n": len(images)}
    path = work / f"{entry.name}.checkpoint"
    begun = _resume(path, about, net, optimizer, schedule, device)
    loss, spent = begun["loss"], begun["seconds"]
    for epoch in range(begun["epoch"], epochs):
        start = time.monotonic()
        loss = _epoch(entry, net, images, labels, optimizer, schedule, settings, epoch, epochs)
        spent += time.monotonic() - start
        left = (epochs - epoch - 1) * spent / (epoch + 1)
        late = deadline is not None and time.monotonic() > deadline
        done = epoch + 1 == epochs
        if done or late or (epoch + 1) % settings.every == 0:
            print(
                f"{entry.name}: epoch {epoch + 1}/{epochs}, loss {loss:.3f}, {spent:.0f} s, {left:.0f} s left",
                flush=True,
            )
            state = {"model": net.state_dict(), "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
            _write(path, {**state, "epoch": epoch + 1, "loss": loss, "seconds": spent, "about": json.dumps(about)})
        if late and not done:
            raise OutOfTime(entry.name)
    told = {"loss": round(loss, 4), "seconds": round(spent, 1), "images": len(images), "epochs": epochs}
    steps_told = {"attack_steps": settings.attack_steps} if entry.rules.eps else {}
    return net.eval(), told | {"batch": settings.batch} | steps_told


def _epoch(
    entry: Entry,
    net: nn.Module,
    images: Tensor,
    labels: Tensor,
    optimizer: torch.optim.Optimizer,
    schedule: Any,
    settings: Settings,
    epoch: int,
    epochs: int,
) -> float:
    """One pass over the images; the mean loss. All that is drawn depends on the model and the epoch alone."""
    device = images.device
    draws = torch.Generator(device).manual_seed(stream(entry.seed, entry.name, "epoch", epoch))
    recipe, total = entry.rules, torch.zeros((), device=device)
    eps = recipe.eps * min(1.0, (epoch + 1) / max(1.0, WARM_UP * epochs))
    half = torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()
    net.train()
    batches = torch.randperm(len(images), generator=draws, device=device).split(settings.batch)
    for chunk in batches:
        x = images[chunk].float().div_(255)
        x, target = recipe(x, F.one_hot(labels[chunk], CLASSES).float(), draws)
        x = x.contiguous(memory_format=torch.channels_last)
        with half:
            if eps:
                x = adversarial(net, x, target, eps, settings.attack_steps, draws)
            loss = F.cross_entropy(net(x).float(), target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if entry.architecture == "vit":
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        total += loss.detach()
    mean = float(total) / len(batches)
    if not math.isfinite(mean):
        raise SystemExit(f"{entry.name}: the loss is not finite in epoch {epoch + 1}")
    return mean


def _optimizer(entry: Entry, net: nn.Module, steps: int, batch: int) -> tuple[torch.optim.Optimizer, Any]:
    """SGD with momentum for convolutions, AdamW for the transformer; the rate rises and falls once (OneCycle).

    The highest rate is that of batches of 512, less for smaller ones by the square root of their share.
    """
    share = min(1.0, batch / USUAL_BATCH) ** 0.5
    if entry.architecture == "vit":
        optimizer: torch.optim.Optimizer = torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=0.05)
        peak = 1e-3 * share
    else:
        peak = 0.2 * share
        optimizer = torch.optim.SGD(net.parameters(), peak, momentum=0.9, weight_decay=5e-4, nesterov=True)
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(
        optimizer, peak, total_steps=max(steps, FEWEST_STEPS), pct_start=0.25
    )


def _resume(
    path: Path,
    about: dict[str, Any],
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: Any,
    device: torch.device,
) -> dict[str, Any]:
    """Load the checkpoint, where there is one of this very training."""
    if not path.exists():
        return {"epoch": 0, "loss": math.nan, "seconds": 0.0}
    state = torch.load(path, map_location=device, weights_only=True)
    there = json.loads(state["about"])
    differing = [
        f"{key} {there.get(key)} there, {value} now" for key, value in about.items() if there.get(key) != value
    ]
    if differing:
        raise SystemExit(f"{path} is of another training ({'; '.join(differing)}): remove it, or repeat that call")
    net.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    return {key: state[key] for key in ("epoch", "loss", "seconds")}


def _write(path: Path, state: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".part")
    torch.save(state, aside)
    os.replace(aside, path)
