"""Spectral-SNR results in plain words, made from the numbers; they may say that these images cannot tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from spectrobe.studies.snr.statistics import NON_ROBUST, ROBUST, UNDECIDED
from spectrobe.studies.words import percent

if TYPE_CHECKING:
    from spectrobe.game.intervals import Estimate
    from spectrobe.studies.snr.result import SnrResult, SnrStudy

HOW = {
    "median": "median over images",
    "ratio-of-sums": "ratio of energies summed over images",
    "mean-of-bins": "median over images of the mean over bins",
}
PATTERNS = {
    "low only": "low frequencies survive, high ones are lost",
    "all": "all bands survive",
    "none": "no band survives",
    "not the lowest": "the bands that survive are not the lowest ones",
    "undecided": "these images cannot tell",
}
CATEGORY = "robust: modulus above 1/2 by its interval, which for noise is an SNR above 0 dB; non-robust: below"


def headline(result: SnrResult) -> str:
    """What was measured."""
    settings = result.settings
    height, width = result.image_size
    more = [HOW[settings.summary], f"mean {settings.dc}"]
    more += ["luminance"] * settings.luminance + ([settings.border] if settings.border else [])
    more += [f"rounded to {settings.quantize} bits"] if settings.quantize else []
    return (
        f"{result.perturbation} against {result.data_name}: {result.n_images} images of {height} x {width}, "
        f"bands {result.bands} ({', '.join(more)})"
    )


def summary(result: SnrResult) -> str:
    """A table over bands, the mean, what was delivered, the decay, and the sentence."""
    level = percent(result.confidence)
    lines = [headline(result)]
    lines.append(
        f"{'band':>4}  {'cycles/pixel':>13}  {'SNR':>10}  {level + ' interval':>18}  {'modulus':>23}  category"
    )
    for band, place in enumerate(places(result)):
        low, high = result.interval[band]
        mu_low, mu_high = result.modulus_interval[band]
        lines.append(
            f"{band:>4}  {place:>13}  {decibels(result.db[band]):>10}  {f'[{number(low)}, {number(high)}]':>18}  "
            f"{result.modulus[band]:>7.3f} [{mu_low:.3f}, {mu_high:.3f}]  {result.category[band]}"
        )
    lines += [
        mean_line(result),
        CATEGORY,
        delivered_line(result),
        decay_line(result),
        sentence(result),
        *remarks(result),
    ]
    return "\n".join(lines)


def study_summary(study: SnrStudy) -> str:
    """A line a perturbation, the patterns of survival, and what failed."""
    width = max([12, *map(len, study.results)])
    lines = [f"{'perturbation':<{width}}  {'dB/octave':>24}  robust bands"]
    for name, result in study.results.items():
        lines.append(f"{name:<{width}}  {slope_text(result.decay.db_per_octave):>24}  {robust_text(result)}")
    for pattern, told in PATTERNS.items():
        some = [name for name, result in study.results.items() if result.pattern == pattern]
        if some:
            lines.append(f"{told} ({len(some)} of {len(study.results)}): {', '.join(some)}")
    lines.append(CATEGORY)
    lines += [f"failed: {name}: {reason}" for name, reason in study.failed.items()]
    seen: dict[str, None] = {}
    for result in study.results.values():
        seen |= dict.fromkeys(remarks(result))
    return "\n".join([*lines, *seen])


def counts(results: Sequence[SnrResult]) -> str:
    """How many perturbations have which pattern of survival."""
    told: list[str] = []
    for pattern, words in PATTERNS.items():
        some = sum(result.pattern == pattern for result in results)
        if some:
            told.append(f"{words}: {some} of {len(results)}" if not told else f"{words}: {some}")
    return "; ".join(told).capitalize() + "."


def sentence(result: SnrResult) -> str:
    """One sentence on what survives, for readers who have never heard of the method."""
    name, category = result.perturbation, result.category
    robust = [band for band, kind in enumerate(category) if kind == ROBUST]
    lost = [band for band, kind in enumerate(category) if kind == NON_ROBUST]
    if not robust and not lost:
        return f"These {result.n_images} images cannot tell which frequencies survive {name}."
    unclear = _unclear(category)
    if result.pattern == "all":
        return f"All frequencies survive {name}, low and high ones alike."
    if result.pattern == "none":
        return f"No frequency survives {name}, neither low nor high ones."
    if not lost or not robust:
        known = f"{_named(robust)} survive" if robust else f"{_named(lost)} lost"
        return f"These {result.n_images} images cannot tell whether {name} spares low frequencies: {known}{unclear}."
    if result.prefix:
        edges = result.bands.cycles_per_pixel()
        below, above = edges[robust[-1], 1], edges[lost[0], 0]
        if below == 0:
            return f"The mean alone survives {name}, frequencies from low to high are lost{unclear}."
        return (
            f"Low frequencies survive {name} (below {below:.3g} cycles/pixel, waves longer than {1 / below:.3g} "
            f"pixels), high ones are lost (above {above:.3g}, waves shorter than {1 / above:.3g} pixels){unclear}."
        )
    return (
        f"What survives {name} is not the lowest frequencies: {_named(result.non_robust_below)} lost below a surviving "
        f"one, {_named(result.robust_above)} surviving above a lost one{unclear}."
    )


def mean_line(result: SnrResult) -> str:
    """The mean (DC)."""
    estimate = result.dc_db
    return (
        f"mean (DC): {decibels(estimate.value)} [{number(estimate.low)}, {number(estimate.high)}], "
        f"modulus {result.dc_modulus.value:.3f} [{result.dc_modulus.low:.3f}, {result.dc_modulus.high:.3f}]"
    )


def delivered_line(result: SnrResult) -> str:
    """How large the perturbation was, and what attacks did with it."""
    delivered = result.delivered
    line = (
        f"perturbation: median norm L2 {delivered['l2']:.4g}, Linf {delivered['linf']:.4g}; "
        f"{100 * result.clipped_share:.2g}% of the pixel values taken to 0 or 1"
    )
    if "fooled" in delivered:
        line += f"; {percent(round(delivered['fooled'], 3))} of the images fool the model"
    if "outside_bands" in delivered:
        line += f"; {100 * delivered['outside_bands']:.2g}% of its energy (median) outside the bands it keeps to"
    return line


def decay_line(result: SnrResult) -> str:
    """Slope and which line fits better."""
    decay = result.decay
    if math.isnan(decay.db_per_octave.value):
        return f"decay: not defined ({decay.db_per_octave.reason})"
    difference = decay.aic_difference.value
    fit = (
        "neither fits clearly better"
        if abs(difference) < 2
        else "power law fits better"
        if difference > 0
        else "exponential fits better"
    )
    out = f"; left out: {_named(decay.left_out)}" if decay.left_out else ""
    return (
        f"decay: {slope_text(decay.db_per_octave)} dB/octave, {slope_text(decay.db_per_cycle, 0)} dB per cycle/pixel; "
        f"{fit} (AIC {decay.aic_octave:.1f} for a power law, {decay.aic_cycle:.1f} for an exponential){out}"
    )


def remarks(result: SnrResult) -> list[str]:
    """Warnings, images that failed and images left out: a line each."""
    lines = [f"warning: {warning}" for warning in result.warnings]
    lines += [f"failed: {result.perturbation} on {image}: {reason}" for image, reason in result.failed.items()]
    return lines + [f"left out: {reason}" for reason in result.skipped.values()]


def robust_text(result: SnrResult) -> str:
    """Robust, undecided and lost bands in few words."""
    parts = []
    for kind in (ROBUST, UNDECIDED, NON_ROBUST):
        some = [band for band, one in enumerate(result.category) if one == kind]
        if some:
            parts.append(f"{_bands(some)} {kind}")
    return ", ".join(parts) + ("" if result.prefix else " (not the lowest)")


def places(result: SnrResult) -> list[str]:
    """Where each band lies, in cycles/pixel."""
    return ["mean" if high == 0 else f"{low:.3f}-{high:.3f}" for low, high in result.bands.cycles_per_pixel()]


def decibels(value: float) -> str:
    """12.3 dB, or infinite."""
    return "not touched" if value == np.inf else f"{value:.1f} dB"


def number(value: float) -> str:
    """12.3, or inf."""
    return f"{value:.1f}"


def slope_text(estimate: Estimate, digits: int = 1) -> str:
    """-6.0 [-6.2, -5.8]"""
    if math.isnan(estimate.value):
        return "not defined"
    if math.isnan(estimate.low):
        return f"{estimate.value:.{digits}f} (no interval)"
    return f"{estimate.value:.{digits}f} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"


def _bands(bands: Sequence[int]) -> str:
    """0-3, 5"""
    runs: list[list[int]] = []
    for band in bands:
        if runs and band == runs[-1][1] + 1:
            runs[-1][1] = band
        else:
            runs.append([band, band])
    return ", ".join(f"{low}" if low == high else f"{low}-{high}" for low, high in runs)


def _named(bands: Sequence[int]) -> str:
    """band 4, bands 4-6"""
    return f"{'band' if len(bands) == 1 else 'bands'} {_bands(bands)}"


def _unclear(category: Sequence[str]) -> str:
    unclear = [band for band, kind in enumerate(category) if kind == UNDECIDED]
    return f"; {_named(unclear)} undecided" if unclear else ""
