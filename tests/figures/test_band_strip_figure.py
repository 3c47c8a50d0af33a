from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from spectrobe.bands import BandPartition
from spectrobe.errors import InputError
from spectrobe.figures import band_strip
from spectrobe.figures.band_strip_figure import ENLARGE, largest_gain, most_detail
from spectrobe.spectrum import band_images


def noise(channels: int = 3, height: int = 32, width: int = 32, contrast: float = 0.1) -> Tensor:
    return 0.5 + contrast * torch.rand(channels, height, width, generator=torch.Generator().manual_seed(0))


def shown(ax: Axes) -> np.ndarray:
    """The picture in axes as (H, W, 3), before enlargement."""
    array = np.asarray(ax.images[0].get_array())
    return array[::ENLARGE, ::ENLARGE]


def titles(figure: Figure) -> list[str]:
    return [ax.get_title() for ax in figure.axes]


class TestPictures:
    def test_each_panel_shows_its_band_times_the_stated_gain_around_mid_grey(self) -> None:
        image, bands = noise(), BandPartition.square(4)
        figure = band_strip(image, bands)
        parts = band_images(image[None], bands)[0].permute(0, 2, 3, 1).double().numpy()
        np.testing.assert_allclose(shown(figure.axes[0]), image.permute(1, 2, 0).numpy(), rtol=0, atol=1e-6)
        np.testing.assert_allclose(shown(figure.axes[1]), parts[0].clip(0, 1), rtol=0, atol=1e-6)
        for ax, part in zip(figure.axes[2:], parts[1:], strict=True):
            gain = int(ax.get_xlabel().removeprefix("contrast × "))
            assert gain == largest_gain(part)
            np.testing.assert_allclose(shown(ax), (0.5 + gain * part).clip(0, 1), rtol=0, atol=1e-6)

    def test_titles_are_the_ranges_in_cycles_per_pixel(self) -> None:
        assert titles(band_strip(noise(), 4)) == ["intact", "0–0.125", "0.125–0.25", "0.25–0.375", "0.375–0.5"]

    def test_the_mean_as_its_own_band_is_shown_as_it_is(self) -> None:
        image = noise()
        figure = band_strip(image, BandPartition.square(2, dc="own"))
        assert titles(figure) == ["intact", "mean", "0–0.25", "0.25–0.5"]
        expected = np.broadcast_to(image.mean(dim=(1, 2)).numpy(), (32, 32, 3))
        np.testing.assert_allclose(shown(figure.axes[1]), expected, rtol=0, atol=1e-6)
        assert figure.axes[1].get_xlabel() == ""
        assert figure.axes[2].get_xlabel().startswith("contrast × ")

    def test_grey_images_have_three_equal_channels(self) -> None:
        picture = shown(band_strip(noise(channels=1), 4).axes[2])
        assert picture.shape == (32, 32, 3)
        assert np.array_equal(picture[..., 0], picture[..., 2])

    @pytest.mark.parametrize(
        ("reach", "gain"), [(0.6, 1), (0.5, 1), (0.3, 1), (0.25, 2), (0.11, 2), (0.1, 5), (1e-3, 500), (0.0, 1000)]
    )
    def test_gain_is_the_largest_step_that_stays_within_the_range(self, reach: float, gain: int) -> None:
        assert largest_gain(np.array([[-reach, reach]])) == gain


class TestWindow:
    def test_a_large_image_shows_the_framed_pixels_with_most_detail(self) -> None:
        image = torch.full((3, 160, 200), 0.5)
        image[:, 80:110, 120:150] = noise(3, 30, 30, contrast=0.5)
        top, left, height, width = most_detail(image, band_images(image[None], 4)[0])
        assert (height, width) == (64, 64)
        assert top <= 80 <= 110 <= top + 64
        assert left <= 120 <= 150 <= left + 64
        figure = band_strip(image, 4)
        assert shown(figure.axes[0]).shape == (160, 200, 3)
        assert shown(figure.axes[1]).shape == (64, 64, 3)
        frame = figure.axes[0].patches[0]
        assert frame.get_bbox().bounds == (left * ENLARGE - 0.5, top * ENLARGE - 0.5, 64 * ENLARGE, 64 * ENLARGE)

    def test_bands_are_cut_from_the_whole_image_before_the_window(self) -> None:
        image, window = noise(3, 90, 80), (5, 7, 40, 30)
        part = band_images(image[None], 4)[0, 2, :, 5:45, 7:37].permute(1, 2, 0).double().numpy()
        ax = band_strip(image, 4, window=window).axes[3]
        gain = int(ax.get_xlabel().removeprefix("contrast × "))
        np.testing.assert_allclose(shown(ax), (0.5 + gain * part).clip(0, 1), rtol=0, atol=1e-6)

    def test_a_small_image_is_shown_whole_without_a_frame(self) -> None:
        figure = band_strip(noise(3, 33, 47), 4)
        assert shown(figure.axes[1]).shape == (33, 47, 3)
        assert not figure.axes[0].patches

    @pytest.mark.parametrize("window", [(0, 0, 33, 10), (-1, 0, 10, 10), (0, 30, 10, 10), (0, 0, 0, 10)])
    def test_a_window_outside_is_refused(self, window: tuple[int, int, int, int]) -> None:
        with pytest.raises(InputError, match="window inside 32 x 32 pixels"):
            band_strip(noise(), 4, window=window)


class TestAxes:
    def test_draws_into_axes_of_the_caller(self) -> None:
        figure = Figure()
        axes = list(figure.subplots(1, 5))
        assert band_strip(noise(), 4, axes=axes) is figure
        assert len(figure.axes) == 5
        assert all(len(ax.images) == 1 for ax in axes)

    def test_narrow_axes_take_two_lines(self) -> None:
        figure = Figure(figsize=(3.3, 1))
        band_strip(noise(), 4, axes=list(figure.subplots(1, 5)))
        assert titles(figure)[1] == "0–\n0.125"
        assert figure.axes[2].get_xlabel().startswith("× ")

    def test_many_bands_wrap_into_rows(self) -> None:
        figure = band_strip(noise(), 12)
        assert len(figure.axes) == 13
        assert len({round(ax.get_position().y0, 3) for ax in figure.axes}) == 2

    def test_another_number_of_axes_is_refused(self) -> None:
        with pytest.raises(InputError, match=r"expected 5 axes .*, got 4"):
            band_strip(noise(), 4, axes=list(Figure().subplots(1, 4)))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.rand(1, 3, 8, 8), "one image"),
        (torch.rand(2, 8, 8), "C = 1 or 3, got"),
        (np.zeros((3, 8, 8)), "got ndarray"),
        (torch.full((3, 8, 8), 1.5), r"pixels in \[0, 1\], got 1.5"),
        (torch.full((3, 8, 8), torch.nan), r"pixels in \[0, 1\], got nan"),
    ],
)
def test_other_images_are_refused(image: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        band_strip(image, 4)
