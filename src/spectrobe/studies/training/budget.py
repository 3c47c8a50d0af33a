"""What a study of trainings will cost, measured on this machine before it starts."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spectrobe.errors import InputError
from spectrobe.studies.training.recipe import Recipe
from spectrobe.studies.words import duration

PRECISIONS = ("auto", "float32", "bfloat16")
PASSES = 3
"""Forward passes that a training step costs an image: the backward pass takes about as long as two."""
TRIED = 256
"""Images that forward passes are timed on."""
_FEW, _STEPS, _WORTH = 32, 4, 1.1


@dataclass(frozen=True)
class Budget:
    """trainings, epochs: of each.   images: of an epoch.   seconds_an_epoch: measured on a few steps.

    readings: how many.   forward_passes: of one reading.   seconds_a_reading: measured on a few forward passes.
    seconds_of_images: making all that networks are trained on, measured on a few images; 0 where it is there already.
    """

    trainings: int
    epochs: int
    images: int
    seconds_an_epoch: float
    readings: int
    forward_passes: int
    seconds_a_reading: float
    precision: str
    seconds_of_images: float = 0.0

    @property
    def seconds(self) -> float:
        """In all."""
        training = self.trainings * self.epochs * self.seconds_an_epoch
        return self.seconds_of_images + training + self.readings * self.seconds_a_reading

    @property
    def of_training(self) -> int:
        """What one training is worth in passes of an image."""
        return PASSES * self.images * self.epochs

    @property
    def work(self) -> int:
        """In all, in passes of an image, as progress counts them."""
        return self.trainings * self.of_training + self.readings * self.forward_passes

    def __str__(self) -> str:
        total = self.readings * self.forward_passes
        made = f"making training images {duration(self.seconds_of_images)}; " if self.seconds_of_images else ""
        return (
            f"{self.trainings} trainings of {self.epochs} epochs on {self.images:,} images, "
            f"{self.seconds_an_epoch:.2g} s an epoch in {self.precision} (measured); {made}{self.readings} readings of "
            f"{self.forward_passes:,} forward passes, {self.seconds_a_reading:.2g} s each ({total:,} in all): about "
            f"{duration(self.seconds)}"
        )


def check_precision(precision: str) -> None:
    """Raise InputError for a precision that networks are not trained in."""
    if precision not in PRECISIONS:
        raise InputError(f"expected precision {', '.join(PRECISIONS)}, got {precision!r}")


def measure_training(
    net: nn.Module, pixels: Tensor, labels: Tensor, recipe: Recipe, device: torch.device, precision: str
) -> tuple[str, float]:
    """The precision to train in and the seconds that an image takes, measured on a copy's few steps.

    "auto" takes bfloat16 where it is faster by a tenth; a CPU without instructions for it is ten times slower.
    """
    check_precision(precision)
    net = net.to(device)
    chosen = precision
    if precision == "auto":
        took = {kind: _step(net, pixels[:_FEW], labels[:_FEW], recipe, device, kind, 1) for kind in PRECISIONS[1:]}
        chosen = "bfloat16" if took["bfloat16"] * _WORTH < took["float32"] else "float32"
    batch = min(recipe.batch_size, len(pixels))
    return chosen, _step(net, pixels[:batch], labels[:batch], recipe, device, chosen, _STEPS) / batch


def measure_passes(net: nn.Module, pixels: Tensor, device: torch.device) -> float:
    """Seconds of one forward pass in eval mode."""
    x = _float(pixels[:TRIED]).to(device).contiguous(memory_format=torch.channels_last)
    net = net.to(device).eval()
    with torch.inference_mode():
        net(x)
        start = time.perf_counter()
        net(x)
        _wait(device)
    net.train()
    return (time.perf_counter() - start) / len(x)


def _step(
    net: nn.Module,
    pixels: Tensor,
    labels: Tensor,
    recipe: Recipe,
    device: torch.device,
    precision: str,
    steps: int,
) -> float:
    """Seconds of a step, the median of some, after one to warm up."""
    x, y = _float(pixels).to(device).contiguous(memory_format=recipe.memory_format), labels.to(device)
    took = []
    for _ in range(steps + 1):
        start = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            loss = F.cross_entropy(net(x).float(), y)
        loss.backward()  # type: ignore[no-untyped-call]  # as torch has it
        _wait(device)
        took.append(time.perf_counter() - start)
    return sorted(took[1:])[len(took[1:]) // 2]


def _float(pixels: Tensor) -> Tensor:
    return pixels.to(torch.float32) / 255 if pixels.dtype == torch.uint8 else pixels


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
