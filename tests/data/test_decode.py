"""Image bytes to pixels: odd files converted, broken ones named, parity with torchvision and timm."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from spectrobe.data.decode import decode_image, decoder_settings, file_format, image_size
from spectrobe.errors import BadImageError, InputError
from spectrobe.models.base import Geometry
from tests.data import hostile
from tests.data.hostile import BROKEN, SIZE, encode, photo
from tests.shared import SHARED

AS_STORED = Geometry()
RESIZED = Geometry(size=(8, 8), resize=8)
SAMPLE = SHARED / "data" / "imagenet-sample"


def as_tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array).permute(2, 0, 1).float() / 255


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("geometry", [RESIZED, Geometry(size=(8, 8), resize=8, channels=1)], ids=["colour", "grey"])
def test_broken_images_are_named_with_a_reason_in_one_line(case: str, geometry: Geometry) -> None:
    make, reason = BROKEN[case]
    geometry = Geometry(resize=4096) if case == "too-long-and-narrow" else geometry
    with pytest.raises(BadImageError) as caught:
        decode_image(make(), geometry, "a/b.jpg")
    message = str(caught.value)
    assert message.startswith("image a/b.jpg: ")
    assert reason in caught.value.reason
    assert "\n" not in message
    assert "0x" not in message  # a memory address would differ from run to run
    assert "--on-bad-image skip" in message


def test_bad_image_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(BadImageError("x.png", "broken")))
    assert (error.image, error.reason) == ("x.png", "broken")
    assert str(error) == str(BadImageError("x.png", "broken"))


@pytest.mark.parametrize("image_format", ["PNG", "BMP", "TIFF", "PPM", "WEBP", "TGA"])
def test_lossless_formats_keep_every_pixel(image_format: str) -> None:
    options = {"lossless": True} if image_format == "WEBP" else {}
    content = encode(Image.fromarray(photo()), image_format, **options)
    assert torch.equal(decode_image(content, AS_STORED, "x"), as_tensor(photo()))
    assert file_format(content) == image_format


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_modes_become_three_or_one_channels(mode: str) -> None:
    image = Image.fromarray(photo())
    content = hostile.grey16("PNG") if mode == "I;16" else encode(image.convert(mode), "TIFF")
    colour = decode_image(content, AS_STORED, "x")
    grey = decode_image(content, Geometry(channels=1), "x")
    assert colour.shape == (3, SIZE[1], SIZE[0])
    assert grey.shape == (1, SIZE[1], SIZE[0])
    assert colour.dtype == grey.dtype == torch.float32
    if mode != "I;16":
        stored = Image.open(io.BytesIO(content))
        assert stored.mode == mode
        assert torch.equal(colour, as_tensor(np.array(stored.convert("RGB"))))
        assert torch.equal(grey[0], torch.from_numpy(np.array(stored.convert("L"))).float() / 255)


def test_alpha_is_dropped_as_timm_drops_it_not_composited() -> None:
    rgba = np.dstack([photo(), np.zeros(SIZE[::-1], np.uint8)])  # fully transparent
    assert torch.equal(decode_image(encode(Image.fromarray(rgba), "PNG"), AS_STORED, "x"), as_tensor(photo()))


def test_palette_with_transparency_loses_the_transparency_alone(recwarn: pytest.WarningsRecorder) -> None:
    content = hostile.palette_with_transparency()
    expected = np.array(Image.open(io.BytesIO(content)).convert("RGBA"))[..., :3]
    recwarn.clear()
    assert torch.equal(decode_image(content, AS_STORED, "x"), as_tensor(expected))
    assert not recwarn.list


def test_cmyk_jpeg_is_not_inverted() -> None:
    content = encode(Image.fromarray(photo(64, 48)).convert("CMYK"), "JPEG", quality=100)
    difference = decode_image(content, AS_STORED, "x") - as_tensor(photo(64, 48))
    assert difference.abs().mean() < 0.05  # inverted, it would be near .5


@pytest.mark.parametrize("image_format", ["PNG", "TIFF", "PPM", "JPEG2000"])
@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bit_grey_is_scaled_not_clipped(image_format: str, channels: int) -> None:
    pixels = decode_image(hostile.grey16(image_format), Geometry(channels=channels), "x")
    expected = torch.from_numpy(hostile.ramp16().astype(np.float32) / 65535).expand(channels, -1, -1)
    torch.testing.assert_close(pixels, expected, rtol=0, atol=1e-7)


def test_sixteen_bit_grey_resizes_like_the_same_image_in_eight_bits() -> None:
    fine = photo(64, 48)[..., 0]
    sixteen = encode(Image.fromarray(fine.astype(np.uint16) * 257), "PNG")
    geometry = Geometry(size=(24, 24), resize=28)
    eight = decode_image(encode(Image.fromarray(fine), "PNG"), geometry, "x")
    difference = (decode_image(sixteen, geometry, "x") - eight).abs().max()
    assert 0 < difference <= 1.01 / 255  # finer than 8 bits, which round twice


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    upright = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, 1),
    }
    expected = as_tensor(np.ascontiguousarray(upright[orientation](photo())))
    assert torch.equal(decode_image(hostile.rotated(orientation), AS_STORED, "x"), expected)


def test_orientation_of_sixteen_bit_grey_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    content = encode(Image.fromarray(hostile.ramp16()), "PNG", exif=exif)
    assert decode_image(content, Geometry(channels=1), "x")[0, 0, 0] == 1


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_beside_sound_pixels_is_passed_over() -> None:
    content = hostile.broken_exif()
    expected = as_tensor(np.array(Image.open(io.BytesIO(content))))
    assert torch.equal(decode_image(content, AS_STORED, "x"), expected)


@pytest.mark.parametrize("image_format", ["GIF", "PNG", "WEBP", "TIFF", "MPO"])
def test_animated_images_give_their_first_frame(image_format: str) -> None:
    content = hostile.animated(image_format)
    stored = Image.open(io.BytesIO(content))
    assert stored.n_frames == 3
    assert torch.equal(decode_image(content, AS_STORED, "x"), as_tensor(np.array(stored.convert("RGB"))))


def test_a_larger_pixel_limit_of_the_user_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(BadImageError, match=r"more than the 100 that PIL\.Image.MAX_IMAGE_PIXELS allows"):
        decode_image(hostile.png(), AS_STORED, "x")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert decode_image(hostile.png(), AS_STORED, "x").shape == (3, SIZE[1], SIZE[0])


def test_pillow_images_and_their_files_give_the_same() -> None:
    content = encode(Image.fromarray(photo(64, 48)), "JPEG")
    geometry = Geometry(size=(20, 20), resize=24)
    opened = Image.open(io.BytesIO(content))
    assert torch.equal(decode_image(opened, geometry, "x"), decode_image(content, geometry, "x"))
    with pytest.raises(BadImageError, match="no pixels"):
        decode_image(Image.new("RGB", (0, 4)), AS_STORED, "x")


@pytest.mark.parametrize(
    ("geometry", "message"),
    [
        (Geometry(channels=4), "1 or 3 channels"),
        (Geometry(interpolation="cubic"), "bicubic"),
        (Geometry(antialias=False), "antialias"),
        (Geometry(size=(32, 32), resize=16), "at least 32 x 32 after resizing to 16"),
        (Geometry(size=(8, 40), resize=16), "at least 8 x 40"),
    ],
)
def test_geometry_that_files_cannot_follow_is_refused(geometry: Geometry, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        decode_image(hostile.png(), geometry, "x")
    assert not isinstance(caught.value, BadImageError)  # skipping images would not help


# (size, resize, interpolation) that models of both libraries use, and odd ones
GEOMETRIES = [
    ((224, 224), 256, "bilinear"),
    ((224, 224), 224, "bicubic"),
    ((240, 240), 274, "bicubic"),
    ((299, 299), 333, "bicubic"),
    ((32, 32), 36, "lanczos"),
    ((97, 97), 101, "box"),
    ((64, 80), 96, "nearest"),
]
SOURCES = [(288, 383), (500, 333), (97, 97), (225, 401)]  # height, width


@pytest.mark.parametrize(("size", "resize", "interpolation"), GEOMETRIES)
@pytest.mark.parametrize("source", SOURCES)
def test_torchvision_parity(size: tuple[int, int], resize: int, interpolation: str, source: tuple[int, int]) -> None:
    transforms = pytest.importorskip("torchvision.transforms")
    content = encode(Image.fromarray(photo(source[1], source[0])), "JPEG", quality=92)
    theirs = transforms.Compose(
        [
            transforms.Resize(resize, transforms.InterpolationMode(interpolation)),
            transforms.CenterCrop(size),
            transforms.ToTensor(),
        ]
    )(Image.open(io.BytesIO(content)).convert("RGB"))
    assert torch.equal(decode_image(content, Geometry(size, resize, interpolation), "x"), theirs)


@pytest.mark.parametrize("weights", ["ResNet50_Weights.IMAGENET1K_V2", "EfficientNet_B3_Weights.IMAGENET1K_V1"])
def test_torchvision_weights_transforms_parity(weights: str) -> None:
    models = pytest.importorskip("torchvision.models")
    preset = models.get_weight(weights).transforms()
    geometry = Geometry(
        (preset.crop_size[0],) * 2, preset.resize_size[0], preset.interpolation.value, antialias=bool(preset.antialias)
    )
    content = encode(Image.fromarray(photo(500, 375)), "JPEG")
    theirs = preset(Image.open(io.BytesIO(content)).convert("RGB"))
    mean, std = torch.tensor(preset.mean)[:, None, None], torch.tensor(preset.std)[:, None, None]
    torch.testing.assert_close((decode_image(content, geometry, "x") - mean) / std, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("size", "crop_pct", "crop_mode"), [(224, 0.875, "center"), (240, 0.9, "center"), (128, 1.0, "squash")]
)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_timm_parity(size: int, crop_pct: float, crop_mode: str, interpolation: str) -> None:
    timm_data = pytest.importorskip("timm.data")
    theirs = timm_data.create_transform(
        (3, size, size),
        interpolation=interpolation,
        crop_pct=crop_pct,
        crop_mode=crop_mode,
        mean=(0, 0, 0),
        std=(1, 1, 1),
    )
    scaled = int(size / crop_pct)
    geometry = Geometry((size, size), scaled if crop_mode == "center" else (scaled, scaled), interpolation)
    for height, width in SOURCES:
        content = encode(Image.fromarray(photo(width, height)), "JPEG")
        expected = theirs(Image.open(io.BytesIO(content)).convert("RGB"))
        assert torch.equal(decode_image(content, geometry, "x"), expected)


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="the sample of ImageNet (../shared/data) is not here")
def test_timm_parity_on_photographs() -> None:
    timm_data = pytest.importorskip("timm.data")
    theirs = timm_data.create_transform(
        (3, 224, 224), interpolation="bicubic", crop_pct=0.9, mean=(0, 0, 0), std=(1, 1, 1)
    )
    for path in sorted(SAMPLE.rglob("*.jpg"))[::50]:
        expected = theirs(Image.open(path).convert("RGB"))
        assert torch.equal(decode_image(path.read_bytes(), Geometry((224, 224), 248), path.name), expected)


def test_size_without_resize_resizes_both_sides() -> None:
    pixels = decode_image(hostile.png(), Geometry(size=(10, 12)), "x")
    expected = Image.fromarray(photo()).resize((12, 10), Image.Resampling.BICUBIC)
    assert torch.equal(pixels, as_tensor(np.array(expected)))


def test_settings_say_how_pixels_were_made() -> None:
    settings = decoder_settings(Geometry((224, 224), 256, "bilinear"))
    assert (settings["resize"], settings["resize_to"], settings["crop"]) == (256, "shorter side", [224, 224])
    assert (settings["interpolation"], settings["antialias"], settings["alpha"]) == ("bilinear", True, "dropped")
    assert settings["libjpeg"].count(".") >= 1
    assert decoder_settings(Geometry((8, 8)))["resize_to"] == "height, width"
    assert decoder_settings(AS_STORED)["interpolation"] is None


@pytest.mark.parametrize("orientation", range(1, 9))
def test_size_is_told_by_the_header_as_decoding_gives_it(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encode(Image.fromarray(photo(30, 20)), "JPEG", exif=exif)
    assert image_size(content, "x") == tuple(decode_image(content, AS_STORED, "x").shape[1:])
    assert image_size(content, "x") == ((20, 30) if orientation < 5 else (30, 20))


def test_size_of_what_is_no_image_is_named() -> None:
    with pytest.raises(BadImageError, match=r"a/b\.jpg: not an image that Pillow can read"):
        image_size(b"no image", "a/b.jpg")
