"""Images that are in memory: tensors or numpy arrays, used exactly as given."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spectrobe.data.base import DataOptions, ImageData, identity_of
from spectrobe.data.labels import map_numbers
from spectrobe.errors import InputError
from spectrobe.models.base import Geometry

_EXPECTED = "float pixels in [0, 1] or uint8 pixels from 0 to 255"


class TensorData(ImageData):
    """Images (N, C, H, W), float in [0, 1] or uint8, and labels (N,) or None. Nothing is resized."""

    in_memory = True

    def __init__(self, images: object, labels: object, options: DataOptions) -> None:
        self._images = _as_images(images)
        numbers = as_labels(labels)
        if numbers is not None and len(numbers) != len(self._images):
            raise InputError(f"expected {len(self._images)} labels, one an image, got {len(numbers)}")
        self.name = "tensors"
        self.ids = tuple(map(str, range(len(self._images))))
        self.class_names = options.class_names
        self.labels, self._how_labelled = None, None
        if numbers is None:
            options.refuse("unlabelled tensors", "class_map")
            self.unlabelled_because = "tensors were given without labels"
        else:
            mapped, self._how_labelled = map_numbers(numbers.tolist(), options)
            self.labels = np.asarray(mapped, dtype=np.int64)

    def pixels(self, index: int, geometry: Geometry) -> Tensor:
        """Image `index` as float32 (C, H, W); raises InputError when its size is not the model's."""
        return as_given(self._images[index], geometry, f"tensor {index}")

    def identity(self) -> Mapping[str, Any]:
        """Name, count, digest of ids and labels, and of the pixels: ids that only count say nothing about them."""
        pixels = hashlib.sha256(f"{self._images.dtype} {tuple(self._images.shape)}".encode())
        for image in self._images:
            pixels.update(image.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        return identity_of(self, how_labelled=self._how_labelled, pixels=pixels.hexdigest())


def as_given(pixels: Tensor, geometry: Geometry, what: str) -> Tensor:
    """One image (C, H, W) as float32 in [0, 1], on the CPU; raises InputError if the model's known size differs."""
    if geometry.size is not None and (tuple(pixels.shape[1:]) != geometry.size or len(pixels) != geometry.channels):
        raise InputError(
            f"expected images of shape {(geometry.channels, *geometry.size)}, which the model takes, got "
            f"{tuple(pixels.shape)} ({what}): tensors are used as given, so resize them, or tell the model's size"
        )
    pixels = pixels.detach().cpu()
    return pixels.to(torch.float32).div(255) if pixels.dtype == torch.uint8 else pixels.to(torch.float32)


def check_range(pixels: Tensor, what: str) -> None:
    """Raise InputError unless `pixels` are uint8, or floats in [0, 1] (to 1e-6, which rounding may cost)."""
    if pixels.dtype == torch.uint8:
        return
    if not pixels.is_floating_point():
        raise InputError(f"expected {_EXPECTED}, got {pixels.dtype} ({what})")
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= -1e-6 and high <= 1 + 1e-6):  # also for NaN
        raise InputError(
            f"expected {_EXPECTED}, got floats in [{low:.4g}, {high:.4g}] ({what}): give pixels before normalisation"
        )


def as_labels(labels: object) -> np.ndarray | None:
    """Labels as int64 (N,), or None; raises InputError for floats, one-hot rows and the like."""
    if labels is None:
        return None
    array = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        hint = ": give class indices, labels.argmax(1) of one-hot rows" if array.ndim == 2 else ""
        raise InputError(f"expected integer labels of shape (N,), got {array.dtype} {array.shape}{hint}")
    return array.astype(np.int64)


def _as_images(images: object) -> Tensor:
    if not isinstance(images, Tensor | np.ndarray):
        raise InputError(f"expected images as a tensor or a numpy array (N, C, H, W), got {type(images).__name__}")
    if images.ndim != 4:
        raise InputError(f"expected images of shape (N, C, H, W), got {tuple(images.shape)}")
    if images.shape[-1] in (1, 3) and images.shape[1] not in (1, 3):
        raise InputError(
            f"expected images (N, C, H, W), got {tuple(images.shape)}, which looks like (N, H, W, C): "
            "give images.transpose(0, 3, 1, 2), of a tensor images.permute(0, 3, 1, 2)"
        )
    if 0 in images.shape:
        raise InputError(f"expected at least one image of at least one pixel, got shape {tuple(images.shape)}")
    tensor = images if isinstance(images, Tensor) else _from_numpy(images)
    check_range(tensor, "the images")
    return tensor


def _from_numpy(images: np.ndarray) -> Tensor:
    if images.dtype != np.uint8 and not np.issubdtype(images.dtype, np.floating):
        raise InputError(f"expected {_EXPECTED}, got {images.dtype}")
    return torch.from_numpy(np.require(images, requirements=["C", "W"]))  # torch warns of read-only arrays
