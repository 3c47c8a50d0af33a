"""A robustness result in plain words and as flat rows, made from the numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from spectrobe.perturbations.attacks.norms import written_eps
from spectrobe.studies.robustness.summary import corruption_families
from spectrobe.studies.words import left_out, percent

if TYPE_CHECKING:
    from spectrobe.game.intervals import Estimate
    from spectrobe.studies.robustness.conditions import Condition
    from spectrobe.studies.robustness.result import RobustnessResult

CLEAN = "clean"


def summary(result: RobustnessResult) -> str:
    """A line a condition, the totals, and one sentence."""
    width = max((len(name) for name in result.accuracy), default=0)
    lines = [headline(result), f"{'':{width}}  {'accuracy':24}  log-likelihood (nats)"]
    if result.clean is not None:
        lines.append(f"{CLEAN:{width}}  {result.clean!s:24}  {result.clean.log_likelihood}")
    for name, accuracy in result.accuracy.items():
        told = "not measured, see below" if name in result.failed else f"{accuracy!s:24}  {result.log_likelihood[name]}"
        lines.append(f"{name:{width}}  {told}")
    return "\n".join([*lines, *totals(result), sentence(result), *remarks(result)])


def headline(result: RobustnessResult) -> str:
    """What was measured."""
    return (
        f"{result.model_name} on {result.data_name}: {result.n_images} images, {_counted(len(result.accuracy))}, "
        f"{percent(result.confidence)} intervals over images"
    )


def totals(result: RobustnessResult) -> list[str]:
    """Corruption errors, worst cases, areas and distances, a line each."""
    lines = []
    if result.mean_corruption_error is not None:
        lines.append(f"mean corruption error, not normalised: {result.mean_corruption_error} over {scope(result)}")
    if result.mce is not None:
        lines.append(f"mCE relative to {result.reference}: {result.mce}")
    for name, estimate in result.worst_case.items():
        attacks = sum(1 for c in result.conditions if _ball(c) == name and c.name not in result.failed)
        lines.append(f"accuracy in the worst case of {attacks} attacks, {name}: {estimate}")
    lines += [f"area under accuracy, {family}: {area} ({area.reason})" for family, area in result.area.items()]
    for name, median in result.median_distance.items():
        lines.append(f"median distance, {name}: {distance(median)} ({median.reason})")
    if result.sanity.checks:
        lines.append(
            f"attacks tried besides on {result.sanity.images} images, {result.sanity.forward_passes:,} forward passes: "
            + "; ".join(result.sanity.checks)
        )
    return [*lines, f"{result.forward_passes:,} forward passes at most"]


def scope(result: RobustnessResult) -> str:
    """Over which corruptions and severities errors were averaged."""
    families = corruption_families(result.conditions)
    severities = sorted({result.conditions[j].severity or 0 for columns in families.values() for j in columns})
    told = f"{severities[0]}-{severities[-1]}" if len(severities) > 1 else str(severities[0])
    names = next(iter(families)) if len(families) == 1 else f"{len(families)} corruptions"
    return f"{names}, severity {told}"


def distance(estimate: Estimate) -> str:
    """A distance with more digits than an accuracy needs."""
    return f"{estimate.value:.4g} [{estimate.low:.4g}, {estimate.high:.4g}]"


def remarks(result: RobustnessResult) -> list[str]:
    """Warnings, failures, images left out: a line each."""
    lines = [f"warning: {warning}" for warning in result.warnings]
    lines += [f"failed: {name}: {why}" for name, why in result.failed.items()]
    return lines + left_out(result.skipped)


def sentence(result: RobustnessResult) -> str:
    """One sentence: the clean accuracy, and the perturbation that costs most of it."""
    with_norm = {condition.name for condition in result.conditions if condition.kind != "minimum-norm"}
    known = {name: e for name, e in result.accuracy.items() if name in with_norm and not np.isnan(e.value)}
    if not known and result.median_distance:
        name, median = next(iter(result.median_distance.items()))
        return f"Half of the images fool {result.model_name} at a distance of {distance(median)} or less ({name})."
    if not known:
        return f"No perturbation could be measured on {result.model_name}."
    if result.clean is not None and min(e.value for e in known.values()) >= result.clean.value:
        return (
            f"{result.model_name} is right on {percent(round(result.clean.value, 3))} of the clean images, and no less "
            f"often under {'these perturbations' if len(known) > 1 else next(iter(known))}."
        )
    worst = min(known, key=lambda name: known[name].value)
    least = f"it is right on {percent(round(known[worst].value, 3))} of the images under {worst}"
    least += ", the most harmful here" if len(known) > 1 else ""
    if result.clean is None:
        return f"{result.model_name}: {least}."
    return f"{result.model_name} is right on {percent(round(result.clean.value, 3))} of the clean images; {least}."


def frame_rows(result: RobustnessResult) -> list[dict[str, Any]]:
    """A dict a condition, clean first, for a table."""
    rows = []
    if result.clean is not None:
        clean = _row(CLEAN, None, result.clean, result.clean.log_likelihood)
        rows.append(clean | {"l2_median": 0.0, "linf_median": 0.0})
    columns = {condition.name: j for j, condition in enumerate(result.conditions)}
    table = result.predictions
    for name, accuracy in result.accuracy.items():
        condition = result.conditions[columns[name]] if name in columns else None
        row = _row(name, condition, accuracy, result.log_likelihood[name])
        for norm, values in table.distance.items():
            known = np.isfinite(values[:, columns[name]]) if name in columns else np.zeros(0, dtype=bool)
            row[f"{norm}_median"] = float(np.median(values[known, columns[name]])) if known.any() else np.nan
        rows.append(row)
    return rows


def _counted(perturbations: int) -> str:
    return "1 perturbation" if perturbations == 1 else f"{perturbations} perturbations"


def _row(name: str, condition: Condition | None, accuracy: Estimate, log_likelihood: Estimate) -> dict[str, Any]:
    facts = {key: getattr(condition, key, None) for key in ("kind", "family", "severity", "norm", "eps")}
    return {
        "condition": name,
        **facts,
        "accuracy": accuracy.value,
        "accuracy_low": accuracy.low,
        "accuracy_high": accuracy.high,
        "log_likelihood": log_likelihood.value,
        "log_likelihood_low": log_likelihood.low,
        "log_likelihood_high": log_likelihood.high,
        "failed": accuracy.reason if np.isnan(accuracy.value) else "",
    }


def _ball(condition: Condition) -> str:
    return "" if condition.kind != "attack" else f"{condition.norm}:eps={written_eps(condition.eps or 0.0)}"
