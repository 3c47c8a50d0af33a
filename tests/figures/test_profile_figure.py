from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from spectrobe.bands import BandPartition
from spectrobe.errors import InputError
from spectrobe.figures import profile
from spectrobe.figures.style import looks
from tests.figures.lookalike import fake_result


def points(ax: Axes) -> list[np.ndarray]:
    """(M, 2) positions and values of each result drawn."""
    return [np.asarray(line.get_xydata()) for line in ax.lines if line.get_marker() not in ("None", "", None)]


def bars(ax: Axes, width: float) -> list[np.ndarray]:
    """(M, 2) lower and upper ends of each collection of bars of a line width."""
    found = [c for c in ax.collections if isinstance(c, LineCollection) and c.get_linewidths()[0] == width]
    return [np.asarray([segment[:, 1] for segment in collection.get_segments()]) for collection in found]


def tick_labels(axis: Any) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels()]


def legend_texts(figure: Figure) -> list[str]:
    legend = figure.legends[0] if figure.legends else figure.axes[0].get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts() if text.get_text().strip()]


class TestOneResult:
    def test_draws_the_numbers_of_the_result(self) -> None:
        result = fake_result(shapley=[0.6, 0.2, -0.3, 0.1, 0.0, 0.2, 0.1, -0.05])
        ax = profile(result).axes[0]
        (drawn,) = points(ax)
        np.testing.assert_allclose(drawn, np.column_stack([np.arange(8), result.shapley]), rtol=0, atol=1e-12)
        np.testing.assert_allclose(bars(ax, 2.4)[0], result.interval, rtol=0, atol=1e-12)
        np.testing.assert_allclose(bars(ax, 0.8)[0], result.simultaneous, rtol=0, atol=1e-12)

    @pytest.mark.parametrize("shapley", [[0.6] * 8, [-0.6] * 8, [0.9, -0.9] * 4, [0.0] * 8])
    def test_nothing_is_cut_off_and_zero_is_in_view(self, shapley: list[float]) -> None:
        result = fake_result(shapley=shapley)
        low, high = profile(result).axes[0].get_ylim()
        assert low < min(0, result.simultaneous.min())
        assert high > max(0, result.simultaneous.max())

    def test_edges_are_in_cycles_per_pixel_below_and_cycles_per_image_above(self) -> None:
        figure = profile(fake_result(image_size=(224, 320), bands=BandPartition.from_edges([0, 0.1, 0.5, 1])))
        panel, power = figure.axes[:2]
        assert tick_labels(power.xaxis) == ["0", "0.05", "0.25", "0.5"]
        assert list(power.get_xticks()) == [-0.5, 0.5, 1.5, 2.5]
        assert power.get_xlabel() == "spatial frequency (cycles/pixel)"
        (above,) = panel.child_axes
        assert tick_labels(above.xaxis) == ["0", "11.2", "56", "112"]
        assert above.get_xlabel() == "cycles/image (224 pixels)"

    def test_the_mean_as_a_band_of_its_own_is_named(self) -> None:
        bands = BandPartition.square(4, dc="own")
        ax = profile(fake_result(bands=bands, power_db=None)).axes[0]
        assert list(ax.get_xticks()) == [0.0, 0.5, 1.5, 2.5, 3.5, 4.5]
        assert tick_labels(ax.xaxis) == ["mean", "0", "0.125", "0.25", "0.375", "0.5"]

    def test_power_has_a_panel_of_its_own_only_where_it_is_known(self) -> None:
        result = fake_result()
        with_power, without = profile(result), profile(fake_result(power_db=None))
        assert len(with_power.axes) == 2
        assert len(without.axes) == 1
        (drawn,) = points(with_power.axes[1])
        np.testing.assert_allclose(drawn[:, 1], result.power_db, rtol=0, atol=1e-12)
        assert with_power.axes[1].get_ylabel() == "dB"

    def test_power_of_the_mean_alone_may_be_nan(self) -> None:
        bands = BandPartition.square(3, dc="own")
        power = np.array([np.nan, -1.0, -9.0, -20.0])
        low, high = profile(fake_result(bands=bands, power_db=power)).axes[1].get_ylim()
        assert low < -20
        assert high > -1

    def test_the_legend_names_both_intervals_and_the_score(self) -> None:
        assert legend_texts(profile(fake_result(confidence=0.9))) == [
            "EfficientNet-Lite0: score 0.31 [0.21, 0.41]",
            "90 % interval over images, pointwise (thick)",
            "90 % interval over images, simultaneous (thin)",
        ]

    def test_a_score_that_does_not_exist_is_said_to_be_undefined(self) -> None:
        result = fake_result()
        result.score.value = float("nan")
        assert legend_texts(profile(result))[0] == "EfficientNet-Lite0: score undefined"

    @pytest.mark.parametrize("unit", ["nats", "fraction of images", "logits"])
    def test_the_unit_is_on_the_axis(self, unit: str) -> None:
        assert profile(fake_result(unit=unit)).axes[0].get_ylabel() == f"Shapley value ({unit})"

    def test_the_headline_asks_the_question_and_fits_the_page(self) -> None:
        long = "timm:efficientnet_b0.ra_in1k?checkpoint={}run-17.safetensors"
        for given, name in (
            ("EfficientNet-Lite0", "EfficientNet-Lite0"),
            (long.format("/home/me/weights/"), long.format("")),
        ):
            figure = profile(fake_result(model_name=given))
            headline = figure._suptitle
            assert headline is not None
            assert headline.get_text() == f"Which spatial frequencies does {name} rely on?"
            figure.draw_without_rendering()
            box = headline.get_window_extent().transformed(figure.transFigure.inverted())
            assert box.x0 >= 0
            assert box.x1 <= 1


