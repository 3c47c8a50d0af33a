"""From the rows of a response run to its result."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np

from spectrobe.game.intervals import Estimate, bootstrap_weights, mean_estimate, mean_intervals, wilson
from spectrobe.studies.response import views as of
from spectrobe.studies.response.basis import REACHED, half_plane_frequencies
from spectrobe.studies.response.channel import Channel, Sensitivity, fit_channel, fit_sensitivity
from spectrobe.studies.response.claim import Claim, check_claim, why_untested
from spectrobe.studies.response.gradients import GRADIENT
from spectrobe.studies.response.predictors import Evidence
from spectrobe.studies.response.result import Curve, Cutoffs, GradientSpectrum, HeatMap, Masking, ResponseResult
from spectrobe.studies.response.rows import HeatRows, ResponseRows
from spectrobe.studies.response.settings import ResponseSettings
from spectrobe.studies.response.views import View
from spectrobe.studies.robustness.conditions import Condition
from spectrobe.studies.robustness.measures import share_estimate

_LEAST_ROOM = 0.05
"""Between clean accuracy and chance; with less, noise has nothing to take away."""
_SHARE_OF_FITS = 0.8
"""Of the resampled images' channels, for a channel to have an interval."""


def summarise(
    rows: ResponseRows,
    heat_rows: HeatRows | None,
    settings: ResponseSettings,
    conditions: Sequence[Condition],
    refused: Mapping[str, str],
    *,
    n_classes: int,
    forward_passes: int,
    skipped: Mapping[str, str],
    warnings: tuple[str, ...],
) -> ResponseResult:
    """From the rows to the result. conditions: the perturbations of the claim.   refused: what was not even begun."""
    confidence, size = settings.confidence, settings.image_size
    # a perturbation of the cut-offs that could not be built has no views
    under = None if settings.under in refused else settings.under
    views = of.all_views(settings.bands.n_bands, settings.powers, under, [c.name for c in conditions])
    failed = {**refused, **failures(rows)}
    frequency = settings.bands.mean_frequency(*size)
    bins = settings.bands.bins(*size).numpy().astype(np.float64)
    bins[0] -= 1  # the mean is apart
    resampled = Resampled(rows, views, settings, frequency, n_classes)
    tested, untested = claim(resampled, conditions, bins, failed)
    return ResponseResult(
        settings=settings,
        accuracy=share_estimate(rows.right[:, 0], confidence),
        log_likelihood=mean_estimate(rows.log_q[:, 0], confidence),
        gradient=None if GRADIENT in failed else gradient_spectrum(rows, frequency, bins, confidence),
        masking=masking(resampled),
        cutoffs=cutoffs(rows, views, settings, failed),
        heat_map=None if heat_rows is None else heat_map(heat_rows, settings),
        claim=tested,
        untested=untested,
        frequency=frequency,
        bins=bins,
        n_images=len(rows),
        n_classes=n_classes,
        forward_passes=forward_passes,
        failed=failed,
        skipped=skipped,
        warnings=warnings,
        _rows=rows,
        _heat_rows=heat_rows,
    )


def failures(rows: ResponseRows) -> dict[str, str]:
    """What failed on any image, and why."""
    found: dict[str, str] = {}
    for text in dict.fromkeys(rows.failed):
        for name, why in json.loads(text or "{}").items():
            found.setdefault(name, why)
    return found


def shares(right: np.ndarray, confidence: float) -> Curve:
    """Share of images that are right, for each column of (N, K): Wilson's interval."""
    return _curve([wilson(int(column.sum()), len(column), confidence) for column in right.T])


def means(values: np.ndarray, confidence: float) -> Curve:
    """Mean over images of each column of (N, K): Student's t."""
    found = mean_intervals(values, confidence)
    return Curve(found.mean, found.stderr, found.pointwise)


