"""From the payoff table of a decomposition to its result: temperatures, Shapley values, intervals, scores."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spectrobe.game import shapley
from spectrobe.game.fit import Fit, Payoffs, fit, replicate
from spectrobe.game.intervals import Estimate, Replicates, bootstrap_weights, mean_estimate, mean_intervals, wilson
from spectrobe.game.scores import NEEDS_INFORMATION, score_estimates, score_functions
from spectrobe.game.table import PayoffTable
from spectrobe.game.temperature import TEMPERATURES
from spectrobe.game.values import Value, make_value
from spectrobe.studies.decompose.result import DecomposeResult
from spectrobe.studies.decompose.settings import Settings
from spectrobe.studies.words import percent

_ROUNDING = 1e-12


def summarise(
    payoffs: Payoffs,
    settings: Settings,
    forward_passes: int,
    skipped: Mapping[str, str],
    warnings: tuple[str, ...],
) -> DecomposeResult:
    """From the payoff table to the result: temperatures, Shapley values, intervals, scores."""
    design, value = settings.make_design(), make_value(settings.value)
    fitted = fit(payoffs, design, value)
    means = mean_intervals(fitted.rows, settings.confidence, settings.seed)
    information = mean_estimate(fitted.payoffs[:, 0] - fitted.payoffs[:, -1], settings.confidence)
    warnings += warned_of(fitted, value)
    return DecomposeResult(
        settings=settings,
        shapley=means.mean,
        stderr=means.stderr,
        interval=means.pointwise,
        simultaneous=means.simultaneous,
        interactions=shapley.interactions(fitted.values) if settings.design == "exact" else None,
        values=fitted.values,
        tau=fitted.tau,
        scores=_scores(settings, replicates_of(payoffs, settings, fitted), fitted.rows, information),
        information=information,
        accuracy=_intact_accuracy(payoffs, settings),
        efficiency_gap=float(means.mean.sum() - information.value),
        power_db=_power_db(payoffs),
        by_size=fitted.by_size,
        n_images=len(payoffs),
        n_classes=payoffs.n_classes,
        forward_passes=forward_passes,
        warnings=tuple(dict.fromkeys(warnings)),
        skipped=skipped,
        _payoffs=payoffs,
    )


def warned_of(fitted: Fit, value: Value) -> tuple[str, ...]:
    """What there is to know of fitted temperatures."""
    if not value.fits_temperature:
        return ()
    warnings = []
    if fitted.tau_at_cap:
        warnings.append(
            f"{fitted.tau_at_cap} fitted inverse temperature(s) ended at the cap: "
            "all their images are right by a margin, or logits are very small"
        )
    if 0 < fitted.tau[-1] < TEMPERATURES[1]:
        warnings.append(
            f"the inverse temperature fitted with all bands is {fitted.tau[-1]:.2g}, below {TEMPERATURES[1]:g} where "
            "the stored grid is coarse: logits are very large; scale them down"
        )
    return tuple(warnings)


def replicates_of(payoffs: Payoffs, settings: Settings, fitted: Fit) -> Replicates:
    """Bootstrap replicates of the Shapley values of one table, the real data first."""
    weights = np.concatenate([np.ones((1, len(payoffs))), bootstrap_weights(len(payoffs), settings.seed)])
    return replicate(payoffs, settings.make_design(), make_value(settings.value), fitted.rows, weights)


def _scores(settings: Settings, replicates: Replicates, rows: np.ndarray, information: Estimate) -> dict[str, Estimate]:
    found = score_estimates(settings.bands, rows, information, replicates)
    if not information.low > 0:
        reason = f"v(all) - v(empty) is not above 0 by its {percent(settings.confidence)} interval"
        found |= {name: Estimate.undefined(reason, settings.confidence) for name in NEEDS_INFORMATION}
    return {name: found[name] for name in score_functions(settings.bands)}


def _intact_accuracy(payoffs: Payoffs, settings: Settings) -> Estimate | None:
    if not settings.labelled:
        return None
    right = np.concatenate([_right(chunk) for chunk in payoffs.chunks()])
    return wilson(int(right.sum()), len(right), settings.confidence)


def _right(chunk: PayoffTable) -> np.ndarray:
    return np.asarray(chunk.predicted[:, 0] == chunk.label)


def _power_db(payoffs: Payoffs) -> np.ndarray:
    power = sum((chunk.band_power.sum(axis=0) for chunk in payoffs.chunks()), np.zeros(payoffs.n_bands))
    power[power <= _ROUNDING * power.sum()] = np.nan  # the mean's own band
    return np.asarray(10 * np.log10(power / np.nansum(power)))
