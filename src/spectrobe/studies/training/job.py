"""One training: what is trained on what, told apart from how it is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Job:
    """name: of its files.   seed: of first weights and order of images.

    pixels: uint8 (N, C, H, W), or float32 in the range that the network takes.   labels: int64 (N,), as trained on.
    wrong: bool (N,), labels that are noise.
    """

    name: str
    seed: int
    pixels: Tensor
    labels: Tensor
    wrong: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class EpochFacts:
    """What training itself says of an epoch, over its steps, as the network was at each.

    loss: mean cross-entropy.   accuracy: share of right labels that were predicted.   fitted: share of wrong labels
    that were predicted as given; NaN where none is wrong.
    """

    loss: float
    accuracy: float
    fitted: float


AtEpochEnd = Callable[[int, nn.Module, EpochFacts], None]
"""(epochs done, network, facts)"""
