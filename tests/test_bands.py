from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from spectrobe import equal_energy
from spectrobe.bands import DC, BandPartition
from spectrobe.errors import InputError
from spectrobe.frequency_plane import Norm, half_plane_weights, radii

SIDE = st.integers(1, 40)
COUNT = st.integers(1, 12)
DCS = st.sampled_from(["in-band", "own"])
NORMS = st.sampled_from(["square", "radial"])


@st.composite
def partitions(draw: st.DrawFn) -> BandPartition:
    """Any partition that needs no data: every scheme, both norms, the mean in a band or apart."""
    scheme, dc, norm = draw(st.sampled_from(["square", "radial", "octaves", "edges"])), draw(DCS), draw(NORMS)
    if scheme == "square":
        return BandPartition.square(draw(COUNT), dc)
    if scheme == "radial":
        return BandPartition.radial(draw(COUNT), dc)
    if scheme == "octaves":
        return BandPartition.octaves(draw(st.integers(1, 6)), norm, dc)
    inner = draw(st.lists(st.floats(0.01, 0.99), max_size=5, unique=True))
    return BandPartition.from_edges([0, *sorted(inner), 1], norm, dc)


def full_labels(partition: BandPartition, height: int, width: int) -> np.ndarray:
    """Band of every bin of the full plane, from the half plane and k -> -k."""
    half = partition.labels(height, width).numpy()
    k_y, k_x = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    mirrored = k_x > width // 2
    return half[np.where(mirrored, -k_y % height, k_y), np.where(mirrored, width - k_x, k_x)]


def full_radii(norm: Norm, height: int, width: int) -> np.ndarray:
    """r of every bin of the full plane, from numpy's own frequencies."""
    r_y, r_x = (np.abs(np.fft.fftfreq(n)) * 2 for n in (height, width))
    both = np.stack(np.broadcast_arrays(r_y[:, None], r_x[None, :]))
    return both.max(0) if norm == "square" else np.sqrt((both**2).sum(0))


def expected_labels(partition: BandPartition, height: int, width: int) -> np.ndarray:
    """The same, straight from the definition on the full plane: r and the edges."""
    r = full_radii(partition.norm, height, width)
    out = np.zeros((height, width), dtype=int)
    for edge in partition.edges[1:-1]:
        out += r >= edge - 1e-12
    if partition.dc == "own":
        out += 1
        out[0, 0] = 0
    return out


