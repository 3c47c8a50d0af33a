"""Pixels as data URIs, so that the page holds its pictures itself."""

from __future__ import annotations

import base64
import io

import numpy as np
from markupsafe import Markup
from PIL import Image, ImageDraw
from torch import Tensor

from spectrobe.figures.band_strip_figure import Window

LOSSLESS = 64
"""Pixels: pictures of at most this side are kept exactly, as PNG; larger ones as JPEG."""
LARGEST = 256
"""Pixels: larger pictures are shrunk to this side."""
_QUALITY = 82


def data_uri(pixels: Tensor, frame: Window | None = None, largest: int = LARGEST) -> Markup:
    """(C, H, W), C = 1 or 3, cut to [0, 1] -> "data:image/...;base64,...", which holds nothing to escape.

    frame: a window to draw a frame around.   largest: pictures of more pixels a side are shrunk.
    """
    rounded = (pixels.detach().cpu().double().clamp(0, 1) * 255).round()
    array = rounded.numpy().astype(np.uint8).transpose(1, 2, 0)
    image = Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)
    if frame is not None:
        image = _framed(image.convert("RGB"), frame)
    image.thumbnail((largest, largest))
    buffer = io.BytesIO()
    small = max(image.size) <= LOSSLESS
    if small:
        image.save(buffer, "PNG", optimize=True)
    else:
        image.save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
    kind = "png" if small else "jpeg"
    return Markup(f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}")


def _framed(image: Image.Image, window: Window) -> Image.Image:
    """A white frame in a black one, seen on any ground."""
    top, left, height, width = window
    draw = ImageDraw.Draw(image)
    for color, grown in (("black", 1), ("white", 0)):
        box = (left - grown, top - grown, left + width - 1 + grown, top + height - 1 + grown)
        draw.rectangle(box, outline=color, width=2)
    return image
