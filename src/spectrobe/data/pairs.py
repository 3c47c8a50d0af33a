"""Images beside their perturbed versions, from two data sets; and the middle of every image, without resizing."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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

SAME_NAMES = "both folders must hold the same images under the same names (extensions may differ)"


class PairedData(ImageData):
    """The images of `clean`, each stacked on its perturbed version: pixels (2C, H, W), the clean image first.

    Files are paired by name, the extension left aside where that is unambiguous; everything else by order. Labels are
    ignored. Images without a partner cannot be read; `unpaired` names up to three of each side, empty when there are
    none. Raises InputError where no image has a partner, or where data paired by order are not as many.
    """

    def __init__(self, clean: ImageData, perturbed: ImageData) -> None:
        self.clean, self.perturbed = clean, perturbed
        self.name, self.ids, self.labels = clean.name, clean.ids, None
        self.class_names = clean.class_names
        self.in_memory = clean.in_memory and perturbed.in_memory
        self.said, self.written = clean.said, clean.written
        self.partner, self.unpaired = _partners(clean, perturbed)

    def pixels(self, index: int, geometry: Geometry) -> Tensor:
        """Clean and perturbed image `index`; BadImageError when either is unreadable or their sizes differ."""
        clean = self.clean.pixels(index, geometry)
        if float(clean.max()) == float(clean.min()):
            raise BadImageError(self.ids[index], "flat: all its pixels are equal, so its bands are empty")
        with self._named(index):
            perturbed = self.perturbed.pixels(self._partner(index), geometry)
        if clean.shape != perturbed.shape:
            raise SizeMismatchError(self.ids[index], _size(clean), _size(perturbed))
        return torch.cat([clean, perturbed])

    def size(self, index: int, geometry: Geometry) -> tuple[int, int]:
        """Height and width of both; raises as `pixels` does."""
        clean = self.clean.size(index, geometry)
        with self._named(index):
            perturbed = self.perturbed.size(self._partner(index), geometry)
        if clean != perturbed:
            raise SizeMismatchError(self.ids[index], _written(clean), _written(perturbed))
        return clean

    def _partner(self, index: int) -> int:
        if (number := self.partner[index]) is None:
            raise BadImageError(self.ids[index], "there is no image of this name")
        return number

    @contextmanager
    def _named(self, index: int) -> Iterator[None]:
        """Errors about the perturbed image name the clean one."""
        try:
            yield
        except BadImageError as error:
            raise BadImageError(self.ids[index], f"its version in {self.perturbed.name}: {error.reason}") from error

    def fingerprint(self, index: int, geometry: Geometry, pixels: Tensor | None = None) -> str:
        """Of both."""
        clean, perturbed = (None, None) if pixels is None else pixels.chunk(2)
        both = (
            self.clean.fingerprint(index, geometry, clean),
            self.perturbed.fingerprint(self._partner(index), geometry, perturbed),
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
        return lossy_codecs(self.perturbed)


def lossy_codecs(data: ImageData) -> list[str]:
    """The lossy codecs among a data set's files."""
    codecs = data.codecs() if isinstance(data, EncodedData) else []
    return [codec for codec in codecs if codec in ("JPEG", "WEBP", "AVIF", "JPEG2000", "MPO")]


def lossy_warning(codecs: Sequence[str]) -> str:
    """What to know of perturbed images that were stored so."""
    return (
        f"the perturbed images are {' and '.join(codecs)} files: what their compression did is part of what is measured"
    )


