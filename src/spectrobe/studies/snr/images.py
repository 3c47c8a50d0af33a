"""The images of a spectral-SNR run: opened, paired with their perturbed versions, cut, checked for one size."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from spectrobe.data import open_data
from spectrobe.data.base import ImageData
from spectrobe.data.pairs import CentrePatches, PairedData, SizeMismatchError
from spectrobe.errors import BadImageError, InputError
from spectrobe.models import ModelOptions
from spectrobe.models.base import Geometry, Model
from spectrobe.models.options import crop_geometry
from spectrobe.seeding import seeded_order

N_SAMPLE = 16
"""So many images are looked at before the run: whether they can be read and are of one size."""


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


def common_shape(images: ImageData, geometry: Geometry, order: np.ndarray, on_bad_image: str) -> tuple[int, int, int]:
    """(C, H, W) of the images, C of the clean one; InputError when the first ones differ, or none can be read."""
    shapes: dict[tuple[int, ...], str] = {}
    differing: list[SizeMismatchError] = []
    for position in order[:N_SAMPLE]:
        try:
            shapes.setdefault(tuple(images.pixels(int(position), geometry).shape), images.ids[position])
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
    if len(shapes) > 1:
        (one, first), (other, second) = list(shapes.items())[:2]
        height, width = min(shape[1] for shape in shapes), min(shape[2] for shape in shapes)
        raise InputError(
            f"the images differ in size ({first}: {one[1]} x {one[2]}, {second}: {other[1]} x {other[2]}): give "
            f"--patch {height}x{width} for the middle of each as it is, or --size 224 to resize and crop as for a model"
        )
    channels, height, width = next(iter(shapes))
    return (channels // 2 if isinstance(_inner(images), PairedData) else channels), height, width


def pair_name(perturbed: Any, images: ImageData) -> str:
    """What results call perturbed data: its name, with its folder's where both have one name; empty without any."""
    pairs = _inner(images)
    if not isinstance(pairs, PairedData):
        return ""
    name = pairs.perturbed.name
    if name == images.name and isinstance(perturbed, (str, os.PathLike)):
        name = "/".join(os.path.normpath(os.fspath(perturbed)).split(os.sep)[-2:])
    return f"perturbed {name}" if name == images.name else name


def codec_warnings(images: ImageData) -> list[str]:
    """That the perturbed files are lossy ones."""
    pairs = _inner(images)
    lossy = pairs.lossy() if isinstance(pairs, PairedData) else []
    if not lossy:
        return []
    return [
        f"the perturbed images are {' and '.join(lossy)} files: what their compression did is part of what is measured"
    ]


def _sides(name: str, size: Any) -> tuple[int, int]:
    sides = ModelOptions.parse({"size": size}).size
    if not isinstance(sides, tuple):
        raise InputError(f"expected {name} as a number of pixels, 224 or 224x192, got {size!r}")
    return sides


def _inner(images: ImageData) -> ImageData:
    return images.data if isinstance(images, CentrePatches) else images
