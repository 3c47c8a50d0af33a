"""What a zoo will cost: forward passes of every run, and seconds from a measured batch of each model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from spectrobe.bands import BandPartition
from spectrobe.data.base import ImageData
from spectrobe.engine.absence import absence_class
from spectrobe.engine.batching import noise, seconds_per_batch
from spectrobe.engine.store import RunFolder
from spectrobe.errors import BadImageError, InputError
from spectrobe.game.coalitions import make_design
from spectrobe.models.base import Model
from spectrobe.studies.robustness.conditions import Plan, build
from spectrobe.studies.robustness.sanity import all_passes
from spectrobe.studies.words import duration

BATCH = 32
"""Images a batch that times are taken with."""
BACKWARD = 3.0
"""A step of a gradient attack costs about so many forward passes."""
_GRADIENT_KINDS = ("attack", "minimum-norm")


@dataclass(frozen=True)
class Cost:
    """Of one model. decompose, robustness: forward passes left to do.   seconds: for both.   size: of its input."""

    name: str
    size: tuple[int, int]
    decompose: int
    robustness: int
    seconds: float

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return not self.decompose and not self.robustness


def cost_of(
    name: str,
    model: Model,
    data: ImageData,
    folder: str,
    *,
    bands: BandPartition,
    design: str,
    absences: Sequence[str],
    plans: Sequence[Plan],
    images: int,
    robustness_images: int,
    device: torch.device,
) -> Cost:
    """What is left to do for one model, with seconds from two forward passes of 32 images."""
    shape = _shape(data, model)
    decompose = sum(
        make_design(design, bands.n_bands).passes(images, absence_class(absence).constant)
        for absence in absences
        if not RunFolder(f"{folder}/decompose-{absence}").exists("result.json")
    )
    forward_passes = gradients = 0
    if not RunFolder(f"{folder}/robustness").exists("result.json"):
        items, _ = build(plans, model)
        forward_passes = all_passes(items, True, robustness_images)
        steps = sum(item.passes for item in items if item.condition.kind in _GRADIENT_KINDS)
        gradients = robustness_images * steps
    with model.prepared(device) as forward:
        one = seconds_per_batch(forward, noise(BATCH, shape, device), repeats=1) / BATCH
    passes = decompose + forward_passes + (BACKWARD - 1) * gradients
    return Cost(name, (shape[1], shape[2]), decompose, forward_passes, one * passes)


def summary(costs: Sequence[Cost]) -> list[str]:
    """The whole budget in a few lines, and what is shared."""
    sizes: dict[tuple[int, int], int] = {}
    for cost in costs:
        sizes[cost.size] = sizes.get(cost.size, 0) + 1
    passes = sum(cost.decompose + cost.robustness for cost in costs)
    seconds = sum(cost.seconds for cost in costs)
    shared = ", ".join(f"{h}x{w} for {n} models" for (h, w), n in sizes.items())
    return [
        f"{len(costs)} models, {passes:,} forward passes, about {duration(seconds)} "
        "(a step of an attack counted as three; images of corruptions not counted)",
        f"images are decoded, and on a processor their bands cut, once and kept in memory, at {shared}",
    ]


def _shape(data: ImageData, model: Model) -> torch.Size:
    """(C, H, W) of the first image that can be read."""
    for index in range(len(data)):
        try:
            return data.pixels(index, model.geometry).shape
        except BadImageError:
            continue
    raise InputError(f"none of the images of {data.name} can be read")
