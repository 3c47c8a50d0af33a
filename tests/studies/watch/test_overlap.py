"""Images to measure on that are among the training images are found by their content."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from spectrobe.errors import InputError
from spectrobe.studies.watch.overlap import TWICE, Comparison, pixels_of, refuse_overlap
from tests.integrations.nets import MEAN, STD, Images, generators, held_out


def loader(dataset: Any) -> DataLoader[Any]:
    return DataLoader(dataset, batch_size=4, shuffle=True)


def test_an_image_that_is_trained_on_is_refused() -> None:
    x, _ = held_out()
    train = Images(30, augment=False)
    assert refuse_overlap(x, loader(train), MEAN, STD) == Comparison(
        ("30 of 30 training images compared, none is among those to measure on",), ()
    )
    train.x[17] = x[5]
    with pytest.raises(InputError, match="image 5 of those to measure on is training image 17, by its content"):
        refuse_overlap(x, loader(train), MEAN, STD)


@pytest.mark.parametrize("form", ["plain", "normalised", "uint8", "subset", "dict", "list"])
def test_in_whatever_form_training_images_come(form: str) -> None:
    levels = (held_out()[0] * 255).round()
    x, normalised = levels / 255, (levels / 255 - MEAN) / STD
    y = torch.zeros(len(x), dtype=torch.int64)
    loaders: Any = {
        "plain": loader(TensorDataset(x, y)),
        "normalised": loader(TensorDataset(normalised, y)),
        "uint8": loader(TensorDataset(levels.to(torch.uint8), y)),
        "subset": loader(Subset(TensorDataset(x, y), [8, 3])),
        "dict": {"a": loader(TensorDataset(1 - x, y)), "b": loader([{"labels": 0, "pixel_values": x[2]}])},
        "list": [loader(TensorDataset(1 - x, y)), loader(TensorDataset(x))],
    }[form]
    with pytest.raises(InputError, match="by its content"):
        refuse_overlap(x, loaders, MEAN, STD)


def test_images_that_files_were_decoded_to() -> None:
    levels = (held_out()[0][0] * 255).round().to(torch.uint8)
    picture = Image.fromarray(levels.permute(1, 2, 0).numpy())
    found = pixels_of({"image": picture, "label": 3})
    assert found is not None and torch.equal(found, levels)
    assert pixels_of((np.zeros((3, 4, 4), dtype=np.float32), 1)).shape == (3, 4, 4)
    assert pixels_of({"label": 3}) is None and pixels_of(4) is None


def test_fetching_leaves_no_trace() -> None:
    before = generators()
    refuse_overlap(held_out()[0], loader(Images(20)), MEAN, STD)
    assert generators() == before


class Numbered(Dataset[Tensor]):
    def __init__(self) -> None:
        self.fetched: list[int] = []

    def __len__(self) -> int:
        return 1000

    def __getitem__(self, index: int) -> Tensor:
        self.fetched.append(index)
        return torch.full((3, 16, 16), index / 1000)


def test_large_sets_are_compared_in_part_and_it_says_so() -> None:
    dataset = Numbered()
    found = refuse_overlap(held_out()[0], loader(dataset), most=50)
    assert found.told == ("50 of 1,000 training images compared, none is among those to measure on",)
    assert dataset.fetched[2 * TWICE :] == list(range(0, 1000, 20)) and not found.warnings
    assert dataset.fetched[: 2 * TWICE : 2] == dataset.fetched[1 : 2 * TWICE : 2]  # twice, spread over all
    assert dataset.fetched[2 * TWICE - 1] > 900


class Stream(IterableDataset[Tensor]):
    def __iter__(self) -> Iterator[Tensor]:
        return iter([torch.zeros(3, 16, 16)])


UNCHECKED = "whether images to measure on are among the training images could not be checked: "


def unchecked(found: Comparison) -> str:
    """The one reason why nothing was checked; that none is among them is not claimed."""
    assert not found.told
    [warning] = found.warnings
    assert warning.startswith(UNCHECKED)
    return warning.removeprefix(UNCHECKED)


def test_what_cannot_be_compared_is_a_warning() -> None:
    x = held_out()[0]
    assert unchecked(refuse_overlap(x, DataLoader(Stream()))) == "those of Stream have no numbers to fetch them by"
    assert unchecked(refuse_overlap(x, None)) == "no training images were found"
    sizes = TensorDataset(torch.rand(6, 3, 20, 20))
    assert unchecked(refuse_overlap(x, loader(sizes))) == (
        "0 of 6 could be compared ((3, 20, 20) instead of (3, 16, 16))"
    )
    said = unchecked(refuse_overlap(x, loader([{"label": 3}])))
    assert said == "0 of 1 could be compared (no image in what is fetched)"
    said = unchecked(refuse_overlap(x, loader(TensorDataset((x - 0.5) * 4))))  # normalised by nobody knows what
    assert said.startswith("0 of 40 could be compared (not pixels in [0, 1]")


class Flipped(Dataset[Tensor]):
    """Images that are mirrored or not by chance, as is usual in training."""

    def __init__(self, x: Tensor) -> None:
        self.x = x

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> Tensor:
        return self.x[index].flip(-1) if torch.rand(()) < 0.5 else self.x[index]


def test_random_transforms_are_no_assurance() -> None:
    x = held_out()[0]
    said = unchecked(refuse_overlap(x, loader(Flipped(1 - x))))
    assert said.startswith("two fetches of a training image give two images (random transforms)")
    with pytest.raises(InputError, match="by its content"):  # what is seen unchanged is refused all the same
        refuse_overlap(x, loader(Flipped(x)))
    several = [loader(Flipped(1 - x)), loader(TensorDataset(1 - x))]
    found = refuse_overlap(x, several)
    assert len(found.warnings) == 1 and found.told[0].startswith("40 of 40")
