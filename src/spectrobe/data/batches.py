"""A few images of a data set, in batches: what statistics of images alone, without a model, are taken of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from spectrobe.data.loader import load_images
from spectrobe.models.base import Geometry
from spectrobe.models.options import ModelOptions, Preprocessing
from spectrobe.seeding import seeded_order

_MOST, _AT_A_TIME = 512, 64


def image_batches(data: Any, size: int | tuple[int, int] | None, seed: int = 0) -> Iterator[Tensor]:
    """Batches (N, C, H, W) float32 in [0, 1] of the first 512 images in seeded order; labels are not looked for.

    size: what files are resized and cropped to, as for a model of that size; None where all have one size.
    Raises as `open_data` and `load_images` do.
    """
    from spectrobe.data import open_data

    images = open_data(data, labelled=False)
    options = ModelOptions.parse({} if size is None else {"size": size})
    geometry = Preprocessing(Geometry()).overridden(options).geometry
    waiting: list[Tensor] = []
    for _, pixels in load_images(images, seeded_order(images.ids, seed)[:_MOST].tolist(), geometry):
        if isinstance(pixels, Tensor):
            waiting.append(pixels)
        if len(waiting) == _AT_A_TIME:
            yield torch.stack(waiting)
            waiting = []
    if waiting:
        yield torch.stack(waiting)
