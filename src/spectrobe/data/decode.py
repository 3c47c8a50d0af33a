"""From an image file's bytes (or a Pillow image) to the pixels a model is given.

The path is that of torchvision's and timm's evaluation transforms, pixel for pixel: Pillow's resize on 8-bit images,
then a centre crop. Where they leave things to chance, this is what happens:

* EXIF orientation is applied (they ignore it); of an animation the first frame is taken.
* Palette, CMYK, YCbCr, alpha and 1-bit images go through Pillow's `convert("RGB")`, as there: alpha is dropped.
* 16-bit grey is divided by 65535 and resized in floating point; Pillow's own conversion clips it at 255.
* 32-bit integer and float images are refused: no file says what their white is.
* A crop larger than the resized image is refused: a padded border would put power into every band.
* An image, as stored or as resized, of more pixels than `PIL.Image.MAX_IMAGE_PIXELS` is refused.
"""

from __future__ import annotations

import re
import warnings
from functools import cache
from io import BytesIO
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError, features
from PIL import __version__ as pillow_version
from torch import Tensor

from spectrobe.errors import BadImageError, InputError
from spectrobe.models.base import Geometry

_ORIENTATION_TAG = 0x0112
_ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_MODES = {1: "L", 3: "RGB"}
# EPS and WMF start other programs, the rest are containers whose images Pillow cannot read by itself.
_NOT_IMAGES = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}


def decode_image(source: bytes | Image.Image, geometry: Geometry, image_id: str) -> Tensor:
    """One image file's bytes, or a Pillow image -> float32 (C, H, W) in [0, 1], resized and cropped as `geometry` says.

    Raises BadImageError naming `image_id`; InputError when `geometry` itself cannot be followed.
    """
    check_geometry(geometry)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Pillow warns of (metadata, transparent palettes, bombs) is decided here
        try:
            image = _load(source, image_id)
            image = image if image.mode == "F" else image.convert(_MODES[geometry.channels])
        except BadImageError:
            raise
        except Exception as error:  # Pillow's plugins raise whatever broken bytes lead them to
            raise BadImageError(image_id, _reason(error, source)) from error
    return _to_tensor(_crop(_resize(image, geometry, image_id), geometry), geometry)


def image_size(content: bytes, image_id: str) -> tuple[int, int]:
    """Height and width of an image file as `decode_image` gives it at its own size, from its header alone.

    Raises BadImageError where the header cannot be read; whether the pixels can is not looked at.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(BytesIO(content), formats=image_formats())
    except Exception as error:  # as in decode_image
        raise BadImageError(image_id, _reason(error, content)) from error
    turned = _orientation(image) in (5, 6, 7, 8)  # of EXIF's eight the four that lie on their side
    return (image.width, image.height) if turned else (image.height, image.width)


def check_geometry(geometry: Geometry) -> None:
    """Raise InputError when image files cannot be brought to this geometry."""
    if geometry.channels not in _MODES:
        raise InputError(f"expected a model of 1 or 3 channels for image files, got {geometry.channels}: give tensors")
    if geometry.interpolation.upper() not in Image.Resampling.__members__:
        known = ", ".join(sorted(name.lower() for name in Image.Resampling.__members__))
        raise InputError(f"expected interpolation to be one of {known}, got {geometry.interpolation!r}")
    if not geometry.antialias:
        raise InputError("antialias=False cannot be had for image files: Pillow widens its filters when it shrinks")


@cache
def image_formats() -> tuple[str, ...]:
    """Pillow's names of the formats that are read."""
    Image.init()
    return tuple(sorted(set(Image.OPEN) - _NOT_IMAGES))


@cache
def image_extensions() -> dict[str, str]:
    """Lower-case file name extension (".jpg") -> Pillow's name of its format ("JPEG")."""
    formats = image_formats()
    return {extension: name for extension, name in Image.registered_extensions().items() if name in formats}


def decoder_settings(geometry: Geometry) -> dict[str, Any]:
    """How `decode_image` makes pixels, JSON-able, for run.json."""
    resize = geometry.size if geometry.resize is None else geometry.resize
    nearest = geometry.interpolation == "nearest"
    return {
        "resize": list(resize) if isinstance(resize, tuple) else resize,
        "resize_to": "shorter side" if isinstance(resize, int) else None if resize is None else "height, width",
        "interpolation": None if resize is None else geometry.interpolation,
        "antialias": None if resize is None else not nearest,
        "crop": None if geometry.size is None else list(geometry.size),
        "channels": geometry.channels,
        "exif_orientation": "applied",
        "alpha": "dropped",
        "pillow": pillow_version,
        "libjpeg": features.version("libjpeg_turbo") or features.version("jpg"),
    }


