"""Snow, frost, fog, light."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from spectrobe.perturbations.corruptions import filters
from spectrobe.perturbations.corruptions.base import corruption, normal
from spectrobe.perturbations.corruptions.frost import frost_picture


@corruption
def snow(
    x: Tensor,
    generator: np.random.Generator,
    mean: float,
    std: float,
    zoom: float,
    threshold: float,
    radius: int,
    sigma: float,
    keep: float,
) -> Tensor:
    """Falling snow: thresholded, enlarged and smeared noise and the same upside down, over a whitened image."""
    height, width = x.shape[-2:]
    flakes = filters.zoom_in(mean + std * normal(generator, (1, height, width), x), zoom)
    flakes = torch.where(flakes < threshold, 0, flakes).clamp(0, 1)
    flakes = filters.motion_blur(flakes, radius, sigma, generator.uniform(-135, -45))[:, :height, :width]
    whitened = torch.maximum(x, 1.5 * _grey(x) + 0.5)
    return keep * x + (1 - keep) * whitened + flakes + flakes.flip(-1, -2)


def _grey(x: Tensor) -> Tensor:
    if x.shape[0] == 1:
        return x
    return 0.299 * x[0:1] + 0.587 * x[1:2] + 0.114 * x[2:3]


@corruption
def frost(x: Tensor, generator: np.random.Generator, keep: float, amount: float, scale: float) -> Tensor:
    """Ice on the lens: keep * x + amount * a frost texture, made by a procedure (ImageNet-C has photographs).

    ImageNet-C blends in crops of five photographs; the textures here are made by a procedure with the photographs' mean
    colours and contrasts (`frost.py`), so only means and variances compare with ImageNet-C, not spectra.
    """
    picture = frost_picture(generator, x.shape[-2], x.shape[-1], scale).to(x.device)
    return keep * x + amount * (picture if x.shape[0] == 3 else _grey(picture))


@corruption
def fog(x: Tensor, generator: np.random.Generator, amount: float, decay: float) -> Tensor:
    """Fog: a diamond-square cloud of weight `amount` is added and the image rescaled to its own maximum."""
    height, width = x.shape[-2:]
    cloud = _plasma(generator, 1 << (max(height, width) - 1).bit_length(), decay)[:height, :width]
    brightest = x.max()
    return (x + amount * torch.from_numpy(cloud).to(x.device)) * brightest / (brightest + amount)


def _plasma(generator: np.random.Generator, size: int, decay: float) -> np.ndarray:
    """Diamond-square fractal on a torus, float32 (size, size) in [0, 1]; `size` a power of two.

    At each halving of the step, new points are the mean of four neighbours plus uniform noise whose amplitude is the
    square of a `wobble` that starts at 100 and is divided by `decay` (ImageNet-C's choice, so decay counts twice).
    """
    field = np.zeros((size, size), dtype=np.float32)
    step, wobble = size, 100.0

    def displaced(total: np.ndarray) -> np.ndarray:
        noise = generator.random(total.shape, dtype=np.float32)
        return np.asarray(total / 4 + np.float32(wobble**2) * (2 * noise - 1))

    while step >= 2:
        half = step // 2
        corners = field[::step, ::step]
        pairs = corners + np.roll(corners, -1, 0)
        field[half::step, half::step] = displaced(pairs + np.roll(pairs, -1, 1))
        centres = field[half::step, half::step]
        field[::step, half::step] = displaced(centres + np.roll(centres, 1, 0) + corners + np.roll(corners, -1, 1))
        field[half::step, ::step] = displaced(centres + np.roll(centres, 1, 1) + corners + np.roll(corners, -1, 0))
        step, wobble = half, wobble / decay
    field -= field.min()
    return np.asarray(field / field.max())


@corruption
def brightness(x: Tensor, generator: np.random.Generator, shift: float) -> Tensor:
    """More light: `shift` is added to the value of hue, saturation, value, cut at 1."""
    value = x.amax(0, keepdim=True)
    # Same hue and saturation means the same ratios of R, G and B; black has neither and becomes grey.
    colour = torch.where(value > 0, x / value.clamp(min=1e-12), 1.0)
    return colour * (value + shift).clamp(max=1)
