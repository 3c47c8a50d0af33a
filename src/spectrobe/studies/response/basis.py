"""Fourier basis vectors for the heat map (Yin et al. 2019, arXiv 1906.08988), added at a norm stated after clipping."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from spectrobe.perturbations.attacks.losses import double
from spectrobe.seeding import torch_generator

_ROUNDS, _CLOSE, _MOST = 40, 1e-4, 1e7
REACHED = 0.99
"""An image whose delivered norm is below this share of the one stated could not take more of this basis vector."""


def half_plane_frequencies(height: int, width: int, step: int = 1) -> np.ndarray:
    """Frequencies (k_y, k_x) in cycles/image, one of each pair k, -k: int64 (V, 2), multiples of `step`, 0 included.

    -H/2 < k_y <= H/2, 0 <= k_x <= W/2.
    """
    found: dict[tuple[int, int], None] = {}
    rows = [k for k in range(-(height // 2), height // 2 + 1) if k % step == 0]
    columns = [k for k in range(width // 2 + 1) if k % step == 0]
    for k_y in rows:
        for k_x in columns:
            one, other = _wrapped(k_y, k_x, height, width), _wrapped(-k_y, -k_x, height, width)
            if other not in found:
                found.setdefault(one)
    return np.asarray(sorted(found), dtype=np.int64)


def basis_vectors(frequencies: np.ndarray, channels: int, size: tuple[int, int], image_id: str, seed: int) -> Tensor:
    """cos(2 pi (k_y y / H + k_x x / W)) with a sign a channel, of L2 norm 1: float32 (V, C, H, W).

    Its transform has no energy but at k and -k. Signs are drawn per (seed, image id, k), as Yin et al. draw them.
    """
    height, width = size
    k = torch.from_numpy(frequencies).double()
    turns_y = k[:, :1] * torch.arange(height) / height
    turns_x = k[:, 1:] * torch.arange(width) / width
    waves = torch.cos(2 * math.pi * (turns_y[:, :, None] + turns_x[:, None, :]))
    waves = waves / torch.linalg.vector_norm(waves, dim=(1, 2), keepdim=True)
    signs = torch.stack([_signs(channels, image_id, seed, *pair) for pair in frequencies.tolist()])
    vectors: Tensor = waves[:, None] * signs[:, :, None, None] / math.sqrt(channels)
    return vectors.to(torch.float32)


def with_norm(image: Tensor, directions: Tensor, norm: float) -> tuple[Tensor, np.ndarray]:
    """Image plus each direction, clipped to [0, 1], scaled so that the change after clipping has this L2 norm.

    image (C, H, W), directions (V, C, H, W) of norm 1 -> images (V, C, H, W), delivered norms float64 (V,), smaller
    where the image has no room for more.
    """
    amplitude = torch.full((len(directions), 1, 1, 1), norm, device=image.device)
    for _ in range(_ROUNDS):
        images = (image + amplitude * directions).clamp(0, 1)
        length = torch.linalg.vector_norm((images - image).flatten(1), dim=1, dtype=double(image.device))
        short = norm / length.clamp_min(1e-12)
        if bool(((short - 1).abs() < _CLOSE).all()):
            break
        # The delivered norm over the amplitude only falls as that grows, so this comes up from below and never beyond.
        amplitude = (amplitude * short.to(amplitude).view(-1, 1, 1, 1)).clamp(max=_MOST)
    return images, length.cpu().double().numpy()


def full_plane(frequencies: np.ndarray, values: np.ndarray, size: tuple[int, int], step: int) -> np.ndarray:
    """Values of the half plane laid out over both halves, NaN where there is none: (rows of k_y, columns of k_x).

    Rows and columns are `axis(H, step)` and `axis(W, step)`.
    """
    rows, columns = axis(size[0], step), axis(size[1], step)
    plane = np.full((len(rows), len(columns)), np.nan)
    known = {_wrapped(y, x, *size): value for (y, x), value in zip(frequencies.tolist(), values, strict=True)}
    known |= {_wrapped(-y, -x, *size): value for (y, x), value in zip(frequencies.tolist(), values, strict=True)}
    for i, k_y in enumerate(rows):
        for j, k_x in enumerate(columns):
            plane[i, j] = known.get(_wrapped(int(k_y), int(k_x), *size), np.nan)
    return plane


def axis(side: int, step: int) -> np.ndarray:
    """Multiples of `step` from -side/2 to side/2."""
    most = side // 2 // step
    return np.arange(-most, most + 1) * step


def _wrapped(k_y: int, k_x: int, height: int, width: int) -> tuple[int, int]:
    """The same frequency with -H/2 < k_y <= H/2, likewise k_x."""
    return -((-k_y + height // 2) % height - height // 2), -((-k_x + width // 2) % width - width // 2)


def _signs(channels: int, image_id: str, seed: int, *k: int) -> Tensor:
    draw = torch.rand(channels, generator=torch_generator(seed, image_id, "fourier basis", *k), dtype=torch.float64)
    return torch.where(draw < 0.5, -1.0, 1.0).double()
