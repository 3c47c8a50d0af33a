"""A response result as tables: bands, cut-offs, and the test of the claim."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from spectrobe.game.intervals import Estimate
    from spectrobe.studies.response.claim import Claim
    from spectrobe.studies.response.result import Curve, ResponseResult

Table = tuple[list[str], list[list[str]]]
"""Headers and rows of cells; the first column is text."""


def tables(result: ResponseResult) -> list[Table]:
    """Bands, cut-offs, and the test of the claim."""
    found = [band_table(result), cutoff_table(result)]
    return found if result.claim is None else [*found, claim_table(result.claim)]


def band_table(result: ResponseResult) -> Table:
    """A row a band: gradient, accuracy under band noise, and the noise that takes accuracy half way to chance."""
    masking, gradient = result.masking, result.gradient
    deviations = [f"noise {math.sqrt(power):.3g}" for power in masking.powers]
    headers = ["band", "cycles/pixel", "cycles/image"]
    headers += ["gradient share", "interval"] if gradient else []
    headers += [*deviations, "half-way noise", "interval"]
    rows = []
    edges, side = result.bands.cycles_per_pixel(), min(result.image_size)
    for band, (low, high) in enumerate(edges):
        cells = [str(band), f"{low:.3f}-{high:.3f}", f"{low * side:.3g}-{high * side:.3g}"]
        if gradient:
            cells += [f"{gradient.share.value[band]:.3f}", interval(gradient.share, band)]
        cells += [f"{value:.3f}" for value in masking.of_band(band).value]
        rows.append([*cells, *_half_way(result, band)])
    return headers, rows


def _half_way(result: ResponseResult, band: int) -> list[str]:
    """Standard deviation of the noise that takes accuracy half way from clean to chance, from the sensitivity."""
    masking = result.masking
    sensitivity = masking.sensitivity.value[band]
    if not np.isfinite(sensitivity):
        return ["-", ""]
    if masking.extrapolated[band]:
        strongest, weakest = math.sqrt(masking.delivered_power[band, -1]), math.sqrt(masking.delivered_power[band, 0])
        return [
            f"> {strongest:.3g}" if 1 / sensitivity > strongest**2 else f"< {weakest:.3g}",
            "beyond the noise tried",
        ]
    low, high = 1 / np.sqrt(masking.sensitivity.interval[band])
    return [f"{1 / math.sqrt(sensitivity):.3f}", f"[{high:.3f}, {low:.3f}]"]


def cutoff_table(result: ResponseResult) -> Table:
    """A row a cut-off: accuracy on what is below it and above it, clean and under the perturbation."""
    cutoffs, side = result.cutoffs, min(result.image_size)
    curves: dict[str, Curve] = {"low-pass": cutoffs.low_pass, "high-pass": cutoffs.high_pass}
    if cutoffs.low_pass_under is not None and cutoffs.high_pass_under is not None:
        curves |= {"low-pass under": cutoffs.low_pass_under, "high-pass under": cutoffs.high_pass_under}
    headers = ["cut-off (cycles/pixel)", "cycles/image"]
    headers += [header for name in curves for header in (name, "interval")]
    rows = []
    for place, frequency in enumerate(cutoffs.frequency):
        row = [f"{frequency:.4f}", f"{frequency * side:.3g}"]
        for curve in curves.values():
            row += [f"{curve.value[place]:.3f}", interval(curve, place)]
        rows.append(row)
    return headers, rows


def claim_table(claim: Claim) -> Table:
    """A row a predictor: rank correlation with the drops, and error of the held-out predictions."""
    rows = []
    for name, prediction in claim.predictions.items():
        rank, error = prediction.rank_correlation, prediction.error
        rows.append([name, *_pair(rank), *_pair(error)])
    return ["predictor of the drop of accuracy", "rank correlation", "interval", "held-out error", "interval"], rows


def aligned(table: Table) -> list[str]:
    """A table as lines of text, the first column to the left, the others to the right."""
    headers, rows = table
    width = [max(len(row[k]) for row in [headers, *rows]) for k in range(len(headers))]
    lines = []
    for first, *rest in [headers, *rows]:
        cells = [first.ljust(width[0]), *(cell.rjust(w) for cell, w in zip(rest, width[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return lines


def interval(curve: Curve, place: int) -> str:
    """[0.123, 0.456]"""
    low, high = curve.interval[place]
    return f"[{low:.3f}, {high:.3f}]"


def _pair(estimate: Estimate) -> Sequence[str]:
    if math.isnan(estimate.value):
        return "-", estimate.reason
    return f"{estimate.value:.3f}", f"[{estimate.low:.3f}, {estimate.high:.3f}]"
