"""What a data set is: images with stable ids, labels or none, loaded one by one at a model's input size."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from types import MappingProxyType
from typing import Any

import numpy as np
from torch import Tensor

from spectrobe.data.digests import content_digest
from spectrobe.errors import InputError
from spectrobe.models.base import Geometry

ClassMap = Mapping[str, int | str] | str | PathLike[str]


class ImageData(ABC):
    """A labelled (or not) set of images.

    name: the data string, or a readable name; never an absolute path of this machine.
    ids: one stable, unique string an image (a relative path, a row number).
    labels: int64 (N,) class indices in the *model's* order, or None when there are none.
    class_names: the name of each class index, where known.
    in_memory: pixels are at hand, so that worker processes have nothing to decode.
    unlabelled_because: when labels is None, why, and what would give labels (a part of a sentence).
    said: what was said beside the data string (or object) to open it, JSON-able: class_map, image_column, label_column.
    written: the data string as it was given; empty for an object.
    """

    name: str
    ids: tuple[str, ...]
    labels: np.ndarray | None
    class_names: tuple[str, ...] | None = None
    in_memory: bool = False
    unlabelled_because: str | None = None
    said: Mapping[str, Any] = MappingProxyType({})
    written: str = ""

    def __len__(self) -> int:
        return len(self.ids)

    @abstractmethod
    def pixels(self, index: int, geometry: Geometry) -> Tensor:
        """Image `index` as float32 (C, H, W) in [0, 1], resized and cropped as `geometry` says.

        Raises BadImageError naming the image, InputError when the geometry does not suit the images.
        """

    def size(self, index: int, geometry: Geometry) -> tuple[int, int]:
        """Height and width of `pixels(index, geometry)`; raises BadImageError where they cannot be told."""
        height, width = self.pixels(index, geometry).shape[1:]
        return height, width

    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """What makes this data set this data set, JSON-able: name, digest of ids and labels."""

    def fingerprint(self, index: int, geometry: Geometry, pixels: Tensor | None = None) -> str:
        """What image `index` holds now, as a few hexadecimal digits: of its encoded bytes where there are any.

        pixels: what `pixels(index, geometry)` gave, where it is at hand, so that nothing is decoded twice.
        Raises BadImageError when the image cannot be read.
        """
        return content_digest(self.pixels(index, geometry) if pixels is None else pixels)

    def loader_settings(self, geometry: Geometry) -> Mapping[str, Any]:
        """How pixels were made, JSON-able: resize filter, antialias, crop, codec and library versions."""
        return {"resize": None, "note": "pixels as given"}


@dataclass(frozen=True)
class DataOptions:
    """What a caller of `open_data` knows: two facts about the model, and five wishes about the data.

    n_classes, class_names: the model's, None when unknown.    class_map: class folder, text label or number -> index.
    labelled: False when no labels are needed, so that none are looked for.
    """

    n_classes: int | None = None
    class_names: tuple[str, ...] | None = None
    class_map: ClassMap | None = None
    image_column: str | None = None
    label_column: str | None = None
    split: str | None = None
    labelled: bool = True

    @property
    def said(self) -> dict[str, Any]:
        """The wishes about images and labels that were given, JSON-able: a class map as its path, or as its entries."""
        given = {name: getattr(self, name) for name in ("class_map", "image_column", "label_column")}
        return {name: _plain(wish) for name, wish in given.items() if wish is not None}

    def refuse(self, source: str, *names: str) -> None:
        """Raise InputError when a wish that `source` cannot follow was given, instead of dropping it."""
        for name in names:
            if getattr(self, name) is not None:
                raise InputError(f"{name}={getattr(self, name)!r} says nothing about {source}: leave it out")


def _plain(wish: ClassMap) -> object:
    return {str(name): entry for name, entry in wish.items()} if isinstance(wish, Mapping) else fspath(wish)


def identity_of(
    data: ImageData, *, how_labelled: str | None, sizes: Iterable[int] = (), **more: object
) -> dict[str, Any]:
    """The fields that every source's identity has; `sizes` (bytes a file) enter the digest where files have names.

    The digest is the SHA-256 over ids, labels and sizes, in order: two copies in two places agree.
    """
    digest = hashlib.sha256("\x1f".join(data.ids).encode())
    labels = data.labels
    digest.update(b"\x1e" + (b"unlabelled" if labels is None else np.ascontiguousarray(labels, dtype="<i8").tobytes()))
    digest.update(b"\x1e" + ",".join(map(str, sizes)).encode())
    return {"name": data.name, "images": len(data), "digest": digest.hexdigest(), "labels": how_labelled, **more}
