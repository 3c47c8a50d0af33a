"""From rows to what is reported: accuracies, corruption errors, worst cases, areas, distances, and what looks wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from spectrobe.errors import InputError
from spectrobe.game.intervals import Estimate, mean_estimate
from spectrobe.perturbations.attacks.checks import ROUNDING, check_black_box, check_growth
from spectrobe.perturbations.attacks.norms import written_eps
from spectrobe.perturbations.corruptions import IMAGENET_C_EXTRA
from spectrobe.studies.robustness.conditions import Condition
from spectrobe.studies.robustness.measures import area_rows, median_estimate, relative_errors, share_estimate
from spectrobe.studies.robustness.rows import Predictions

BLACK_BOX_FAMILIES = ("square_linf", "square_l2")


def failures(rows: Predictions) -> dict[str, str]:
    """Condition -> why it failed, on the first image where it did, and on how many of them."""
    why: dict[str, str] = {}
    count: dict[str, int] = {}
    for text in rows.failed:
        for name, reason in (json.loads(text) if text else {}).items():
            why.setdefault(name, reason)
            count[name] = count.get(name, 0) + 1
    n = len(rows)
    return {name: text if count[name] == n else f"on {count[name]} of {n} images: {text}" for name, text in why.items()}


def accuracies(
    rows: Predictions, conditions: Sequence[Condition], failed: Mapping[str, str], confidence: float
) -> tuple[dict[str, Estimate], dict[str, Estimate]]:
    """Accuracy and mean log-likelihood under each condition; undefined, with the reason, where it failed."""
    accuracy, log_likelihood = {}, {}
    for j, condition in enumerate(conditions):
        name = condition.name
        if name in failed:
            accuracy[name] = log_likelihood[name] = Estimate.undefined(failed[name], confidence)
        else:
            accuracy[name] = share_estimate(rows.right[:, j], confidence)
            log_likelihood[name] = mean_estimate(rows.log_q[:, j], confidence)
    return accuracy, log_likelihood


def corruption_families(conditions: Sequence[Condition]) -> dict[str, list[int]]:
    """Corruption -> the columns of its severities. ImageNet-C's extra four count only where there are no others."""
    families: dict[str, list[int]] = {}
    for j, condition in enumerate(conditions):
        if condition.severity is not None:
            families.setdefault(condition.family, []).append(j)
    benchmark = {name: columns for name, columns in families.items() if name not in IMAGENET_C_EXTRA}
    return benchmark or families


def corruption_errors(rows: Predictions, families: Mapping[str, list[int]]) -> np.ndarray:
    """Share of severities at which each image is wrong, per corruption: (N, C)."""
    return np.stack([1 - rows.right[:, columns].mean(axis=1) for columns in families.values()], axis=1)


def mean_corruption_error(
    rows: Predictions, conditions: Sequence[Condition], failed: Mapping[str, str], confidence: float
) -> tuple[Estimate | None, dict[str, Estimate]]:
    """Mean error over corruptions and severities, not normalised, and each corruption's over its severities."""
    families = corruption_families(conditions)
    each: dict[str, Estimate] = {}
    begun = {condition.name for condition in conditions}
    for name in [name for name in failed if name not in begun]:  # as a severity whose images are incomplete
        family, colon, severity = name.rpartition(":")
        if colon and severity.isdecimal():
            each[family] = Estimate.undefined(f"{name} failed", confidence)
    for name, columns in families.items():
        if name in each:
            continue
        bad = [conditions[j].name for j in columns if conditions[j].name in failed]
        error = share_estimate(corruption_errors(rows, {name: columns})[:, 0], confidence)
        each[name] = Estimate.undefined(f"{', '.join(bad)} failed", confidence) if bad else error
    undefined = [estimate.reason for estimate in each.values() if np.isnan(estimate.value)]
    if undefined:
        return Estimate.undefined("; ".join(undefined), confidence), each
    if not families:
        return None, each
    return share_estimate(corruption_errors(rows, families).mean(axis=1), confidence), each


