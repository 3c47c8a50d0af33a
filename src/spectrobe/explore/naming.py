"""What bands are called on the page: by wavelengths in pixels."""

from __future__ import annotations

from dataclasses import dataclass

from spectrobe.bands import BandPartition


@dataclass(frozen=True)
class BandName:
    """How one band is written. waves: "8 to 16 px".   per_pixel, per_image: its range in cycles (shorter side)."""

    waves: str
    per_pixel: str
    per_image: str


def band_names(bands: BandPartition, height: int, width: int) -> list[BandName]:
    """Every band from coarse to fine, on images of this size."""
    side = min(height, width)
    return [_band_name(float(low), float(high), side) for low, high in bands.cycles_per_pixel()]


def _band_name(low: float, high: float, side: int) -> BandName:
    if high == 0:
        return BandName("the mean", "0", "0")
    longest = "longer" if low == 0 else _number(1 / low)
    waves = f"{_number(1 / high)} px and {longest}" if low == 0 else f"{_number(1 / high)} to {longest} px"
    return BandName(waves, f"{low:.3f}–{high:.3f}", f"{_number(low * side)}–{_number(high * side)}")


def _number(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"
