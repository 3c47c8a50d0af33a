"""Data that lies in encoded image files, wherever these are: a source says how to read one, the rest is here."""

from __future__ import annotations

import os
import stat
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from spectrobe.data.base import ImageData
from spectrobe.data.decode import check_geometry, decode_image, decoder_settings, image_size
from spectrobe.data.digests import bytes_digest
from spectrobe.errors import BadImageError
from spectrobe.models.base import Geometry


def read_regular(path: str, image_id: str) -> bytes:
    """The bytes of a file; BadImageError unless it is a regular one: reading a pipe or a device would never end."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise BadImageError(image_id, "not a regular file")
    with open(path, "rb") as file:
        return file.read()


class EncodedData(ImageData):
    """Subclasses set `name`, `ids`, `labels`, and implement `read`, `codecs` and `identity`."""

    @abstractmethod
    def read(self, index: int) -> bytes:
        """The encoded bytes of image `index`. Raises BadImageError naming it."""

    @abstractmethod
    def codecs(self) -> list[str]:
        """The file types seen ("JPEG", "PNG", ...), sorted."""

    def pixels(self, index: int, geometry: Geometry) -> Tensor:
        """Image `index` as float32 (C, H, W) in [0, 1]. Raises BadImageError naming the image."""
        return decode_image(self.read(index), geometry, self.ids[index])

    def size(self, index: int, geometry: Geometry) -> tuple[int, int]:
        """Height and width, from the file's header where images keep their size."""
        if geometry.size is None and geometry.resize is None:
            return image_size(self.read(index), self.ids[index])
        return super().size(index, geometry)

    def fingerprint(self, index: int, geometry: Geometry, pixels: Tensor | None = None) -> str:
        """Of the encoded bytes: nothing is decoded. Raises BadImageError naming the image."""
        return bytes_digest(self.read(index))

    def loader_settings(self, geometry: Geometry) -> Mapping[str, Any]:
        """How pixels were made: filter, antialias, crop, file types, versions."""
        check_geometry(geometry)
        return {**decoder_settings(geometry), "codec": self.codecs()}
