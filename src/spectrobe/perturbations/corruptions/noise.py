"""Noise drawn for each pixel and channel alone."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from spectrobe.perturbations.corruptions.base import corruption, normal, uniform


@corruption
def gaussian_noise(x: Tensor, generator: np.random.Generator, std: float) -> Tensor:
    """Sensor noise in low light: x + std * N(0, 1)."""
    return x + std * normal(generator, x.shape, x)


@corruption
def shot_noise(x: Tensor, generator: np.random.Generator, photons: float) -> Tensor:
    """Discreteness of light: Poisson(photons * x) / photons."""
    # The draw depends on the pixels, so it is made on the CPU whatever the device.
    counts = generator.poisson(x.cpu().double().numpy() * photons)
    return torch.from_numpy((counts / photons).astype(np.float32)).to(x.device)


@corruption
def impulse_noise(x: Tensor, generator: np.random.Generator, share: float) -> Tensor:
    """Salt and pepper: a share of the values becomes 0 or 1, each as often."""
    u = uniform(generator, x.shape, x)
    return torch.where(u < share, (u < share / 2).to(x.dtype), x)


@corruption
def speckle_noise(x: Tensor, generator: np.random.Generator, std: float) -> Tensor:
    """Noise in proportion to the pixel: x + std * x * N(0, 1)."""
    return x + std * x * normal(generator, x.shape, x)
