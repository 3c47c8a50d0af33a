"""Filters on (..., H, W) tensors with the border rules of the libraries that ImageNet-C was made with.

Sums of shifted copies, in a fixed order: no convolution library chooses an algorithm by batch or threads, so the same
image gives the same bits. Borders as numpy.pad names them: "edge", "reflect" (abc|ba), "symmetric" (abc|cba).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from scipy import fft
from torch import Tensor

Border = Literal["edge", "reflect", "symmetric"]


def pad(x: Tensor, top: int, bottom: int, left: int, right: int, border: Border) -> Tensor:
    """Extend x (..., H, W) on each side; any width, even wider than the image."""
    if top or bottom:
        x = x.index_select(-2, _border_index(x.shape[-2], top, bottom, border).to(x.device))
    if left or right:
        x = x.index_select(-1, _border_index(x.shape[-1], left, right, border).to(x.device))
    return x


@lru_cache(maxsize=256)
def _border_index(size: int, before: int, after: int, border: Border) -> Tensor:
    return torch.from_numpy(np.pad(np.arange(size), (before, after), mode=border))


def gaussian_weights(sigma: float, truncate: float = 4.0) -> list[float]:
    """The 2r + 1 weights of scipy's Gaussian filter, r = int(truncate * sigma + 0.5), sum 1; [1.0] for sigma 0."""
    radius = int(truncate * sigma + 0.5)
    weights = [math.exp(-0.5 * (k / sigma) ** 2) if sigma > 0 else 1.0 for k in range(-radius, radius + 1)]
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def gaussian_blur(x: Tensor, sigma: float, border: Border = "edge", truncate: float = 4.0) -> Tensor:
    """Gaussian filter of (..., H, W), sigma in px, as scipy.ndimage.gaussian_filter."""
    weights = gaussian_weights(sigma, truncate)
    r = len(weights) // 2
    if r == 0:
        return x
    height, width = x.shape[-2:]
    rows = pad(x, r, r, 0, 0, border)
    x = _weighted([rows[..., k : k + height, :] for k in range(2 * r + 1)], weights)
    columns = pad(x, 0, 0, r, r, border)
    return _weighted([columns[..., k : k + width] for k in range(2 * r + 1)], weights)


def correlate(x: Tensor, kernel: Tensor, border: Border = "reflect") -> Tensor:
    """Correlation of (..., H, W) with a kernel of odd sides, as OpenCV's filter2D ("reflect" is its default border)."""
    a, b = kernel.shape[0] // 2, kernel.shape[1] // 2
    padded = pad(x.cpu(), a, a, b, b, border).numpy()
    # scipy's FFT on the CPU, whatever the device: torch's gives other last bits for another number of threads.
    size = (fft.next_fast_len(padded.shape[-2], real=True), fft.next_fast_len(padded.shape[-1], real=True))
    response = np.conj(fft.rfft2(kernel.numpy().astype(padded.dtype), s=size))
    full = fft.irfft2(fft.rfft2(padded, s=size) * response, s=size)
    return torch.from_numpy(full[..., : x.shape[-2], : x.shape[-1]].copy()).to(x)


def motion_blur(x: Tensor, radius: int, sigma: float, degrees: float) -> Tensor:
    """Smear (..., H, W) one way along a line: 2 * radius + 1 steps of 1 px, half-Gaussian weights, borders repeated.

    The steps and weights of `imagecorruptions` (Apache-2.0), which stand in for ImageMagick's motion blur.
    """
    steps = range(2 * radius + 1)
    weights = [math.exp(-(k**2) / (2 * sigma**2)) for k in steps]
    total = math.fsum(weights)
    angle = math.radians(degrees)
    down = [math.ceil(k * math.sin(angle) - 0.5) for k in steps]
    right = [math.ceil(k * math.cos(angle) - 0.5) for k in steps]
    top, left = max(0, -min(down)), max(0, -min(right))
    padded = pad(x, top, max(0, max(down)), left, max(0, max(right)), "edge")
    height, width = x.shape[-2:]
    shifted = [
        padded[..., top + dy : top + dy + height, left + dx : left + dx + width]
        for dy, dx in zip(down, right, strict=True)
    ]
    return _weighted(shifted, [weight / total for weight in weights])


def zoom_in(x: Tensor, factor: float) -> Tensor:
    """Enlarge the middle of (C, H, W) by `factor` >= 1, bilinearly; at least as large as x, cut at the top left corner.

    As scipy.ndimage.zoom(order=1) on the cropped image: corner pixels stay corner pixels.
    """
    height, width = x.shape[-2:]
    h, w = math.ceil(height / factor), math.ceil(width / factor)
    top, left = (height - h) // 2, (width - w) // 2
    rows, columns = max(height, round(h * factor)), max(width, round(w * factor))
    crop = x[..., top : top + h, left : left + w]
    return _interpolated(_interpolated(crop, rows, -2), columns, -1)


def _interpolated(x: Tensor, size: int, dim: int) -> Tensor:
    """`size` samples by linear interpolation along one dimension, its end points kept."""
    # By hand: functional.interpolate gives other last bits for another number of threads.
    position = torch.arange(size, dtype=torch.float64) * ((x.shape[dim] - 1) / (size - 1))
    below = position.floor().clamp(max=x.shape[dim] - 2).long()
    share = (position - below).to(x).view((-1,) + (1,) * (-1 - dim))
    below = below.to(x.device)
    low = x.index_select(dim, below)
    return (x.index_select(dim, below + 1) - low).mul_(share).add_(low)


def _weighted(terms: list[Tensor], weights: list[float]) -> Tensor:
    total = terms[0] * weights[0]
    for term, weight in zip(terms[1:], weights[1:], strict=True):
        total.add_(term, alpha=weight)
    return total
