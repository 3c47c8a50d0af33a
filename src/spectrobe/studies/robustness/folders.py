"""Perturbed images that lie on disk: ImageNet-C-like trees, and a second folder of the same images.

A tree is ROOT/CORRUPTION/SEVERITY/CLASS/image, severities being whole numbers from 1 up; folders that group corruptions
(ROOT/noise/gaussian_noise/...), as ImageNet-C's archives unpack, are looked into.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spectrobe.data.base import ImageData
from spectrobe.data.pairs import matched
from spectrobe.errors import BadImageError, InputError
from spectrobe.models.base import Geometry
from spectrobe.perturbations.base import Perturbation
from spectrobe.remote import filesystem_of, reaching
from spectrobe.studies.robustness.conditions import Condition

_LAYOUT = "expected ROOT/CORRUPTION/SEVERITY/CLASS/image.jpg, severities 1, 2, ..., as ImageNet-C has"
_DEPTH = 2  # folders that may lie between ROOT and a corruption, plus one


class StoredImages(Perturbation):
    """A data set of perturbed images as a perturbation: each clean image is answered by its stored counterpart.

    unreadable: image id -> why its counterpart cannot be read, filled by calls when bad images are skipped.
    """

    def __init__(
        self, name: str, data: ImageData, partner: Mapping[str, int], geometry: Geometry, workers: int, skip: bool
    ) -> None:
        """partner: id of a clean image -> the number of its counterpart in `data`.   workers: threads that decode."""
        self.name, self.data, self.partner, self.geometry = name, data, partner, geometry
        self.workers, self.skip = workers, skip
        self.unreadable: dict[str, str] = {}

    @property
    def settings(self) -> dict[str, object]:
        return {**self.data.identity(), "loader": dict(self.data.loader_settings(self.geometry))}

    def __str__(self) -> str:
        return self.name

    def _perturb(self, x: Tensor, labels: Tensor | None, ids: Sequence[str], seed: int) -> Tensor:
        with ThreadPoolExecutor(max_workers=self.workers + 1) as pool:
            found = list(pool.map(self._pixels, ids))
        for image_id, pixels in zip(ids, found, strict=True):
            if isinstance(pixels, BadImageError):
                if not self.skip:
                    raise pixels
                self.unreadable[image_id] = pixels.account
            elif pixels.shape != x.shape[1:]:
                raise InputError(
                    f"{self.name} has image {image_id} at {tuple(pixels.shape)}, expected {tuple(x.shape[1:])} as the "
                    "clean one (C, H, W)"
                )
        blank = torch.zeros(x.shape[1:])
        return torch.stack([blank if isinstance(p, BadImageError) else p for p in found]).to(x.device)

    def _pixels(self, image_id: str) -> Tensor | BadImageError:
        if image_id not in self.partner:
            return BadImageError(f"{self.name}/{image_id}", "there is no image of this name")
        try:
            return self.data.pixels(self.partner[image_id], self.geometry)
        except BadImageError as error:
            return BadImageError(f"{self.name}/{error.image}", error.reason)

    def fingerprint(self, image_id: str) -> str:
        """What the counterpart of an image holds now, as data sets tell it."""
        try:
            return self.data.fingerprint(self.partner[image_id], self.geometry)
        except (BadImageError, KeyError):
            return "unreadable"

    def condition(self, family: str, severity: int | None) -> Condition:
        """Its facts; the severity is what puts it among the corruptions of mCE."""
        kind = "folder" if severity is None else "corruption"
        return Condition(self.name, kind, family, self.settings, severity)


def tree_folders(root: str | os.PathLike[str]) -> dict[tuple[str, int], str]:
    """(corruption, severity) -> its folder, sorted. Raises InputError where no such tree is found."""
    path = os.fspath(root)
    filesystem, base = filesystem_of(path)
    with reaching(path):
        if not filesystem.isdir(base):
            raise InputError(f"no such folder: {path!r}; {_LAYOUT}")
    found: dict[tuple[str, int], str] = {}
    for corruption, severity, relative in _corruptions(filesystem, base, "", _DEPTH):
        if (corruption, severity) in found:
            raise InputError(f"{path!r} holds {corruption}/{severity} twice: {_LAYOUT}")
        found[corruption, severity] = f"{path.rstrip('/')}/{relative}"
    if not found:
        raise InputError(f"no corruptions in {path!r}: {_LAYOUT}")
    return dict(sorted(found.items()))


def pair(
    clean: ImageData, positions: Sequence[int], other: ImageData, name: str, skip: bool | None = None
) -> dict[str, int]:
    """Id of each clean image -> number of its counterpart in `other`, by path, else by path without extension.

    skip: leave images without a counterpart out, as long as any has one; None where that is not on offer. Raises
    InputError naming the first image without a counterpart, or with another label.
    """
    wanted = [clean.ids[p] for p in positions]
    partner = matched(wanted, other.ids)
    missing = [image_id for image_id in wanted if image_id not in partner]
    if missing and not (skip and partner):
        raise InputError(
            f"{name} lacks {len(missing)} of {len(wanted)} images, the first {missing[0]!r}: expected the images of "
            f"{clean.name} under the same paths (the extension may differ), such as {other.ids[0]!r}"
            + ("; --on-bad-image skip leaves them out" if partner and skip is not None else "")
        )
    if clean.labels is not None and other.labels is not None:
        there = [p for p in positions if clean.ids[p] in partner]
        own, theirs = clean.labels[there], other.labels[[partner[clean.ids[p]] for p in there]]
        if (own != theirs).any():
            first = int(np.argmax(own != theirs))
            image = clean.ids[there[first]]
            raise InputError(
                f"{name} has image {image!r} with label {theirs[first]}, {clean.name} has it with {own[first]}"
            )
    return partner


def fitting_geometry(
    other: ImageData, name: str, number: int, clean_size: tuple[int, ...] | None, geometry: Geometry
) -> Geometry:
    """How stored images become the model's input: as the clean ones, or as they are where they have its size already.

    ImageNet-C is stored at 224 px after resize and crop; doing both again would enlarge it. clean_size: (C, H, W) of
    the clean counterpart as stored, None without clean images. Raises InputError for images of other sizes.
    """
    if geometry.size is None:
        return geometry
    stored = native_size(other, number, geometry)
    if stored == clean_size:
        return geometry
    if stored[1:] == geometry.size:
        return replace(geometry, resize=None)
    if clean_size is None:
        return geometry
    raise InputError(
        f"{name} has image {other.ids[number]} at {stored[1:]} pixels, its clean counterpart is at "
        f"{clean_size[1:]}: expected the same size, or the model's input size {geometry.size}"
    )


def native_size(data: ImageData, number: int, geometry: Geometry) -> tuple[int, ...]:
    """(C, H, W) of an image as it is stored."""
    return tuple(data.pixels(number, replace(geometry, size=None, resize=None)).shape)


def _corruptions(filesystem: Any, base: str, prefix: str, depth: int) -> Iterator[tuple[str, int, str]]:
    for name in _folders(filesystem, f"{base}/{prefix}"):
        inner = _folders(filesystem, f"{base}/{prefix}{name}")
        severities = [sub for sub in inner if sub.isdecimal() and int(sub) > 0]
        if severities and len(severities) == len(inner):
            yield from ((name, int(sub), f"{prefix}{name}/{sub}") for sub in severities)
        elif depth > 1:
            yield from _corruptions(filesystem, base, f"{prefix}{name}/", depth - 1)


def _folders(filesystem: Any, path: str) -> list[str]:
    entries = filesystem.ls(path.rstrip("/"), detail=True)
    inside = [e for e in entries if e["type"] == "directory" or (e.get("islink") and filesystem.isdir(e["name"]))]
    names = [PurePosixPath(entry["name"]).name for entry in inside]
    return sorted(name for name in names if not name.startswith((".", "__MACOSX")))
