"""Small sets of models to relate: linear networks decomposed and measured for real, and bare numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import spectrobe as sb
from spectrobe.game.intervals import Estimate
from spectrobe.models.module import ModuleModel
from tests.toys import PLAIN, labels_of, linear, pixels

N_IMAGES = 24
NAMES = ("a", "b", "c", "d")
FAST: dict[str, Any] = {"n_resamples": 199, "n_permutations": 199}
PERTURBATIONS = "gaussian_noise:1-2,contrast:2,pgd_linf:eps=1/255..4/255;steps=2"


class Named(nn.Module):
    """A linear network under a name of its own."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        # every model leans less on what the first one reads, and more on noise of its own
        first, own = linear(), linear(seed=10 + seed)
        self.net = first
        with torch.no_grad():
            self.net[1].weight.lerp_(own[1].weight, 0.25 * seed)
            self.net[1].bias.copy_(-self.net[1].weight.sum(1) / 2)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x)
        return logits


def data(n: int = N_IMAGES) -> tuple[Tensor, Tensor]:
    """Images, and labels that the first model mostly agrees with."""
    x = pixels(n)
    return x, labels_of(Named(0), x)


def decomposed(which: int, on: tuple[Tensor, Tensor] | None = None, **settings: Any) -> sb.DecomposeResult:
    """A decomposition of one of the networks."""
    return sb.decompose(model(which), on or data(), **{**PLAIN, **settings})


def measured(which: int, perturbations: Any = PERTURBATIONS, n: int | None = None, **settings: Any) -> Any:
    """A robustness run of one of the networks."""
    return sb.robustness(model(which), data(), perturbations, images=n, batch_size=32, **settings)


def both(seeds: Sequence[int] = range(4), **settings: Any) -> list[Any]:
    """Decompositions and robustness runs of some networks, in memory."""
    return [run for seed in seeds for run in (decomposed(seed, **settings), measured(seed))]


def model(seed: int) -> ModuleModel:
    """One of the networks, under its name."""
    return ModuleModel(Named(seed), NAMES[seed])


@dataclass(frozen=True)
class Bare:
    """A result of some other study: a model's name and numbers."""

    model_name: str
    numbers: Mapping[str, Estimate]


def bare_models(columns: Mapping[str, Sequence[float]]) -> list[Bare]:
    """Models m00, m01, ... with these numbers."""
    n = len(next(iter(columns.values())))
    return [
        Bare(f"m{i:02}", {name: Estimate(float(v[i]), 0.01, v[i] - 0.02, v[i] + 0.02) for name, v in columns.items()})
        for i in range(n)
    ]


def by_model(numbers: Sequence[float] | np.ndarray) -> dict[str, float]:
    """Numbers of m00, m01, ..."""
    return {f"m{i:02}": float(value) for i, value in enumerate(numbers)}
