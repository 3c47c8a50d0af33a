"""Charts as drawn: numbers land where their axes say, intervals are never left out, texts do not touch."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from math import hypot, inf, nan

import pytest

from spectrobe.bands import BandPartition
from spectrobe.figures.style import MARKERS, PALETTE, Look
from spectrobe.report.blocks import Table
from spectrobe.report.charts.bands import band_axis, octave_axis
from spectrobe.report.charts.chart import (
    NEUTRAL,
    Axis,
    Chart,
    Guide,
    Point,
    Region,
    Row,
    Series,
    round_ticks,
    span,
)
from spectrobe.report.charts.layout import LETTER, NARROW, SMALL, WIDE, Bar, Drawing, drawings, outline

LOOK = Look(PALETTE[1], "o")


def chart(*points: Point, **changes: object) -> Chart:
    """x and y from 0 to 10."""
    axis = Axis("x", 0, 10, round_ticks(0, 10))
    found = Chart(
        "c", "title", "description", axis, replace(axis, label="y"), (Series("m0", "one", LOOK, points),),
        Table("", (), ()),
    )  # fmt: skip
    return replace(found, **changes)  # type: ignore[arg-type]


def place(drawing: Drawing, x: float, y: float) -> tuple[float, float]:
    """Where (x, y) must be, from the frame alone."""
    frame = drawing.frame
    return frame.x1 + x / 10 * (frame.x2 - frame.x1), frame.y2 - y / 10 * (frame.y2 - frame.y1)


class TestPlaces:
    def test_a_point_and_its_intervals_are_where_the_axes_say(self) -> None:
        point = Point(5, 4, y_interval=(3, 6), x_interval=(2, 7), y_outer=(1, 9))
        wide, narrow = drawings(chart(point))
        assert (wide.width, narrow.width) == (WIDE, NARROW)
        for drawing in (wide, narrow):
            [mark] = drawing.curves[0].marks
            assert (mark.x, mark.y) == pytest.approx(place(drawing, 5, 4), abs=0.06)
            upright, level = mark.thick
            assert (upright.y1, upright.y2) == pytest.approx(
                (place(drawing, 5, 3)[1], place(drawing, 5, 6)[1]), abs=0.06
            )
            assert (level.x1, level.x2) == pytest.approx((place(drawing, 2, 4)[0], place(drawing, 7, 4)[0]), abs=0.06)
            assert (mark.thin[0].y1, mark.thin[0].y2) == pytest.approx(
                (place(drawing, 5, 1)[1], place(drawing, 5, 9)[1]), abs=0.06
            )

    def test_an_interval_beyond_the_axis_ends_at_the_frame(self) -> None:
        drawing = drawings(chart(Point(5, 4, y_interval=(-99, 99))))[0]
        [bar] = drawing.curves[0].marks[0].thick
        assert (bar.y1, bar.y2) == pytest.approx((drawing.frame.y2, drawing.frame.y1), abs=0.06)

    def test_what_is_not_a_number_is_not_drawn_and_infinity_is_at_the_top(self) -> None:
        drawing = drawings(chart(Point(1, nan), Point(2, 3, y_interval=(nan, nan)), Point(3, inf, beyond=True)))[0]
        marks = drawing.curves[0].marks
        assert len(marks) == 2 and marks[0].thick == ()
        assert marks[1].y == pytest.approx(drawing.frame.y1, abs=0.06)

    def test_a_line_joins_the_finite_points(self) -> None:
        points = (Point(1, 1), Point(2, nan), Point(3, inf, beyond=True), Point(4, 2))
        drawing = drawings(chart(series=(Series("m0", "one", LOOK, points, "solid"),)))[0]
        ends = [tuple(map(float, pair.split())) for pair in drawing.curves[0].path[1:].split("L")]
        assert ends == [pytest.approx(place(drawing, 1, 1), abs=0.06), pytest.approx(place(drawing, 4, 2), abs=0.06)]

    def test_rows_follow_each_other_downwards_with_their_names_above_their_points(self) -> None:
        rows = (Row("first", "1.0"), Row("second", "2.0"))
        drawing = drawings(chart(Point(1, 0), Point(2, 1), rows=rows))[0]
        one, other = drawing.curves[0].marks
        assert one.y < other.y
        names = {label.text: label for label in drawing.labels}
        assert names["first"].y < one.y < names["second"].y < other.y
        assert (names["first"].anchor, names["1.0"].anchor) == ("start", "end")

    def test_a_region_reaches_from_one_edge_to_the_other(self) -> None:
        drawing = drawings(chart(regions=(Region(-99, 2, "robust"), Region(8, 99, "non-robust"))))[0]
        first, second = drawing.boxes
        assert first.x == pytest.approx(drawing.frame.x1, abs=0.06)
        assert first.x + first.width == pytest.approx(place(drawing, 2, 0)[0], abs=0.11)
        assert second.x + second.width == pytest.approx(drawing.frame.x2, abs=0.11)

    def test_guides_cross_the_whole_chart(self) -> None:
        level, upright = drawings(chart(guides=(Guide(5.0), Guide(2.0, vertical=True))))[0].guides
        assert level.y1 == level.y2 and upright.x1 == upright.x2
        assert isinstance(level, Bar)

    def test_a_small_chart_is_drawn_once(self) -> None:
        [drawing] = drawings(chart(small=True))
        assert (drawing.size, drawing.width) == ("small", SMALL)


class TestTexts:
    @pytest.mark.parametrize("n_bands", [4, 8, 16])
    def test_texts_of_ticks_do_not_touch_and_the_last_is_kept(self, n_bands: int) -> None:
        axis = band_axis(BandPartition.square(n_bands), [(224, 224)])
        for drawing in drawings(chart(x=axis)):
            below = [label for label in drawing.labels if label.anchor == "middle" and label.y > drawing.frame.y2]
            assert below[-1].text == "0.5" and len(below) >= 3
            for one, other in pairwise(below):
                assert other.x - one.x >= LETTER * max(len(one.text), len(other.text))

    def test_a_long_name_loses_its_middle_and_keeps_both_ends(self) -> None:
        name = "first" + "x" * 200 + "last"
        for drawing in drawings(chart(Point(1, 0), rows=(Row(name, "0.27"),))):
            [shown] = [label.text for label in drawing.labels if label.text.startswith("first")]
            assert shown.endswith("last") and "…" in shown
            assert len(shown) * LETTER <= drawing.width


class TestAxes:
    def test_bands_have_slots_with_edges_in_both_units(self) -> None:
        axis = band_axis(BandPartition.square(4), [(32, 48), (32, 32)])
        assert [(tick.at, tick.text) for tick in axis.ticks] == [
            (-0.5, "0"), (0.5, "0.125"), (1.5, "0.25"), (2.5, "0.375"), (3.5, "0.5"),
        ]  # fmt: skip
        assert [tick.text for tick in axis.above] == ["0", "4", "8", "12", "16"]
        assert axis.above_label == "cycles/image (32 pixels)"

    def test_the_mean_in_a_band_of_its_own_has_the_first_slot(self) -> None:
        axis = band_axis(BandPartition.square(2, dc="own"), [(32, 32)])
        assert [(tick.at, tick.text) for tick in axis.ticks] == [
            (0.0, "mean"), (0.5, "0"), (1.5, "0.25"), (2.5, "0.5"),
        ]  # fmt: skip

    def test_images_of_several_sizes_have_no_cycles_per_image(self) -> None:
        assert band_axis(BandPartition.square(4), [(32, 32), (64, 64)]).above == ()

    def test_octaves_end_at_nyquist(self) -> None:
        axis = octave_axis([nan, 0.05, 0.2, 0.45], [(32, 32)], "f")
        assert [tick.text for tick in axis.ticks] == ["0.0625", "0.125", "0.25", "0.5"]
        assert [tick.at for tick in axis.ticks] == [-4, -3, -2, -1]
        assert [tick.text for tick in axis.above] == ["2", "4", "8", "16"]

    @pytest.mark.parametrize(
        "low, high, texts",
        [(0, 1, ["0", "0.2", "0.4", "0.6", "0.8", "1"]), (-0.3, 0.5, ["−0.2", "0", "0.2", "0.4"]),
         (0, 37, ["0", "10", "20", "30"]), (2, 2, ["2"])],
    )  # fmt: skip
    def test_ticks_are_round_numbers(self, low: float, high: float, texts: list[str]) -> None:
        assert [tick.text for tick in round_ticks(low, high)] == texts

    def test_a_span_holds_zero_only_where_asked(self) -> None:
        assert span([1, 3, nan, inf], zero=True, room=0) == (0, 3)
        assert span([1, 3], zero=False, room=0.1) == pytest.approx((0.8, 3.2))
        assert span([], zero=False) == (0, 1) and span([2, 2], zero=False) == (1.5, 2.5)


@pytest.mark.parametrize("marker", MARKERS)
def test_markers_are_centred_and_of_one_size(marker: str) -> None:
    path = outline(marker, 10, 20, 4)
    if marker == "o":
        assert path.startswith("M6 20a4 4")
        return
    corners = [tuple(map(float, pair.split())) for pair in re.findall(r"[ML]([\d.]+ [\d.]+)", path)]
    assert len(corners) >= 3
    assert all(3.9 < hypot(x - 10, y - 20) < 5.3 or marker == "P" for x, y in corners)
    assert sum(x for x, _ in corners) / len(corners) == pytest.approx(10, abs=0.01)


def test_colours_are_the_palettes_and_ink_for_what_is_no_model() -> None:
    assert Series("m0", "", LOOK, ()).color == "1"
    assert Series("", "", NEUTRAL, ()).color == "n"
