"""Images decoded once for several models."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import spectrobe as sb
from spectrobe.bands import BandPartition
from spectrobe.data import open_data
from spectrobe.data.base import ImageData
from spectrobe.data.cached import BandCache, CachedData, PixelCache
from spectrobe.errors import BadImageError
from spectrobe.models.base import Geometry
from spectrobe.spectrum import BandMixer
from tests.toys import PLAIN, labels_of, linear, pixels

SMALL, LARGE = Geometry((8, 8), 8), Geometry((16, 16), 16)


class Decoding(ImageData):
    """Four images that count how often each is decoded; the last cannot be, and 8-bit ones are `exact`."""

    name, ids, labels = "decoding", ("a", "b", "c", "torn"), np.arange(4)

    def __init__(self, exact: bool = True) -> None:
        self.exact, self.calls = exact, []

    def pixels(self, index: int, geometry: Geometry) -> Tensor:
        self.calls.append((index, geometry))
        if index == 3:
            raise BadImageError("torn", "planted")
        assert geometry.size is not None
        draws = torch.Generator().manual_seed(index)
        pixels = torch.randint(0, 256, (3, *geometry.size), generator=draws).float() / 255
        return pixels if self.exact else pixels * 0.999

    def identity(self) -> Mapping[str, Any]:
        return {"name": self.name, "digest": "d"}

    def loader_settings(self, geometry: Geometry) -> Mapping[str, Any]:
        return {"size": geometry.size}


@pytest.mark.parametrize("exact", [True, False])
def test_pixels_are_the_same_to_the_bit_and_decoded_once_a_geometry(exact: bool) -> None:
    data, cache = Decoding(exact), PixelCache()
    first, second = CachedData(data, cache), CachedData(data, cache)
    for geometry in (SMALL, LARGE):
        for index in range(3):
            own = data.pixels(index, geometry)
            data.calls.clear()
            one, other = first.pixels(index, geometry), second.pixels(index, geometry)
            assert torch.equal(one, own) and torch.equal(other, own) and other.dtype == torch.float32
            assert data.calls == [(index, geometry)]
            other.zero_()  # a model may write into what it is given
            assert torch.equal(first.pixels(index, geometry), own)
    assert (cache.decoded, cache.reused) == (6, 12)
    values = 3 * 3 * (8 * 8 + 16 * 16)
    assert cache.bytes == values * (1 if exact else 4)


def test_beyond_its_bytes_it_decodes_anew() -> None:
    data, cache = Decoding(), PixelCache(most_bytes=400)
    images = CachedData(data, cache)
    for _ in range(2):
        for index in range(3):
            assert torch.equal(images.pixels(index, SMALL), Decoding().pixels(index, SMALL))
    assert cache.bytes == 2 * 192 and len(data.calls) == 4  # two of three are kept


def test_a_bad_image_is_bad_again_without_being_read_again() -> None:
    data = Decoding()
    images = CachedData(data, PixelCache())
    for _ in range(2):
        with pytest.raises(BadImageError, match="image torn: planted"):
            images.pixels(3, SMALL)
    assert len(data.calls) == 1


class TestBands:
    def test_they_are_cut_once_for_the_same_images_absence_and_bands(self) -> None:
        cache, x, bands = BandCache(), torch.rand(2, 3, 8, 8), BandPartition.square(3)
        own = BandMixer(x, torch.zeros(3, 8, 8), bands).parts
        for _ in range(2):
            assert torch.equal(BandMixer(x.clone(), torch.zeros(3, 8, 8), bands, cache).parts, own)
        assert (cache.cut, cache.reused, cache.bytes) == (1, 1, own.nbytes)
        for other in (
            (x + 0.1, torch.zeros(3, 8, 8), bands),
            (x, torch.ones(3, 8, 8), bands),
            (x, torch.zeros(3, 8, 8), BandPartition.radial(3)),
            (x[:1], torch.zeros(3, 8, 8), bands),
        ):
            assert torch.equal(BandMixer(*other, cache).parts, BandMixer(*other).parts)
        assert (cache.cut, cache.reused) == (5, 1)

    def test_beyond_its_bytes_they_are_cut_anew(self) -> None:
        cache, x, bands = BandCache(most_bytes=4 * 4 * 192), torch.rand(2, 3, 8, 8), BandPartition.square(3)
        for _ in range(2):
            for image in (x[:1], x[1:]):
                BandMixer(image, torch.zeros(3, 8, 8), bands, cache)
        assert (cache.cut, cache.reused, cache.bytes) == (3, 1, 4 * 4 * 192)

    def test_another_process_begins_without_any(self) -> None:
        cache = BandCache(most_bytes=10**6)
        BandMixer(torch.rand(1, 3, 8, 8), torch.zeros(3, 8, 8), BandPartition.square(3), cache)
        assert pickle.loads(pickle.dumps(cache)) == BandCache(most_bytes=10**6)

    @pytest.mark.parametrize("absence", ["mean", "donor"])
    def test_a_second_model_cuts_none_and_finds_what_it_finds_alone(self, absence: str) -> None:
        x = pixels(12)
        cache = PixelCache()
        for seed in (1, 2):
            model, settings = linear(seed=seed), {**PLAIN, "absence": absence}
            data = CachedData(open_data((x, labels_of(linear(), x)), n_classes=4), cache)
            found = sb.decompose(model, data, **settings)
            alone = sb.decompose(model, (x, labels_of(linear(), x)), **settings)
            assert np.array_equal(found.shapley, alone.shapley)
            if seed == 1:
                cut = cache.bands.cut
        assert cache.bands.cut == cut > 0 and cache.bands.reused >= cut


def test_everything_else_is_the_data_sets_own() -> None:
    data = Decoding()
    images = CachedData(data, PixelCache())
    assert (images.name, images.ids, len(images)) == ("decoding", data.ids, 4)
    assert images.labels is data.labels and images.identity() == data.identity()
    assert images.loader_settings(LARGE) == {"size": (16, 16)} and images.in_memory
