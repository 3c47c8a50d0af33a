"""Noise injected into the kept bands of training images, which then have a set SNR: a condition apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spectrobe.bands import BandPartition
from spectrobe.errors import InputError
from spectrobe.perturbations.band_snr import BandSnrRecord, set_band_snr

SHARE = 0.05
"""Of the images tried first: where more cannot have the SNR, it is refused."""
_TRIED, _BLOCK = 200, 500


def refuse_unreachable(pixels: Tensor, ids: Sequence[str], db: float, groups: BandPartition, seed: int) -> None:
    """Raise InputError, saying what can be reached, where clipping keeps too many of a few images from this SNR."""
    for band in range(groups.n_bands):
        x = pixels[:_TRIED].to(torch.float32) / 255
        _, record = set_band_snr(x, {band: db}, groups, ids=ids[:_TRIED], seed=seed)
        share = record.unreachable / len(x)
        lowest = record.lowest_db[:, 0]
        if share > SHARE:
            known = lowest[np.isfinite(lowest)]
            reach = f"{np.quantile(known, 1 - SHARE):.1f} dB and more" if len(known) else "none at all"
            raise InputError(
                f"an SNR of {db:g} dB in group {band} of the bands is out of reach of {record.unreachable} of {len(x)} "
                f"images, because pixels are clipped to [0, 1]: {1 - SHARE:.0%} of them reach {reach}; inject a higher "
                "SNR, or none"
            )


def inject(
    pixels: Tensor, ids: Sequence[str], db: float, band: int, groups: BandPartition, seed: int
) -> tuple[Tensor, Mapping[str, Any]]:
    """Images uint8 -> float32 in [0, 1] with the noise, drawn once by image id; and what came of it.

    Images that clipping keeps from it come as near to it as they can, and are counted.
    """
    parts, records = [], []
    for start in range(0, len(pixels), _BLOCK):
        x = pixels[start : start + _BLOCK].to(torch.float32) / 255
        y, record = set_band_snr(x, {band: db}, groups, ids=ids[start : start + _BLOCK], seed=seed)
        parts.append(y)
        records.append(record)
    return torch.cat(parts), _told(records, band)


def _told(records: Sequence[BandSnrRecord], band: int) -> dict[str, Any]:
    snr = np.concatenate([record.snr_db[:, band] for record in records])
    outside = np.concatenate([record.outside_bands for record in records])
    return {
        "median_db": float(np.nanmedian(snr)),
        "unreachable": sum(record.unreachable for record in records),
        "leaked": float(np.nanmean(outside)),
    }
