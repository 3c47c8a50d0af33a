"""From a chart to the coordinates that the SVG template draws: pixels of a view box, texts, marker outlines."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import cos, isfinite, pi, sin

from spectrobe.figures.style import shortened
from spectrobe.report.charts.chart import Axis, Chart, Guide, Interval, Point, Region, Series, Tick

WIDE, NARROW, SMALL = 740, 350, 300
"""Widths in pixels: a desktop's column, a phone's, one of many panels."""
LETTER, LINE, ROW = 6.4, 15, 38
"""Pixels: mean width of a letter of a tick's text, height of a line of text, height of a named row."""
RADIUS = {"wide": 5.0, "narrow": 4.2, "small": 3.6}


@dataclass(frozen=True)
class Label:
    """A text at a place; anchor: start, middle or end."""

    x: float
    y: float
    text: str
    anchor: str = "middle"


@dataclass(frozen=True)
class Bar:
    """A line of an interval or of the frame."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True)
class Mark:
    """A point as drawn."""

    x: float
    y: float
    outline: str
    thick: tuple[Bar, ...]
    thin: tuple[Bar, ...]
    fill: str
    says: str


@dataclass(frozen=True)
class Curve:
    """A series as drawn; shade: 1 to 4, the fourth the full colour."""

    key: str
    color: str
    shade: int
    line: str
    path: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Box:
    """A shaded region."""

    x: float
    y: float
    width: float
    height: float
    kind: str


@dataclass(frozen=True)
class Drawing:
    """Everything that the template draws, in pixels of the view box."""

    size: str
    width: float
    height: float
    frame: Bar
    grid: tuple[Bar, ...]
    guides: tuple[Bar, ...]
    ticks: tuple[Bar, ...]
    labels: tuple[Label, ...]
    titles: tuple[Label, ...]
    words: tuple[Label, ...]
    upright: Label | None
    boxes: tuple[Box, ...]
    curves: tuple[Curve, ...]


def drawings(chart: Chart) -> tuple[Drawing, ...]:
    """The chart for a desktop and for a phone; a small one once."""
    if chart.small:
        return (_Layout(chart, "small", SMALL).drawing(),)
    return _Layout(chart, "wide", WIDE).drawing(), _Layout(chart, "narrow", NARROW).drawing()


class _Layout:
    """One chart at one width."""

    def __init__(self, chart: Chart, size: str, width: int) -> None:
        self.chart, self.size, self.width = chart, size, width
        ticks = [tick.text for tick in chart.y.ticks]
        gutter = 0.0 if chart.rows else LETTER * max(map(len, ticks), default=0) + 12 + LINE * bool(chart.y.label)
        self.left = max(gutter, 14.0)
        self.right = width - 16.0
        self.top = 12.0 + (2.5 * LINE if chart.x.above else 0)
        inner = ROW * len(chart.rows) if chart.rows else {"wide": 290, "narrow": 230, "small": 150}[size]
        self.bottom = self.top + inner
        under = (1.3 * LINE if any(tick.text for tick in chart.x.ticks) else 0) + LINE * any(chart.ends)
        self.height = self.bottom + under + (1.4 * LINE if chart.x.label else 4) + 2

    def drawing(self) -> Drawing:
        chart = self.chart
        frame = Bar(self.left, self.top, self.right, self.bottom)
        rows = [self.y(i) + ROW / 2 for i in range(len(chart.rows) - 1)]
        grid = [Bar(self.left, self.y(t.at), self.right, self.y(t.at)) for t in chart.y.ticks if not chart.rows]
        return Drawing(
            self.size, self.width, _round(self.height), _bar(frame),
            grid=tuple(map(_bar, [*grid, *(Bar(self.left, y, self.right, y) for y in rows)])),
            guides=tuple(_bar(self._guide(g)) for g in chart.guides),
            ticks=tuple(_bar(bar) for bar in self._tick_bars()),
            labels=tuple(self._tick_labels()), titles=tuple(self._titles()), words=tuple(self._words()),
            upright=None if chart.rows or not chart.y.label
            else Label(11, _round((self.top + self.bottom) / 2), chart.y.label),
            boxes=tuple(map(self._box, chart.regions)),
            curves=tuple(map(self._curve, chart.series)),
        )  # fmt: skip

    def x(self, at: float) -> float:
        return self.left + (at - self.chart.x.low) / (self.chart.x.high - self.chart.x.low) * (self.right - self.left)

    def y(self, at: float) -> float:
        """Numbers rise upwards, rows follow each other downwards with their names above their points."""
        if self.chart.rows:
            return self.top + ROW * (at + 0.68)
        low, high = self.chart.y.low, self.chart.y.high
        return self.bottom - (at - low) / (high - low) * (self.bottom - self.top)

    def _guide(self, guide: Guide) -> Bar:
        at, slope, axes = guide.at, guide.slope, (self.chart.x, self.chart.y)
        if guide.vertical:
            return Bar(self.x(at), self.top, self.x(at), self.bottom)
        if not slope:
            return Bar(self.left, self.y(at), self.right, self.y(at))
        inside = sorted((end - at) / slope for end in (axes[1].low, axes[1].high))
        low, high = max(axes[0].low, inside[0]), min(axes[0].high, inside[1])
        return Bar(self.x(low), self.y(at + slope * low), self.x(high), self.y(at + slope * high))

    def _tick_bars(self) -> list[Bar]:
        below = [Bar(self.x(t.at), self.bottom, self.x(t.at), self.bottom + 4) for t in self.chart.x.ticks]
        return below + [Bar(self.x(t.at), self.top, self.x(t.at), self.top - 4) for t in self.chart.x.above]

    def _tick_labels(self) -> list[Label]:
        chart = self.chart
        found = [Label(_round(self.x(t.at)), _round(self.bottom + 17), t.text) for t in self._thinned(chart.x.ticks)]
        found += [Label(_round(self.x(t.at)), _round(self.top - 9), t.text) for t in self._thinned(chart.x.above)]
        if chart.rows:
            return found + [label for i in range(len(chart.rows)) for label in self._row_labels(i)]
        return found + [Label(_round(self.left - 7), _round(self.y(t.at) + 4), t.text, "end") for t in chart.y.ticks]

    def _row_labels(self, i: int) -> list[Label]:
        row, y = self.chart.rows[i], _round(self.y(i) - 13)
        room = self.right - self.left - LETTER * (len(row.note) + 2)
        note = [Label(_round(self.right), y, row.note, "end")] if row.note else []
        return [Label(_round(self.left), y, shortened(row.name, int(room / LETTER)), "start"), *note]

    def _titles(self) -> list[Label]:
        middle = _round((self.left + self.right) / 2)
        found = [Label(middle, _round(self.height - 5), self.chart.x.label)] if self.chart.x.label else []
        if self.chart.x.above:
            found.append(Label(middle, 12, self.chart.x.above_label))
        return found

    def _words(self) -> list[Label]:
        """Words on guides and at the ends of the x axis."""
        found = []
        for guide in self.chart.guides:
            if guide.text and guide.vertical:
                if self.size == "wide":  # a phone's line below the axis is filled by the words at its ends
                    found.append(Label(_round(self.x(guide.at)), _round(self.bottom + 17 + LINE), guide.text))
            elif guide.text:
                found.append(Label(_round(self.right - 2), _round(self.y(guide.at) - 4), guide.text, "end"))
        y = _round(self.bottom + 17 + LINE)
        low, high = self.chart.ends
        found += [Label(_round(self.left), y, low, "start")] if low else []
        return found + ([Label(_round(self.right), y, high, "end")] if high else [])

    def _thinned(self, ticks: tuple[Tick, ...]) -> list[Tick]:
        """Every tick's text, or every second, fourth, ... where they would touch; counted from the last."""
        if len(ticks) < 2:
            return list(ticks)
        widest = LETTER * max(len(tick.text) for tick in ticks) + 6
        gap = min(abs(self.x(b.at) - self.x(a.at)) for a, b in pairwise(ticks))
        keep = 1
        while keep * gap < widest and keep < len(ticks):
            keep *= 2
        return [tick for i, tick in enumerate(ticks) if (len(ticks) - 1 - i) % keep == 0]

    def _box(self, region: Region) -> Box:
        low, high = self.x(max(region.low, self.chart.x.low)), self.x(min(region.high, self.chart.x.high))
        return Box(_round(low), _round(self.top), _round(high - low), _round(self.bottom - self.top), region.kind)

    def _curve(self, series: Series) -> Curve:
        marks = tuple(self._mark(point, series) for point in series.points if _placed(point))
        there = [mark for mark, point in zip(marks, filter(_placed, series.points), strict=True) if not point.beyond]
        path = "M" + "L".join(f"{mark.x:g} {mark.y:g}" for mark in there) if series.line and len(there) > 1 else ""
        shade = min(4, max(1, round(series.shade * 4)))
        return Curve(series.key, series.color, shade, series.line, path, marks)

    def _mark(self, point: Point, series: Series) -> Mark:
        x, y = _round(self.x(point.x)), _round(self.top if point.beyond else self.y(point.y))
        shape = "^" if point.beyond else series.look.marker
        thick = [self._upright(point.x, point.y_interval), self._level(point.y, point.x_interval)]
        thin = self._upright(point.x, point.y_outer)
        return Mark(
            x, y, outline(shape, x, y, RADIUS[self.size]), tuple(bar for bar in thick if bar),
            (thin,) if thin else (), point.fill, point.says,
        )  # fmt: skip

    def _upright(self, x: float, ends: Interval | None) -> Bar | None:
        axis = self.chart.y
        if ends is None or not all(map(isfinite, ends)):
            return None
        low, high = (_clipped(end, axis) for end in ends)
        return _bar(Bar(self.x(x), self.y(low), self.x(x), self.y(high)))

    def _level(self, y: float, ends: Interval | None) -> Bar | None:
        if ends is None or not all(map(isfinite, ends)):
            return None
        low, high = (_clipped(end, self.chart.x) for end in ends)
        return _bar(Bar(self.x(low), self.y(y), self.x(high), self.y(y)))