class TestEveryPartition:
    @given(partitions(), SIDE, SIDE)
    def test_every_bin_is_in_one_band_and_no_band_is_empty_or_an_error_is_raised(
        self, partition: BandPartition, height: int, width: int
    ) -> None:
        expected = expected_labels(partition, height, width)
        empty = set(range(partition.n_bands)) - set(np.unique(expected))
        if empty:
            with pytest.raises(InputError, match="empty on images of") as raised:
                partition.labels(height, width)
            assert str(min(empty)) in str(raised.value)
            return
        labels = partition.labels(height, width)
        assert labels.shape == (height, width // 2 + 1)
        assert labels.dtype == torch.int64
        np.testing.assert_array_equal(full_labels(partition, height, width), expected)

    @given(partitions(), SIDE, SIDE)
    def test_k_and_minus_k_share_a_band(self, partition: BandPartition, height: int, width: int) -> None:
        labels = _labels_or_reject(partition, height, width)
        full = full_labels(partition, height, width)
        np.testing.assert_array_equal(full, np.roll(full[::-1, ::-1], (1, 1), axis=(0, 1)))
        # the first column, and the last one of even widths, hold both k and -k
        for column in [0] + [-1] * (width % 2 == 0):
            torch.testing.assert_close(labels[1:, column], labels[1:, column].flip(0))

    @given(partitions(), SIDE, SIDE)
    def test_bins_count_the_full_plane(self, partition: BandPartition, height: int, width: int) -> None:
        _labels_or_reject(partition, height, width)
        bins = partition.bins(height, width)
        assert int(bins.sum()) == height * width
        expected = np.bincount(expected_labels(partition, height, width).ravel(), minlength=partition.n_bands)
        np.testing.assert_array_equal(bins.numpy(), expected)

    @given(partitions(), SIDE, SIDE)
    def test_mean_frequency_is_that_of_the_full_plane_without_the_mean(
        self, partition: BandPartition, height: int, width: int
    ) -> None:
        _labels_or_reject(partition, height, width)
        labels = expected_labels(partition, height, width)
        f = np.hypot(*np.meshgrid(np.fft.fftfreq(height), np.fft.fftfreq(width), indexing="ij"))
        f[0, 0] = np.nan
        found = partition.mean_frequency(height, width)
        for band in range(partition.n_bands):
            inside = f[labels == band]
            expected = np.nanmean(inside) if np.isfinite(inside).any() else np.nan
            np.testing.assert_allclose(found[band], expected, rtol=1e-12)

    @given(partitions())
    def test_a_description_gives_an_equal_partition(self, partition: BandPartition) -> None:
        assert BandPartition.from_dict(partition.to_dict()) == partition
        assert partition.n_bands == len(partition.edges) - 1 + (partition.dc == "own")

    @given(partitions(), SIDE, SIDE)
    def test_labels_are_the_callers_own(self, partition: BandPartition, height: int, width: int) -> None:
        labels = _labels_or_reject(partition, height, width)
        kept = labels.clone()
        labels.fill_(-1)
        torch.testing.assert_close(partition.labels(height, width), kept)


class TestSquare:
    @given(COUNT, st.integers(1, 64), st.integers(1, 64))
    def test_linear_edges_are_decided_in_integers(self, n_bands: int, height: int, width: int) -> None:
        partition = BandPartition.square(n_bands)
        _labels_or_reject(partition, height, width)
        full = full_labels(partition, height, width)
        for k_y in range(height):
            for k_x in range(width):
                y, x = min(k_y, height - k_y), min(k_x, width - k_x)
                expected = max(min(n_bands - 1, 2 * k * n_bands // n) for k, n in ((y, height), (x, width)))
                assert full[k_y, k_x] == expected

    def test_eight_bands_at_224_pixels(self) -> None:
        # sides of the squares of |k| < 14 i: 2 * 14 i - 1 bins, and all 224 for the last
        sides = np.array([0, *(28 * i - 1 for i in range(1, 8)), 224])
        np.testing.assert_array_equal(BandPartition.square(8).bins(224, 224).numpy(), np.diff(sides**2))

    def test_edges_in_cycles_per_pixel(self) -> None:
        np.testing.assert_allclose(
            BandPartition.square(4).cycles_per_pixel(), [[0, 0.125], [0.125, 0.25], [0.25, 0.375], [0.375, 0.5]]
        )
        np.testing.assert_allclose(BandPartition.square(2, "own").cycles_per_pixel(), [[0, 0], [0, 0.25], [0.25, 0.5]])


class TestRadial:
    @given(st.integers(2, 40), st.integers(2, 40), st.integers(1, 6))
    def test_corners_are_in_the_last_band(self, height: int, width: int, n_bands: int) -> None:
        partition = BandPartition.radial(n_bands)
        labels = _labels_or_reject(partition, height, width)
        corners = radii("radial", height, width) >= 1
        assert bool((labels[corners] == n_bands - 1).all())

    def test_rings_are_euclidean(self) -> None:
        labels = BandPartition.radial(4).labels(32, 32)
        assert labels[3, 2] == 0  # hypot(3, 2) = 3.6 < 4
        assert labels[3, 3] == 1  # 4.2, while its larger axis is below 4
        assert labels[12, 9] == 3  # 15: in the last ring; the larger axis alone is at its lower edge
        assert BandPartition.square(4).labels(32, 32)[3, 3] == 0


class TestOtherSchemes:
    def test_octaves_halve_downwards_from_nyquist(self) -> None:
        assert BandPartition.octaves(4).edges == (0, 0.125, 0.25, 0.5, 1)
        assert BandPartition.octaves(1).edges == (0, 1)

    def test_user_edges_are_fractions_of_nyquist(self) -> None:
        partition = BandPartition.from_edges([0, 0.1, 0.3, 1])
        np.testing.assert_array_equal(partition.bins(20, 20), [1, 24, 375])  # |k| < 1, < 3 of 10
        radial = BandPartition.from_edges([0, 0.1, 0.3, 1], norm="radial")
        np.testing.assert_array_equal(radial.bins(20, 20), [1, 24, 375])  # 25 bins have hypot(k) < 3

    def test_the_mean_has_a_band_of_its_own(self) -> None:
        apart, together = BandPartition.square(4, "own"), BandPartition.square(4)
        assert apart.n_bands == 5
        bins = apart.bins(16, 16)
        assert bins[0] == 1
        assert bins[1] == together.bins(16, 16)[0] - 1
        np.testing.assert_array_equal(bins[2:], together.bins(16, 16)[1:])

    @given(st.sampled_from([8, "8", "square:8", "radial:3", "octaves:5", "edges:0,.1,.3,1"]))
    def test_what_users_write(self, written: int | str) -> None:
        expected = {
            "radial:3": BandPartition.radial(3),
            "octaves:5": BandPartition.octaves(5),
            "edges:0,.1,.3,1": BandPartition.from_edges([0, 0.1, 0.3, 1]),
        }.get(str(written), BandPartition.square(8))
        assert BandPartition.of(written) == expected
        assert BandPartition.of(expected) is expected

    @pytest.mark.parametrize(
        ("partition", "written"),
        [
            (BandPartition.square(8), "square:8"),
            (BandPartition.radial(3, "own"), "radial:3:dc"),
            (BandPartition.from_edges([0, 0.25, 1], "radial"), "edges:0,0.25,1:radial"),
        ],
    )
    def test_shown_as(self, partition: BandPartition, written: str) -> None:
        assert str(partition) == written


def power_law(n: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Images with an amplitude spectrum that falls like photographs' do."""
    noise = torch.randn(n, 1, height, width, generator=torch.Generator().manual_seed(seed))
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(height), np.fft.rfftfreq(width), indexing="ij"))
    f[0, 0] = 1.0
    return torch.fft.irfft2(torch.fft.rfft2(noise) / torch.from_numpy(f).float(), s=(height, width))


class TestEqualEnergy:
    @pytest.mark.parametrize("norm", ["square", "radial"])
    @pytest.mark.parametrize(("height", "width"), [(64, 64), (63, 48)])
    def test_shares_are_equal_to_the_nearest_radius(self, norm: Norm, height: int, width: int) -> None:
        images = torch.rand(
            16, 2, height, width, generator=torch.Generator().manual_seed(0)
        )  # white: many radii a band
        partition = BandPartition.equal_energy(4, images, norm)
        power = np.square(np.abs(np.fft.fft2(images.double().numpy()))).sum((0, 1))
        power[0, 0] = 0  # the mean is left out
        r = full_radii(norm, height, width)

        def share_below(edge: float) -> float:
            return float(power[r < edge - 1e-12].sum() / power.sum())

        possible = [share_below(float(edge)) for edge in np.unique(r.round(12))[2:]]
        for i, edge in enumerate(partition.edges[1:-1], start=1):
            assert share_below(edge) == pytest.approx(i / 4, abs=0.05)  # the largest radius holds 9 %
            assert abs(share_below(edge) - i / 4) <= min(abs(share - i / 4) for share in possible) + 1e-9

    def test_takes_a_pair_of_images_and_labels(self) -> None:
        images = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
        assert BandPartition.equal_energy(3, (images, torch.zeros(4))) == BandPartition.equal_energy(3, images)

    def test_too_few_radii_name_a_number_that_works_and_the_next_does_not(self) -> None:
        images = power_law(8, 32, 32)
        with pytest.raises(InputError, match="ask for") as raised:
            BandPartition.equal_energy(12, images)
        works = int(re.findall(r"ask for (\d+)", str(raised.value))[0])
        assert BandPartition.equal_energy(works, images).bins(32, 32).min() > 0
        assert 1 < works < 12
        for more in range(works + 1, 12):
            with pytest.raises(InputError, match=f"ask for {works}"):
                BandPartition.equal_energy(more, images)

    def test_a_band_is_never_the_mean_alone(self) -> None:
        # one ring has nearly all the energy: the mean (r = 0) must not pass as a band with share 0
        images = torch.cos(torch.arange(16) * (2 * math.pi / 16)).expand(1, 1, 16, 16)
        images = images + 1e-2 * torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
        partition = BandPartition.equal_energy(2, images, dc="own")
        assert partition.bins(16, 16).min() > 0
        assert partition.edges == (0, 0.25, 1)

    @pytest.mark.parametrize("data", [torch.rand(3, 8, 8), "photos", torch.rand(0, 3, 8, 8), None])
    def test_refuses_what_is_no_batch_of_images(self, data: object, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(equal_energy, "open_images", None)  # as where the geometry alone is imported
        with pytest.raises(InputError, match="expected images"):
            BandPartition.equal_energy(4, data)

    def test_refuses_flat_images(self) -> None:
        with pytest.raises(InputError, match="flat"):
            BandPartition.equal_energy(2, torch.full((2, 1, 8, 8), 0.5))


class TestTooManyBands:
    @given(st.sampled_from(["square", "radial", "octaves"]), st.integers(2, 60), SIDE, SIDE, DCS, NORMS)
    def test_the_named_number_works_and_no_larger_one_does(
        self, scheme: str, n_bands: int, height: int, width: int, dc: DC, norm: Norm
    ) -> None:
        def make(count: int) -> BandPartition:
            return (
                BandPartition.octaves(count, norm, dc)
                if scheme == "octaves"
                else getattr(BandPartition, scheme)(count, dc)
            )

        def works(count: int) -> bool:
            partition = make(count)
            return len(np.unique(expected_labels(partition, height, width))) == partition.n_bands

        assume(not works(n_bands))
        with pytest.raises(InputError) as raised:
            make(n_bands).labels(height, width)
        message = str(raised.value)
        largest = max((count for count in range(1, 61) if works(count)), default=None)
        if largest is None:
            assert "no number of bands works" in message
            return
        assert f"the largest number of {scheme} bands that works is {largest}" in message
        make(largest).labels(height, width)
        with pytest.raises(InputError):
            make(largest + 1).labels(height, width)
        if largest > n_bands:  # at some sizes fewer fail where more work
            below = max(count for count in range(1, n_bands) if works(count))
            assert f"the largest below {n_bands} is {below}" in message

    def test_user_edges_too_close_say_so(self) -> None:
        with pytest.raises(InputError, match=r"band\(s\) 1 empty on images of 8 x 8 .* further apart"):
            BandPartition.from_edges([0, 0.1, 0.2, 1]).labels(8, 8)


class TestBadInput:
    @pytest.mark.parametrize(
        "edges", [[], [0], [0, 0.5], [0.1, 1], [0, 0.5, 0.5, 1], [0, 0.7, 0.3, 1], [0, math.nan, 1], [0, 1.5, 1]]
    )
    def test_edges_that_do_not_rise_from_0_to_1(self, edges: list[float]) -> None:
        with pytest.raises(InputError, match="rise from 0 to 1"):
            BandPartition.from_edges(edges)

    @pytest.mark.parametrize(
        "written", ["", "square", "radial:x", "octaves:", "edges:", "edges:0,a,1", "rings:4", None, 2.5, True]
    )
    def test_what_is_no_partition(self, written: object) -> None:
        with pytest.raises(InputError, match="expected bands such as 8"):
            BandPartition.of(written)  # type: ignore[arg-type]

    @pytest.mark.parametrize("n_bands", [0, -1])
    def test_no_bands(self, n_bands: int) -> None:
        for make in (BandPartition.square, BandPartition.radial, BandPartition.octaves, BandPartition.of):
            with pytest.raises(InputError, match="at least 1"):
                make(n_bands)

    def test_unknown_norm_dc_and_size(self) -> None:
        with pytest.raises(InputError, match="norm"):
            BandPartition.from_edges([0, 1], norm="hexagonal")  # type: ignore[arg-type]
        with pytest.raises(InputError, match="dc"):
            BandPartition.square(4, dc="apart")  # type: ignore[arg-type]
        with pytest.raises(InputError, match="1 x 1"):
            BandPartition.square(1).labels(0, 8)

    def test_edges_that_are_not_linear_cannot_be_called_so(self) -> None:
        with pytest.raises(InputError, match="linear"):
            BandPartition((0, 0.1, 1), linear=True)


@given(SIDE, SIDE)
def test_half_plane_weights_count_the_full_plane(height: int, width: int) -> None:
    weights = half_plane_weights(height, width)
    assert float(weights.sum()) == height * width
    spectrum = np.fft.fft2(np.random.default_rng(0).normal(size=(height, width)))
    power = np.abs(spectrum) ** 2
    half = (power[:, : width // 2 + 1] * weights.numpy()).sum()
    np.testing.assert_allclose(half, power.sum(), rtol=1e-12)


def _labels_or_reject(partition: BandPartition, height: int, width: int) -> Tensor:
    """The labels; sizes too small for the partition are no example of it."""
    assume(len(np.unique(expected_labels(partition, height, width))) == partition.n_bands)
    return partition.labels(height, width)