class TestSeveralResults:
    def test_models_stand_side_by_side_within_the_slot_of_their_band(self) -> None:
        results = [fake_result(model_name=f"model-{i}", stderr=np.full(8, 0.01 * (i + 1))) for i in range(5)]
        ax = profile(results).axes[0]
        x = np.stack([drawn[:, 0] for drawn in points(ax)])
        assert np.all(np.diff(x, axis=0) > 0.1)
        assert np.abs(x - np.arange(8)).max() < 0.4
        colors = [line.get_color() for line in ax.lines if line.get_marker() == "o"]
        assert colors == [looks(r.model_name for r in results)[r.model_name].color for r in results]
        for drawn, result in zip(bars(ax, 2.4), results, strict=True):
            np.testing.assert_allclose(drawn, result.interval, rtol=0, atol=1e-12)

    def test_runs_of_one_model_share_its_colour_and_differ_in_marker_and_label(self) -> None:
        figure = profile([fake_result(), fake_result(absence="zero")])
        first, second = (line for line in figure.axes[0].lines if line.get_marker() in ("o", "s"))
        assert first.get_color() == second.get_color()
        assert (first.get_marker(), second.get_marker()) == ("o", "s")
        assert legend_texts(figure)[:2] == [
            "EfficientNet-Lite0, mean: score 0.31 [0.21, 0.41]",
            "EfficientNet-Lite0, zero: score 0.31 [0.21, 0.41]",
        ]

    def test_other_image_sizes_leave_out_cycles_per_image(self) -> None:
        results = [fake_result(model_name="a"), fake_result(model_name="b", image_size=(32, 32))]
        assert profile(results).axes[0].child_axes == []

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"bands": BandPartition.octaves(8)}, "same bands in one figure, got square:8 and octaves:8"),
            ({"value": "accuracy"}, "same value in one figure, got usable-information and accuracy"),
            ({"confidence": 0.9}, "same confidence in one figure, got 0.95 and 0.9"),
        ],
    )
    def test_results_that_cannot_be_compared_are_refused(self, change: dict[str, Any], message: str) -> None:
        with pytest.raises(InputError, match=message):
            profile([fake_result(), fake_result(**change)])

    def test_no_result_is_refused(self) -> None:
        with pytest.raises(InputError, match="at least one result"):
            profile([])


class TestOwnAxes:
    def test_draws_into_them_alone_and_returns_their_figure(self) -> None:
        figure = Figure(figsize=(3.3, 2.6), layout="constrained")
        ax, other = figure.subplots(1, 2)
        assert profile(fake_result(), ax=ax) is figure
        assert len(figure.axes) == 2
        assert not other.lines
        assert ax.get_title(loc="left") == "EfficientNet-Lite0\nusable-information"
        assert len(legend_texts(figure)) == 3

    @pytest.mark.parametrize(("width", "expected"), [(6.9, 9), (3.3, 5), (1.4, 3)])
    def test_tick_labels_are_thinned_where_they_would_touch(self, width: float, expected: int) -> None:
        figure = Figure(figsize=(width, 2.6), layout="constrained")
        ax = figure.subplots()
        profile(fake_result(), ax=ax)
        labels = [label for label in tick_labels(ax.xaxis) if label]
        assert len(labels) == expected
        assert labels[-1] == "0.5"
