"""Images to train on and to measure on: 8-bit, in order, and never the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spectrobe.engine.progress import Silent
from spectrobe.errors import InputError
from spectrobe.studies.training.images import Split, open_split

DRAWS = torch.Generator().manual_seed(0)
PIXELS = torch.randint(0, 256, (100, 3, 16, 16), generator=DRAWS, dtype=torch.uint8)
LABELS = torch.arange(100) % 4


def split(data: object, test: object = None, **more: object) -> Split:
    return open_split(data, test, progress=Silent(), **more)  # type: ignore[arg-type]


def test_a_fifth_is_held_out_and_pixels_stay_what_they_were() -> None:
    found = split((PIXELS, LABELS))
    assert (len(found.train), len(found.held_out), found.n_classes) == (80, 20, 4)
    assert not set(found.train.ids) & set(found.held_out.ids)
    for images in (found.train, found.held_out):
        places = [int(name) for name in images.ids]
        assert torch.equal(images.pixels, PIXELS[places]) and torch.equal(images.labels, LABELS[places])
    assert found.order.tolist() == [int(name) for name in found.held_out.ids]


def test_fewer_images_are_some_of_the_same() -> None:
    few, many = split((PIXELS, LABELS), images=30), split((PIXELS, LABELS))
    assert few.train.ids == many.train.ids[:30] and few.held_out.ids == many.held_out.ids


def test_test_images_among_the_training_images_are_refused() -> None:
    other = torch.cat([255 - PIXELS[:40], PIXELS[7:8]])
    with pytest.raises(InputError, match=r"1 of the images to measure on are among those to train on.*which is 7 of"):
        split((PIXELS, LABELS), (other, torch.arange(41) % 4))


def test_images_that_repeat_a_held_out_one_are_left_out_and_counted() -> None:
    doubled = torch.cat([PIXELS, PIXELS])
    found = split((doubled, torch.cat([LABELS, LABELS])))
    assert not set(found.train.digests) & set(found.held_out.digests)
    assert len(found.train) < 160 and f"{160 - len(found.train)} images were left out" in found.notes[0]


@pytest.mark.parametrize(
    "data, more, said",
    [
        ((PIXELS, None), {}, "no labels"),
        ((PIXELS[:30], LABELS[:30]), {}, "at least 40 images"),
        ((PIXELS, torch.zeros(100, dtype=torch.int64)), {}, "all of one class"),
        ((PIXELS[..., :4, :4], LABELS), {}, "at least 8 x 8 pixels"),
        ((PIXELS, LABELS), {"images": 90}, "expected 20 to 80 images"),
        ((PIXELS, LABELS), {"size": 12}, "in memory, which are taken as they are: leave size=12 away"),
        ((PIXELS, LABELS), {"test": (PIXELS[:40, :, :8, :8], LABELS[:40])}, "images of one size"),
    ],
)
def test_refused(data: object, more: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        split(data, **more)


def test_statistics_are_of_pixels_between_0_and_1() -> None:
    mean, std = split((PIXELS, LABELS)).train.statistics
    assert np.allclose(mean, 0.5, atol=0.02) and np.allclose(std, 0.29, atol=0.02)
