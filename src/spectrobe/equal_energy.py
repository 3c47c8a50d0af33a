"""Edges of bands that hold equal shares of the energy of images: the one way to cut the plane that looks at pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spectrobe.errors import InputError
from spectrobe.frequency_plane import Norm, half_plane_weights, radii

open_images: Callable[[Any, int | tuple[int, int] | None], Iterator[Tensor]] | None = None
"""How data that is no tensor becomes batches of images (N, C, H, W). Reading data is the affair of a layer above, so
the package `spectrobe`, which is above them all, puts it here when it offers BandPartition."""


def batches_of(data: Any, size: int | tuple[int, int] | None) -> Iterator[Tensor]:
    """Batches of a tensor of images, of a pair (images, labels), or of what `open_images` reads; else InputError."""
    images = data[0] if isinstance(data, (tuple, list)) and len(data) else data
    if isinstance(images, Tensor):
        if images.ndim != 4 or len(images) == 0:
            raise InputError("equal_energy: expected images as a tensor (N, C, H, W) or a pair (images, labels)")
        return iter(torch.split(images, 64))
    if open_images is None:
        raise InputError(
            f"equal_energy: expected images as a tensor (N, C, H, W) or a pair (images, labels), got "
            f"{type(data).__name__}: data of other kinds is read by spectrobe.BandPartition.equal_energy"
        )
    return open_images(data, size)


def equal_energy_edges(n_bands: int, batches: Iterator[Tensor], norm: Norm) -> tuple[float, ...]:
    """The n_bands + 1 edges, as fractions of Nyquist; InputError where the images leave fewer bands."""
    power, (height, width) = torch.zeros(()), (0, 0)
    for batch in batches:
        height, width = batch.shape[-2:]
        power = power + torch.fft.rfft2(batch.to(torch.float64)).abs().square().sum((0, 1)).cpu()
    r, where = torch.unique(radii(norm, height, width), return_inverse=True)
    share = torch.bincount(where.flatten(), (power * half_plane_weights(height, width)).flatten(), len(r))[1:]
    if float(share.sum()) <= 0:
        raise InputError("equal_energy: expected images with some contrast, got flat images")
    # below[j]: share of the radii up to r[j + 1], the mean (r = 0) left out
    below = (torch.cumsum(share, 0) / share.sum()).numpy()
    edges = _nearest_edges(n_bands, below, r.numpy())
    if edges is None:
        works = next(count for count in range(n_bands - 1, 0, -1) if _nearest_edges(count, below, r.numpy()))
        raise InputError(
            f"equal_energy: these images have too little energy, or too few radii, at {height} x {width} pixels for "
            f"{n_bands} bands of equal energy: ask for {works}"
        )
    return edges


def _nearest_edges(n_bands: int, below: np.ndarray, r: np.ndarray) -> tuple[float, ...] | None:
    """Edges whose share below is nearest to i / n_bands; None when fewer than n_bands distinct bands are left."""
    nearest = [int(np.argmin(np.abs(below - i / n_bands))) + 2 for i in range(1, n_bands)]
    inner = sorted({float(r[j]) for j in nearest if j < len(r) and r[j] < 1})
    return (0.0, *inner, 1.0) if len(inner) == n_bands - 1 else None
