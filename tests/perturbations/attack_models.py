"""Small models whose worst case is known, and a convolutional one with every state that could be left changed."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Linear(nn.Module):
    """Logits that are linear in the pixels; `weight` (K, C, H, W)."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(len(weight)) if bias is None else bias)

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("nchw,kchw->nk", x, self.weight) + self.bias


def linear(shape: tuple[int, int, int], classes: int = 4, seed: int = 0, scale: float = 1.0) -> Linear:
    """A random linear model for images of `shape`; no logit favours a class at the grey image."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(classes, *shape, generator=generator) * scale
    return Linear(weight, -0.5 * weight.sum((1, 2, 3)))


def two_classes(w: Tensor, bias: float = 0.0) -> Linear:
    """Class 1 wins where w . x + bias > 0; the margin of class 1 is w . x + bias."""
    return Linear(torch.stack([torch.zeros_like(w), w]), torch.tensor([0.0, bias]))


class SmallNet(nn.Module):
    """A convolution, batch norm, dropout and a head; 10 classes, any image size, random weights."""

    def __init__(self, seed: int = 0, classes: int = 10) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.body = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.GELU(), nn.Dropout(0.5))
            self.head = nn.Linear(8 * 16, classes)
        with torch.no_grad():
            self.head.weight.mul_(20)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(nn.functional.adaptive_avg_pool2d(self.body(x), 4).flatten(1))


def images(count: int, shape: tuple[int, int, int], seed: int = 0, low: float = 0.0, high: float = 1.0) -> Tensor:
    return low + (high - low) * torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed))
