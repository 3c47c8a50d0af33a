"""Fourier basis vectors and their norm after clipping, against numpy's full-plane FFT."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spectrobe.studies.response.basis import (
    axis,
    basis_vectors,
    full_plane,
    half_plane_frequencies,
    with_norm,
)

SIZES = [(8, 8), (7, 9), (6, 9), (9, 6)]


@pytest.mark.parametrize("size", SIZES)
def test_the_half_plane_holds_one_of_each_pair(size: tuple[int, int]) -> None:
    height, width = size
    found = [tuple(k) for k in half_plane_frequencies(height, width).tolist()]
    pairs = {frozenset([(y % height, x % width), (-y % height, -x % width)]) for y, x in found}
    assert len(pairs) == len(found)
    assert {one for pair in pairs for one in pair} == {(y, x) for y in range(height) for x in range(width)}


def test_every_second_frequency() -> None:
    found = half_plane_frequencies(8, 8, 2)
    assert (found % 2 == 0).all() and len(found) == (16 - 4) / 2 + 4  # of the 4 x 4, four are their own partners
    assert [0, 0] in found.tolist() and [4, 4] in found.tolist()


@pytest.mark.parametrize("size", SIZES)
def test_a_vector_has_its_frequency_alone_and_norm_1(size: tuple[int, int]) -> None:
    frequencies = half_plane_frequencies(*size)
    vectors = basis_vectors(frequencies, 3, size, "a", 0).double().numpy()
    np.testing.assert_allclose(np.sqrt((vectors**2).sum((1, 2, 3))), 1, rtol=1e-6)
    energy = np.abs(np.fft.fft2(vectors)) ** 2
    for (k_y, k_x), one in zip(frequencies, energy, strict=True):
        rows, columns = [k_y % size[0], -k_y % size[0]], [k_x % size[1], -k_x % size[1]]
        own = {(rows[0], columns[0]), (rows[1], columns[1])}
        inside = sum(float(one[:, y, x].sum()) for y, x in own)
        assert inside == pytest.approx(size[0] * size[1], rel=1e-5)  # Parseval: all of it
        assert float(one.sum()) == pytest.approx(inside, rel=1e-5)


def test_signs_are_drawn_by_seed_image_and_frequency_alone() -> None:
    frequencies = half_plane_frequencies(8, 8)
    all_at_once = basis_vectors(frequencies, 3, (8, 8), "a", 0)
    assert torch.equal(basis_vectors(frequencies[5:7], 3, (8, 8), "a", 0), all_at_once[5:7])
    grey = {tuple(v.sign().unique().tolist()) for v in all_at_once[:, :, 0, 0]}
    assert len(grey) > 1  # channels do not all share their sign
    for changed in (basis_vectors(frequencies, 3, (8, 8), "b", 0), basis_vectors(frequencies, 3, (8, 8), "a", 1)):
        assert not torch.equal(changed, all_at_once)


def test_the_norm_after_clipping_is_the_one_stated() -> None:
    image = torch.rand(3, 12, 12, generator=torch.Generator().manual_seed(0))
    directions = basis_vectors(half_plane_frequencies(12, 12), 3, (12, 12), "a", 0)
    images, delivered = with_norm(image, directions, 3.0)
    recomputed = (images.double() - image.double()).flatten(1).norm(dim=1).numpy()
    np.testing.assert_allclose(delivered, recomputed, rtol=1e-5)
    np.testing.assert_allclose(delivered, 3.0, rtol=2e-4)
    assert float(images.min()) >= 0 and float(images.max()) <= 1
    unclipped = (image + 3.0 * directions).clamp(0, 1) - image
    assert float(unclipped.flatten(1).norm(dim=1).max()) < 2.9  # it took more than adding and clipping


def test_an_image_without_room_takes_what_it_can() -> None:
    image = torch.ones(1, 8, 8)
    images, delivered = with_norm(image, basis_vectors(np.asarray([[0, 4]]), 1, (8, 8), "a", 0), 6.0)
    assert delivered[0] == pytest.approx(np.sqrt(32), rel=1e-6)  # half of its pixels can go from 1 to 0
    assert sorted(images.unique().tolist()) == [0.0, 1.0]


def test_both_halves_of_the_plane_are_laid_out() -> None:
    frequencies = half_plane_frequencies(8, 6, 2)
    values = np.arange(len(frequencies)).astype(float)
    plane = full_plane(frequencies, values, (8, 6), 2)
    assert plane.shape == (len(axis(8, 2)), len(axis(6, 2))) == (5, 3)
    np.testing.assert_array_equal(plane, plane[::-1, ::-1])
    assert not np.isnan(plane).any()
    at = frequencies.tolist().index([2, 2]) if [2, 2] in frequencies.tolist() else frequencies.tolist().index([-2, -2])
    assert plane[3, 2] == plane[1, 0] == at
