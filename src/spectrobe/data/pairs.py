"""Images beside their perturbed versions, from two data sets; and the middle of every image, without resizing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import torch
from torch import Tensor

from spectrobe.data.base import ImageData
from spectrobe.data.digests import bytes_digest
from spectrobe.data.encoded import EncodedData
from spectrobe.data.folder import FileData
from spectrobe.errors import BadImageError, InputError
from spectrobe.models.base import Geometry


class PairedData(ImageData):
    """The images of `clean`, each stacked on its perturbed version: pixels (2C, H, W), the clean image first.

    Files are paired by name, the extension left aside where that is unambiguous; everything else by order. Labels are
    ignored. Raises InputError naming up to three images without a partner.
    """

    def __init__(self, clean: ImageData, perturbed: ImageData) -> None:
        self.clean, self.perturbed = clean, perturbed
        self.name, self.ids, self.labels = clean.name, clean.ids, None
        self.class_names = clean.class_names
        self.in_memory = clean.in_memory and perturbed.in_memory
        self.partner = _partners(clean, perturbed)

    def pixels(self, index: int, geometry: Geometry) -> Tensor:
        """Clean and perturbed image `index`; BadImageError when either is unreadable or their sizes differ."""
        clean = self.clean.pixels(index, geometry)
        if float(clean.max()) == float(clean.min()):
            raise BadImageError(self.ids[index], "flat: all its pixels are equal, so its bands are empty")
        try:
            perturbed = self.perturbed.pixels(self.partner[index], geometry)
        except BadImageError as error:
            raise BadImageError(self.ids[index], f"its version in {self.perturbed.name}: {error.reason}") from error
        if clean.shape != perturbed.shape:
            raise SizeMismatchError(self.ids[index], _size(clean), _size(perturbed))
        return torch.cat([clean, perturbed])

    def fingerprint(self, index: int, geometry: Geometry, pixels: Tensor | None = None) -> str:
        """Of both."""
        clean, perturbed = (None, None) if pixels is None else pixels.chunk(2)
        both = (
            self.clean.fingerprint(index, geometry, clean),
            self.perturbed.fingerprint(self.partner[index], geometry, perturbed),
        )
        return bytes_digest(*(one.encode() for one in both))

    def identity(self) -> Mapping[str, Any]:
        """Both identities, and a digest of who is paired with whom."""
        pairs = hashlib.sha256(",".join(map(str, self.partner)).encode()).hexdigest()
        return {"clean": dict(self.clean.identity()), "perturbed": dict(self.perturbed.identity()), "pairs": pairs}

    def loader_settings(self, geometry: Geometry) -> Mapping[str, Any]:
        """Of both."""
        both = {"clean": self.clean, "perturbed": self.perturbed}
        return {name: dict(data.loader_settings(geometry)) for name, data in both.items()}

    def lossy(self) -> list[str]:
        """The lossy codecs among the perturbed files, whose traces are part of what is measured."""
        codecs = self.perturbed.codecs() if isinstance(self.perturbed, EncodedData) else []
        return [codec for codec in codecs if codec in ("JPEG", "WEBP", "AVIF", "JPEG2000", "MPO")]


class SizeMismatchError(BadImageError):
    """An image and its perturbed version differ in size."""

    def __init__(self, image: str, clean: str, perturbed: str) -> None:
        self.clean, self.perturbed = clean, perturbed
        super().__init__(image, f"{clean} pixels, but its perturbed version has {perturbed}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.image, self.clean, self.perturbed)


class CentrePatches(ImageData):
    """The central (height, width) pixels of every image as they are: not resized, so noise keeps its spectrum."""

    def __init__(self, data: ImageData, size: tuple[int, int]) -> None:
        self.data, self.size = data, size
        self.name, self.ids, self.labels = data.name, data.ids, data.labels
        self.class_names, self.in_memory = data.class_names, data.in_memory
        self.unlabelled_because = data.unlabelled_because

    def pixels(self, index: int, geometry: Geometry) -> Tensor:
        """The patch; BadImageError when the image is smaller."""
        image = self.data.pixels(index, geometry)
        (full_height, full_width), (height, width) = image.shape[1:], self.size
        if full_height < height or full_width < width:
            raise BadImageError(self.ids[index], f"{_size(image)} pixels, smaller than the patch of {height} x {width}")
        top, left = (full_height - height) // 2, (full_width - width) // 2
        return image[:, top : top + height, left : left + width].contiguous()

    def fingerprint(self, index: int, geometry: Geometry, pixels: Tensor | None = None) -> str:
        """The whole image's."""
        return self.data.fingerprint(index, geometry)

    def identity(self) -> Mapping[str, Any]:
        """The data's, and the patch."""
        return {**self.data.identity(), "patch": list(self.size)}

    def loader_settings(self, geometry: Geometry) -> Mapping[str, Any]:
        """The data's, and the patch."""
        return {**self.data.loader_settings(geometry), "patch": list(self.size)}


def _partners(clean: ImageData, perturbed: ImageData) -> list[int]:
    """Index in `perturbed` of each clean image's partner."""
    if not (isinstance(clean, FileData) and isinstance(perturbed, FileData)):
        if len(clean) != len(perturbed):
            raise InputError(
                f"expected as many perturbed images as clean ones, in the same order: got {len(perturbed)} in "
                f"{perturbed.name} and {len(clean)} in {clean.name}"
            )
        return list(range(len(clean)))
    names, others = _stems(clean.ids), _stems(perturbed.ids)
    if len(set(names)) < len(names) or len(set(others)) < len(others):
        names, others = list(clean.ids), list(perturbed.ids)
    place = {name: index for index, name in enumerate(others)}
    alone = [image for image, name in zip(clean.ids, names, strict=True) if name not in place]
    known = set(names)
    extra = [image for image, name in zip(perturbed.ids, others, strict=True) if name not in known]
    if alone or extra:
        told = [f"{_some(rest)} of {data.name}" for rest, data in ((alone, clean), (extra, perturbed)) if rest]
        raise InputError(
            f"no partner for {' and '.join(told)}: both folders must hold the same images under the same names "
            "(extensions may differ); remove or rename these"
        )
    return [place[name] for name in names]


def _stems(ids: Sequence[str]) -> list[str]:
    return [str(PurePosixPath(image).with_suffix("")) for image in ids]


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")


def _size(image: Tensor) -> str:
    return f"{image.shape[1]} x {image.shape[2]}"
