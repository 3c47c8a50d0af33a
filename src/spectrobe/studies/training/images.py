"""Images to train on and images to measure on: decoded once, kept as 8-bit tensors, and never the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spectrobe.data import open_data
from spectrobe.data.base import ImageData
from spectrobe.data.checks import check_data
from spectrobe.data.loader import load_images
from spectrobe.engine.progress import Progress
from spectrobe.errors import InputError
from spectrobe.models.base import Geometry
from spectrobe.models.options import ModelOptions, Preprocessing
from spectrobe.seeding import seeded_order

HELD_OUT = 0.2
"""Share of the images that is held out, where no other data set is given to measure on."""
_FEWEST, _LEAST_SIDE = 20, 8


@dataclass(frozen=True, eq=False)
class Images:
    """pixels: uint8 (N, C, H, W).   labels: int64 (N,).   ids: N strings.   data: where they are from."""

    data: ImageData
    ids: tuple[str, ...]
    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def digests(self) -> list[bytes]:
        """Of each image's content."""
        return [hashlib.blake2b(image.numpy().tobytes(), digest_size=16).digest() for image in self.pixels]

    @property
    def floats(self) -> Tensor:
        """float32 in [0, 1]."""
        return self.pixels.to(torch.float32) / 255

    @cached_property
    def statistics(self) -> tuple[list[float], list[float]]:
        """Mean and standard deviation of the pixels in [0, 1], by channel; a channel without any has 1."""
        found = self.floats
        std = found.std((0, 2, 3))
        return found.mean((0, 2, 3)).tolist(), torch.where(std > 1e-6, std, torch.ones_like(std)).tolist()

    def rows(self, positions: np.ndarray) -> Images:
        """Some of them."""
        chosen = torch.from_numpy(np.asarray(positions, dtype=np.int64))
        return Images(self.data, tuple(self.ids[int(p)] for p in positions), self.pixels[chosen], self.labels[chosen])

    def identity(self) -> Mapping[str, Any]:
        """What makes these images these images: name, count, digest of pixels, labels and ids."""
        digest = hashlib.sha256("\x1f".join(self.ids).encode())
        digest.update(self.labels.numpy().tobytes())
        for one in self.digests:
            digest.update(one)
        return {"name": self.data.name, "images": len(self), "digest": digest.hexdigest()}


@dataclass(frozen=True, eq=False)
class Split:
    """train, held_out: images, none of them in both.   n_classes.   notes: what there is to say of them.

    said: what was said beside the data, JSON-able: options of `open_data`, images, size.
    """

    train: Images
    held_out: Images
    n_classes: int
    notes: tuple[str, ...] = ()
    said: Mapping[str, Any] = field(default_factory=dict)

    @property
    def order(self) -> np.ndarray:
        """Positions of the held-out images in their data."""
        place = {name: position for position, name in enumerate(self.held_out.data.ids)}
        return np.array([place[name] for name in self.held_out.ids])


