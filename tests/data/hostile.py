"""Image files that real folders hold, made on the fly: the good, the odd and the broken."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

SIZE = (24, 16)  # width, height


def photo(width: int = SIZE[0], height: int = SIZE[1], seed: int = 0) -> np.ndarray:
    """A uint8 (H, W, 3) image with smooth and rough parts."""
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(seed).integers(0, 40, (height, width, 3))
    smooth = np.stack(
        [x * 200 // max(width - 1, 1), y * 200 // max(height - 1, 1), (x + y) * 100 // (width + height)], -1
    )
    return (smooth + noise).astype(np.uint8)


def encode(image: Image.Image, image_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def png(mode: str = "RGB") -> bytes:
    return encode(Image.fromarray(photo()).convert(mode), "PNG")


def grey16(image_format: str) -> bytes:
    return encode(Image.fromarray(ramp16()), image_format)


def ramp16() -> np.ndarray:
    """uint16 (H, W) from 0 to 65535."""
    return np.linspace(0, 65535, SIZE[0] * SIZE[1]).round().astype(np.uint16).reshape(SIZE[1], SIZE[0])


def rotated(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(Image.fromarray(photo()), "PNG", exif=exif)


def animated(image_format: str) -> bytes:
    frames = [Image.fromarray(photo(seed=seed)) for seed in range(3)]
    return encode(frames[0], image_format, save_all=True, append_images=frames[1:])


def palette_with_transparency() -> bytes:
    image = Image.fromarray(photo()).quantize(8)
    return encode(image, "PNG", transparency=bytes([0, 128, 255, 255, 255, 255, 255, 255]))


def bomb(width: int, height: int) -> bytes:
    """A PNG whose header promises width x height pixels, and whose body is short."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def broken_exif() -> bytes:
    return encode(
        Image.fromarray(photo()), "JPEG", exif=b"Exif\x00\x00MM\x00\x2a\x00\x00\xff\xff\x00\x05garbage", quality=95
    )


# name of the case: bytes, and a piece of the reason given
BROKEN: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "empty (0 bytes)"),
    "truncated-jpeg": (lambda: encode(Image.fromarray(photo(200, 200)), "JPEG")[:3000], "truncated"),
    "truncated-png": (lambda: png()[:200], "cannot be decoded"),
    "header-only": (lambda: png()[:20], "cannot"),
    "text": (lambda: b"just a text file", "not an image that Pillow can read"),
    "random-bytes": (lambda: np.random.default_rng(0).bytes(2000), "not an image that Pillow can read"),
    "web-page": (lambda: b"\n<!DOCTYPE html><title>Sign in</title>", "a web page"),
    "git-lfs-pointer": (lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "git lfs pull"),
    "postscript": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "not an image"),
    "bomb": (lambda: bomb(30_000, 30_000), "MAX_IMAGE_PIXELS"),
    "bomb-that-pillow-only-warns-of": (lambda: bomb(10_000, 10_000), "MAX_IMAGE_PIXELS"),
    "too-long-and-narrow": (lambda: encode(Image.new("L", (60_000, 1)), "PNG"), "too long and narrow"),
    "zero-width": (lambda: b"P6 0 5 255\n", "not an image"),
    "int32-tiff": (lambda: encode(Image.fromarray(ramp16().astype(np.int32)), "TIFF"), "32-bit integer"),
    "float32-tiff": (lambda: encode(Image.fromarray(ramp16().astype(np.float32)), "TIFF"), "32-bit float"),
    "damaged-png-checksum": (lambda: png()[:60] + b"\xff\xff\xff\xff" + png()[64:], "cannot be decoded"),
}
