"""Preprocessing of a Hugging Face image processor, measured rather than read.

Processors of different families mean different things by the same fields (LeViT and ConvNeXt resize to more than their
`shortest_edge`, EfficientNet may shift by 1, MobileViT swaps red and blue). So the processor is shown three flat images
and a ramp, and what it does to them says its mean, std, channel order, size, resize and crop.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spectrobe.errors import InputError
from spectrobe.models.base import Geometry
from spectrobe.models.options import INTERPOLATIONS, Preprocessing
from spectrobe.texts import first_line

_HEIGHT, _WIDTH = 317, 461  # of the ramp: no simple ratio, so that squashing is told from cropping
_PILLOW = dict(enumerate(("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")))  # Pillow's filter numbers


def processor_preprocessing(name: str, processor: Any) -> Preprocessing:
    """Geometry, mean and std of a processor; raises InputError for what they cannot say (padding, patches)."""
    mean, std = _normalisation(name, processor)
    ramp = np.zeros((_HEIGHT, _WIDTH, 3), np.uint8)
    ramp[..., 0] = np.round(np.linspace(0, 255, _WIDTH))[None, :]
    ramp[..., 1] = np.round(np.linspace(0, 255, _HEIGHT))[:, None]
    seen = _shown(name, processor, ramp) * np.array(std)[:, None, None] + np.array(mean)[:, None, None]
    size = seen.shape[1], seen.shape[2]
    if size == (_HEIGHT, _WIDTH):
        geometry = Geometry(interpolation=_interpolation(processor))
    elif _shown(name, processor, ramp.transpose(1, 0, 2).copy()).shape[1:] != size:
        raise InputError(
            f"{name}: expected a processor that gives images of one size, this one's depends on the image: "
            f"give mean, std and size"
        )
    else:
        geometry = Geometry(size, _resize(name, seen), _interpolation(processor))
    plain = not np.any(np.abs(mean) > 1e-6) and bool(np.all(np.abs(np.array(std) - 1) < 1e-6))
    return Preprocessing(geometry, *((None, None) if plain else (mean, std)))


def _normalisation(name: str, processor: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    black, white, red = (_flat(name, processor, colour) for colour in ((0, 0, 0), (255, 255, 255), (255, 0, 0)))
    std = 1 / (white - black)
    mean = -black * std
    order = np.round((red - black) * std, 3)
    if order.tolist() != [1, 0, 0]:
        raise InputError(
            f"{name}: expected a processor that keeps the channels red, green, blue, this one reorders or mixes them"
        )
    # The configuration's own digits, where they are what was measured.
    for measured, field in ((mean, "image_mean"), (std, "image_std")):
        written = np.atleast_1d(np.array(getattr(processor, field, None) or np.nan, dtype=np.float64))
        if written.shape == (3,) and np.allclose(written, measured, atol=2e-6):
            measured[:] = written
    return tuple(mean.tolist()), tuple(std.tolist())


def _flat(name: str, processor: Any, colour: tuple[int, int, int]) -> NDArray[np.float64]:
    shown = _shown(name, processor, np.full((_HEIGHT, _WIDTH, 3), colour, np.uint8))
    values = shown[:, 0, 0]
    if np.abs(shown - values[:, None, None]).max() > 1e-3:
        raise InputError(
            f"{name}: expected a processor that resizes, crops and normalises; this one pads or adds a border"
        )
    return values


def _shown(name: str, processor: Any, image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What the processor makes of an image: (3, H, W)."""
    pixels = torch.from_numpy(image).permute(2, 0, 1)
    try:
        shown = processor(images=[pixels], return_tensors="pt")["pixel_values"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{name}: its image processor failed on a plain RGB image: {first_line(error)}") from error
    if shown.ndim != 4 or shown.shape[:2] != (1, 3):
        raise InputError(
            f"{name}: expected a processor that gives images (1, 3, H, W), this one gives {tuple(shown.shape)}"
        )
    return np.asarray(shown[0], dtype=np.float64)


def _resize(name: str, seen: NDArray[np.float64]) -> int | tuple[int, int]:
    """From a ramp as the processor shows it: the size that it resized to before it cropped."""
    across, middle_across = _line(seen[0].mean(0), _WIDTH)
    down, middle_down = _line(seen[1].mean(1), _HEIGHT)
    # A crop that cannot be centred exactly is off by half a pixel of the resized image; some round that up.
    centred = abs(middle_across - _WIDTH / 2) <= 1.1 * across and abs(middle_down - _HEIGHT / 2) <= 1.1 * down
    if not centred:
        raise InputError(f"{name}: expected a processor that crops the centre of an image, this one crops elsewhere")
    height, width = _HEIGHT / down, _WIDTH / across
    if abs(width - height * _WIDTH / _HEIGHT) <= 1.5:  # whole pixels: the longer side is off by up to one
        return round(height)
    return round(height), round(width)


def _line(values: NDArray[np.float64], length: int) -> tuple[float, float]:
    """Source pixels per pixel, and the place in the source of the middle, from a ramp over `length` source pixels."""
    where = np.arange(len(values)) + 0.5 - len(values) / 2
    inside = np.abs(where) <= 0.4 * len(values)  # filters bend a ramp at its ends
    slope, middle = np.polyfit(where[inside], values[inside] * (length - 1) + 0.5, 1)
    return float(slope), float(middle)


def _interpolation(processor: Any) -> str:
    asked = getattr(processor, "resample", None)
    if asked is None:  # processors that wrap timm keep timm's configuration
        asked = (getattr(processor, "data_config", None) or {}).get("interpolation", "bicubic")
    name = asked if isinstance(asked, str) else getattr(asked, "value", asked)
    name = _PILLOW.get(name, name) if isinstance(name, int) else name
    return str(name) if name in INTERPOLATIONS else "bicubic"
