"""Fourier heat maps: how often a model errs under one wave of each frequency and direction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from spectrobe.report.blocks import Cell, Section, Table
from spectrobe.report.charts.heat_map import HeatMap, HeatMaps
from spectrobe.report.material import Material, apart, grouped, told_apart
from spectrobe.report.numbers import interval, number, plural
from spectrobe.report.runs import Run
from spectrobe.report.sections.response import DIFFERING, SHARED, shared
from spectrobe.studies.response.basis import axis, full_plane
from spectrobe.studies.words import percent

if TYPE_CHECKING:
    from spectrobe.studies.response.result import HeatMap as Measured

READING = (
    "One wave is added to every image, of the same strength for each frequency and direction; the darker the place, "
    "the more often the model errs under it. In the middle lie slow waves, at the edges the fastest. A wave and its "
    "mirror image through the middle are the same. The middle itself, a wave of no frequency, is not measured."
)


def section(material: Material) -> Section | None:
    """Maps of models that can share a scale, side by side."""
    groups = grouped((run for run in material.of("response") if run.result.heat_map is not None), _shared)
    blocks = (*apart(groups, _shared, _SHARED), *(_maps(some, f"heat-map-{k}") for k, some in enumerate(groups)))
    return Section("heat-map", "Heat map", "Errors under one wave", blocks, READING) if blocks else None


_SHARED = (*SHARED, "image size", "norm of the waves", "steps between waves", "number of images")


def _shared(run: Run) -> tuple[object, ...]:
    found, plan = run.result.heat_map, run.result.settings.heat_map
    return *shared(run), run.result.image_size, plan.norm, plan.step, found.n_images


def _maps(runs: Sequence[Run], identity: str) -> HeatMaps:
    labels = told_apart(runs, DIFFERING)
    first, level = runs[0].result.heat_map, percent(runs[0].result.confidence)
    most = max(float(run.result.heat_map.error.value.max()) for run in runs)
    short = max(float(run.result.heat_map.short) for run in runs)
    up_to = "Up to " * (len(runs) > 1)
    note = (
        f" {up_to}{percent(round(short, 3))} of the pairs of image and wave could not take that norm." if short else ""
    )
    return HeatMaps(
        title=f"Error rate under one wave of L2 norm {first.norm:g}" + f": {labels[0]}" * (len(runs) == 1),
        maps=tuple(
            _map(run, label, f"{identity}-{k}", most) for k, (run, label) in enumerate(zip(runs, labels, strict=True))
        ),
        scale="error rate",
        intervals=f"{level} intervals over {plural(first.n_images, 'image')} appear with each place's number, and in "
        f"the table.{note}",
        table=_table(runs, labels, level),
    )  # fmt: skip


def _map(run: Run, label: str, identity: str, most: float) -> HeatMap:
    result = run.result
    found: Measured = result.heat_map
    size, step, level = result.image_size, result.settings.heat_map.step, percent(result.confidence)
    values = found.plane(size, step)
    places = full_plane(found.frequencies, np.arange(len(found.frequencies), dtype=np.float64), size, step)
    says = np.full(values.shape, "", dtype=object)
    for row, column in zip(*np.nonzero(np.isfinite(places)), strict=True):
        v = int(places[row, column])
        low, high = found.error.interval[v]
        ky, kx = int(axis(size[0], step)[row]), int(axis(size[1], step)[column])
        says[row, column] = (
            f"{label}\n{_wave(ky, kx)}\nerror rate {number(float(found.error.value[v]), 3)}, "
            f"{level} {interval(low, high, 3)}"
        )
    error = found.error.value
    told = (
        f"Error rates from {number(float(error.min()), 3)} to {number(float(error.max()), 3)}, the highest under "
        f"{_wave(*found.frequencies[int(error.argmax())].tolist())}. All are in the table."
    )
    return HeatMap(identity, label, told, values, says, step, size, most)


def _table(runs: Sequence[Run], labels: Sequence[str], level: str) -> Table:
    """A row a wave, a column a model."""
    first = runs[0].result
    height, width = first.image_size
    rows = []
    for v, (ky, kx) in enumerate(first.heat_map.frequencies.tolist()):
        cells = [_error_cell(run.result.heat_map, v) for run in runs]
        fast = float(np.hypot(ky / height, kx / width))
        rows.append((Cell(number(kx, 0), kx), Cell(number(ky, 0), ky), Cell(f"{fast:.3g}", fast), *cells))
    columns = ("cycles/image across", "down", "cycles/pixel", *(f"error rate: {label}" for label in labels))
    caption = f"Error rates with {level} intervals over images"
    return Table(caption, columns, tuple(rows), frozenset(range(len(columns))), True)


def _wave(ky: int, kx: int) -> str:
    return f"{number(kx, 0)} across, {number(ky, 0)} down (cycles/image)"


def _error_cell(found: Measured, v: int) -> Cell:
    value, (low, high) = float(found.error.value[v]), found.error.interval[v].tolist()
    return Cell(number(value, 3), value, interval(low, high, 3))
