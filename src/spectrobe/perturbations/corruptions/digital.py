"""What software does to pictures: contrast, elastic maps, pixelation, JPEG, saturation."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from spectrobe.errors import SpectrobeError
from spectrobe.perturbations.corruptions import filters
from spectrobe.perturbations.corruptions.base import corruption, uniform


@corruption
def contrast(x: Tensor, generator: np.random.Generator, factor: float) -> Tensor:
    """Less contrast: each channel is drawn towards its mean, (x - mean) * factor + mean."""
    mean = x.double().mean((-2, -1), keepdim=True).to(x.dtype)
    return (x - mean) * factor + mean


@corruption
def saturate(x: Tensor, generator: np.random.Generator, factor: float, shift: float) -> Tensor:
    """Colours paler or stronger: saturation (of hue, saturation, value) becomes saturation * factor + shift, in [0, 1].

    Grey pixels have no hue and count as red, as in ImageNet-C. Images of one channel stay as they are.
    """
    if x.shape[0] == 1:
        return x.clone()
    value, least = x.amax(0, keepdim=True), x.amin(0, keepdim=True)
    spread = value - least
    saturation = spread / value.clamp(min=1e-12)
    red = x.new_tensor([0.0, 1.0, 1.0])[:, None, None]
    away = torch.where(
        spread > 0, (value - x) / spread.clamp(min=1e-12), red
    )  # 0 at the largest channel, 1 at the least
    return value * (1 - (saturation * factor + shift).clamp(0, 1) * away)


@corruption
def pixelate(x: Tensor, generator: np.random.Generator, factor: float) -> Tensor:
    """Upscaled low resolution: means over boxes on a grid of int(factor * side) cells, each drawn as a block."""
    rows, columns = _cells(x.shape[-2], factor), _cells(x.shape[-1], factor)
    # numpy's sums over runs, whatever the device: scattered sums and matrix products differ in the last bits.
    sums = np.add.reduceat(x.cpu().numpy(), np.searchsorted(columns, range(columns[-1] + 1)), axis=2)
    sums = np.add.reduceat(sums, np.searchsorted(rows, range(rows[-1] + 1)), axis=1)
    means = sums / np.outer(np.bincount(rows), np.bincount(columns)).astype(np.float32)
    return torch.from_numpy(means.take(columns, 2).take(rows, 1)).to(x.device)


def _cells(size: int, factor: float) -> np.ndarray:
    """The cell of each pixel, int64 (size,): Pillow's BOX filter gives a pixel to the cell that holds its centre."""
    cells = max(1, int(size * factor))
    return np.asarray((np.arange(size) + 0.5) * cells / size).astype(np.int64)


@corruption
def jpeg_compression(x: Tensor, generator: np.random.Generator, quality: int) -> Tensor:
    """A JPEG file of the given quality, written and read back by Pillow (libjpeg, 4:2:0); 8-bit by nature."""
    try:
        from PIL import Image
    except ImportError as error:
        raise SpectrobeError("jpeg_compression needs Pillow, which is not installed: pip install pillow") from error
    pixels = torch.round(x * 255).to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()
    file = BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(file, "JPEG", quality=quality)
    read = torch.from_numpy(np.array(Image.open(file)).reshape(pixels.shape))
    return read.permute(2, 0, 1).contiguous().to(x) / 255


@corruption
def elastic_transform(
    x: Tensor, generator: np.random.Generator, amplitude: float, sigma: float, affine: float
) -> Tensor:
    """Stretched and crumpled: every pixel is taken from a randomly displaced place, bilinearly.

    Displacements are uniform in +-amplitude sides, smoothed by a Gaussian of `sigma` sides; small images also get a
    random affine map that moves three points by up to `affine` sides. Both are made in one step of interpolation.
    """
    height, width = x.shape[-2:]
    side = min(height, width)
    noise = 2 * uniform(generator, (2, height, width), x) - 1
    shift = filters.gaussian_blur(noise, sigma * side, border="symmetric", truncate=3) * (amplitude * side)
    rows = torch.arange(height, dtype=torch.float32, device=x.device)[:, None] + shift[0]
    columns = torch.arange(width, dtype=torch.float32, device=x.device) + shift[1]
    if affine > 0:
        a = _inverse_affine(generator, height, width, affine * side)
        rows, columns = a[0, 0] * rows + a[0, 1] * columns + a[0, 2], a[1, 0] * rows + a[1, 1] * columns + a[1, 2]
    # grid_sample wants pixel centres at (2 i + 1) / size - 1; its reflection about the outer rim is scipy's "reflect".
    grid = torch.stack(((2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1), -1)
    return functional.grid_sample(x[None], grid[None], mode="bilinear", padding_mode="reflection", align_corners=False)[
        0
    ]


def _inverse_affine(generator: np.random.Generator, height: int, width: int, reach: float) -> np.ndarray:
    """Where (row, column) of the result lies in the image: 2 x 3, from three points moved by up to `reach` px."""
    centre = np.array([height // 2, width // 2], dtype=np.float64)
    r = min(height, width) // 3
    points = centre + np.array([[r, r], [r, -r], [-r, -r]])
    moved = points + generator.uniform(-reach, reach, size=points.shape)
    return np.asarray(np.linalg.solve(np.column_stack([moved, np.ones(3)]), points).T)
