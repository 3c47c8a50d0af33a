"""Profiles by class: where a model's profile comes from."""

from __future__ import annotations

from collections.abc import Callable

from spectrobe.report.blocks import Cell, Section, Table, Text
from spectrobe.report.material import Material, attempt, told_apart
from spectrobe.report.numbers import number, places
from spectrobe.report.runs import Run
from spectrobe.report.sections.profiles import DIFFERING
from spectrobe.studies.decompose.breakdown import ClassProfiles, class_profiles
from spectrobe.studies.words import percent

MOST = 30
"""Classes shown, those with the most images first."""
READING = (
    "The Shapley values of one class's images, at the temperatures fitted on all images, so that classes add up to the "
    "whole. A class has few images and wide intervals: look at what many classes share."
)


def section(material: Material) -> Section | None:
    """A table a run with labels."""
    runs = material.of("decompose")
    blocks: list[object] = []
    for run, label in zip(runs, told_apart(runs, DIFFERING), strict=True):
        found, why = attempt(class_profiles, run.result)
        blocks.append(
            _table(run, label, found, material.class_namer(run))
            if found is not None
            else Text((f"{label}: {why}.",), "note")
        )
    return Section("classes", "Classes", "Profiles by class", tuple(blocks), READING) if blocks else None


def _table(run: Run, label: str, found: ClassProfiles, named: Callable[[int], str]) -> Table:
    result = run.result
    order = sorted(range(len(found.classes)), key=lambda i: (-int(found.n_images[i]), int(found.classes[i])))[:MOST]
    largest = float(abs(found.shapley[order]).max()) or 1.0
    rows = []
    for i in order:
        cells = [Cell(named(int(found.classes[i]))),
                 Cell(f"{found.n_images[i]:,}", int(found.n_images[i]))]  # fmt: skip
        for value, (low, high) in zip(found.shapley[i].tolist(), found.interval[i].tolist(), strict=True):
            tint = round(5 * max(value, 0.0) / largest) if low > 0 else 0
            cells.append(Cell(number(value), value, f"±{number((high - low) / 2)}", tint))
        rows.append(tuple(cells))
    left = len(found.classes) - len(rows) + len(found.alone)
    more = f"; {left} more with fewer images: spectrobe show RUN --by-class" if left else ""
    caption = (
        f"{label}: Shapley values ({result.unit}) by class and band (cycles/pixel), half-widths of "
        f"{percent(result.confidence)} intervals behind them; shaded where above 0{more}"
    )
    columns = ("class", "images", *places(result.bands))
    return Table(caption, columns, tuple(rows), frozenset(range(1, len(columns))), True)
