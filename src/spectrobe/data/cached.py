"""Images decoded, and their bands cut, once for several models of one input size; kept as long as there is room."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from spectrobe.data.base import ImageData
from spectrobe.data.digests import content_digest
from spectrobe.errors import BadImageError
from spectrobe.models.base import Geometry


@dataclass
class BandCache:
    """Band images of a few images at a time, by their content. most_bytes: above which they are cut anew each time.

    cut, reused: how often they were cut, and found here instead.
    """

    most_bytes: int = 2**30
    cut: int = 0
    reused: int = 0
    bytes: int = 0
    _kept: dict[tuple[Hashable, ...], Tensor] = field(default_factory=dict, repr=False)

    def parts(self, pixels: Tensor, base: Tensor, bands: Hashable, cut: Callable[[], Tensor]) -> Tensor:
        """What `cut` makes of these pixels, this absence image and these bands; not to be written into."""
        key = bands, content_digest(pixels), content_digest(base)
        if key in self._kept:
            self.reused += 1
            return self._kept[key]
        made = cut()
        self.cut += 1
        if self.bytes + made.nbytes <= self.most_bytes:
            self.bytes += made.nbytes
            self._kept[key] = made
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.most_bytes,)  # another process cuts for itself


@dataclass
class PixelCache:
    """Decoded images by geometry and id. most_bytes: above which images are decoded anew each time.

    decoded, reused: how often an image was decoded, and found here instead.   bands: of these images, likewise.
    """

    most_bytes: int = 2 * 2**30
    decoded: int = 0
    reused: int = 0
    bytes: int = 0
    bands: BandCache = field(default_factory=BandCache)
    _kept: dict[tuple[Geometry, str], Tensor | BadImageError] = field(default_factory=dict, repr=False)

    def pixels(self, data: ImageData, index: int, geometry: Geometry) -> Tensor:
        """What `data.pixels` gives, to the bit; BadImageError likewise."""
        key = geometry, data.ids[index]
        if key not in self._kept:
            return self._first(data, index, key)
        self.reused += 1
        found = self._kept[key]
        if isinstance(found, BadImageError):
            raise found
        return _as_given(found)

    def _first(self, data: ImageData, index: int, key: tuple[Geometry, str]) -> Tensor:
        self.decoded += 1
        try:
            pixels = data.pixels(index, key[0])
        except BadImageError as error:
            self._kept[key] = error
            raise
        small = (pixels * 255).round().clamp(0, 255).to(torch.uint8)
        kept = small if torch.equal(_as_given(small), pixels) else pixels.clone()
        size = kept.element_size() * kept.nelement()
        if self.bytes + size <= self.most_bytes:
            self.bytes += size
            self._kept[key] = kept
        return pixels


class CachedData(ImageData):
    """A data set whose pixels are kept; labels, identity and settings are its own, so that runs are the same with it.

    Give several of these one cache only when they are the same images: ids are all it goes by.
    """

    in_memory = True  # worker processes would each fill a cache of their own

    def __init__(self, data: ImageData, cache: PixelCache) -> None:
        self.data, self.cache = data, cache
        self.name, self.ids, self.labels = data.name, data.ids, data.labels
        self.class_names, self.unlabelled_because = data.class_names, data.unlabelled_because
        self.said, self.written = data.said, data.written

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.data, PixelCache(self.cache.most_bytes))  # another process decodes for itself

    def pixels(self, index: int, geometry: Geometry) -> Tensor:
        return self.cache.pixels(self.data, index, geometry)

    def fingerprint(self, index: int, geometry: Geometry, pixels: Tensor | None = None) -> str:
        return self.data.fingerprint(index, geometry, pixels)

    def identity(self) -> Mapping[str, Any]:
        return self.data.identity()

    def loader_settings(self, geometry: Geometry) -> Mapping[str, Any]:
        return self.data.loader_settings(geometry)


def band_cache(data: Any) -> BandCache | None:
    """Where band images of such data are kept; None for data of one model."""
    return data.cache.bands if isinstance(data, CachedData) else None


def _as_given(kept: Tensor) -> Tensor:
    """A copy that its user may write into: float32 in [0, 1]."""
    return kept.float() / 255 if kept.dtype == torch.uint8 else kept.clone()
