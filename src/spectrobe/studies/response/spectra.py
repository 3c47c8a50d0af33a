"""Where the power of each tested perturbation lies, from a run's rows: the other factor of response times spectrum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from spectrobe.errors import InputError
from spectrobe.game.intervals import mean_intervals
from spectrobe.studies.response.result import Curve

if TYPE_CHECKING:
    from spectrobe.studies.response.result import ResponseResult


def perturbation_spectra(result: ResponseResult) -> dict[str, Curve]:
    """Mean square of what each perturbation of the claim changes in each band, its mean apart: M places each.

    Units: squared pixel values in [0, 1], after clipping; Student's t intervals over images, each band alone.
    Raises InputError where the run tested no claim, SpectrobeError where the result has lost its rows.
    """
    if result.claim is None:
        raise InputError(f"expected a result with a test of perturbations: {result.untested}")
    rows, names = result.rows, result.claim.names
    # perturbed views come last; one that failed has no log q on some image, and is not among the names
    measured = np.flatnonzero(~np.isnan(rows.log_q).any(axis=0))[-len(names) :]
    spectra = {}
    for name, view in zip(names, measured, strict=True):
        found = mean_intervals(rows.power_by_band[:, view], result.confidence)
        spectra[name] = Curve(found.mean, found.stderr, found.pointwise)
    return spectra


def strongest(spectra: Mapping[str, Curve]) -> dict[str, Curve]:
    """Of each perturbation the last setting, which is the strongest where severities rise."""
    last = {name.partition(":")[0]: name for name in spectra}
    return {name: spectra[name] for name in last.values()}


def as_shares(curve: Curve) -> Curve:
    """A curve over its sum, its intervals likewise; a curve of zeros as it is."""
    total = float(curve.value.sum()) or 1.0
    return Curve(curve.value / total, curve.stderr / total, curve.interval / total)