class SizeMismatchError(BadImageError):
    """An image and its perturbed version differ in size."""

    def __init__(self, image: str, clean: str, perturbed: str) -> None:
        self.clean, self.perturbed = clean, perturbed
        super().__init__(image, f"{clean} pixels, but its perturbed version has {perturbed}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.image, self.clean, self.perturbed)


class CentrePatches(ImageData):
    """The central (height, width) pixels of every image as they are: not resized, so noise keeps its spectrum."""

    def __init__(self, data: ImageData, patch: tuple[int, int]) -> None:
        self.data, self.patch = data, patch
        self.name, self.ids, self.labels = data.name, data.ids, data.labels
        self.class_names, self.in_memory = data.class_names, data.in_memory
        self.unlabelled_because, self.said, self.written = data.unlabelled_because, data.said, data.written

    def pixels(self, index: int, geometry: Geometry) -> Tensor:
        """The patch; BadImageError when the image is smaller."""
        image = self.data.pixels(index, geometry)
        (full_height, full_width), (height, width) = image.shape[1:], self.patch
        if full_height < height or full_width < width:
            raise BadImageError(self.ids[index], f"{_size(image)} pixels, smaller than the patch of {height} x {width}")
        top, left = (full_height - height) // 2, (full_width - width) // 2
        return image[:, top : top + height, left : left + width].contiguous()

    def fingerprint(self, index: int, geometry: Geometry, pixels: Tensor | None = None) -> str:
        """The whole image's."""
        return self.data.fingerprint(index, geometry)

    def identity(self) -> Mapping[str, Any]:
        """The data's, and the patch."""
        return {**self.data.identity(), "patch": list(self.patch)}

    def loader_settings(self, geometry: Geometry) -> Mapping[str, Any]:
        """The data's, and the patch."""
        return {**self.data.loader_settings(geometry), "patch": list(self.patch)}


def perturbed_name(given: object, perturbed: ImageData, clean: ImageData) -> str:
    """What results call perturbed data: its name, with its folder's where that alone tells nothing.

    given: as the user named it. A name tells nothing that the clean data have too, or that is a number.
    """
    name = perturbed.name
    if (name == clean.name or name.isdecimal()) and isinstance(given, str | os.PathLike):
        name = "/".join(os.path.normpath(os.fspath(given)).split(os.sep)[-2:])
    return f"perturbed {name}" if name == clean.name else name


def matched(wanted: Sequence[str], there: Sequence[str]) -> dict[str, int]:
    """Id of each wanted image -> number of its counterpart among the ids `there`; those without one are left out.

    By id where all are found so, else without the extension where that is unambiguous on both sides, else by id.
    """
    number = {image: index for index, image in enumerate(there)}
    found = {image: number[image] for image in wanted if image in number}
    stems, others = _stems(wanted), _stems(there)
    if len(found) == len(wanted) or len(set(stems)) < len(stems) or len(set(others)) < len(others):
        return found
    number = {stem: index for index, stem in enumerate(others)}
    return {image: number[stem] for image, stem in zip(wanted, stems, strict=True) if stem in number}


def _partners(clean: ImageData, perturbed: ImageData) -> tuple[list[int | None], str]:
    """Index in `perturbed` of each clean image's partner, and which images of either have none, in words."""
    if not (isinstance(clean, FileData) and isinstance(perturbed, FileData)):
        if len(clean) != len(perturbed):
            raise InputError(
                f"expected as many perturbed images as clean ones, in the same order: got {len(perturbed)} in "
                f"{perturbed.name} and {len(clean)} in {clean.name}"
            )
        return list(range(len(clean))), ""
    partner = matched(clean.ids, perturbed.ids)
    taken = set(partner.values())
    alone = [image for image in clean.ids if image not in partner]
    extra = [image for index, image in enumerate(perturbed.ids) if index not in taken]
    told = [f"{_some(rest)} of {data.name}" for rest, data in ((alone, clean), (extra, perturbed)) if rest]
    unpaired = f"no partner for {' and '.join(told)}" if told else ""
    if not partner:
        raise InputError(f"{unpaired}: {SAME_NAMES}")
    return [partner.get(image) for image in clean.ids], unpaired


def _stems(ids: Sequence[str]) -> list[str]:
    return [str(PurePosixPath(image).with_suffix("")) for image in ids]


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")


def _size(image: Tensor) -> str:
    return _written(image.shape[1:])


def _written(size: Sequence[int]) -> str:
    return f"{size[0]} x {size[1]}"
