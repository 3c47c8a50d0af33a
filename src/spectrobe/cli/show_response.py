"""A response result as tables and texts for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

from spectrobe.studies.response import tables, wording

if TYPE_CHECKING:
    from spectrobe.studies.response.result import ResponseResult


def parts(result: ResponseResult) -> list[Any]:
    """Bands, cut-offs and the test of the claim, then what they mean, then what to know."""
    shown: list[Any] = [wording.headline(result), ""]
    for headers, rows in tables.tables(result):
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, header_style="", show_edge=False)
        for k, header in enumerate(headers):
            table.add_column(header, justify="left" if k == 0 else "right")
        for row in rows:
            table.add_row(*row)
        shown += [table, ""]
    return [*shown, *wording.sentences(result), *wording.remarks(result)]
