"""Loss of detail: lens, frosted glass, motion, zoom."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from spectrobe.perturbations.corruptions import filters
from spectrobe.perturbations.corruptions.base import corruption


@corruption
def defocus_blur(x: Tensor, generator: np.random.Generator, radius: float, soften: float) -> Tensor:
    """A lens out of focus: mean over a disk of `radius` px whose rim is softened by a Gaussian of sigma `soften`."""
    return filters.correlate(x, _disk(radius, soften))


@lru_cache(maxsize=64)
def _disk(radius: float, soften: float) -> Tensor:
    # ImageNet-C's kernel: a 17 x 17 field up to radius 8, so that a disk of radius 8 touches its border.
    half, reach = (8, 1) if radius <= 8 else (math.ceil(radius), 2)
    offset = torch.arange(-half, half + 1, dtype=torch.float64)
    disk = (offset[:, None] ** 2 + offset**2 <= radius**2).double()
    if radius < 1:  # a disk of one pixel blurs nothing: between the published sizes the Gaussian takes over
        soften = max(soften, radius)
    weights = filters.gaussian_weights(soften, truncate=reach / soften)
    rim = torch.tensor(weights, dtype=torch.float64)
    return filters.correlate(disk / disk.sum(), rim[:, None] * rim)


@corruption
def gaussian_blur(x: Tensor, generator: np.random.Generator, sigma: float) -> Tensor:
    """A Gaussian filter of `sigma` px, borders repeated."""
    return filters.gaussian_blur(x, sigma)


@corruption
def motion_blur(x: Tensor, generator: np.random.Generator, radius: int, sigma: float) -> Tensor:
    """A camera that moves: a one-sided Gaussian smear at an angle drawn from -45 to 45 degrees."""
    return filters.motion_blur(x, radius, sigma, generator.uniform(-45, 45))


@corruption
def zoom_blur(x: Tensor, generator: np.random.Generator, stop: float, step: float) -> Tensor:
    """A camera that comes nearer: mean of the image and of enlargements by 1, 1 + step, ... below `stop`."""
    height, width = x.shape[-2:]
    factors = np.arange(1, stop, step)  # arange's own rounding, as published: np.arange(1, 1.11, 0.01) ends with 1.11
    total = x.clone()
    for factor in factors:
        total += filters.zoom_in(x, float(factor))[..., :height, :width]
    return total / (len(factors) + 1)


@corruption
def glass_blur(x: Tensor, generator: np.random.Generator, sigma: float, reach: int, rounds: int) -> Tensor:
    """Frosted glass: pixels take the place of neighbours up to `reach` px away, between two Gaussian filters."""
    channels, height, width = x.shape
    source = np.arange(height * width)
    for _ in range(rounds):
        source = source[_shuffle(generator, height, width, reach)]
    x = filters.gaussian_blur(x, sigma).reshape(channels, -1)
    x = x[:, torch.from_numpy(source).to(x.device)].reshape(channels, height, width)
    return filters.gaussian_blur(x, sigma)


def _shuffle(generator: np.random.Generator, height: int, width: int, reach: int) -> np.ndarray:
    """Where each pixel of one round comes from: flat indices (H * W,).

    ImageNet-C walks from the last pixel to the first and *copies* x[h + dy, w + dx] to x[h, w], dy and dx drawn from
    -reach to reach - 1 (it meant to swap, but swapping views of an array copies one way). A pixel that was visited
    before hands on what it received, so the walk is a forest of pointers: following them all to their roots, twice as
    far in each pass, takes a few array operations where the walk takes H * W steps.
    """
    n = height * width
    old = np.arange(n, 2 * n)  # node p: pixel p after the round; node n + p: before it
    rows = np.arange(reach + 1, height - reach + 1)[:, None]
    columns = np.arange(reach + 1, width - reach + 1)
    if rows.size == 0 or columns.size == 0:
        return np.arange(n)
    down, right = generator.integers(-reach, reach, size=(2, rows.size, columns.size))
    h, w = rows + down, columns + right
    here, there = rows * width + columns, h * width + w
    visited = (there > here) & (h > reach) & (h <= height - reach) & (w > reach) & (w <= width - reach)
    pointer = old.copy()
    pointer[here] = np.where(visited, there, there + n)
    while (unfinished := np.flatnonzero(pointer < n)).size:
        pointer[unfinished] = pointer[pointer[unfinished]]
    return pointer - n
