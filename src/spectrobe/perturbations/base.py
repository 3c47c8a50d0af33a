"""What a perturbation is: images (N, C, H, W) in [0, 1], labels, ids, a seed -> images of the same shape in [0, 1]."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spectrobe.errors import InputError


class Perturbation(ABC):
    """Checks, ids and clipping live here; a new corruption or attack writes `_perturb` alone.

    Subclasses have `name` (ImageNet-C's name, or the attack's), `settings` (JSON-able: severity, eps, steps, ...)
    and `_perturb`. `str(p)` is the item that the command line takes: `gaussian_noise:3`, `pgd_linf:eps=4/255`.
    """

    name: str

    @property
    @abstractmethod
    def settings(self) -> dict[str, object]:
        """The settings that, with the name, make this perturbation; JSON-able."""

    @abstractmethod
    def _perturb(self, x: Tensor, labels: Tensor | None, ids: Sequence[str], seed: int) -> Tensor:
        """x float32 (N, C, H, W) in [0, 1] -> the same shape; clipping to [0, 1] is done by the caller."""

    def __call__(
        self, x: Tensor, labels: Tensor | None = None, ids: Sequence[object] | None = None, seed: int = 0
    ) -> Tensor:
        """Perturb a batch: same shape, dtype and device, in [0, 1]; ids default to 0..N-1."""
        check_pixels(x)
        names = [str(i) for i in (range(len(x)) if ids is None else ids)]
        if len(names) != len(x):
            raise InputError(f"expected {len(x)} ids, one an image, got {len(names)}")
        if labels is not None and labels.shape != (len(x),):
            raise InputError(f"expected labels of shape ({len(x)},), got {tuple(labels.shape)}")
        y = self._perturb(x.to(torch.float32), labels, names, seed)
        if y.shape != x.shape:
            raise InputError(f"{self} changed the size of the images: expected {tuple(x.shape)}, got {tuple(y.shape)}")
        if not bool(torch.isfinite(y).all()):
            bad = [names[i] for i in range(len(y)) if not bool(torch.isfinite(y[i]).all())]
            raise InputError(f"{self} returned NaN or infinite pixels for image(s) {', '.join(bad[:5])}")
        return y.clamp(0, 1).to(x.device, x.dtype)

    def transform(self, seed: int = 0) -> Callable[[Tensor], Tensor]:
        """For a torchvision pipeline, after ToTensor: one image (C, H, W) in [0, 1] -> the same.

        A pipeline knows no image ids, so a digest of the pixels stands in: the draw depends on the image and the seed,
        never on order, epoch or DataLoader worker. For fresh noise in each epoch, give each epoch its seed.
        """
        return _Transform(self, seed)

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        settings = dict(self.settings)
        severity = settings.pop("severity", None)
        rest = ";".join(f"{key}={written(value)}" for key, value in settings.items())
        return ":".join([self.name, *([] if severity is None else [str(severity)]), *([rest] if rest else [])])


@dataclass
class _Transform:
    perturbation: Perturbation
    seed: int

    def __call__(self, image: Tensor) -> Tensor:
        if not isinstance(image, Tensor) or image.ndim != 3:
            got = f"shape {tuple(image.shape)}" if isinstance(image, Tensor) else type(image).__name__
            raise InputError(f"expected one image as a tensor (C, H, W), got {got}: put the transform after ToTensor()")
        pixels = image.detach().cpu().to(torch.float32).contiguous()
        digest = hashlib.blake2b(pixels.numpy().data, digest_size=16).hexdigest()
        return self.perturbation(image[None], ids=[digest], seed=self.seed)[0]


def written(value: object) -> str:
    """A setting as the command line takes it: true, none, 4/255 where that is the number exactly, else its digits."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and 0 < value <= 1 and round(value * 255) / 255 == value:
        return f"{round(value * 255)}/255" if value < 1 else "1"
    return str(value)


def check_pixels(x: Tensor) -> None:
    """Raise InputError unless x is a floating (N, C, H, W) tensor of finite values in [0, 1] (to 1e-6)."""
    if not isinstance(x, Tensor) or x.ndim != 4 or not x.is_floating_point():
        got = f"{x.dtype} {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise InputError(f"expected a floating tensor of images (N, C, H, W) in [0, 1], got {got}")
    if len(x) == 0:
        raise InputError("expected at least one image, got none")
    low, high = float(x.min()), float(x.max())
    if not (low >= -1e-6 and high <= 1 + 1e-6):
        raise InputError(
            f"expected pixels in [0, 1], got [{low:.4g}, {high:.4g}]: give pixels before normalisation, divided by 255"
        )
