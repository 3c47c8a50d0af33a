"""Frost textures made by a procedure, in place of the photographs that ImageNet-C blends in.

Five looks have the mean colours and the contrasts of ImageNet-C's five pictures (measured on the files; two of the five
are one picture). Everything else is made: grains of ice, each with needles along its own direction, over a cloudy
ground. The textures are fixed (their seed is a constant); an image draws a look, a place and a mirroring.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from spectrobe.seeding import numpy_generator

# For each look: mean and standard deviation of R, G, B over the picture.
LOOKS = (
    ((0.305, 0.585, 0.650), (0.106, 0.065, 0.060)),
    ((0.787, 0.805, 0.841), (0.084, 0.087, 0.089)),
    ((0.787, 0.805, 0.841), (0.084, 0.087, 0.089)),
    ((0.540, 0.599, 0.648), (0.112, 0.112, 0.117)),
    ((0.441, 0.484, 0.528), (0.174, 0.170, 0.163)),
    ((0.280, 0.374, 0.410), (0.138, 0.168, 0.186)),
)
_SIDES = (512, 1024)  # of textures at scale 1: 512 px leave room to draw a place; beyond 1024 px the pattern repeats
_DIRECTIONS = 6


def frost_picture(generator: np.random.Generator, height: int, width: int, scale: float) -> Tensor:
    """A crop (3, H, W) in [0, 1] of a texture that `generator` draws; `scale` 1 is ImageNet-C's size of crystals."""
    look = int(generator.integers(len(LOOKS)))
    side = _SIDES[0] if max(height, width) / scale <= _SIDES[0] else _SIDES[1]
    texture = _texture(look, side)
    top, left = (int(k) for k in generator.integers(side, size=2))
    if generator.random() < 0.5:
        texture = texture.flip(-1)
    rows = (torch.arange(math.ceil(height / scale)) + top) % side  # the texture is periodic: any place will do
    columns = (torch.arange(math.ceil(width / scale)) + left) % side
    crop = texture[rows][:, columns]
    if scale < 1:
        crop = functional.interpolate(crop[None, None], size=(height, width), mode="area")[0, 0]
    mean, std = (torch.tensor(values)[:, None, None] for values in LOOKS[look])
    return (mean + std * crop).clamp(0, 1)


@lru_cache(maxsize=12)
def _texture(look: int, side: int) -> Tensor:
    """One texture, float32 (side, side), periodic, of mean 0 and variance 1."""
    generator = numpy_generator(0, "frost texture", look, side)
    fy, fx = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]

    def noise(response: np.ndarray) -> np.ndarray:
        white = np.fft.rfft2(generator.standard_normal((side, side), dtype=np.float32))
        field = np.fft.irfft2(white * response, s=(side, side))
        return np.asarray((field - field.mean()) / field.std())

    radius = np.hypot(fy, fx)
    grain = np.exp(-0.5 * (radius * 2 * np.pi * 14) ** 2)  # grains about 30 px wide
    needles, owner = [], []
    for angle in np.pi * (np.arange(_DIRECTIONS) + generator.random()) / _DIRECTIONS:
        along, across = fx * np.cos(angle) + fy * np.sin(angle), fy * np.cos(angle) - fx * np.sin(angle)
        # white noise smeared 12 px along the needle, 1 px across
        needles.append(noise(np.exp(-2 * np.pi**2 * ((12 * along) ** 2 + across**2))))
        owner.append(noise(grain))
    crystals = np.take_along_axis(np.array(needles), np.argmax(owner, 0)[None], 0)[0]
    cloud = noise(1 / np.maximum(radius, 1 / side) ** 1.3)
    texture = 0.75 * np.abs(crystals) + 0.6 * cloud  # ridges of the needles are bright: frost is skewed towards white
    return torch.from_numpy(((texture - texture.mean()) / texture.std()).astype(np.float32))
