"""What a chart shows, as data: axes, series of points with intervals, shaded regions, the same numbers as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from spectrobe.figures.style import INK, PALETTE, Look
from spectrobe.report.blocks import Table

Interval = tuple[float, float]


NEUTRAL = Look(INK, "o")
"""The look of what is no model's."""


@dataclass(frozen=True)
class Tick:
    """A mark on an axis; text may be empty."""

    at: float
    text: str


@dataclass(frozen=True)
class Axis:
    """A linear axis; what is logarithmic is given as its logarithm. above: the same axis in another unit, on top."""

    label: str
    low: float
    high: float
    ticks: tuple[Tick, ...]
    above: tuple[Tick, ...] = ()
    above_label: str = ""


@dataclass(frozen=True)
class Point:
    """One number with its intervals.

    y_interval, x_interval: drawn thick.   y_outer: drawn thin (simultaneous intervals).   says: what hovering shows.
    fill: "full", "pale" or "open" markers.   beyond: not finite, drawn as a triangle at the upper end.
    """

    x: float
    y: float
    y_interval: Interval | None = None
    x_interval: Interval | None = None
    y_outer: Interval | None = None
    says: str = ""
    fill: str = "full"
    beyond: bool = False


@dataclass(frozen=True)
class Series:
    """Points of one colour. key: what switches it on and off, the same in every chart; empty for what always shows.

    line: "" for none, "solid", "dashed".   shade: 1 = the full colour, down to 0.4 for milder settings.
    """

    key: str
    name: str
    look: Look
    points: tuple[Point, ...]
    line: str = ""
    shade: float = 1.0

    @property
    def color(self) -> str:
        """Place in the palette; "n" (ink) for what is no model's."""
        return str(PALETTE.index(self.look.color)) if self.look.color in PALETTE else "n"


@dataclass(frozen=True)
class Region:
    """A part of the x axis that is shaded: kind "robust" or "non-robust"."""

    low: float
    high: float
    kind: str


@dataclass(frozen=True)
class Guide:
    """A line across the chart at a value of y (or of x), with a word on it. slope: y = at + slope x instead."""

    at: float
    text: str = ""
    vertical: bool = False
    slope: float = 0.0


@dataclass(frozen=True)
class Row:
    """A row of a chart whose y axis holds names; row i lies at y = i, the first on top. note: at its other end."""

    name: str
    note: str = ""


@dataclass(frozen=True)
class Chart:
    """One chart. identity: unique in the page.   description: what a reader who cannot see it is told.

    rows: names instead of numbers on the y axis.   ends: words under the two ends of the x axis.
    intervals: what the bars are; every chart with intervals says it.   small: one of many, drawn small.
    """

    block: ClassVar[str] = "chart"

    identity: str
    title: str
    description: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    table: Table
    intervals: str = ""
    regions: tuple[Region, ...] = ()
    guides: tuple[Guide, ...] = ()
    rows: tuple[Row, ...] = ()
    ends: tuple[str, str] = ("", "")
    legend: str = ""
    small: bool = False


@dataclass(frozen=True)
class Panels:
    """Small charts side by side that share one legend, one table and one description of their intervals."""

    block: ClassVar[str] = "panels"

    identity: str
    title: str
    charts: tuple[Chart, ...]
    table: Table
    intervals: str = ""
    legend: str = ""
    shading: tuple[tuple[str, str], ...] = ()

    @property
    def series(self) -> tuple[Series, ...]:
        """One series of each key, for the legend."""
        found = {series.key: series for chart in self.charts for series in chart.series}
        return tuple(found.values())


def round_ticks(low: float, high: float, most: int = 6) -> tuple[Tick, ...]:
    """Ticks at round numbers (1, 2, 2.5 or 5 times a power of ten) inside [low, high]; at most `most` + 1."""
    from math import ceil, floor, log10

    span = high - low
    if span <= 0:
        return (Tick(low, f"{low:g}"),)
    power = 10.0 ** floor(log10(span / most))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if span / (factor * power) <= most)
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    return tuple(Tick(n * step, f"{n * step:g}".replace("-", "−")) for n in range(first, last + 1))


def span(values: Sequence[float], *, zero: bool, room: float = 0.06) -> Interval:
    """Lowest and highest finite value (with 0 when `zero`), and some room at both ends."""
    from math import isfinite

    finite = [value for value in values if isfinite(value)] + ([0.0] if zero else [])
    if not finite:
        return (0.0, 1.0)
    low, high = min(finite), max(finite)
    margin = room * (high - low) if high > low else 0.5
    return low - margin, high + margin
