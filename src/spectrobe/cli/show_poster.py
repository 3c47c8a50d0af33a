"""What a poster will cost, as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

from spectrobe.studies.poster.budget import summary
from spectrobe.studies.poster.plan import PARTS
from spectrobe.studies.words import duration

if TYPE_CHECKING:
    from spectrobe.studies.poster.budget import Cost


def budget(costs: Sequence[Cost]) -> list[Any]:
    """A row a model, then the whole."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, header_style="", show_edge=False)
    table.add_column("forward passes to do")
    for name in ("input", *PARTS, "time, about"):
        table.add_column(name, justify="right")
    for cost in costs:
        passes = (f"{cost.passes[part]:,}" if part in cost.passes else "done" for part in PARTS)
        time = "" if cost.done else duration(cost.seconds)
        table.add_row(cost.name, f"{cost.size[0]}x{cost.size[1]}", *passes, time)
    return [table, "", summary(costs), ""]
