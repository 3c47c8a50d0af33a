"""The frozen result of response: gradient spectrum, masking, cut-offs, heat map, and the test of the claim."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from spectrobe.bands import BandPartition
from spectrobe.errors import SpectrobeError
from spectrobe.game.intervals import Estimate
from spectrobe.studies.frozen import Frozen
from spectrobe.studies.response.claim import Claim
from spectrobe.studies.response.rows import HeatRows, R, ResponseRows, stored_rows
from spectrobe.studies.response.settings import ResponseSettings

if TYPE_CHECKING:
    import pandas as pd

    from spectrobe.engine.store import RunFolder


@dataclass(frozen=True)
class Curve(Frozen):
    """A number for each of K places: value, stderr (K,), interval (K, 2), over images; read-only float64."""

    value: np.ndarray
    stderr: np.ndarray
    interval: np.ndarray

    def estimate(self, place: int, confidence: float) -> Estimate:
        """One place's."""
        low, high = self.interval[place]
        return Estimate(float(self.value[place]), float(self.stderr[place]), float(low), float(high), confidence)


@dataclass(frozen=True)
class GradientSpectrum(Frozen):
    """Power spectrum of the cross-entropy's gradient with respect to the pixels, M bands, the mean (DC) apart.

    energy: mean over images of each image's energy in the band; with `mean` it sums to the mean squared L2 norm.
    per_bin: the same divided by the band's bins.   share: mean over images of each image's own shares, which no image
    dominates.   mean: energy of the mean.   norm: mean over images of the gradient's L2 norm.   centroid: mean of log2
    |f| weighted by `share`, in log2 cycles/pixel.
    """

    energy: Curve
    per_bin: Curve
    share: Curve
    mean: Estimate
    norm: Estimate
    centroid: Estimate


@dataclass(frozen=True)
class Masking(Frozen):
    """Accuracy against band noise (critical-band masking), M bands and P powers.

    powers: (P,), mean squares of the noise before clipping.   accuracy, log_likelihood: Curve over (band, power), band
    by band, M * P places; `of_band` cuts one out.   delivered_power, delivered_l2, in_band: (M, P) medians over images
    of what clipping left: mean square and L2 norm of the change, share of its energy that lies in the band.
    sensitivity: M places, 1 / power at which accuracy is half way from clean to chance.   extrapolated: bool (M,), that
    power is beyond those tried.   slope: of accuracy against log power, one for all bands.
    centre (cycles/pixel), bandwidth (octaves, full width at half height), peak (1 / power): of the channel, not a
    number, with the reason, where the fit fails.
    """

    powers: np.ndarray
    accuracy: Curve
    log_likelihood: Curve
    delivered_power: np.ndarray
    delivered_l2: np.ndarray
    in_band: np.ndarray
    sensitivity: Curve
    extrapolated: np.ndarray
    slope: Estimate
    centre: Estimate
    bandwidth: Estimate
    peak: Estimate

    def of_band(self, band: int) -> Curve:
        """Accuracy against power in one band, P places."""
        places = slice(band * len(self.powers), (band + 1) * len(self.powers))
        return Curve(self.accuracy.value[places], self.accuracy.stderr[places], self.accuracy.interval[places])


@dataclass(frozen=True)
class Cutoffs(Frozen):
    """Accuracy across low-pass and high-pass cut-offs, a place for each of the K = M - 1 inner edges of the bands.

    frequency: (K,), cycles/pixel.   low_pass, high_pass: accuracy on images that hold only what is below, or from the
    cut-off on.   low_log_likelihood, high_log_likelihood: mean log q of the label, nats.
    low_pass_mean, high_pass_mean: accuracy averaged over the cut-offs, a number for scores.
    under: the perturbation; None without.   accuracy_under: accuracy on perturbed, whole images.
    low_pass_under, high_pass_under: accuracy on images that were perturbed and then cut off: what a model with these
    frequencies alone keeps of its accuracy.
    """

    frequency: np.ndarray
    low_pass: Curve
    high_pass: Curve
    low_log_likelihood: Curve
    high_log_likelihood: Curve
    low_pass_mean: Estimate
    high_pass_mean: Estimate
    under: str | None = None
    accuracy_under: Estimate | None = None
    low_pass_under: Curve | None = None
    high_pass_under: Curve | None = None


@dataclass(frozen=True)
class HeatMap(Frozen):
    """Error rate under Fourier basis noise (Yin et al. 2019, arXiv 1906.08988), V vectors of the half plane.

    frequencies: int64 (V, 2), k_y and k_x in cycles/image; k and -k are one vector.   error: V places, share of images
    classified wrongly.   norm: the L2 norm stated.   delivered: (V, 3), least, median and largest norm over images
    after clipping.   short: share of (image, vector) pairs that could not take that norm.
    """

    frequencies: np.ndarray
    error: Curve
    norm: float
    delivered: np.ndarray
    short: float
    n_images: int

    def plane(self, size: tuple[int, int], step: int) -> np.ndarray:
        """Error rates over both halves, (rows of k_y, columns of k_x) from -size/2 to size/2 in steps of `step`."""
        from spectrobe.studies.response.basis import full_plane

        return full_plane(self.frequencies, self.error.value, size, step)


