"""Small models and data that whole decompositions are tried on: a moment each, with answers worth comparing."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spectrobe.data import ImageData
from spectrobe.errors import BadImageError
from spectrobe.models.base import Geometry
from spectrobe.models.check import _FEW as FEW
from spectrobe.studies.decompose.preparation import N_SAMPLE

SHAPE = (3, 16, 16)
N_CLASSES = 4
PLAIN: dict[str, Any] = {
    "bands": 3,
    "value": "usable-information",
    "absence": "mean",
    "design": "exact",
    "precision": "float32",
    "batch_size": 32,
}
"""Settings of a decomposition in which nothing is left to timing, so that it is the same to the bit."""


def pixels(n: int = 20, shape: Sequence[int] = SHAPE, seed: int = 0) -> Tensor:
    """(n, *shape): waves of falling power about a grey that varies, in [0, 1]."""
    channels, height, width = shape
    draws = torch.Generator().manual_seed(seed)
    spectrum = torch.fft.rfft2(torch.randn(n, channels, height, width, generator=draws))
    f = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width))
    spectrum[..., 0, 0] = 0
    waves = torch.fft.irfft2(spectrum / (0.05 + f), s=(height, width))
    grey = 0.4 + 0.2 * torch.rand(n, 1, 1, 1, generator=draws)
    return (grey + 0.15 * waves / waves.std((1, 2, 3), keepdim=True)).clamp(0, 1)


def linear(shape: Sequence[int] = SHAPE, seed: int = 1, scale: float = 1.0) -> nn.Module:
    """Logits that are linear in the pixels, with a standard deviation of about `scale` on `pixels`."""
    size = int(np.prod(shape))
    draws = torch.Generator().manual_seed(seed)
    net = nn.Sequential(nn.Flatten(), nn.Linear(size, N_CLASSES))
    with torch.no_grad():
        net[1].weight.copy_(torch.randn(N_CLASSES, size, generator=draws) * scale / (0.15 * size**0.5))
        net[1].bias.copy_(-net[1].weight.sum(1) / 2)
    return net


def exact(net: nn.Module) -> Callable[[Tensor], Tensor]:
    """The network in float64 inside, whose logits do not depend on how images are put into batches."""
    wide = copy.deepcopy(net).double()
    return lambda x: wide(x.double()).float()


def labels_of(net: nn.Module, x: Tensor, wrong: float = 0.2, seed: int = 2) -> Tensor:
    """The network's own answers, of which a share is replaced by any class."""
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        answers = net(x).argmax(1)
    drawn = torch.randint(N_CLASSES, (len(x),), generator=draws)
    return torch.where(torch.rand(len(x), generator=draws) < wrong, drawn, answers)


def planted(n: int = 20, shape: Sequence[int] = SHAPE, scale: float = 1.0) -> tuple[nn.Module, tuple[Tensor, Tensor]]:
    """A linear network and labelled images on which it is right more often than not."""
    net, x = linear(shape, scale=scale), pixels(n, shape)
    return net, (x, labels_of(net, x))


class Counting:
    """A model that is asked for batches and keeps their sizes."""

    def __init__(self, net: Callable[[Tensor], Tensor], most: int | None = None) -> None:
        """most: the number of images above which memory "runs out"."""
        self.net, self.most = net, most
        self.batches: list[int] = []

    def __call__(self, x: Tensor) -> Tensor:
        if self.most is not None and len(x) > self.most:
            raise torch.OutOfMemoryError(f"planted: {len(x)} images, room for {self.most}")
        self.batches.append(len(x))
        return self.net(x)

    @property
    def images(self) -> int:
        """How many images it has been given."""
        return sum(self.batches)


def self_check_passes(n_images: int) -> int:
    """Forward passes before a run: the sample once, a few images three times, one more in the last, a few by which
    a callable is known."""
    return min(N_SAMPLE, n_images) + 3 * min(FEW, n_images) + 1 + min(4, n_images)


class Recorder:
    """Keeps what a run reports."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []

    def note(self, text: str) -> None:
        self.events.append(("note", text))

    def expect(self, forward_passes: int) -> None:
        self.events.append(("expect", forward_passes))

    def advance(self, forward_passes: int) -> None:
        self.events.append(("advance", forward_passes))

    @property
    def notes(self) -> list[str]:
        return [value for kind, value in self.events if kind == "note"]

    @property
    def expected(self) -> int:
        """The last word on how many forward passes there are."""
        return [value for kind, value in self.events if kind == "expect"][-1]

    @property
    def advanced(self) -> int:
        return sum(value for kind, value in self.events if kind == "advance")


class NamedData(ImageData):
    """Images with ids of their own, decoded one by one as if from files; `bad` ones cannot be read."""

    name = "named"

    def __init__(self, x: Tensor, labels: Tensor | None, ids: Sequence[str], bad: Sequence[str] = ()) -> None:
        self.x, self.ids, self.bad = x, tuple(ids), frozenset(bad)
        self.labels = None if labels is None else labels.numpy()

    def pixels(self, index: int, geometry: Geometry) -> Tensor:
        if self.ids[index] in self.bad:
            raise BadImageError(self.ids[index], "truncated")
        return self.x[index]

    def identity(self) -> Mapping[str, Any]:
        return {"name": self.name, "ids": sorted(self.ids)}
