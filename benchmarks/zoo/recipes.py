"""What training does to images and labels before the network sees them: the recipes of the zoo.

A step takes a batch of images in [0, 1] (N, 3, 32, 32), targets (N, K) that are class probabilities, and a generator on
their device, and returns images and targets of the same shapes; a recipe is a few of them one after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spectrobe.seeding import numpy_generator

Step = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]
PAD = 4


@dataclass(frozen=True)
class Recipe:
    """How one family of models is trained.

    group: recipes that differ in strength alone share it, and are no independent evidence.   about: in a sentence.
    steps: of images and targets.   label_noise: share of the training labels replaced by another class, once.
    eps: radius in Linf of the adversarial images trained on, 0 for none.
    """

    group: str
    about: str
    steps: tuple[Step, ...] = ()
    label_noise: float = 0.0
    eps: float = 0.0

    def __call__(self, x: Tensor, target: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        """All steps."""
        for step in self.steps:
            x, target = step(x, target, draws)
        return x, target


def crop_and_flip(x: Tensor, target: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
    """A window of the reflected image at random, mirrored or not: what CIFAR-10 is usually trained with."""
    n, _, height, width = x.shape
    padded = F.pad(x, (PAD,) * 4, mode="reflect")
    first = torch.randint(0, 2 * PAD + 1, (2, n, 1), generator=draws, device=x.device)
    rows = first[0] + torch.arange(height, device=x.device)
    columns = first[1] + torch.arange(width, device=x.device)
    mirrored = torch.rand(n, 1, generator=draws, device=x.device) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns)
    each = torch.arange(n, device=x.device)[:, None, None]
    return padded[each, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2), target


def mixup(x: Tensor, target: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
    """Each image and target mixed with another's, the share uniform: mixup with alpha 1 (arXiv 1710.09412)."""
    share = torch.rand(len(x), generator=draws, device=x.device)
    other = torch.randperm(len(x), generator=draws, device=x.device)
    of_pixels, of_classes = share[:, None, None, None], share[:, None]
    mixed = of_classes * target + (1 - of_classes) * target[other]
    return of_pixels * x + (1 - of_pixels) * x[other], mixed


def gaussian_noise(most: float) -> Step:
    """White noise, its standard deviation drawn for each image between 0 and `most`; clipped."""

    def step(x: Tensor, target: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        std = most * torch.rand(len(x), 1, 1, 1, generator=draws, device=x.device)
        noise = torch.randn(x.shape, generator=draws, device=x.device)
        return (x + std * noise).clamp(0, 1), target

    return step


def gaussian_blur(most: float) -> Step:
    """Gaussian blur, its sigma in pixels drawn for each image between 0 and `most`; borders periodic."""

    def step(x: Tensor, target: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        sigma = most * torch.rand(len(x), 1, 1, 1, generator=draws, device=x.device)
        fy, fx = _frequencies(x)
        gain = torch.exp(-2 * (torch.pi * sigma) ** 2 * (fy**2 + fx**2))
        return _filtered(x, gain), target

    return step


def low_pass(cut: float) -> Step:
    """Every image without the frequencies from `cut` of Nyquist up (square rings), clipped."""

    def step(x: Tensor, target: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        fy, fx = _frequencies(x)
        r = 2 * torch.maximum(fy.abs(), fx.abs())
        return _filtered(x, (r < cut).to(x.dtype)), target

    return step


def noisy_labels(labels: Tensor, rate: float, seed: int, classes: int = 10) -> Tensor:
    """Labels (N,) of which a share is replaced by another class, each as likely.

    Which ones depends on the seed and an image's number alone: the same for any number of images, and those replaced at
    a low rate are replaced at a higher one too.
    """
    n = len(labels)
    drawn = torch.from_numpy(numpy_generator(seed, "label noise", "whether").random(n))
    shift = torch.from_numpy(numpy_generator(seed, "label noise", "to which").integers(1, classes, size=n))
    return torch.where(drawn < rate, (labels + shift) % classes, labels)


def adversarial(net: nn.Module, x: Tensor, target: Tensor, eps: float, steps: int, draws: torch.Generator) -> Tensor:
    """Images in the Linf ball of radius eps that a few signed gradient steps from a random start make (PGD training).

    Madry et al. 2018, arXiv 1706.06083. The steps add up to 2.5 eps for several, 1.25 eps for one (arXiv 2001.03994).
    """
    step = (2.5 if steps > 1 else 1.25) * eps / steps
    delta = eps * (2 * torch.rand(x.shape, generator=draws, device=x.device) - 1)
    for _ in range(steps):
        point = (x + delta).clamp(0, 1).requires_grad_(True)
        (gradient,) = torch.autograd.grad(F.cross_entropy(net(point), target), point)
        delta = (point.detach() + step * gradient.sign() - x).clamp(-eps, eps)
    return (x + delta).clamp(0, 1)


def _frequencies(x: Tensor) -> tuple[Tensor, Tensor]:
    """f_y (H, 1) and f_x (1, W // 2 + 1) in cycles a pixel."""
    height, width = x.shape[-2:]
    fy = torch.fft.fftfreq(height, device=x.device)[:, None]
    return fy, torch.fft.rfftfreq(width, device=x.device)[None]


def _filtered(x: Tensor, gain: Tensor) -> Tensor:
    return torch.fft.irfft2(torch.fft.rfft2(x) * gain, s=x.shape[-2:]).clamp(0, 1)


RECIPES: dict[str, Recipe] = {
    "standard": Recipe("standard", "random crops and flips", (crop_and_flip,)),
    "no-augmentation": Recipe("no-augmentation", "the images as they are"),
    "mixup": Recipe("mixup", "crops, flips, and mixup with alpha 1", (crop_and_flip, mixup)),
    "noise-low": Recipe("noise", "crops, flips, white noise of std up to 0.08", (crop_and_flip, gaussian_noise(0.08))),
    "noise-high": Recipe("noise", "crops, flips, white noise of std up to 0.25", (crop_and_flip, gaussian_noise(0.25))),
    "blur": Recipe("blur", "crops, flips, Gaussian blur of sigma up to 1.5 px", (crop_and_flip, gaussian_blur(1.5))),
    "low-pass": Recipe("low-pass", "crops, flips, nothing above half of Nyquist", (crop_and_flip, low_pass(0.5))),
    "at-2": Recipe("at", "adversarial training in Linf at 2/255", (crop_and_flip,), eps=2 / 255),
    "at-4": Recipe("at", "adversarial training in Linf at 4/255", (crop_and_flip,), eps=4 / 255),
    "at-8": Recipe("at", "adversarial training in Linf at 8/255", (crop_and_flip,), eps=8 / 255),
    "labels-20": Recipe("labels", "crops and flips, a fifth of the labels wrong", (crop_and_flip,), label_noise=0.2),
    "labels-50": Recipe("labels", "crops and flips, half of the labels wrong", (crop_and_flip,), label_noise=0.5),
}
