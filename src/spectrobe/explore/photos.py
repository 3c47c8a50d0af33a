"""The photos that can be looked at: those of the data set, by their number, and those dropped into the page."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from torch import Tensor

from spectrobe.data.base import ImageData
from spectrobe.data.checks import content_digest
from spectrobe.data.decode import decode_image
from spectrobe.errors import BadImageError, InputError
from spectrobe.models.base import Geometry

UPLOADED = "a photo that was dropped in"
"""What noise and donors of uploaded photos are drawn by: the same for all of them."""

_KEPT = 16  # uploaded photos, at the model's input size


@dataclass(frozen=True)
class Photo:
    """One photo at the model's input size.

    key: the page's name of it, a number in the data set or a digest.   position: its place among the ids of the data
    set, behind them for an uploaded one.   pixels: float32 (C, H, W) in [0, 1].   label: class index, where known.
    """

    key: int | str
    id: str
    position: int
    pixels: Tensor
    label: int | None = None


class Photos:
    """Photos of `data` at `geometry`; uploads are kept in memory, the latest few of them."""

    def __init__(self, data: ImageData, geometry: Geometry) -> None:
        self.data, self.geometry = data, geometry
        self._uploads: OrderedDict[str, Photo] = OrderedDict()

    def get(self, key: int | str) -> Photo:
        """The photo called `key`; InputError when there is none, BadImageError when it cannot be read."""
        if isinstance(key, str):
            if key not in self._uploads:
                raise InputError("this photo is no longer kept: drop it in again")
            self._uploads.move_to_end(key)
            return self._uploads[key]
        if not 0 <= key < len(self.data):
            raise InputError(f"expected a photo's number from 0 to {len(self.data) - 1}, got {key}")
        label = None if self.data.labels is None else int(self.data.labels[key])
        return Photo(key, self.data.ids[key], key, self.data.pixels(key, self.geometry), label)

    def add(self, content: bytes) -> Photo:
        """Keep an uploaded image file's bytes as a photo.

        Raises InputError in one sentence when they are no image, too large once decoded, or of another size than a
        model without an input size of its own is shown.
        """
        try:
            pixels = decode_image(content, self.geometry, UPLOADED)
        except BadImageError as error:
            raise InputError(f"This file cannot be used: {error.reason}") from error
        if self.geometry.size is None:
            self._check_size(pixels)
        photo = Photo(content_digest(pixels), UPLOADED, len(self.data), pixels)
        self._uploads[str(photo.key)] = photo
        while len(self._uploads) > _KEPT:
            self._uploads.popitem(last=False)
        return photo

    def _check_size(self, pixels: Tensor) -> None:
        expected = tuple(self.data.pixels(0, self.geometry).shape)
        if tuple(pixels.shape) != expected:
            raise InputError(
                f"This file cannot be used: it is {pixels.shape[2]} x {pixels.shape[1]} pixels, the data set's are "
                f"{expected[2]} x {expected[1]}, and the model names no input size: start with --size"
            )
