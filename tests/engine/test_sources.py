"""Fingerprints of images: of encoded bytes where there are any, of pixels elsewhere; a change of either is noticed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from spectrobe.data import ImageData, open_data, with_label_noise
from spectrobe.data.cached import CachedData, PixelCache
from spectrobe.data.pairs import CentrePatches, PairedData
from spectrobe.engine.absence import Donor, Surroundings
from spectrobe.engine.local import ImageLoader
from spectrobe.engine.sources import Sources
from spectrobe.models.base import Geometry
from tests.cli.calls import png
from tests.toys import NamedData, pixels

N, GEOMETRY = 4, Geometry()


def photographs(changed: int | None = None) -> list[np.ndarray]:
    """Small uint8 images; one of them may differ in one pixel."""
    draws = np.random.default_rng(0)
    images = [draws.integers(0, 255, (8, 8, 3)).astype(np.uint8) for _ in range(N)]
    if changed is not None:
        images[changed][0, 0, 0] ^= 1
    return images


def folder(root: Path, images: list[np.ndarray]) -> ImageData:
    root.mkdir(exist_ok=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(root / f"{number}.bmp")  # not compressed: every image has the same size
    return open_data(str(root), labelled=False)


def parquet(root: Path, images: list[np.ndarray]) -> ImageData:
    root.mkdir(exist_ok=True)
    table = pa.table({"image": [{"bytes": png(image), "path": None} for image in images], "label": list(range(N))})
    pq.write_table(table, root / "images.parquet")
    return open_data(f"parquet:{root}/images.parquet")


def hub(root: Path, images: list[np.ndarray]) -> ImageData:
    datasets = pytest.importorskip("datasets")
    encoded = {"image": [{"bytes": png(image), "path": None} for image in images], "label": list(range(N))}
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    return open_data(datasets.Dataset.from_dict(encoded, features=features))


def torch_dataset(root: Path, images: list[np.ndarray]) -> ImageData:
    return open_data([(Image.fromarray(image), number) for number, image in enumerate(images)])


def tensors(root: Path, images: list[np.ndarray]) -> ImageData:
    return open_data(torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2))


def own(root: Path, images: list[np.ndarray]) -> ImageData:
    """Somebody else's source, which says nothing about fingerprints."""
    x = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
    return NamedData(x, None, [str(i) for i in range(N)])


def cached(root: Path, images: list[np.ndarray]) -> ImageData:
    return CachedData(folder(root, images), PixelCache())


def noisy_labels(root: Path, images: list[np.ndarray]) -> ImageData:
    return with_label_noise(parquet(root, images), 0.5, n_classes=N)


def pairs(root: Path, images: list[np.ndarray]) -> ImageData:
    """The perturbed ones are those that may change."""
    root.mkdir(exist_ok=True)
    return PairedData(folder(root / "clean", photographs()), folder(root / "noisy", images))


def patches(root: Path, images: list[np.ndarray]) -> ImageData:
    return CentrePatches(folder(root, images), (4, 4))


SOURCES: list[Callable[[Path, list[np.ndarray]], ImageData]] = [
    folder, parquet, hub, torch_dataset, tensors, own, cached, noisy_labels, pairs, patches,
]  # fmt: skip


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.__name__)
def test_one_pixel_of_one_image_is_noticed(source: Any, tmp_path: Path) -> None:
    before = source(tmp_path, photographs())
    everything = list(range(N))
    at_hand = {p: before.pixels(p, GEOMETRY) for p in everything}
    recorded = Sources(before, GEOMETRY).of(everything, at_hand)
    assert list(recorded) == list(before.ids) and len(set(recorded.values())) == N
    assert Sources(before, GEOMETRY).changed([recorded]) == []  # the same without pixels at hand
    after = source(tmp_path, photographs(changed=2))
    assert Sources(after, GEOMETRY).changed([recorded]) == [before.ids[2]]


@pytest.mark.parametrize(
    "source", [folder, parquet, hub, cached, noisy_labels, pairs, patches], ids=lambda source: source.__name__
)
def test_nothing_is_decoded_where_there_are_bytes(source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = source(tmp_path, photographs())

    def fail(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("spectrobe.data.encoded.decode_image", fail)
    found = Sources(data, GEOMETRY).of(range(N), {})
    assert Sources(data, GEOMETRY).changed([found]) == []


def test_wrappers_are_known_by_what_they_wrap(tmp_path: Path) -> None:
    """A run may go on with them and without."""
    for plain, wrapped in ((folder, cached), (parquet, noisy_labels)):
        one, other = (make(tmp_path / plain.__name__, photographs()) for make in (plain, wrapped))
        assert Sources(one, GEOMETRY).of(range(N), {}) == Sources(other, GEOMETRY).of(range(N), {})


def test_images_that_cannot_be_read_are_known_as_such(tmp_path: Path) -> None:
    data = folder(tmp_path, photographs())
    (tmp_path / "1.bmp").unlink()
    recorded = Sources(data, GEOMETRY).of(range(N), {})
    assert recorded["1.bmp"] == "unreadable"
    assert Sources(data, GEOMETRY).changed([recorded]) == []
    folder(tmp_path, photographs())
    assert Sources(data, GEOMETRY).changed([recorded]) == ["1.bmp"]


def test_images_that_are_gone_are_changed() -> None:
    data = NamedData(pixels(3), None, "abc")
    recorded = Sources(data, GEOMETRY).of([0, 1, 2], {})
    assert Sources(NamedData(pixels(3), None, "abd"), GEOMETRY).changed([recorded]) == ["c"]


def test_counterparts_belong_to_their_image() -> None:
    data = NamedData(pixels(3), None, "abc")
    versions = dict.fromkeys("abc", "one")
    sources = Sources(data, GEOMETRY, counterparts=(versions.__getitem__, {**versions}.__getitem__))
    recorded = sources.of([0, 1, 2], {})
    assert len({len(fingerprint) for fingerprint in recorded.values()}) == 1
    versions["b"] = "other"
    assert sources.changed([recorded]) == ["b"]


def test_each_record_of_an_image_counts() -> None:
    """An image may have been a donor before it changed, and have been played after."""
    data = NamedData(pixels(3), None, "abc")
    sources = Sources(data, GEOMETRY)
    now = sources.of([0, 1], {})
    assert sources.changed([now, now]) == []
    assert sources.changed([{"a": "was another"}, now]) == ["a"]


def test_donors_are_recorded_also_those_that_could_not_be_read() -> None:
    x = pixels(8, (1, 4, 4))
    for bad in ((), ("1", "4", "6")):
        data = NamedData(x, None, [str(i) for i in range(8)], bad)
        loader = ImageLoader(data, GEOMETRY, on_bad_image="skip")
        donor = Donor({}, Surroundings(data.ids, loader.each, 0))
        images = donor.images(range(8), torch.Size((1, 4, 4)))
        for position in range(8):
            tried = donor.others([position])
            assert torch.equal(images[position], x[tried[-1]])
            assert all(data.ids[p] in bad for p in tried[:-1])
        recorded = Sources(data, GEOMETRY, donor.others).of([0, 2], {})
        assert set(recorded) == {"0", "2", *(data.ids[p] for p in donor.others([0, 2]))}