def open_split(
    data: Any,
    test: Any = None,
    *,
    images: int | None = None,
    size: int | str | tuple[int, int] | None = None,
    for_data: Mapping[str, Any] | None = None,
    seed: int = 0,
    progress: Progress,
) -> Split:
    """Training images and held-out images, as `open_data` takes them.

    test: data to measure on; None holds out a fifth of `data`, drawn by image id.   images: how many to train on.
    size: what image files are resized and cropped to, needed where they differ.

    Raises InputError for data without labels, and when images of `test` are among the training images by content. Of
    one data set, images that repeat a held-out one are left out of training instead, and counted.
    """
    opened = open_data(data, **(for_data or {}))
    _check(opened)
    other = None if test is None else open_data(test, **(for_data or {}))
    order = seeded_order(opened.ids, seed)
    notes: list[str] = []
    if other is None:
        count = max(_FEWEST, round(HELD_OUT * len(order)))
        held, order = order[:count], order[count:]
    else:
        _check(other)
        held = seeded_order(other.ids, seed)
    if images is not None:
        if not _FEWEST <= images <= len(order):
            raise InputError(f"expected {_FEWEST} to {len(order):,} images to train on, got images={images}")
        order = order[:images]
    progress.note(f"decoding {len(order):,} images to train on and {len(held):,} held out")
    train, held_out = _read(opened, order, size), _read(other or opened, held, size)
    if train.pixels.shape[1:] != held_out.pixels.shape[1:]:
        raise InputError(
            f"expected images of one size to train and to measure on, got {tuple(train.pixels.shape[1:])} and "
            f"{tuple(held_out.pixels.shape[1:])}: give --size"
        )
    train, note = _apart(train, held_out, same=other is None)
    notes += [note] if note else []
    n_classes = int(train.labels.max()) + 1
    if len(torch.unique(train.labels)) < 2:
        raise InputError(f"the {len(train)} images to train on are all of one class, which leaves nothing to learn")
    if int(held_out.labels.max()) >= n_classes:
        raise InputError(
            f"expected held-out images of the {n_classes} classes trained on, got label {int(held_out.labels.max())}"
        )
    asked = {"images": images, "size": list(size) if isinstance(size, tuple) else size}
    said = dict(opened.said) | {name: value for name, value in asked.items() if value is not None}
    return Split(train, held_out, n_classes, tuple(notes), said)


def _check(data: ImageData) -> None:
    if data.labels is None:
        why = f" ({data.unlabelled_because})" if data.unlabelled_because else ""
        raise InputError(f"{data.name} has no labels{why}: training needs labels")
    check_data(data, None)
    if len(data) < 2 * _FEWEST:
        raise InputError(f"expected at least {2 * _FEWEST} images, got {len(data)} in {data.name}")


def _read(data: ImageData, order: np.ndarray, size: Any) -> Images:
    """These images as 8-bit pixels, in this order. InputError for images too small for the networks."""
    options = ModelOptions.parse({} if size is None else {"size": size})
    if data.in_memory and options.size is not None and options.size != "none":
        raise InputError(f"{data.name} holds images in memory, which are taken as they are: leave size={size} away")
    geometry = Geometry() if data.in_memory else Preprocessing(Geometry()).overridden(options).geometry
    pixels: Tensor | None = None
    places = np.argsort(order)  # files of many rows are read a group of rows at a time
    images = load_images(data, [int(order[place]) for place in places], geometry)
    for place, (_, image) in zip(places.tolist(), images, strict=True):
        if not isinstance(image, Tensor):
            raise image
        if pixels is None:
            pixels = torch.empty((len(order), *image.shape), dtype=torch.uint8)
        pixels[place] = (image * 255).round().clamp(0, 255).to(torch.uint8)
    if pixels is None or min(pixels.shape[-2:]) < _LEAST_SIDE:
        sides = "none" if pixels is None else " x ".join(map(str, pixels.shape[-2:]))
        raise InputError(
            f"expected {data.name} to hold images of at least {_LEAST_SIDE} x {_LEAST_SIDE} pixels, got {sides}"
        )
    labels = np.asarray(data.labels)[order]
    return Images(data, tuple(data.ids[int(p)] for p in order), pixels, torch.from_numpy(labels.astype(np.int64)))


def _apart(train: Images, held_out: Images, same: bool) -> tuple[Images, str]:
    """The training images without those that are held out too, by content, and a note; InputError for two data sets."""
    held = {digest: place for place, digest in enumerate(held_out.digests)}
    shared = [place for place, digest in enumerate(train.digests) if digest in held]
    if not shared:
        return train, ""
    one = shared[0]
    twin = held_out.ids[held[train.digests[one]]]
    if not same:
        raise InputError(
            f"{len(shared)} of the images to measure on are among those to train on, by their content (such as {twin} "
            f"of {held_out.data.name}, which is {train.ids[one]} of {train.data.name}): give held-out images"
        )
    kept = np.setdiff1d(np.arange(len(train)), shared)
    return train.rows(kept), (
        f"{len(shared)} images were left out of training: they repeat a held-out image pixel for pixel (such as "
        f"{train.ids[one]}, equal to {twin})"
    )
