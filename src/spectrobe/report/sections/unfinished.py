"""Trainings of studies that are not finished: how far each is, and what was read of it last."""

from __future__ import annotations

from spectrobe.report.blocks import Cell, Section, Table
from spectrobe.report.material import Material
from spectrobe.report.numbers import estimate_cell
from spectrobe.report.runs import Run
from spectrobe.studies.words import percent

READING = (
    "These studies are still running, or were stopped; the calls that began them go on. What they are about compares "
    "trainings with each other, and is told once all are done. The numbers of a training that has epochs left are "
    "those of its last reading."
)


def section(material: Material) -> Section | None:
    """A table for each such study."""
    tables = tuple(_table(run) for run in material.given if run.progress and run.progress.trainings)
    return Section("unfinished", "Unfinished", "Trainings so far", tables, READING) if tables else None


def _table(run: Run) -> Table:
    trainings = run.progress.trainings if run.progress else ()
    names = list(dict.fromkeys(name for one in trainings for name in one.numbers))
    rows = tuple(
        (
            Cell(one.name),
            Cell("done" if one.done else f"epoch {one.epochs} of {one.of}", one.epochs / one.of),
            *(estimate_cell(one.numbers.get(name)) for name in names),
        )
        for one in trainings
    )
    level = percent(float(run.identity["settings"]["confidence"]))
    caption = f"{run.kind.replace('_', ' ')}: {run.progress} done; {level} intervals over images"
    return Table(caption, ("training", "read", *names), rows, frozenset(range(1, 2 + len(names))), True)
