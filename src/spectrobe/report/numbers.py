"""Numbers as the report writes them: with their intervals, a real minus sign, and words for what is not defined."""

from __future__ import annotations

from math import isfinite, isnan
from typing import TYPE_CHECKING

from spectrobe.report.blocks import Cell

if TYPE_CHECKING:
    from spectrobe.bands import BandPartition
    from spectrobe.game.intervals import Estimate

NOT_DEFINED = "not defined"


def number(value: float, digits: int = 2) -> str:
    """0.31, −0.02, ∞."""
    if isnan(value):
        return NOT_DEFINED
    if not isfinite(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("-")


def interval(low: float, high: float, digits: int = 2) -> str:
    """0.21 to 0.41"""
    if isnan(low) or isnan(high):
        return "no interval"
    return f"{number(low, digits)} to {number(high, digits)}"


def with_interval(value: float, low: float, high: float, digits: int = 2) -> str:
    """0.31 (0.21 to 0.41)"""
    return NOT_DEFINED if isnan(value) else f"{number(value, digits)} ({interval(low, high, digits)})"


def estimate_cell(estimate: Estimate | None, digits: int = 2, tint: int | None = None) -> Cell:
    """A cell with the number and its interval; why, where it is not defined; empty where it was not measured."""
    if estimate is None:
        return Cell("", float("-inf"))
    if isnan(estimate.value):
        return Cell(NOT_DEFINED, float("-inf"), estimate.reason)
    return Cell(number(estimate.value, digits), estimate.value, interval(estimate.low, estimate.high, digits), tint)


def places(bands: BandPartition) -> list[str]:
    """Where each band lies, in cycles/pixel: 0.062–0.125."""
    return ["mean (DC)" if high == 0 else f"{low:.3g}–{high:.3g}" for low, high in bands.cycles_per_pixel().tolist()]


def places_per_image(bands: BandPartition, side: int) -> list[str]:
    """Where each band lies, in cycles/image of a side: 14–28."""
    return [
        "mean (DC)" if high == 0 else f"{low * side:.3g}–{high * side:.3g}"
        for low, high in bands.cycles_per_pixel().tolist()
    ]


def joined(items: list[str], last: str = "and") -> str:
    """a, b and c"""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {last} {items[-1]}"


def plural(n: int, one: str, several: str = "") -> str:
    """1 image, 2 images"""
    return f"{n:,} {one if n == 1 else several or one + 's'}"
