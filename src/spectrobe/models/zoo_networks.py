"""The small networks of the zoo: pixels in [0, 1] (N, 3, 32, 32) -> logits (N, classes), normalisation inside.

Each has fewer than half a million weights, so that sixteen of them are a download of a few megabytes. The convolutional
ones take images of other sizes and numbers of channels too: studies that train do so with them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spectrobe.errors import InputError

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
"""Of CIFAR-10's pixels in [0, 1], by channel."""


class _Normalised(nn.Module):
    """A network behind the normalisation it was trained with."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float] = MEAN, std: Sequence[float] = STD) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, -1, 1, 1), persistent=False)

    @property
    def channels(self) -> int:
        """Of the images."""
        return self.mean.shape[1]

    def normalised(self, x: Tensor) -> Tensor:
        """(x - mean) / std by channel."""
        return (x - self.mean) / self.std


def _conv(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    """A 3 x 3 convolution and its batch norm."""
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False), nn.BatchNorm2d(channels_out))


class _Residual(nn.Module):
    """Two convolutions beside a shortcut, after He et al. 2015, arXiv 1512.03385."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.first, self.second = _conv(channels_in, channels_out, stride), _conv(channels_out, channels_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(F.relu(self.first(x))) + self.shortcut(x))


class SmallResNet(_Normalised):
    """A convolution, three residual blocks of 1, 2 and 4 times `width` channels, mean over pixels, a linear layer."""

    def __init__(
        self, classes: int = 10, width: int = 24, mean: Sequence[float] = MEAN, std: Sequence[float] = STD
    ) -> None:
        super().__init__(mean, std)
        self.stem = _conv(self.channels, width)
        self.blocks = nn.Sequential(
            _Residual(width, width, 1), _Residual(width, 2 * width, 2), _Residual(2 * width, 4 * width, 2)
        )
        self.head = nn.Linear(4 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.blocks(F.relu(self.stem(self.normalised(x))))
        logits: Tensor = self.head(features.mean((2, 3)))
        return logits


class PlainCNN(_Normalised):
    """Pairs of convolutions with pooling between, no shortcuts: VGG made small (Simonyan & Zisserman 2014)."""

    def __init__(
        self, classes: int = 10, width: int = 24, mean: Sequence[float] = MEAN, std: Sequence[float] = STD
    ) -> None:
        super().__init__(mean, std)
        layers: list[nn.Module] = []
        before = self.channels
        for channels in (width, 2 * width, 4 * width):
            for channels_in in (before, channels):
                layers += [_conv(channels_in, channels), nn.ReLU()]
            layers.append(nn.MaxPool2d(2))
            before = channels
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(before, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.layers(self.normalised(x)).mean((2, 3)))
        return logits


class _Attention(nn.Module):
    """A block of a vision transformer, norms first (Dosovitskiy et al. 2020, arXiv 2010.11929)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, width = x.shape
        qkv = self.qkv(self.before(x)).view(n, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2])
        x = x + self.out(seen.transpose(1, 2).reshape(n, tokens, width))
        more: Tensor = self.narrow(F.gelu(self.wide(self.between(x))))
        return x + more


class SmallViT(_Normalised):
    """A vision transformer on 64 tokens that two strided convolutions make of the pixels; mean over tokens."""

    def __init__(self, classes: int = 10, width: int = 96, depth: int = 5, heads: int = 4) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width // 2, 3, 2, 1), nn.GELU(), nn.Conv2d(width // 2, width, 3, 2, 1))
        self.place = nn.Parameter(torch.zeros(1, 64, width))
        nn.init.trunc_normal_(self.place, std=0.02)
        self.blocks = nn.Sequential(*(_Attention(width, heads) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.stem(self.normalised(x)).flatten(2).transpose(1, 2)
        seen: Tensor = self.norm(self.blocks(tokens + self.place)).mean(1)
        logits: Tensor = self.head(seen)
        return logits


NETWORKS: dict[str, Callable[[], nn.Module]] = {"resnet": SmallResNet, "cnn": PlainCNN, "vit": SmallViT}
"""Architecture, as a manifest names it -> the untrained network."""


_ANY_SIZE: dict[str, type[SmallResNet] | type[PlainCNN]] = {"resnet": SmallResNet, "cnn": PlainCNN}
WIDTH, WIDEST = 24, 256
"""Channels of the first stage: unless said otherwise, and at most."""


@dataclass(frozen=True)
class Architecture:
    """A convolutional network for images of any size. name: resnet or cnn.   width: channels of its first stage."""

    name: str
    width: int = WIDTH

    @classmethod
    def parse(cls, text: str) -> Architecture:
        """`resnet`, `resnet:12`, `cnn:16`; InputError for anything else."""
        name, colon, width = str(text).partition(":")
        if name not in _ANY_SIZE or (colon and not (width.isdecimal() and 1 <= int(width) <= WIDEST)):
            known = " or ".join(_ANY_SIZE)
            raise InputError(
                f"expected arch {known}, with a width of 1 to {WIDEST} if need be (resnet:12), got {text!r}"
            )
        return cls(name, int(width) if colon else WIDTH)

    def build(self, classes: int, mean: Sequence[float], std: Sequence[float]) -> nn.Module:
        """The untrained network, its weights drawn from torch's global generator. mean, std: of the images' pixels."""
        return _ANY_SIZE[self.name](classes, self.width, mean, std)

    def __str__(self) -> str:
        return f"{self.name}:{self.width}"
