"""The images of a spectral-SNR run: opened, paired with their perturbed versions, cut to one size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from spectrobe.data import open_data
from spectrobe.data.base import ImageData
from spectrobe.data.encoded import EncodedData
from spectrobe.data.pairs import SAME_NAMES, CentrePatches, PairedData, SizeMismatchError, lossy_warning, perturbed_name
from spectrobe.errors import BadImageError, InputError
from spectrobe.models import ModelOptions
from spectrobe.models.base import Geometry, Model
from spectrobe.models.options import crop_geometry
from spectrobe.seeding import seeded_order

N_SAMPLE = 16
"""So many images are looked at before the run: whether they can be read and are of one size."""
LEAST_SHARE = 0.25
"""Of the pixels of a usual image, that the middle of images of different sizes must hold."""


def geometry_of(model: Model | None, size: Any, patch: Any) -> Geometry:
    """How images become pixels: as the model takes them, at the size said, or as they are."""
    if model is not None and size is not None:
        raise InputError(
            "expected size without a model, which has a size of its own: give it in the model string (?size=N)"
        )
    if patch is not None and (model is not None or size is not None):
        raise InputError("expected patch without a model and without size: a patch is cut out of images as they are")
    if size is not None and (sides := ModelOptions.parse({"size": size}).size) not in ("none", None):
        return crop_geometry(_sides("size", sides))
    return Geometry() if model is None else model.geometry


def opened_images(data: Any, perturbed: Any, patch: Any, attacked: Model | None, class_map: Any) -> ImageData:
    """The images: labelled only for a model that is attacked, paired with their perturbed versions, cut to a patch."""
    images: ImageData
    if attacked is not None:
        images = open_data(data, n_classes=attacked.n_classes, class_names=attacked.class_names, class_map=class_map)
    elif class_map is not None:
        raise InputError("expected class_map only where an attack uses labels: leave it out")
    else:
        images = open_data(data, labelled=False)
    if perturbed is not None:
        images = PairedData(images, open_data(perturbed, labelled=False))
    return images if patch is None else CentrePatches(images, _sides("patch", patch))


def chosen(images: ImageData, most: int | None, seed: int) -> np.ndarray:
    """Positions of the images to take, in seeded order."""
    if len(images) < 2:
        raise InputError(
            f"expected at least 2 images, got {len(images)} in {images.name}: intervals over images need more"
        )
    if most is not None and not 2 <= most <= len(images):
        raise InputError(f"expected images from 2 to {len(images)}, which {images.name} has, got {most!r}")
    return seeded_order(images.ids, seed)[:most]


def in_one_size(
    images: ImageData, geometry: Geometry, order: np.ndarray, on_bad_image: str
) -> tuple[ImageData, tuple[int, int, int]]:
    """The images, and (C, H, W) of each, C of the clean one: as they are, or where sizes differ the middle of each.

    The middle is the largest that all have, not resampled, so that noise keeps its spectrum. Raises InputError where
    images have no partner, differ from their perturbed version in size, cannot be read (unless such images are
    skipped), or where the middle would be small beside most of them.
    """
    pairs = _inner(images)
    if isinstance(pairs, PairedData) and pairs.unpaired and on_bad_image == "error":
        raise InputError(
            f"{pairs.unpaired}: {SAME_NAMES}; remove or rename these, or leave them out with --on-bad-image skip"
        )
    if geometry.size is None and not isinstance(images, CentrePatches):
        sizes = _sizes(images, geometry, order)
        if len(set(sizes.values())) > 1:
            images = CentrePatches(images, _common_middle(sizes))
    return images, _shape(images, geometry, order, on_bad_image)


def _sizes(images: ImageData, geometry: Geometry, order: np.ndarray) -> dict[str, tuple[int, int]]:
    """Height and width of the images by id, unreadable ones left out: of all files, of a few that must be decoded."""
    found = {}
    of_files = isinstance(images.clean if isinstance(images, PairedData) else images, EncodedData)
    for position in order if of_files else order[:N_SAMPLE]:
        try:
            found[images.ids[position]] = images.size(int(position), geometry)
        except BadImageError:
            continue  # told when the image is read
    return found


def _common_middle(sizes: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    """The largest height and width that all have; InputError where that is less than a quarter of a usual image."""
    height, width = (min(size[axis] for size in sizes.values()) for axis in (0, 1))
    usual = float(np.median([one * other for one, other in sizes.values()]))
    if height * width < LEAST_SHARE * usual:
        small = min(sizes, key=lambda image: sizes[image][0] * sizes[image][1])
        raise InputError(
            f"the images differ in size, and the middle that all have, {height} x {width} pixels, is small beside most "
            f"of them (the smallest, {small}, is {sizes[small][0]} x {sizes[small][1]}): give --patch HxW with "
            "--on-bad-image skip to leave smaller ones out, or --size 224 to resize and crop as for a model"
        )
    return height, width


def _shape(images: ImageData, geometry: Geometry, order: np.ndarray, on_bad_image: str) -> tuple[int, int, int]:
    shapes: set[tuple[int, ...]] = set()
    differing: list[SizeMismatchError] = []
    for position in order[:N_SAMPLE]:
        try:
            shapes.add(tuple(images.pixels(int(position), geometry).shape))
        except SizeMismatchError as error:
            differing.append(error)
        except BadImageError:
            if on_bad_image == "error":
                raise
    if differing and on_bad_image == "error":
        some = ", ".join(f"{one.image} {one.clean} against {one.perturbed}" for one in differing[:3])
        more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
        raise InputError(
            f"images and their perturbed versions differ in size (height x width): {some}{more}; give both in one "
            "size, or --size N to resize and crop both, which changes what is measured"
        )
    if not shapes:
        raise InputError(f"none of the first {min(N_SAMPLE, len(order))} images of {images.name} can be used")
    channels, height, width = shapes.pop()
    return (channels // 2 if isinstance(_inner(images), PairedData) else channels), height, width


def pair_name(perturbed: Any, images: ImageData) -> str:
    """What results call perturbed data; empty without any."""
    pairs = _inner(images)
    return perturbed_name(perturbed, pairs.perturbed, images) if isinstance(pairs, PairedData) else ""


def image_warnings(images: ImageData, patch: Any) -> list[str]:
    """What to know of the images: cut without being asked, images without a partner, lossy perturbed files."""
    found = []
    if isinstance(images, CentrePatches) and patch is None:
        height, width = images.patch
        found.append(
            f"the images differ in size: the middle {height} x {width} pixels of each were measured, as they are "
            "(--patch HxW takes another part, --size N resizes instead)"
        )
    pairs = _inner(images)
    if isinstance(pairs, PairedData):
        if pairs.unpaired:
            found.append(f"{pairs.unpaired}: left out")
        if lossy := pairs.lossy():
            found.append(lossy_warning(lossy))
    return found


def _sides(name: str, size: Any) -> tuple[int, int]:
    sides = ModelOptions.parse({"size": size}).size
    if not isinstance(sides, tuple):
        raise InputError(f"expected {name} as a number of pixels, 224 or 224x192, got {size!r}")
    return sides


def _inner(images: ImageData) -> ImageData:
    return images.data if isinstance(images, CentrePatches) else images
