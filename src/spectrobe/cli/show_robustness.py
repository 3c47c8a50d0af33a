"""A robustness result as tables and texts for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rich import box
from rich.table import Table

from spectrobe.perturbations.attacks.norms import written_eps
from spectrobe.studies.robustness.wording import headline, remarks, sentence, totals

if TYPE_CHECKING:
    from spectrobe.game.intervals import Estimate
    from spectrobe.studies.robustness.conditions import Condition
    from spectrobe.studies.robustness.result import RobustnessResult


def parts(result: RobustnessResult) -> list[Any]:
    """Accuracies by severity and by epsilon, log-likelihoods by severity, everything else in rows, totals, meaning."""
    shown: list[Any] = [headline(result), ""]
    for table in (_by_severity(result), _likely_by_severity(result), *_by_eps(result), _rows(result)):
        if table is not None and table.row_count:
            shown += [table, ""]
    return [*shown, *totals(result), "", sentence(result), *remarks(result)]


def _by_severity(result: RobustnessResult) -> Table | None:
    """A row a corruption, a column a severity, and the mean error."""
    members, levels = _families(result, "severity"), _severities(result)
    if len(levels) < 2:
        return None
    table = _table("accuracy under", *_headers(levels))
    relative = bool(result.relative_error)
    for name in ("mean error", "interval", *(["relative"] if relative else [])):
        table.add_column(name, justify="right")
    for family, conditions in members.items():
        at = {c.severity: result.accuracy[c.name] for c in conditions}
        cells = [_value(at[level]) if level in at else "" for level in levels]
        error = result.corruption_error.get(family)
        cells += [_value(error), _interval(error)] if error is not None else ["", ""]
        cells += [_value(result.relative_error[family])] if family in result.relative_error else [""] * relative
        table.add_row(family, *cells)
    return table


def _likely_by_severity(result: RobustnessResult) -> Table | None:
    """The same of mean log-likelihoods, clean beside them."""
    members, levels = _families(result, "severity"), _severities(result)
    if len(levels) < 2:
        return None
    clean = None if result.clean is None else result.clean.log_likelihood
    table = _table("log-likelihood (nats) under", *([] if clean is None else ["clean"]), *_headers(levels))
    for family, conditions in members.items():
        at = {c.severity: result.log_likelihood[c.name] for c in conditions}
        cells = [_value(at[level]) if level in at else "" for level in levels]
        table.add_row(family, *([] if clean is None else [_value(clean)]), *cells)
    return table


def _severities(result: RobustnessResult) -> list[int]:
    return sorted({condition.severity for condition in result.conditions if condition.severity})


def _headers(levels: Sequence[int]) -> list[str]:
    return [f"severity {level}" if level == levels[0] else str(level) for level in levels]


def _by_eps(result: RobustnessResult) -> Iterator[Table]:
    """For each norm, a row a family of attacks, a column an eps."""
    members = {family: conditions for family, conditions in _families(result, "eps").items() if len(conditions) > 1}
    for norm in sorted({str(c.norm) for conditions in members.values() for c in conditions}, reverse=True):
        own = {family: conditions for family, conditions in members.items() if conditions[0].norm == norm}
        levels = sorted({c.eps for conditions in own.values() for c in conditions if c.eps})
        table = _table(f"accuracy under, {norm}", "eps 0", *map(written_eps, levels), "area", "interval")
        for family, conditions in own.items():
            at = {c.eps: result.accuracy[c.name] for c in conditions}
            cells = [_value(at[level]) if level in at else "" for level in levels]
            area = result.area.get(family)
            table.add_row(family, _value(result.clean), *cells, _value(area), _interval(area))
        yield table


def _rows(result: RobustnessResult) -> Table:
    """The clean images and every condition that no other table has, or whose interval no other table tells."""
    elsewhere: set[str] = set()
    severities = _families(result, "severity")
    if len({c.severity for conditions in severities.values() for c in conditions}) > 1:
        elsewhere |= {c.name for conditions in severities.values() for c in conditions}
    table = _table("images", "accuracy", "interval", "log-likelihood (nats)", "interval")
    if result.clean is not None:
        table.add_row("clean", *_both(result.clean), *_both(result.clean.log_likelihood))
    for name, accuracy in result.accuracy.items():
        if name not in elsewhere:
            table.add_row(name, *_both(accuracy), *_both(result.log_likelihood[name]))
    return table


def _families(result: RobustnessResult, axis: str) -> dict[str, list[Condition]]:
    found: dict[str, list[Condition]] = {}
    for condition in result.conditions:
        if getattr(condition, axis):
            found.setdefault(condition.family, []).append(condition)
    return found


def _both(estimate: Estimate) -> tuple[str, str]:
    return _value(estimate), _interval(estimate)


def _value(estimate: Estimate | None) -> str:
    return "" if estimate is None else "-" if np.isnan(estimate.value) else f"{estimate.value:.3f}"


def _interval(estimate: Estimate | None) -> str:
    if estimate is None or np.isnan(estimate.value):
        return "" if estimate is None else "failed"
    return f"[{estimate.low:.3f}, {estimate.high:.3f}]"


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="", show_edge=False)
    names: Sequence[str] = columns
    for k, column in enumerate(names):
        table.add_column(column, justify="left" if k == 0 else "right")
    return table