def gradient_spectrum(
    rows: ResponseRows, frequency: np.ndarray, bins: np.ndarray, confidence: float
) -> GradientSpectrum:
    """Of rows that have gradients."""
    energy = rows.gradient
    total = energy.sum(axis=1)
    share = energy / np.where(total > 0, total, 1.0)[:, None]  # a gradient of zero has no shares: it counts as none
    return GradientSpectrum(
        energy=means(energy, confidence),
        per_bin=means(energy / bins, confidence),
        share=means(share, confidence),
        mean=mean_estimate(rows.gradient_mean, confidence),
        norm=mean_estimate(np.sqrt(total + rows.gradient_mean), confidence),
        centroid=mean_estimate(share[total > 0] @ np.log2(frequency), confidence)
        if (total > 0).sum() > 1
        else Estimate.undefined("the gradient is zero on all images", confidence),
    )


class Resampled:
    """Accuracies, powers and fits of the images as they are and of resampled ones, the measured ones first: R sets."""

    def __init__(
        self,
        rows: ResponseRows,
        views: Sequence[View],
        settings: ResponseSettings,
        frequency: np.ndarray,
        n_classes: int,
    ) -> None:
        self.rows, self.views, self.settings = rows, views, settings
        n, m = len(rows), settings.bands.n_bands
        self.weights = np.concatenate([np.ones((1, n)), bootstrap_weights(n, settings.seed)]) / n
        self.clean = self.weights @ rows.right[:, 0]
        self.chance = min(1 / n_classes, float(self.clean[0]))
        self.masked = of.of_part(views, of.MASKED)
        power = rows.power_by_band[:, self.masked].reshape(n, m, -1, m)
        in_band = np.einsum("nipi->nip", power)
        self.delivered = in_band.mean(0)
        self.why_none = ""
        if self.clean[0] - self.chance < _LEAST_ROOM:
            self.why_none = (
                f"clean accuracy, {self.clean[0]:.3f}, is not {_LEAST_ROOM:g} above chance, {self.chance:.3f}: noise "
                "has nothing to take away"
            )
        accuracy = (self.weights @ rows.right[:, self.masked]).reshape(len(self.weights), m, -1)
        self.found: Sensitivity = fit_sensitivity(accuracy, self.clean, self.chance, self.delivered)
        self.channel: Channel = fit_channel(np.log2(frequency), self.found.sensitivity, float(self.delivered.max()))


def masking(resampled: Resampled) -> Masking:
    """Accuracies, what was delivered, sensitivities and channel."""
    rows, settings, places = resampled.rows, resampled.settings, resampled.masked
    n, m, confidence = len(rows), settings.bands.n_bands, settings.confidence
    power = rows.power_by_band[:, places].reshape(n, m, -1, m)
    total = power.sum(3) + rows.mean_power[:, places].reshape(n, m, -1)
    in_band = np.einsum("nipi->nip", power) / np.where(total > 0, total, 1.0)
    found, channel = resampled.found, resampled.channel
    none = resampled.why_none
    fit_reason = none or channel.reason
    parts = {"centre": 2.0**channel.log2_centre, "bandwidth": channel.bandwidth, "peak": channel.peak}
    sensitivity = [_percentile(column, confidence) for column in found.sensitivity.T]
    if none:
        sensitivity = [Estimate.undefined(none, confidence)] * m
    return Masking(
        powers=np.asarray(settings.powers),
        accuracy=shares(rows.right[:, places], confidence),
        log_likelihood=means(rows.log_q[:, places], confidence),
        delivered_power=np.median(total, axis=0),
        delivered_l2=np.median(rows.l2[:, places].reshape(n, m, -1), axis=0),
        in_band=np.median(in_band, axis=0),
        sensitivity=_curve(sensitivity),
        extrapolated=found.extrapolated,
        slope=Estimate.undefined(none, confidence) if none else _percentile(found.slope, confidence),
        **{name: _fitted(values, channel.good, fit_reason, confidence) for name, values in parts.items()},
    )


def cutoffs(
    rows: ResponseRows, views: Sequence[View], settings: ResponseSettings, failed: Mapping[str, str]
) -> Cutoffs:
    """Accuracies across cut-offs, and under the perturbation unless that failed."""
    confidence = settings.confidence

    def right(part: str) -> np.ndarray:
        return rows.right[:, of.of_part(views, part)]

    def log_q(part: str) -> Curve:
        return means(rows.log_q[:, of.of_part(views, part)], confidence)

    under = settings.under
    there = under is not None and under not in failed
    return Cutoffs(
        frequency=settings.bands.cycles_per_pixel()[1:, 0].copy(),
        low_pass=shares(right(of.LOW), confidence),
        high_pass=shares(right(of.HIGH), confidence),
        low_log_likelihood=log_q(of.LOW),
        high_log_likelihood=log_q(of.HIGH),
        low_pass_mean=share_estimate(right(of.LOW).mean(axis=1), confidence),
        high_pass_mean=share_estimate(right(of.HIGH).mean(axis=1), confidence),
        under=under,
        accuracy_under=share_estimate(right(of.UNDER)[:, 0], confidence) if there else None,
        low_pass_under=shares(right(of.UNDER_LOW), confidence) if there else None,
        high_pass_under=shares(right(of.UNDER_HIGH), confidence) if there else None,
    )


