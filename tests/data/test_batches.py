"""Images of any data set in batches, and bands of equal energy from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import spectrobe as sb
from spectrobe.data.batches import image_batches
from spectrobe.errors import InputError
from spectrobe.seeding import seeded_order


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """70 images of noise, of two sizes, in no class folders."""
    for index in range(70):
        size = (40, 32) if index % 2 else (32, 40)
        noise = np.random.default_rng(index).integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{index:02d}.png")
    return tmp_path


def test_batches_hold_every_image_once_in_seeded_order(folder: Path) -> None:
    batches = list(image_batches(str(folder), 24, seed=3))
    assert [tuple(batch.shape) for batch in batches] == [(64, 3, 24, 24), (6, 3, 24, 24)]
    data = sb.open_data(folder, labelled=False)
    first = data.pixels(int(seeded_order(data.ids, 3)[0]), sb.open_model(lambda x: x, size=24).geometry)
    assert torch.equal(batches[0][0], first)


def test_equal_energy_takes_whatever_decompose_takes(folder: Path) -> None:
    images = torch.cat(list(image_batches(str(folder), 24)))
    wanted = sb.BandPartition.equal_energy(4, images)
    for data in (str(folder), folder, sb.open_data(folder, labelled=False)):
        assert sb.BandPartition.equal_energy(4, data, size=24) == wanted
    assert sb.BandPartition.equal_energy(4, (images.numpy(), None)) == wanted
    assert sb.BandPartition.equal_energy(4, images.numpy(), "radial").norm == "radial"
    dataset = torch.utils.data.TensorDataset(images, torch.zeros(len(images), dtype=torch.int64))
    assert sb.BandPartition.equal_energy(4, dataset) == wanted
    assert len(set(wanted.edges)) == 5 and wanted.edges[1] > 0.25  # noise has its energy where the bins are: high


@pytest.mark.parametrize("data, size, message", [
    ("nowhere", 24, "no such folder: 'nowhere'"),
    (None, None, "expected data to be"),
    ("FOLDER", None, "expected one size for all; .* give --size"),
    ("FOLDER", "huge", "expected a size such as 224"),
])  # fmt: skip
def test_data_without_images_of_one_size(data: object, size: object, message: str, folder: Path) -> None:
    with pytest.raises(InputError, match=message):
        sb.BandPartition.equal_energy(4, folder if data == "FOLDER" else data, size=size)  # type: ignore[arg-type]
