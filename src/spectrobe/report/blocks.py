"""What a section is made of, besides charts: texts, tables, facts. Templates in templates/blocks draw them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from markupsafe import Markup


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    value: what it is sorted by (default: the text).   detail: said smaller, behind the text.
    tint: 0 to 5, how strongly it is shaded; None for not at all.   kind: a category with a look of its own.
    """

    text: str
    value: float | str | None = None
    detail: str = ""
    tint: int | None = None
    kind: str = ""
    picture: Markup | None = None


@dataclass(frozen=True)
class Table:
    """Rows under named columns. numeric: columns set flush right.   sortable: by a click on a column's name."""

    block: ClassVar[str] = "table"

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numeric: frozenset[int] = frozenset()
    sortable: bool = False


@dataclass(frozen=True)
class Text:
    """Paragraphs. kind: "lead", "note" or "plain"."""

    block: ClassVar[str] = "text"

    paragraphs: tuple[str, ...]
    kind: str = "plain"


@dataclass(frozen=True)
class Remarks:
    """A list of things to know. closed: folded away."""

    block: ClassVar[str] = "remarks"

    title: str
    items: tuple[str, ...]
    closed: bool = False


@dataclass(frozen=True)
class Facts:
    """Names and values, folded away under a title; code: blocks of text to copy, each with its name."""

    block: ClassVar[str] = "facts"

    title: str
    pairs: tuple[tuple[str, str], ...]
    code: tuple[tuple[str, str], ...] = ()
    remarks: tuple[str, ...] = ()
    closed: bool = True


@dataclass(frozen=True)
class Section:
    """A part of the page.

    identity: its anchor.   short: its name in the list of sections.   reading: how to read it.
    """

    identity: str
    short: str
    title: str
    blocks: tuple[Any, ...]
    reading: str = ""


def text_cells(texts: Sequence[str]) -> tuple[Cell, ...]:
    """Plain cells."""
    return tuple(Cell(text) for text in texts)