def severity_accuracy(
    rows: Predictions, conditions: Sequence[Condition], failed: Mapping[str, str], confidence: float
) -> dict[str, Estimate]:
    """Severity -> mean accuracy over the corruptions that were measured at it."""
    levels: dict[int, list[int]] = {}
    for columns in corruption_families(conditions).values():
        for j in columns:
            if conditions[j].name not in failed:
                levels.setdefault(conditions[j].severity or 0, []).append(j)
    return {
        str(level): share_estimate(rows.right[:, levels[level]].mean(axis=1), confidence) for level in sorted(levels)
    }


def mce_against(
    rows: Predictions,
    conditions: Sequence[Condition],
    reference: Predictions,
    reference_conditions: Sequence[Condition],
    confidence: float,
) -> tuple[Estimate, dict[str, Estimate]]:
    """mCE relative to another model's run on the same images, and the ratio of each corruption."""
    own, theirs = corruption_families(conditions), corruption_families(reference_conditions)
    order = [np.argsort(part.position, kind="stable") for part in (rows, reference)]
    one, other = rows.rows(order[0]), reference.rows(order[1])
    families = {name: theirs[name] for name in own}
    mean, each = relative_errors(corruption_errors(one, own), corruption_errors(other, families), confidence)
    return mean, dict(zip(own, each, strict=True))


def check_same_corruptions(own: Sequence[Condition], theirs: Sequence[Condition]) -> None:
    """Raise InputError naming the difference unless both runs have the same corruptions and severities."""
    levels = [
        {
            name: sorted((c[j].name, str(c[j].severity)) for j in columns)
            for name, columns in corruption_families(c).items()
        }
        for c in (own, theirs)
    ]
    if not levels[0]:
        raise InputError("mCE needs corruptions with severities, got none: add imagenet-c to the perturbations")
    differing = sorted(name for name in {**levels[0], **levels[1]} if levels[0].get(name) != levels[1].get(name))
    if differing:
        first = differing[0]
        severities = [[s for _, s in level.get(first, [])] or ["none"] for level in levels]
        raise InputError(
            f"mCE compares the same corruptions at the same severities: {first} has severities "
            f"{', '.join(severities[0])} here and {', '.join(severities[1])} in the reference run"
            + (f" ({len(differing)} corruptions differ)" if len(differing) > 1 else "")
        )


def check_same_images(own: Mapping[int, str], theirs: Mapping[int, str]) -> None:
    """Raise InputError unless both runs have the same images: position -> id."""
    differing = sorted(p for p in {**own, **theirs} if own.get(p) != theirs.get(p))
    if differing:
        name = own.get(differing[0]) or theirs[differing[0]]
        raise InputError(
            f"mCE compares runs on the same images: {len(differing)} of them differ between this run ({len(own)}) and "
            f"the reference run ({len(theirs)}), the first {name!r}"
        )


def worst_cases(
    rows: Predictions, conditions: Sequence[Condition], failed: Mapping[str, str], confidence: float
) -> dict[str, Estimate]:
    """Accuracy where every attack of a norm and eps fails, image by image; for two attacks or more."""
    groups: dict[str, list[int]] = {}
    for j, condition in enumerate(conditions):
        if condition.kind == "attack" and condition.name not in failed and condition.eps is not None:
            groups.setdefault(f"{condition.norm}:eps={written_eps(condition.eps)}", []).append(j)
    return {
        name: share_estimate(np.asarray(rows.right[:, columns].all(axis=1)), confidence)
        for name, columns in groups.items()
        if len(columns) > 1
    }


def curves(conditions: Sequence[Condition], failed: Mapping[str, str]) -> dict[str, list[int]]:
    """Family -> the columns of its eps, ascending, for attacks and their noise control; failed ones left out."""
    found: dict[str, list[int]] = {}
    for j, condition in enumerate(conditions):
        if condition.eps is not None and condition.kind in ("attack", "noise") and condition.name not in failed:
            found.setdefault(condition.family, []).append(j)
    return {family: sorted(columns, key=lambda j: conditions[j].eps or 0.0) for family, columns in found.items()}