def heat_map(rows: HeatRows, settings: ResponseSettings) -> HeatMap | None:
    """Error rates and delivered norms."""
    plan = settings.heat_map
    if plan is None:
        return None
    return HeatMap(
        frequencies=half_plane_frequencies(*settings.image_size, plan.step),
        error=shares(1 - rows.right, settings.confidence),
        norm=plan.norm,
        delivered=np.stack([rows.l2.min(0), np.median(rows.l2, axis=0), rows.l2.max(0)], axis=1),
        short=float((rows.l2 < REACHED * plan.norm).mean()),
        n_images=len(rows),
    )


def claim(
    resampled: Resampled, conditions: Sequence[Condition], bins: np.ndarray, failed: Mapping[str, str]
) -> tuple[Claim | None, str]:
    """The test, or why there is none."""
    rows, settings, w = resampled.rows, resampled.settings, resampled.weights
    measured = [c for c in conditions if c.name not in failed]
    if not conditions:
        return None, "no perturbations were given (--perturb imagenet-c:3, for instance)"
    bases = tuple(c.name.partition(":")[0] for c in measured)
    if resampled.why_none or why_untested(bases):
        return None, resampled.why_none or why_untested(bases)
    place = {view.name: i for i, view in enumerate(resampled.views) if view.part == of.PERTURBED}
    columns = [place[c.name] for c in measured]
    lost = rows.right[:, :1].astype(np.float64) - rows.right[:, columns]
    n, p, m = len(rows), len(columns), settings.bands.n_bands
    gradient = None
    if GRADIENT not in failed:
        gradient = w @ np.column_stack([rows.gradient / bins, rows.gradient_mean])
    evidence = Evidence(
        names=tuple(c.name for c in measured),
        bases=bases,
        severity=np.asarray([np.nan if c.severity is None else float(c.severity) for c in measured]),
        drop=w @ lost,
        clean=resampled.clean,
        power=(w @ rows.power_by_band[:, columns].reshape(n, -1)).reshape(-1, p, m),
        mean_power=w @ rows.mean_power[:, columns],
        masking=resampled.found.sensitivity,
        slope=resampled.found.slope,
        gradient=gradient,
        chance=resampled.chance,
    )
    return check_claim(evidence, means(lost, settings.confidence).interval, settings.confidence, settings.seed), ""


def _curve(estimates: Sequence[Estimate]) -> Curve:
    return Curve(
        np.asarray([e.value for e in estimates]),
        np.asarray([e.stderr for e in estimates]),
        np.asarray([(e.low, e.high) for e in estimates]),
    )


def _percentile(values: np.ndarray, confidence: float) -> Estimate:
    """The first value, with a percentile interval of the others (Efron & Tibshirani 1993, ch. 13)."""
    low, high = np.quantile(values[1:], [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Estimate(float(values[0]), float(values[1:].std(ddof=1)), float(low), float(high), confidence)


def _fitted(values: np.ndarray, good: np.ndarray, reason: str, confidence: float) -> Estimate:
    """A parameter of the channel: with an interval where resampled images nearly always have a channel too."""
    if reason:
        return Estimate.undefined(reason, confidence)
    drawn = values[1:][good[1:]]
    if len(drawn) < _SHARE_OF_FITS * (len(values) - 1):
        share = 1 - len(drawn) / (len(values) - 1)
        told = f"no interval: the fit fails in {share:.0%} of resamplings of the images"
        return Estimate(float(values[0]), np.nan, np.nan, np.nan, confidence, told)
    return _percentile(np.concatenate([values[:1], drawn]), confidence)
