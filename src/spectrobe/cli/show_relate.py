"""A result of relate as tables and texts for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np
from rich import box
from rich.table import Table

from spectrobe.errors import InputError
from spectrobe.studies.relate.wording import headline, remarks, sentence

if TYPE_CHECKING:
    from spectrobe.game.intervals import Estimate
    from spectrobe.studies.relate.relation import Range, Relation
    from spectrobe.studies.relate.result import RelateResult


def parts(result: RelateResult, measures: Sequence[str] = (), scores: Sequence[str] = ()) -> list[Any]:
    """What goes best with each measure; then a table a measure and subset with every score; then it all in words.

    measures, scores: patterns of what is shown, all by default; InputError for one that nothing fits.
    """
    shown = matching(result.measures, measures, "measure")
    names = matching({one.score: None for one in result.relations}, scores, "score")
    lines: list[Any] = [headline(result), "", _overview(result, shown), ""]
    for subset in result.subsets:
        for measure in shown:
            lines += [f"{measure}{f' ({subset})' if subset else ''}", _table_of(result, measure, subset, names), ""]
    lines += [sentence(result, measure, subset) for subset in result.subsets for measure in shown]
    return [*lines, "", *_notes(), *remarks(result)]


def matching(names: Any, patterns: Sequence[str], what: str) -> list[str]:
    """The names that fit one of the patterns, all without patterns. Raises InputError for a pattern that fits none."""
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise InputError(f"no {what} is called {pattern!r}; there are {', '.join(names)}")
    return [name for name in names if not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)]


def _overview(result: RelateResult, measures: Sequence[str]) -> Table:
    table = _table("measured robustness", "best score", left=2)
    for name in ("Spearman", "p, all", "given clean", "held-out R2", "clean accuracy"):
        table.add_column(name, justify="right")
    for subset in result.subsets:
        for measure in measures:
            best, choice = result.best(measure, subset), result.choice(measure, subset)
            if best is None:
                continue
            clean = next((one for one in _relations(result, measure, subset) if one.score == result.clean.name), None)
            rho = best.spearman
            table.add_row(
                f"{measure} {subset}".rstrip(),
                best.score,
                _both(rho),
                _p(rho.p_max),
                _both(best.partial),
                _value(choice.held_out if choice is not None else np.nan),
                _value(clean.spearman.value if clean is not None else np.nan),
            )
    return table


def _table_of(result: RelateResult, measure: str, subset: str, scores: Sequence[str]) -> Table:
    table = _table("score", "n", left=1)
    for name in ("Spearman", "p", "p, all", "Kendall", "p", "given clean", "p", "one less", "held-out R2"):
        table.add_column(name, justify="right")
    found = [one for one in _relations(result, measure, subset) if one.score in scores]
    for one in sorted(found, key=lambda one: -np.nan_to_num(abs(one.spearman.value))):
        rho, tau, given = one.spearman, one.kendall, one.partial
        table.add_row(
            one.score, str(one.n_models), _both(rho), _p(rho.p), _p(rho.p_max), _both(tau), _p(tau.p), _both(given),
            _p(given.p), _range(one.leave_one_out), _value(one.held_out),
        )  # fmt: skip
    return table


def _relations(result: RelateResult, measure: str, subset: str) -> Iterator[Relation]:
    return (one for one in result.relations if (one.measure, one.subset) == (measure, subset))


def _notes() -> list[str]:
    return [
        "p: permutations of recipes; p, all: allowing for every score tried on that measure; given clean: Spearman's "
        "given clean accuracy; one less: range of Spearman's without one model; held-out R2: ranks of a recipe's "
        "models predicted from the others (1 exact, 0 no better than the middle)"
    ]


def _value(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"


def _both(estimate: Estimate) -> str:
    """A value with its interval, where it has one."""
    interval = "" if np.isnan(estimate.low) else f" [{estimate.low:.2f}, {estimate.high:.2f}]"
    return f"{_value(estimate.value)}{interval}"


def _range(found: Range) -> str:
    return "" if np.isnan(found.low) else f"{found.low:.2f} to {found.high:.2f}"


def _p(p: float) -> str:
    return "" if np.isnan(p) else f"{p:.4f}" if p < 0.01 else f"{p:.2f}"


def _table(*columns: str, left: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, header_style="", show_edge=False)
    for k, column in enumerate(columns):
        table.add_column(column, justify="left" if k < left else "right")
    return table
