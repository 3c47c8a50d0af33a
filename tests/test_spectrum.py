from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from spectrobe.bands import BandPartition
from spectrobe.errors import InputError
from spectrobe.game.coalitions import members
from spectrobe.spectrum import BandMixer, band_energy, band_images, clip_in_place, coalition_images, per_band
from tests.test_bands import expected_labels, partitions

SIDE = st.integers(2, 24)
SHAPE = st.tuples(st.integers(1, 2), st.sampled_from([1, 2, 3]), SIDE, SIDE)


def images(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """Random images in [0, 1], float32."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def reject_empty(bands: BandPartition, height: int, width: int) -> np.ndarray:
    """Band of every bin of the full plane; sizes at which a band is empty are no example."""
    labels = expected_labels(bands, height, width)
    assume(len(np.unique(labels)) == bands.n_bands)
    return labels


def all_coalitions(n_bands: int) -> Tensor:
    """bool (2**M, M), the empty one first."""
    return torch.from_numpy(members(np.arange(2**n_bands), n_bands))


class TestBandImages:
    @given(partitions(), SHAPE)
    def test_they_are_real_and_sum_to_the_image(self, bands: BandPartition, shape: tuple[int, ...]) -> None:
        reject_empty(bands, *shape[2:])
        x = images(shape)
        parts = band_images(x, bands)
        assert parts.shape == (shape[0], bands.n_bands, *shape[1:])
        assert parts.dtype == torch.float32
        torch.testing.assert_close(parts.sum(1), x, rtol=0, atol=1e-6)

    @given(partitions(), SHAPE)
    def test_they_are_the_full_plane_filtered(self, bands: BandPartition, shape: tuple[int, ...]) -> None:
        labels = reject_empty(bands, *shape[2:])
        x = images(shape)
        spectrum = np.fft.fft2(x.double().numpy())
        for band, part in enumerate(band_images(x, bands).unbind(1)):
            expected = np.fft.ifft2(spectrum * (labels == band))
            assert np.abs(expected.imag).max() < 1e-12  # k and -k share a band
            np.testing.assert_allclose(part.numpy(), expected.real, rtol=0, atol=1e-6)

    @given(partitions(), SHAPE)
    def test_no_energy_is_outside_the_band_and_none_is_lost(self, bands: BandPartition, shape: tuple[int, ...]) -> None:
        labels = reject_empty(bands, *shape[2:])
        x = images(shape)
        parts = band_images(x, bands)
        power = np.abs(np.fft.fft2(parts.double().numpy())) ** 2  # (N, M, C, H, W), the full plane
        outside = power * (labels != np.arange(bands.n_bands)[:, None, None])[:, None]
        total = shape[2] * shape[3] * x.double().square().sum((1, 2, 3)).numpy()
        assert outside.sum((1, 2, 3, 4)).max() / total.max() < 1e-12
        np.testing.assert_allclose(
            power.sum((2, 3, 4)), band_energy(x, bands).numpy(), rtol=1e-4, atol=1e-6 * total.max()
        )
        # Parseval: energies over the bins of the full plane add up to H W times the sum of squared pixels
        np.testing.assert_allclose(band_energy(x, bands).sum(1).numpy(), total, rtol=1e-5)

    @given(partitions(), SHAPE)
    def test_they_are_linear(self, bands: BandPartition, shape: tuple[int, ...]) -> None:
        reject_empty(bands, *shape[2:])
        x, y = images(shape, 1), images(shape, 2)
        together = band_images(0.3 * x - 1.7 * y, bands)
        torch.testing.assert_close(
            together, 0.3 * band_images(x, bands) - 1.7 * band_images(y, bands), rtol=0, atol=2e-6
        )

    @given(partitions(), SHAPE)
    def test_they_do_not_depend_on_the_batch(self, bands: BandPartition, shape: tuple[int, ...]) -> None:
        reject_empty(bands, *shape[2:])
        x = images((5, *shape[1:]))
        one_by_one = torch.cat([band_images(image[None], bands) for image in x])
        torch.testing.assert_close(band_images(x, bands), one_by_one, rtol=0, atol=1e-6)

    def test_a_grating_is_in_the_band_of_its_frequency(self) -> None:
        # 5 cycles in 32 pixels: r = 10 / 32, band 2 of 8
        x = torch.sin(2 * torch.pi * 5 * torch.arange(32) / 32).expand(1, 1, 32, 32)
        energy = band_energy(x, 8)[0]
        np.testing.assert_allclose(energy.numpy(), [0, 0, 32**4 / 2, 0, 0, 0, 0, 0], atol=1e-2)

    def test_the_mean_is_alone_in_its_own_band(self) -> None:
        x = images((2, 3, 9, 12))
        parts = band_images(x, BandPartition.square(3, "own"))
        torch.testing.assert_close(parts[:, 0], x.mean((2, 3), keepdim=True).expand_as(x), rtol=0, atol=1e-6)
        torch.testing.assert_close(parts[:, 1:].mean((3, 4)), torch.zeros(2, 3, 3), rtol=0, atol=1e-7)

    def test_a_number_means_square_rings(self) -> None:
        x = images((1, 3, 16, 16))
        torch.testing.assert_close(band_images(x, 4), band_images(x, BandPartition.square(4)), rtol=0, atol=0)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
    def test_they_are_worked_out_in_float32_at_least(self, dtype: torch.dtype) -> None:
        x = images((2, 3, 16, 15)).to(dtype)
        parts = band_images(x, 4)
        assert parts.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        torch.testing.assert_close(parts.sum(1), x.to(parts.dtype), rtol=0, atol=1e-6)


class TestGradients:
    @given(SHAPE)
    def test_they_flow_through_the_bands(self, shape: tuple[int, ...]) -> None:
        bands = BandPartition.square(2)
        reject_empty(bands, *shape[2:])
        x, y = images(shape, 1).requires_grad_(), images(shape, 2)
        (band_images(x, bands)[:, 1] * y).sum().backward()
        # filtering is its own adjoint
        torch.testing.assert_close(x.grad, band_images(y, bands)[:, 1], rtol=0, atol=1e-6)

    def test_they_flow_through_coalitions_and_absence(self) -> None:
        x, base, y = (images((1, 1, 8, 8), seed).requires_grad_() for seed in range(3))
        coalition_images(x, 2, torch.tensor([[True, False]]), base).mul(y[:, None]).sum().backward()
        low, high = band_images(y.detach(), 2)[0]
        torch.testing.assert_close(x.grad, low[None], rtol=0, atol=1e-6)
        torch.testing.assert_close(base.grad, high[None], rtol=0, atol=1e-6)

    def test_they_flow_after_a_call_in_inference_mode(self) -> None:
        x = images((1, 1, 10, 14))  # a size that no other test has cached
        with torch.inference_mode():
            band_images(x, 3)
        x.requires_grad_()
        band_images(x, 3).square().sum().backward()
        torch.testing.assert_close(x.grad, 2 * x.detach(), rtol=0, atol=1e-5)


class TestCoalitionImages:
    @given(partitions(), SHAPE, st.sampled_from(["zero", "one", "each"]))
    def test_full_is_the_image_empty_the_absence_and_all_are_sums_of_bands(
        self, bands: BandPartition, shape: tuple[int, ...], absence: str
    ) -> None:
        reject_empty(bands, *shape[2:])
        assume(bands.n_bands <= 4)
        x = images(shape)
        b = {"zero": torch.zeros(shape), "one": images(shape[1:], 1).expand(shape), "each": images(shape, 1)}[absence]
        coalitions = all_coalitions(bands.n_bands)
        found = coalition_images(x, bands, coalitions, {"zero": "zero", "one": b[0], "each": b}[absence])
        assert found.shape == (shape[0], len(coalitions), *shape[1:])
        torch.testing.assert_close(found[:, 0], b, rtol=0, atol=0)
        torch.testing.assert_close(found[:, -1], x, rtol=0, atol=1e-6)
        own, other = band_images(x, bands), band_images(b, bands)
        for k, present in enumerate(coalitions):
            expected = own[:, present].sum(1) + other[:, ~present].sum(1)
            torch.testing.assert_close(found[:, k], expected, rtol=0, atol=1e-6)

    def test_they_are_linear_in_image_and_absence_together(self) -> None:
        x, y, a, b = (images((2, 3, 12, 9), seed) for seed in range(4))
        coalitions = all_coalitions(3)
        together = coalition_images(2 * x - y, 3, coalitions, 2 * a - b)
        apart = 2 * coalition_images(x, 3, coalitions, a) - coalition_images(y, 3, coalitions, b)
        torch.testing.assert_close(together, apart, rtol=0, atol=2e-6)

    def test_nothing_is_clipped(self) -> None:
        x = (images((1, 1, 16, 16)) > 0.5).float()
        found = coalition_images(x, 4, all_coalitions(4))
        assert float(found.min()) < -0.1
        assert float(found.max()) > 1.1

    def test_they_are_clipped_when_asked(self) -> None:
        x = (images((2, 1, 16, 16)) > 0.5).float()
        found = coalition_images(x, 4, all_coalitions(4), clip=True)
        assert torch.equal(found, coalition_images(x, 4, all_coalitions(4)).clamp(0, 1))

    def test_the_clipped_share_leaves_rounding_out(self) -> None:
        x = torch.tensor([[-1e-7, 0.0, 0.5, 1.0], [-0.1, 0.2, 1 + 1e-6, 1.5]]).reshape(2, 1, 2, 2)
        assert clip_in_place(x).tolist() == [0, 0.5]
        assert x.flatten().tolist() == pytest.approx([0, 0, 0.5, 1, 0, 0.2, 1, 1])

    def test_coalitions_may_be_numpy(self) -> None:
        x = images((1, 1, 8, 8))
        found = coalition_images(x, 2, np.array([[True, False]]))  # type: ignore[arg-type]
        torch.testing.assert_close(found[:, 0], band_images(x, 2)[:, 0], rtol=0, atol=1e-6)


class TestAutocast:
    @pytest.mark.parametrize(
        "work",
        [
            lambda x: band_images(x, 4),
            lambda x: coalition_images(x, 4, all_coalitions(4), images((3, 16, 16), 1)),
            lambda x: band_energy(x, 4),
        ],
    )
    def test_changes_nothing(self, work: Callable[[Tensor], Tensor]) -> None:
        x = images((2, 3, 16, 16))
        plain = work(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            under = work(x)
        assert under.dtype == plain.dtype
        torch.testing.assert_close(under, plain, rtol=0, atol=0)


class TestBandMixer:
    @given(partitions(), SHAPE, st.booleans())
    def test_equals_coalition_images(self, bands: BandPartition, shape: tuple[int, ...], shared: bool) -> None:
        reject_empty(bands, *shape[2:])
        assume(bands.n_bands <= 4)
        x, base = images(shape), images(shape[1:] if shared else shape, 1)
        coalitions = all_coalitions(bands.n_bands)
        mixer = BandMixer(x, base, bands)
        weights = torch.cat([coalitions.float(), torch.ones(len(coalitions), 1)], dim=1)
        expected = coalition_images(x, bands, coalitions, base)
        for image in range(len(x)):
            flat = torch.empty(len(coalitions), x[0].numel())
            mixer.mix_into(flat, image, weights)
            torch.testing.assert_close(mixer.as_images(flat), expected[image], rtol=0, atol=1e-5)

    def test_images_are_channels_last_views(self) -> None:
        mixer = BandMixer(images((2, 3, 8, 8)), torch.zeros(3, 8, 8), BandPartition.square(2))
        flat = torch.zeros(5, 3 * 8 * 8)
        found = mixer.as_images(flat)
        assert found.shape == (5, 3, 8, 8)
        assert found.is_contiguous(memory_format=torch.channels_last)
        assert found.data_ptr() == flat.data_ptr()


@given(partitions(), SHAPE)
def test_per_band_sums_over_the_full_plane(bands: BandPartition, shape: tuple[int, ...]) -> None:
    labels = reject_empty(bands, *shape[2:])
    full = np.abs(np.fft.fft2(images(shape)[:, 0].double().numpy()))
    expected = [[plane[labels == band].sum() for band in range(bands.n_bands)] for plane in full]
    found = per_band(torch.from_numpy(full[:, :, : shape[3] // 2 + 1]), bands, shape[3])
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10)


class TestBadInput:
    @pytest.mark.parametrize(
        "x",
        [
            torch.rand(3, 8, 8),
            torch.rand(1, 1, 3, 8, 8),
            torch.zeros(1, 3, 8, 8, dtype=torch.uint8),
            np.zeros((1, 3, 8, 8)),
        ],
    )
    def test_images_of_other_shape_or_type(self, x: Tensor) -> None:
        for work in (
            lambda: band_images(x, 2),
            lambda: coalition_images(x, 2, all_coalitions(2)),
            lambda: band_energy(x, 2),
        ):
            with pytest.raises(InputError, match=r"floating tensor of images \(N, C, H, W\)"):
                work()

    @pytest.mark.parametrize("coalitions", [torch.ones(4, 3, dtype=torch.bool), torch.ones(2, dtype=torch.bool)])
    def test_coalitions_of_other_shape(self, coalitions: Tensor) -> None:
        with pytest.raises(InputError, match=r"coalitions of shape \(K, 2\)"):
            coalition_images(images((1, 3, 8, 8)), 2, coalitions)

    @pytest.mark.parametrize("coalitions", [torch.full((1, 2), 2), torch.full((1, 2), 0.5)])
    def test_coalitions_that_are_not_bool(self, coalitions: Tensor) -> None:
        with pytest.raises(InputError, match="bool"):
            coalition_images(images((1, 3, 8, 8)), 2, coalitions)

    @pytest.mark.parametrize("shape", [(8, 8), (1, 8, 8), (2, 3, 8, 8), (3, 8, 9)])
    def test_an_absence_image_of_other_shape(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(InputError, match=r"absence image of shape \(3, 8, 8\) or \(1, 3, 8, 8\)"):
            coalition_images(images((1, 3, 8, 8)), 2, all_coalitions(2), torch.zeros(shape))

    def test_an_absence_that_needs_a_data_set(self) -> None:
        with pytest.raises(InputError, match="'mean', 'noise' and 'donor' need a data set"):
            coalition_images(images((1, 3, 8, 8)), 2, all_coalitions(2), "mean")

    def test_too_many_bands_for_the_image(self) -> None:
        with pytest.raises(InputError, match="the largest number of square bands that works is 3"):
            band_images(images((1, 3, 4, 4)), 8)
