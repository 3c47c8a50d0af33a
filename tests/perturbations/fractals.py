"""Images with the spectrum of photographs, for tests that need none from disk."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def fractal_images(count: int, channels: int = 3, height: int = 64, width: int = 64, seed: int = 0) -> Tensor:
    """(N, C, H, W) float32 in [0, 1]: amplitude 1/f, channels alike but not equal, 8-bit values."""
    rng = np.random.default_rng(seed)
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    response = 1 / np.maximum(radius, 1 / max(height, width))

    def field(shape: tuple[int, ...]) -> np.ndarray:
        white = np.fft.rfft2(rng.standard_normal((*shape, height, width)))
        made = np.fft.irfft2(white * response, s=(height, width))
        return (made - made.mean((-2, -1), keepdims=True)) / made.std((-2, -1), keepdims=True)

    mix = 0.9 * field((count, 1)) + 0.45 * field((count, channels))
    brightness = rng.uniform(0.35, 0.65, (count, 1, 1, 1))
    pixels = np.clip(brightness + 0.2 * mix, 0, 1)
    return torch.from_numpy(np.rint(pixels * 255) / 255).float()
