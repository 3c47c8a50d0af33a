"""A response result as tables: gradient, band noise, cut-offs, and the test of the claim."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from spectrobe.studies.response.claim import Claim
    from spectrobe.studies.response.result import Curve, GradientSpectrum, ResponseResult

Table = tuple[list[str], list[list[str]]]
"""Headers and rows of cells; the first column is text."""


def tables(result: ResponseResult) -> list[Table]:
    """Gradient, band noise, cut-offs, and the test of the claim."""
    found = [masking_table(result), cutoff_table(result)]
    if result.gradient is not None:
        found = [gradient_table(result, result.gradient), *found]
    return found if result.claim is None else [*found, claim_table(result.claim)]


def gradient_table(result: ResponseResult, gradient: GradientSpectrum) -> Table:
    """A row a band: where the energy of the loss's gradient lies."""
    rows = []
    for band, place in enumerate(_places(result)):
        per_bin = gradient.per_bin.value[band]
        rows.append([*place, str(int(result.bins[band])), value(gradient.share, band), f"{per_bin:.3g}"])
    return ["band", "cycles/pixel", "cycles/image", "bins", "share of the gradient's energy", "energy per bin"], rows


def masking_table(result: ResponseResult) -> Table:
    """A row a band: accuracy under band noise, and the noise that takes it half way to chance."""
    masking = result.masking
    deviations = [f"noise {math.sqrt(power):.3g}" for power in masking.powers]
    rows = []
    for band, place in enumerate(_places(result)):
        accuracy = [f"{share:.3f}" for share in masking.of_band(band).value]
        rows.append([*place, *accuracy, _half_way(result, band)])
    return ["band", "cycles/pixel", "cycles/image", *deviations, "half-way noise"], rows


def _places(result: ResponseResult) -> list[list[str]]:
    """Number and edges of each band."""
    side = min(result.image_size)
    return [
        [str(band), f"{low:.3f}-{high:.3f}", f"{low * side:.3g}-{high * side:.3g}"]
        for band, (low, high) in enumerate(result.bands.cycles_per_pixel())
    ]


def _half_way(result: ResponseResult, band: int) -> str:
    """Standard deviation of the noise that takes accuracy half way from clean to chance, from the sensitivity."""
    masking = result.masking
    sensitivity = masking.sensitivity.value[band]
    if not np.isfinite(sensitivity):
        return "-"
    if masking.extrapolated[band]:
        weakest, strongest = np.sqrt(masking.delivered_power[band, [0, -1]])
        return f"> {strongest:.3g}" if 1 / sensitivity > strongest**2 else f"< {weakest:.3g}"
    low, high = 1 / np.sqrt(masking.sensitivity.interval[band])
    return f"{1 / math.sqrt(sensitivity):.3f} [{high:.3f}, {low:.3f}]"


def cutoff_table(result: ResponseResult) -> Table:
    """A row a cut-off: accuracy on what is below it and above it, clean and under the perturbation."""
    cutoffs, side = result.cutoffs, min(result.image_size)
    curves: dict[str, Curve] = {"low-pass": cutoffs.low_pass, "high-pass": cutoffs.high_pass}
    if cutoffs.low_pass_under is not None and cutoffs.high_pass_under is not None:
        curves |= {"low-pass under": cutoffs.low_pass_under, "high-pass under": cutoffs.high_pass_under}
    rows = [
        [f"{frequency:.3f}", f"{frequency * side:.3g}", *(value(curve, place) for curve in curves.values())]
        for place, frequency in enumerate(cutoffs.frequency)
    ]
    return ["cycles/pixel", "cycles/image", *curves], rows


def claim_table(claim: Claim) -> Table:
    """A row a predictor: rank correlation with the drops, and error of the held-out predictions."""
    rows = []
    for name, prediction in claim.predictions.items():
        rank, error = prediction.rank_correlation, prediction.error
        rows.append([name, *("-" if math.isnan(one.value) else str(one) for one in (rank, error))])
    return ["predictor of the drop of accuracy", "rank correlation", "held-out error"], rows


def aligned(table: Table) -> list[str]:
    """A table as lines of text, the first column to the left, the others to the right."""
    headers, rows = table
    width = [max(len(row[k]) for row in [headers, *rows]) for k in range(len(headers))]
    lines = []
    for first, *rest in [headers, *rows]:
        cells = [first.ljust(width[0]), *(cell.rjust(w) for cell, w in zip(rest, width[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return lines


def value(curve: Curve, place: int) -> str:
    """0.357 [0.328, 0.387]"""
    low, high = curve.interval[place]
    return f"{curve.value[place]:.3f} [{low:.3f}, {high:.3f}]"
