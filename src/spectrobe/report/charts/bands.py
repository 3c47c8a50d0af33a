"""Axes of frequency: bands in slots of equal width, or octaves; cycles/pixel below, cycles/image above."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, isfinite, log2

from spectrobe.bands import BandPartition
from spectrobe.report.charts.chart import Axis, Tick


def band_axis(bands: BandPartition, sizes: Sequence[tuple[int, int]]) -> Axis:
    """A slot of equal width a band, ticks at the edges; cycles/image (shorter side) where all sizes agree."""
    first = 1 if bands.dc == "own" else 0
    edges = [(place + first - 0.5, edge / 2) for place, edge in enumerate(bands.edges)]
    own = (Tick(0.0, "mean"),) if first else ()
    sides = {min(size) for size in sizes}
    side = sides.pop() if len(sides) == 1 else None
    return Axis(
        "spatial frequency (cycles/pixel)", -0.5, bands.n_bands - 0.5,
        own + tuple(Tick(at, f"{edge:.3g}") for at, edge in edges),
        tuple(Tick(at, f"{edge * side:.3g}") for at, edge in edges) if side else (),
        f"cycles/image ({side} pixels)" if side else "",
    )  # fmt: skip


def octave_axis(frequencies: Sequence[float], sizes: Sequence[tuple[int, int]], label: str) -> Axis:
    """log2 of cycles/pixel with a tick an octave, Nyquist (1/2) the highest; cycles/image where all sizes agree."""
    finite = [log2(f) for f in frequencies if isfinite(f) and f > 0]
    low, high = min([*finite, -2.0]) - 0.3, max([*finite, -1.0]) + 0.15
    octaves = range(ceil(low), floor(high) + 1)
    sides = {min(size) for size in sizes}
    side = sides.pop() if len(sides) == 1 else None
    return Axis(
        label, low, high,
        tuple(Tick(at, f"{2.0**at:.3g}") for at in octaves),
        tuple(Tick(at, f"{2.0**at * side:.3g}") for at in octaves) if side else (),
        f"cycles/image ({side} pixels)" if side else "",
    )  # fmt: skip
