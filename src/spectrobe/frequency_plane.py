"""The half plane of torch.fft.rfft2 for an H x W image: how far out each bin lies, and how many bins it stands for."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Norm = Literal["square", "radial"]


def half_plane_weights(height: int, width: int) -> Tensor:
    """How many bins of the full plane each bin of the half plane stands for: float64 (H, W // 2 + 1), 1 or 2."""
    weights = torch.full((height, width // 2 + 1), 2.0, dtype=torch.float64)
    weights[:, 0] = 1.0
    if width % 2 == 0:
        weights[:, -1] = 1.0
    return weights


def radii(norm: Norm, height: int, width: int) -> Tensor:
    """r of every bin of the half plane: float64 (H, W // 2 + 1), as a fraction of Nyquist."""
    k_y, k_x = wave_numbers(height, width)
    r_y, r_x = (2 * k_y / height)[:, None], (2 * k_x / width)[None, :]
    return torch.maximum(r_y, r_x) if norm == "square" else torch.sqrt(r_y**2 + r_x**2)


def wave_numbers(height: int, width: int) -> tuple[Tensor, Tensor]:
    """|k_y| (H,) and |k_x| (W // 2 + 1,) in cycles/image, float64, exact."""
    k_y = torch.arange(height, dtype=torch.float64)
    return torch.minimum(k_y, height - k_y), torch.arange(width // 2 + 1, dtype=torch.float64)
