"""Photos that are dropped in: what is taken, converted or refused, and what is kept."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from spectrobe.data import open_data
from spectrobe.errors import InputError
from spectrobe.explore.photos import Photos
from spectrobe.explore.session import Session
from spectrobe.models.base import Geometry
from tests.cli.calls import png
from tests.data import hostile
from tests.explore.conftest import SIDE


def rgb(seed: int, side: int = SIDE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (side, side, 3)).astype(np.uint8)


@pytest.mark.parametrize("case", sorted(set(hostile.BROKEN) - {"too-long-and-narrow"}))  # 16 px of it are few enough
def test_a_file_that_cannot_be_used_gets_one_sentence(session: Session, case: str) -> None:
    make, reason = hostile.BROKEN[case]
    with pytest.raises(InputError) as caught:
        session.photos.add(make())
    said = str(caught.value)
    assert said.startswith("This file cannot be used: ") and reason in said
    assert "--on-bad-image" not in said and "\n" not in said


@pytest.mark.parametrize(
    "content",
    [
        hostile.encode(Image.fromarray(hostile.photo()).convert("CMYK"), "TIFF"),
        hostile.animated("GIF"),
        hostile.png("L"),
        hostile.palette_with_transparency(),
        hostile.grey16("PNG"),
        hostile.rotated(6),
        hostile.broken_exif(),
    ],
    ids=["cmyk", "animated", "grey", "palette", "16-bit", "rotated", "broken-exif"],
)
def test_odd_files_become_photos(session: Session, content: bytes) -> None:
    photo = session.photos.add(content)
    assert photo.pixels.shape == (3, SIDE, SIDE)
    assert 0 <= float(photo.pixels.min()) < float(photo.pixels.max()) <= 1
    assert session.photos.get(photo.key) is photo


def test_of_an_animation_the_first_frame_is_taken(session: Session) -> None:
    frames = [Image.fromarray(rgb(seed)) for seed in range(3)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:])
    first = torch.from_numpy(rgb(0)).permute(2, 0, 1) / 255
    assert float((session.photos.add(buffer.getvalue()).pixels - first).abs().max()) < 1e-6


def test_the_same_file_is_kept_once_and_the_oldest_one_is_let_go(session: Session) -> None:
    first = session.photos.add(png(rgb(0)))
    assert session.photos.add(png(rgb(0))).key == first.key
    others = [session.photos.add(png(rgb(seed))) for seed in range(1, 16)]
    assert len({photo.key for photo in (first, *others)}) == 16
    assert session.photos.get(first.key).key == first.key  # looked at: no longer the oldest
    session.photos.add(png(rgb(16)))
    assert session.photos.get(first.key).key == first.key
    with pytest.raises(InputError, match="drop it in again"):
        session.photos.get(others[0].key)


def test_without_an_input_size_a_photo_must_be_as_large_as_the_data(session: Session) -> None:
    photos = Photos(open_data(torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(0))), Geometry())
    with pytest.raises(InputError, match=r"32 x 32 pixels, the data set's are 24 x 16.*start with --size"):
        photos.add(png(rgb(0, 32)))
    assert photos.add(png(rgb(0, 32)[:16, :24])).pixels.shape == (3, 16, 24)


def test_a_photo_of_the_data_set_has_its_id_and_label(session: Session) -> None:
    photo = session.photos.get(6)
    assert (photo.key, photo.id, photo.position, photo.label) == (6, "b/2.png", 6, 1)
    assert torch.equal(photo.pixels, session.data.pixels(6, session.model.geometry))