def file_format(content: bytes) -> str:
    """Pillow's name of the format that `content` is in ("JPEG", "PNG", ...), or "unreadable"."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Image.open(BytesIO(content), formats=image_formats()).format or "unknown"
    except Exception:  # as in decode_image; here the answer only describes the data
        return "unreadable"


def _load(source: bytes | Image.Image, image_id: str) -> Image.Image:
    """Open, decode, rotate; 8-bit of any mode, or mode "F" in [0, 1] for what was 16-bit grey."""
    if isinstance(source, bytes) and not source:
        raise BadImageError(image_id, "the file is empty (0 bytes)")
    image = Image.open(BytesIO(source), formats=image_formats()) if isinstance(source, bytes) else source
    if image.width == 0 or image.height == 0:
        raise BadImageError(image_id, f"no pixels (width {image.width}, height {image.height})")
    if Image.MAX_IMAGE_PIXELS is not None and image.width * image.height > Image.MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError(f"{image.width} x {image.height} pixels")
    image_format = image.format
    image.load()
    # JPEG 2000 and PGM files of 16 bits open as "I" as well, and so do PNG files in older versions of Pillow.
    sixteen_bit = image.mode.startswith("I;16") or (image.mode == "I" and image_format in ("PNG", "PPM", "JPEG2000"))
    if image.mode in ("I", "F") and not sixteen_bit:
        kind = "integer" if image.mode == "I" else "float"
        raise BadImageError(image_id, f"32-bit {kind} pixels, whose white is not known: store it with 8 or 16 bits")
    method = _ORIENTATIONS.get(_orientation(image))
    if sixteen_bit:
        image = Image.fromarray(np.asarray(image, dtype=np.float32) / 65535)
    return image if method is None else image.transpose(method)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # damaged metadata beside sound pixels: shown as stored, as every viewer does
        return 1


def _reason(error: Exception, source: bytes | Image.Image) -> str:
    """What went wrong in one line that is the same on every run (Pillow's messages may hold memory addresses)."""
    if isinstance(error, Image.DecompressionBombError):
        found = re.search(r"\d+( x \d+)? pixels", str(error))
        size = found.group() if found else "too many pixels"
        return f"{size}, more than the {Image.MAX_IMAGE_PIXELS} that PIL.Image.MAX_IMAGE_PIXELS allows"
    if isinstance(error, UnidentifiedImageError):
        content = source[:64].lstrip().lower() if isinstance(source, bytes) else b""
        if content.startswith(b"version https://git-lfs"):
            return "a Git LFS pointer, not the image itself (git lfs pull fetches it)"
        if content.startswith((b"<!doctype html", b"<html")):
            return "a web page saved under an image's name"
        return "not an image that Pillow can read"
    text = re.sub(r"<[^>]*>|\s+", " ", str(error)).strip() or type(error).__name__
    return f"cannot be decoded ({text})"


def _resize(image: Image.Image, geometry: Geometry, image_id: str) -> Image.Image:
    target = geometry.size if geometry.resize is None else geometry.resize
    if target is None:
        return image
    if isinstance(target, int):
        longer = int(target * max(image.size) / min(image.size))  # int(), not round(): torchvision's rule
        width, height = (target, longer) if image.width <= image.height else (longer, target)
    else:
        height, width = target
    if Image.MAX_IMAGE_PIXELS is not None and width * height > Image.MAX_IMAGE_PIXELS:
        stored = f"{image.width} x {image.height}"
        raise BadImageError(
            image_id,
            f"{stored} pixels would become {width} x {height}, more than PIL.Image.MAX_IMAGE_PIXELS allows: too "
            "long and narrow, or the size asked for is too large",
        )
    return image.resize((width, height), Image.Resampling[geometry.interpolation.upper()])


def _crop(image: Image.Image, geometry: Geometry) -> Image.Image:
    if geometry.size is None:
        return image
    height, width = geometry.size
    if image.height < height or image.width < width:
        raise InputError(
            f"expected images of at least {height} x {width} after resizing to {geometry.resize}, "
            f"got {image.height} x {image.width}: resize to more, or crop less"
        )
    # Python's round(), halves to even: torchvision's rule
    top, left = round((image.height - height) / 2), round((image.width - width) / 2)
    return image.crop((left, top, left + width, top + height))


def _to_tensor(image: Image.Image, geometry: Geometry) -> Tensor:
    pixels = torch.from_numpy(np.array(image))
    if image.mode == "F":  # bicubic and lanczos overshoot; 8-bit modes clip by themselves
        return pixels.clamp(0, 1).expand(geometry.channels, -1, -1).contiguous()
    pixels = pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)
    return pixels.contiguous().to(torch.float32).div(255)