def outline(marker: str, x: float, y: float, r: float) -> str:
    """The outline of one of matplotlib's markers around (x, y), as an SVG path."""
    if marker == "o":
        return f"M{x - r:.4g} {y:.4g}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0Z"
    if marker == "P":
        a, b = r, r / 2.6
        steps = [(-b, -a), (b, -a), (b, -b), (a, -b), (a, b), (b, b), (b, a), (-b, a), (-b, b), (-a, b), (-a, -b),
                 (-b, -b)]  # fmt: skip
    else:
        corners, turn, size = {"s": (4, 0.25, 1.2), "D": (4, 0, 1.25), "^": (3, -0.5, 1.25), "v": (3, 0.5, 1.25)}[
            marker
        ]
        angles = [
            (i + turn) * 2 * pi / corners if marker in "sD" else turn * pi + i * 2 * pi / 3 for i in range(corners)
        ]
        if marker == "s":
            angles = [pi / 4 + i * pi / 2 for i in range(4)]
        steps = [(size * r * cos(angle), size * r * sin(angle)) for angle in angles]
    return "M" + "L".join(f"{x + dx:.5g} {y + dy:.5g}" for dx, dy in steps) + "Z"


def _placed(point: Point) -> bool:
    return isfinite(point.x) and (point.beyond or isfinite(point.y))


def _clipped(value: float, axis: Axis) -> float:
    return min(max(value, axis.low), axis.high)


def _bar(bar: Bar) -> Bar:
    return Bar(_round(bar.x1), _round(bar.y1), _round(bar.x2), _round(bar.y2))


def _round(value: float) -> float:
    return round(value, 1)