@dataclass(frozen=True)
class ResponseResult(Frozen):
    """How a model responds to each spatial frequency. Arrays are read-only float64; intervals are over images.

    accuracy, log_likelihood: on the clean images.   gradient: None where the model has no gradients (see `failed`).
    masking, cutoffs: always.   heat_map: where it was asked for.   claim: whether response times spectrum predicts what
    perturbations cost; None with the reason in `untested`.
    frequency: (M,) mean |f| of each band in cycles/pixel, without the mean.   bins: (M,) of the full plane, likewise.
    failed: part or perturbation -> why it could not be measured.   skipped: images left out and why.   warnings: what
    to know about this run.
    """

    settings: ResponseSettings
    accuracy: Estimate
    log_likelihood: Estimate
    gradient: GradientSpectrum | None
    masking: Masking
    cutoffs: Cutoffs
    heat_map: HeatMap | None
    claim: Claim | None
    untested: str
    frequency: np.ndarray
    bins: np.ndarray
    n_images: int
    n_classes: int
    forward_passes: int
    failed: Mapping[str, str] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    _rows: ResponseRows | None = field(default=None, repr=False, compare=False)
    _heat_rows: HeatRows | None = field(default=None, repr=False, compare=False)
    _folder: RunFolder | None = field(default=None, repr=False, compare=False)

    @property
    def model_name(self) -> str:
        """The model, as the user named it."""
        return self.settings.model_name

    @property
    def data_name(self) -> str:
        """The data set, as the user named it."""
        return self.settings.data_name

    @property
    def bands(self) -> BandPartition:
        """The frequency bands."""
        return self.settings.bands

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W)"""
        return self.settings.image_size

    @property
    def confidence(self) -> float:
        """Of the intervals."""
        return self.settings.confidence

    @property
    def gradient_norm(self) -> Estimate:
        """Mean over images of the L2 norm of the loss's gradient; not a number without gradients."""
        if self.gradient is None:
            return Estimate.undefined("the model has no gradients", self.confidence)
        return self.gradient.norm

    @property
    def high_pass_accuracy(self) -> Estimate:
        """Accuracy on high-pass images, averaged over all cut-offs."""
        return self.cutoffs.high_pass_mean

    @property
    def low_pass_accuracy(self) -> Estimate:
        """Accuracy on low-pass images, averaged over all cut-offs."""
        return self.cutoffs.low_pass_mean

    @property
    def numbers(self) -> dict[str, Estimate]:
        """Single numbers by name, for scores and tables."""
        found = {
            "accuracy": self.accuracy,
            "low-pass accuracy": self.low_pass_accuracy,
            "high-pass accuracy": self.high_pass_accuracy,
            "gradient norm": self.gradient_norm,
            "channel centre": self.masking.centre,
            "channel bandwidth": self.masking.bandwidth,
            "channel peak": self.masking.peak,
        }
        return found if self.gradient is None else found | {"gradient centroid": self.gradient.centroid}

    @cached_property
    def rows(self) -> ResponseRows:
        """One row an image. SpectrobeError when loaded without its folder."""
        return self._stored(ResponseRows) if self._rows is None else self._rows

    @cached_property
    def heat_rows(self) -> HeatRows | None:
        """One row an image of the heat map; None without one."""
        if self._heat_rows is not None or self.heat_map is None:
            return self._heat_rows
        return self._stored(HeatRows)

    def _stored(self, kind: type[R]) -> R:
        if self._folder is None:
            raise SpectrobeError("this result has no rows: load the run folder it came from")
        return stored_rows(kind, self._folder, self._folder.all_shards(), self._folder.path)[0]

    def summary(self) -> str:
        """The result as text."""
        from spectrobe.studies.response.wording import summary

        return summary(self)

    def to_frame(self) -> pd.DataFrame:
        """One row a number: measure, band or cut-off, frequencies, power, value, interval. Needs pandas."""
        from spectrobe.studies.frames import import_pandas
        from spectrobe.studies.response.frame import frame_rows

        return import_pandas().DataFrame(frame_rows(self))

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write run.json, response/ and result.json; `load` gives the result back."""
        from spectrobe.studies.response.result_json import save

        save(self, folder)

    def to_dict(self) -> dict[str, Any]:
        """The result without its rows, JSON-able."""
        from spectrobe.studies.response.result_json import to_dict

        return to_dict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], folder: RunFolder | None = None) -> ResponseResult:
        """The result that `to_dict` described; its rows are read from the folder when asked for."""
        from spectrobe.studies.response.result_json import from_dict

        return from_dict(content, folder)
