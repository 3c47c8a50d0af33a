"""From the rows of one perturbation to its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from spectrobe.bands import BandPartition
from spectrobe.data.checks import duplicate_warning
from spectrobe.errors import InputError
from spectrobe.game.intervals import Estimate
from spectrobe.studies.snr.result import SnrResult, SnrSettings
from spectrobe.studies.snr.rows import MEASURED, UNATTACKED, SnrRows
from spectrobe.studies.snr.statistics import (
    Energies,
    Summary,
    categories,
    decay,
    decibels,
    exceptions,
    fewest_images,
    median_summary,
    modulus,
    ratio_of_sums,
)

SUMMARIES = ("median", "ratio-of-sums", "mean-of-bins")
"""median: over images, of each image's ratio of band energies.   ratio-of-sums: energies are summed over images first.
mean-of-bins: median over images of each image's mean over the band's bins of the per-bin SNR in dB."""
DC = ("apart", "in-band")


def check_summary(bands: BandPartition, dc: str, summary: str) -> None:
    """Raise InputError for unknown choices, or where the partition contradicts them."""
    if summary not in SUMMARIES:
        raise InputError(f"expected a summary out of {', '.join(SUMMARIES)}, got {summary!r}")
    if dc not in DC:
        raise InputError(f"expected dc 'apart' or 'in-band', got {dc!r}")
    if bands.dc == "own" and dc == "in-band":
        raise InputError("expected dc='apart' with bands whose mean is a band of its own, got dc='in-band'")


def rings(bands: BandPartition) -> BandPartition:
    """The partition with the mean in band 0, in which energies are measured."""
    return replace(bands, dc="in-band")


def summarise(rows: SnrRows, settings: SnrSettings, skipped: Mapping[str, str], warnings: tuple[str, ...]) -> SnrResult:
    """The result of one perturbation; InputError with fewer than 2 measured images."""
    check_summary(settings.bands, settings.dc, settings.summary)
    measured = rows.measured()
    failed = {i: s for i, s in zip(rows.ids, rows.status, strict=True) if s not in (MEASURED, UNATTACKED)}
    if len(measured) < 2:
        raise InputError(_too_few(rows, failed, settings))
    confidence, seed = settings.confidence, settings.seed
    lowest_bins = int(rings(settings.bands).bins(*settings.image_size)[0])
    energies = measured.energies("own" if settings.bands.dc == "own" else settings.dc, lowest_bins)
    db, mu = _summaries(energies, settings.summary, confidence, seed)
    dc_db, dc_mu = _of_mean(measured, settings)
    category = categories(mu.interval)
    below, above = exceptions(category)
    frequency = settings.bands.mean_frequency(*settings.image_size)
    return SnrResult(
        settings=settings,
        db=db.value,
        stderr=db.stderr,
        interval=db.interval,
        modulus=mu.value,
        modulus_interval=mu.interval,
        category=category,
        dc_db=dc_db,
        dc_modulus=dc_mu,
        decay=decay(db, frequency, confidence),
        prefix=not above and not below,
        non_robust_below=below,
        robust_above=above,
        frequency=frequency,
        n_images=len(measured),
        clipped_share=float(measured.clipped.mean()),
        delivered=_delivered(measured),
        unattacked=sum(status == UNATTACKED for status in rows.status),
        failed=failed,
        skipped=dict(skipped),
        warnings=tuple(dict.fromkeys((*warnings, *_warnings(rows, measured, settings)))),
        _rows=rows,
    )


def _delivered(measured: SnrRows) -> dict[str, float]:
    """Median norms; of attacks the share of images that fool the model, and the median energy outside their bands."""
    delivered = {"l2": float(np.median(measured.l2)), "linf": float(np.median(measured.linf))}
    if np.isfinite(measured.fooled).any():
        delivered["fooled"] = float(np.nanmean(measured.fooled))
    if np.isfinite(measured.outside).any():
        delivered["outside_bands"] = float(np.nanmedian(measured.outside))
    return delivered


def _summaries(energies: Energies, summary: str, confidence: float, seed: int) -> tuple[Summary, Summary]:
    if summary == "ratio-of-sums":
        return ratio_of_sums(energies, confidence, seed)
    per_bin = summary == "mean-of-bins"
    db = decibels(energies.signal, energies.noise)
    if per_bin:
        db = np.where(np.isfinite(db), energies.bin_db, db)
    mu = modulus(energies.signal, energies.noise, energies.cross)
    return median_summary(db, confidence, seed), median_summary(mu, confidence, seed)


def _of_mean(measured: SnrRows, settings: SnrSettings) -> tuple[Estimate, Estimate]:
    """SNR and modulus of the mean alone."""
    whole = measured.energies("own", 1)
    alone = Energies(whole.signal[:, :1], whole.noise[:, :1], whole.cross[:, :1], whole.bin_db[:, :1])
    db, mu = _summaries(alone, settings.summary, settings.confidence, settings.seed)
    return db.estimate(0, settings.confidence), mu.estimate(0, settings.confidence)


def _warnings(rows: SnrRows, measured: SnrRows, settings: SnrSettings) -> list[str]:
    n, confidence = len(measured), settings.confidence
    found = []
    if settings.summary != "ratio-of-sums" and n < fewest_images(confidence):
        found.append(
            f"{n} images are too few for a {100 * confidence:g}% interval of a median, which needs "
            f"{fewest_images(confidence)}: the range of the images stands for it, at {100 * (1 - 2.0 ** (1 - n)):.3g}%"
        )
    unattacked = sum(status == UNATTACKED for status in rows.status)
    if unattacked:
        found.append(
            f"{settings.perturbation} left {unattacked} of {len(rows)} images alone, wrong already without it; "
            "they are not counted"
        )
    unchanged = int((measured.linf == 0).sum())
    if unchanged:
        found.append(f"{settings.perturbation} changed nothing in {unchanged} of {n} images: their SNR is infinite")
    same = duplicate_warning(measured.ids, measured.digest)
    return [*found, same] if same else found


def _too_few(rows: SnrRows, failed: Mapping[str, str], settings: SnrSettings) -> str:
    if failed:
        image, reason = next(iter(failed.items()))
        return f"{settings.perturbation} failed on {len(failed)} of {len(rows)} images (on {image}: {reason})"
    unattacked = sum(status == UNATTACKED for status in rows.status)
    if unattacked:
        return (
            f"{settings.perturbation} left {unattacked} of {len(rows)} images alone, wrong already without it: "
            "check the labels, or attack the model's own predictions (labels='prediction')"
        )
    return f"expected at least 2 readable images, got {len(rows)}: intervals over images need more"
