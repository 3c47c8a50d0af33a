"""What a zoo will cost, as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

from spectrobe.studies.words import duration
from spectrobe.studies.zoo.budget import summary

if TYPE_CHECKING:
    from spectrobe.studies.zoo.budget import Cost


def budget(costs: Sequence[Cost]) -> list[Any]:
    """A row a model, then the whole and what is shared."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, header_style="", show_edge=False)
    table.add_column("to do")
    for name in ("input", "decompose", "robustness", "time, about"):
        table.add_column(name, justify="right")
    for cost in costs:
        passes = (f"{count:,}" if count else "done" for count in (cost.decompose, cost.robustness))
        time = "" if cost.done else duration(cost.seconds)
        table.add_row(cost.name, f"{cost.size[0]}x{cost.size[1]}", *passes, time)
    return [table, "", *summary(costs), ""]