def areas(
    rows: Predictions, conditions: Sequence[Condition], failed: Mapping[str, str], confidence: float
) -> dict[str, Estimate]:
    """Area under accuracy against eps of each family with two eps or more, eps = 0 being the clean images."""
    found = {}
    for family, columns in curves(conditions, failed).items():
        columns = [j for j in columns if conditions[j].eps]
        eps = [0.0, *(float(conditions[j].eps or 0.0) for j in columns)]
        if len(eps) < 3:
            continue
        right = np.column_stack([rows.clean_right, rows.right[:, columns]])
        area = share_estimate(area_rows(right, eps), confidence)
        knots = ", ".join(["0", *(written_eps(e) for e in eps[1:])])
        about = f"mean accuracy over eps from 0 to {written_eps(eps[-1])}, by trapezoids between {knots}"
        found[family] = Estimate(area.value, area.stderr, area.low, area.high, confidence, about)
    return found


def minimum_distances(rows: Predictions, condition: Condition, column: int) -> np.ndarray:
    """Norm that fools the model, per image: 0 where it is wrong already, infinite where nothing was found: (N,)."""
    fooled = rows.right[:, column] == 0
    distance = rows.distance[condition.norm or "l2"][:, column].astype(np.float64)
    return np.where(rows.clean_right == 0, 0.0, np.where(fooled, distance, np.inf))


def median_distances(
    rows: Predictions, conditions: Sequence[Condition], failed: Mapping[str, str], confidence: float
) -> dict[str, Estimate]:
    """Median over images of what each minimum-norm attack needed."""
    found = {}
    for j, condition in _minimum_norm(conditions, failed):
        distances = minimum_distances(rows, condition, j)
        median = median_estimate(distances, confidence)
        about = (
            f"{condition.norm}; {int((rows.clean_right == 0).sum())} of {len(rows)} images already wrong count as 0; "
            f"nothing found for {int(np.isinf(distances).sum())}"
        )
        found[condition.name] = Estimate(median.value, median.stderr, median.low, median.high, confidence, about)
    return found


def suspicions(rows: Predictions, conditions: Sequence[Condition], failed: Mapping[str, str]) -> list[str]:
    """What the rows alone say against the attacks: norm, range, growth with eps, black box against gradients."""
    found = []
    n = len(rows)
    tolerance = max(0.01, 1.5 / n)
    for j, condition in enumerate(conditions):
        if condition.name in failed:
            continue
        outside = int((rows.in_range[:, j] == 0).sum())
        if outside:
            found.append(f"{condition.name}: {outside} of {n} images have pixels outside [0, 1]")
        if condition.eps is not None and condition.norm is not None:
            far = rows.distance[condition.norm][:, j]
            beyond = far > condition.eps * (1 + ROUNDING) + 1e-6
            if beyond.any():
                found.append(
                    f"{condition.name}: {int(beyond.sum())} of {n} images are beyond a {condition.norm} norm of "
                    f"{written_eps(condition.eps)}, the furthest at {float(far.max()):.6g}"
                )
    for j, condition in _minimum_norm(conditions, failed):
        lost = int(np.isinf(minimum_distances(rows, condition, j)).sum())
        if lost:
            found.append(f"{condition.name}: nothing found for {lost} of {int(rows.clean_right.sum())} images")
    for family, columns in curves(conditions, failed).items():
        right = {float(conditions[j].eps or 0.0): rows.right[:, j] for j in columns}
        if conditions[columns[0]].kind == "attack":
            found += check_growth({0.0: rows.clean_right, **right}, family, tolerance)
    return found + _beaten_by_black_box(rows, conditions, failed, tolerance)


def _beaten_by_black_box(
    rows: Predictions, conditions: Sequence[Condition], failed: Mapping[str, str], tolerance: float
) -> list[str]:
    attacks = [(j, c) for j, c in enumerate(conditions) if c.kind == "attack" and c.name not in failed]
    found = []
    for j, black_box in attacks:
        if black_box.name.partition(":")[0] not in BLACK_BOX_FAMILIES:
            continue
        for k, other in attacks:
            same = (other.norm, other.eps) == (black_box.norm, black_box.eps)
            if same and other.name.partition(":")[0] not in BLACK_BOX_FAMILIES:
                found += check_black_box(rows.right[:, k], rows.right[:, j], other.name, tolerance)
    return found


def _minimum_norm(conditions: Sequence[Condition], failed: Mapping[str, str]) -> Iterator[tuple[int, Condition]]:
    for j, condition in enumerate(conditions):
        if condition.kind == "minimum-norm" and condition.name not in failed:
            yield j, condition
