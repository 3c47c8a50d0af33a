"""How networks are trained: SGD with momentum, a learning rate that rises and falls once, no augmentation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from spectrobe.errors import InputError
from spectrobe.models.zoo_networks import Architecture
from spectrobe.seeding import stream

FEWEST_STEPS = 8
"""Of the schedule, whose first part must have one."""


@dataclass(frozen=True)
class Recipe:
    """What is the same for all trainings of a study.

    architecture: of the network.   epochs: over all images.   batch_size: images a step.   rate: the highest learning
    rate of OneCycle (Smith & Topin 2017, arXiv 1708.07120).   weight_decay: of all weights.
    No augmentation: shifts and crops would change what each band says.
    """

    architecture: Architecture
    epochs: int = 12
    batch_size: int = 128
    rate: float = 0.1
    weight_decay: float = 5e-4

    def __post_init__(self) -> None:
        check_counts(self, epochs=1, batch_size=2)
        if not self.rate > 0:
            raise InputError(f"expected a learning rate above 0, got {self.rate!r}")

    @classmethod
    def of(cls, arch: str, epochs: int, batch_size: int, rate: float) -> Recipe:
        """The recipe that a caller gives."""
        return cls(Architecture.parse(arch), epochs, batch_size, rate)

    def steps(self, images: int) -> int:
        """Of one epoch; a rest too small for a step of its own is left out, other images each time."""
        return max(1, images // self.batch_size)

    @property
    def memory_format(self) -> torch.memory_format:
        """The faster one; torch 2.14 on a CPU without AVX-512 writes outside its memory in the backward pass of
        channels_last convolutions of fewer than 8 channels, so that narrow networks do without."""
        wide = self.architecture.width % 8 == 0
        return torch.channels_last if wide else torch.contiguous_format

    def network(self, classes: int, statistics: tuple[list[float], list[float]], seed: int) -> nn.Module:
        """The network with its first weights, drawn by the seed; torch's own generator is left as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream(seed, "first weights"))
            net = self.architecture.build(classes, *statistics)
        return net.to(memory_format=self.memory_format)

    def optimizer(self, net: nn.Module, images: int) -> tuple[torch.optim.Optimizer, Any]:
        """SGD with Nesterov momentum, and its schedule, a step a batch."""
        optimizer = torch.optim.SGD(
            net.parameters(), self.rate, momentum=0.9, weight_decay=self.weight_decay, nesterov=True
        )
        steps = max(self.epochs * self.steps(images), FEWEST_STEPS)
        return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, self.rate, total_steps=steps, pct_start=0.25)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {**asdict(self), "architecture": str(self.architecture)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Recipe:
        """The recipe that `to_dict` described."""
        return cls(**{**content, "architecture": Architecture.parse(content["architecture"])})


def check_counts(settings: object, **least: int) -> None:
    """Raise InputError unless these attributes are whole numbers of at least so many."""
    for name, fewest in least.items():
        value = getattr(settings, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < fewest:
            raise InputError(f"expected {name} of at least {fewest}, got {value!r}")
