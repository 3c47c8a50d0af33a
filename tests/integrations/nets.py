"""A network with everything that a careless measurement would disturb, and images to train it on."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from tests.toys import pixels

SHAPE = (3, 16, 16)
MEAN, STD = 0.45, 0.2


class Net(nn.Module):
    """Convolution, batch norm, dropout, a batch norm that is kept in eval mode, and noise that is drawn in eval too.

    calls: how often it was called, as a counter that forward moves.
    """

    def __init__(self, seed: int = 0, noisy: bool = False) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2))
            self.frozen = nn.BatchNorm2d(8)
            self.head = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128, 4))
        self.frozen.eval()
        self.noisy, self.calls = noisy, 0

    def train(self, mode: bool = True) -> Net:
        super().train(mode)
        self.frozen.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        x = self.frozen(self.stem(x))
        if self.noisy:
            x = x + 1e-4 * (torch.rand(()) + random.random() + np.random.random())  # noqa: NPY002
        return self.head(x)


class Images(Dataset[tuple[Tensor, int]]):
    """Normalised images of four classes told apart by how bright they are, with random noise on each fetch."""

    def __init__(self, n: int, seed: int = 0, augment: bool = True) -> None:
        self.x = pixels(n, SHAPE, seed)
        self.y = (self.x.mean((1, 2, 3)) * 4).long().clamp(0, 3)
        self.augment, self.fetched = augment, list[int]()

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        self.fetched.append(index)
        image = (self.x[index] - MEAN) / STD
        if self.augment:
            image = image + 0.05 * torch.randn(image.shape) * random.random() * np.random.random()  # noqa: NPY002
        return image, int(self.y[index])


def held_out(n: int = 40, seed: int = 9) -> tuple[Tensor, Tensor]:
    """Images in [0, 1] and labels that no training set here has; half of the labels are right."""
    x = pixels(n, SHAPE, seed)
    y = (x.mean((1, 2, 3)) * 4).long().clamp(0, 3)
    y[::2] = torch.arange(len(y[::2])) % 4
    return x, y


def generators() -> tuple[Any, ...]:
    """The states of all global random generators, comparable."""
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002
    return torch.get_rng_state().tolist(), random.getstate(), (kind, tuple(keys), *rest)


def modes(module: nn.Module) -> dict[str, bool]:
    """Whether each submodule is in training mode."""
    return {name: part.training for name, part in module.named_modules()}
