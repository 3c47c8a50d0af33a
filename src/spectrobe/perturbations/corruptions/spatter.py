"""Spatter: drops of water or mud on the lens."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from spectrobe.perturbations.corruptions import filters
from spectrobe.perturbations.corruptions.base import corruption, normal

_WATER = (175 / 255, 238 / 255, 238 / 255)  # pale turquoise
_MUD = (63 / 255, 42 / 255, 20 / 255)
_LUMA = (0.2989, 0.5870, 0.1140)


@corruption
def spatter(
    x: Tensor,
    generator: np.random.Generator,
    mean: float,
    std: float,
    sigma: float,
    threshold: float,
    strength: float,
    mud: int,
) -> Tensor:
    """Drops on the lens: of turquoise water that shine (mud = 0), or of mud that cover (mud = 1).

    Where smoothed noise exceeds `threshold` there is liquid. `strength` is the brightness of water, and for mud the
    sigma in px by which its drops are rounded.
    """
    height, width = x.shape[-2:]
    # On the CPU: the layer does not depend on the image, and water needs a distance transform.
    layer = mean + std * normal(generator, (height, width), torch.empty(0))
    layer = filters.gaussian_blur(layer, sigma)
    if mud:
        cover = filters.gaussian_blur((layer > threshold).float(), strength)
        cover = torch.where(cover < 0.8, 0, cover).to(x.device)
        return x * (1 - cover) + _paint(_MUD, x) * cover
    layer = torch.where(layer < threshold, 0, layer)
    light = torch.from_numpy(_water(layer.numpy())).to(x.device)
    return x + _paint(_WATER, x) * strength * light


def _paint(colour: tuple[float, float, float], x: Tensor) -> Tensor:
    if x.shape[0] == 1:
        colour = (sum(weight * value for weight, value in zip(_LUMA, colour, strict=True)),) * 3
    return x.new_tensor(colour[: x.shape[0]])[:, None, None]


def _water(liquid: np.ndarray) -> np.ndarray:
    """How much light drops send, (H, W) in [0, 1], from the liquid layer: brightest inside, embossed at the rim."""
    levels = np.clip(liquid * 255, 0, 255).astype(np.uint8)
    edges = _edges(levels)
    if not edges.any():
        return np.zeros(liquid.shape, dtype=np.float32)
    distance = np.minimum(ndimage.distance_transform_edt(~edges), 20)
    # scipy's "mirror" is OpenCV's default border; 8-bit steps as in ImageNet-C, whose equalisation works on levels.
    # Means over straight ramps are whole numbers, which rounding errors must not push below.
    smooth = ndimage.uniform_filter(distance, 3, mode="mirror") + 1e-4
    relief = _equalised(smooth.astype(np.uint8))
    emboss = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
    relief = np.clip(ndimage.correlate(relief.astype(np.int32), emboss, mode="mirror"), 0, 255)
    relief = np.rint(ndimage.uniform_filter(relief.astype(np.float32), 3, mode="mirror"))
    light = levels * relief
    return np.asarray(light / max(float(light.max()), 1.0), dtype=np.float32)


def _edges(levels: np.ndarray) -> np.ndarray:
    """Canny's edges of a layer that is 0 outside drops: one pixel wide, bool (H, W).

    Sobel gradients of more than 150 in L1 that are largest across the edge, ties broken as OpenCV breaks them. There
    are no weak edges to follow: the rim of a drop is a step of more than 150 levels.
    """
    image = levels.astype(np.int32)
    gx, gy = ndimage.sobel(image, 1, mode="nearest"), ndimage.sobel(image, 0, mode="nearest")
    magnitude = np.abs(gx) + np.abs(gy)
    around = np.pad(magnitude, 1)

    def neighbour(dy: int, dx: int) -> np.ndarray:
        return around[1 + dy : around.shape[0] - 1 + dy, 1 + dx : around.shape[1] - 1 + dx]

    flat = np.abs(gy) < np.tan(np.pi / 8) * np.abs(gx)
    steep = np.abs(gy) > np.tan(3 * np.pi / 8) * np.abs(gx)
    rising = (gx < 0) == (gy < 0)
    largest = np.select(
        [flat, steep, rising],
        [
            (magnitude > neighbour(0, -1)) & (magnitude >= neighbour(0, 1)),
            (magnitude > neighbour(-1, 0)) & (magnitude >= neighbour(1, 0)),
            (magnitude > neighbour(-1, -1)) & (magnitude > neighbour(1, 1)),
        ],
        (magnitude > neighbour(-1, 1)) & (magnitude > neighbour(1, -1)),
    )
    return np.asarray(largest & (magnitude > 150))


def _equalised(levels: np.ndarray) -> np.ndarray:
    """Histogram equalisation of 8-bit levels: the cumulative share of pixels above the lowest level, times 255."""
    counts = np.bincount(levels.ravel(), minlength=256)
    first = int(np.flatnonzero(counts)[0])
    if counts[first] == levels.size:
        return levels
    table = (np.cumsum(counts) - counts[first]) * (255 / (levels.size - counts[first]))
    return np.asarray(np.rint(table)[levels], dtype=np.uint8)
