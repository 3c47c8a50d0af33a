"""Numbers that users have already: a CSV table, a row a model (timm's results, ImageNet-C, a leaderboard)."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from spectrobe.errors import InputError
from spectrobe.game.intervals import Estimate
from spectrobe.studies.relate.columns import bare
from spectrobe.studies.relate.gather import ModelRuns

_BLANK = ("", "nan", "na", "n/a", "-", "none")


@dataclass(frozen=True)
class Table:
    """A table with a row a model: model as written -> column -> cell as written.   name: what errors call it."""

    name: str
    columns: tuple[str, ...]
    rows: Mapping[str, Mapping[str, str]]

    def row(self, model: ModelRuns) -> Mapping[str, str] | None:
        """The row of a model by any of its names: as shown, its model string, or that without scheme and options."""
        for name in _spellings(model):
            if name in self.rows:
                return self.rows[name]
        return None

    def number(self, model: ModelRuns, column: str) -> Estimate | None:
        """A cell as a number, None where there is none; InputError for text that is none."""
        text = (self.row(model) or {}).get(column, "").strip()
        if text.lower() in _BLANK:
            return None
        value = _number(text)
        if value is None:
            raise InputError(
                f"{self.name}: expected a finite number in column {column!r} for {model.title}, got {text!r}"
            )
        return bare(value)

    def numeric(self, models: Sequence[ModelRuns], without: Iterable[str] = ()) -> list[str]:
        """Columns that hold a number for at least one of the models, and text for none."""
        rows = [row for row in map(self.row, models) if row is not None]
        found = []
        for column in self.columns:
            cells = [cell for row in rows if (cell := row.get(column, "").strip()).lower() not in _BLANK]
            if column not in without and cells and all(_number(cell) is not None for cell in cells):
                found.append(column)
        return found

    def check_column(self, column: str) -> None:
        """Raise InputError naming the columns there are, unless this is one."""
        if column not in self.columns:
            raise InputError(f"{self.name} has no column {column!r}; it has {', '.join(self.columns) or 'none'}")


def read_table(path: str | os.PathLike[str], model_column: str = "model") -> Table:
    """A CSV file with a header (comma, semicolon or tab), UTF-8; InputError for other files, or two rows of a model."""
    import fsspec

    where = os.fspath(path)
    try:
        with fsspec.open(where, "rt", encoding="utf-8-sig", newline="") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"cannot read {where!r} as a CSV table ({reason})") from None
    lines = text.splitlines()
    separator = max(",;\t", key=lines[0].count) if lines else ","
    reader = csv.DictReader(lines, delimiter=separator)
    columns = tuple(name.strip() for name in reader.fieldnames or () if name is not None)
    reader.fieldnames = list(columns)
    name = where.rstrip("/").rpartition("/")[2]
    Table(name, columns, {}).check_column(model_column)
    rows: dict[str, dict[str, str]] = {}
    for number, row in enumerate(reader, start=2):
        if None in row or None in row.values():
            raise InputError(f"{name}: line {number} has another number of cells than the header's {len(columns)}")
        model = row[model_column].strip()
        if model in rows and rows[model] != row:
            raise InputError(f"{name}: {model!r} has two rows that differ; keep one of them")
        rows[model] = dict(row)
    return Table(name, columns, rows)


def _spellings(model: ModelRuns) -> list[str]:
    names = [model.title, *sorted(model.names)]
    plain = [name.partition("?")[0] for name in names]
    return [*names, *plain, *(name.partition(":")[2] for name in plain if ":" in name)]


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
