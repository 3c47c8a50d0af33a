"""What survives of each frequency band under each perturbation: spectral SNR, and the robustness modulus behind it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import inf, isfinite, log2

import numpy as np

from spectrobe.report.blocks import Cell, Section, Table
from spectrobe.report.charts.bands import octave_axis
from spectrobe.report.charts.chart import NEUTRAL, Axis, Chart, Guide, Panels, Point, Region, Series, round_ticks, span
from spectrobe.report.material import Material, apart, grouped
from spectrobe.report.numbers import interval, number, places
from spectrobe.studies.snr.result import SnrResult
from spectrobe.studies.snr.statistics import NON_ROBUST, ROBUST, UNDECIDED
from spectrobe.studies.snr.wording import slope_text
from spectrobe.studies.words import percent

READING = (
    "Signal-to-noise ratio of each frequency band: at 0 dB the perturbation is as strong as the image, above it the "
    "image wins. A band is robust when more than half of it is left (its robustness modulus is above 1/2 by its "
    "interval), non-robust when less than half is, undecided while the interval holds 1/2."
)
_FILL = {ROBUST: "full", UNDECIDED: "pale", NON_ROBUST: "open"}
_LEAST_DB, _MOST_DB = -60.0, 100.0
_SHADING = (("robust", "robust bands"), ("non-robust", "non-robust bands"), ("", "undecided"))
_SHADING_OF_MANY = (
    ("robust", "robust at every severity shown"),
    ("non-robust", "non-robust at every severity shown"),
    ("", "undecided, or it depends on the severity"),
)


def section(material: Material) -> Section | None:
    """A panel a perturbation, for each set of runs that can share axes."""
    groups = grouped(material.snr_results, _shared)
    if not groups:
        return None
    blocks = apart(groups, _shared, _SHARED)
    for number_, some in enumerate(groups):
        blocks += [_panels(some, f"snr-{number_}"), _survival_table(some)]
    return Section("snr", "Perturbations", "Which frequencies survive", tuple(blocks), READING)


_SHARED = ("bands", "confidence", "images", "image size", "summary")


def _shared(result: SnrResult) -> tuple[object, ...]:
    return str(result.bands), result.confidence, result.data_name, result.image_size, result.settings.summary


def _panels(results: Sequence[SnrResult], identity: str) -> Panels:
    families = grouped(results, lambda result: _family(result.perturbation))
    ends = [end for result in results for end in (*result.db, *np.ravel(result.interval)) if isfinite(end)]
    low, high = span([min(max(end, _LEAST_DB), _MOST_DB) for end in ends], zero=True)
    y = Axis("SNR (dB)", low, high, round_ticks(low, high, 5))
    alone = len(families) == 1
    charts = tuple(_chart(family, f"{identity}-{k}", y, not alone) for k, family in enumerate(families))
    first = results[0]
    return Panels(
        identity=identity,
        title=f"SNR against spatial frequency, {first.data_name}",
        charts=charts,
        table=_table(results),
        intervals=(
            f"Bars: {percent(first.confidence)} intervals over {first.n_images:,} images, each band alone; where none "
            "shows, it is smaller than its point. Filled points are robust bands, pale ones undecided, open ones "
            "non-robust."
            + " Milder severities are paler." * (len(families) < len(results))
            + " A triangle at the top is a band that the perturbation does not touch." * _untouched(results)
        ),
        shading=_SHADING if len(families) == len(results) else _SHADING_OF_MANY,
    )


def _untouched(results: Sequence[SnrResult]) -> bool:
    return any(value == inf for result in results for value in result.db.tolist())


def _chart(family: Sequence[SnrResult], identity: str, y: Axis, small: bool) -> Chart:
    first = family[0]
    sizes = [result.image_size for result in family]
    x = octave_axis(
        first.frequency.tolist(), sizes, "cycles/pixel" if small else "mean spatial frequency (cycles/pixel)"
    )
    series = tuple(_series(result, k, len(family)) for k, result in enumerate(family))
    name = _family(first.perturbation) if len(family) > 1 else first.perturbation
    title = f"{name}, {_levels(family)}" if len(family) > 1 else name
    return Chart(
        identity=identity, title=title, description=_described(family), x=x, y=y, series=series,
        table=_table(family), regions=_regions(family), guides=(Guide(0.0, "" if small else "as strong as the image"),),
        small=small,
    )  # fmt: skip


def _levels(family: Sequence[SnrResult]) -> str:
    first, last = (one.perturbation.partition(":")[2] for one in (family[0], family[-1]))
    return f"{first} to {last}"


def _series(result: SnrResult, place: int, of: int) -> Series:
    points = []
    aside = 0.05 * (place - (of - 1) / 2)
    where = places(result.bands)
    for band, value in enumerate(result.db.tolist()):
        frequency = float(result.frequency[band])
        if not isfinite(frequency):
            continue  # the mean's own band has no place on a logarithmic axis; it is in the table
        low, high = result.interval[band].tolist()
        says = (
            f"{result.perturbation}\n{where[band]} cycles/pixel: {result.category[band]}"
            f"\n{_db(value)}, {percent(result.confidence)} interval {interval(low, high, 1)}"
            f"\nmodulus {number(float(result.modulus[band]))}, {interval(*result.modulus_interval[band].tolist())}"
        )
        beyond = value == inf
        points.append(
            Point(log2(frequency) + aside, value, None if beyond else (low, high), says=says,
                  fill=_FILL[result.category[band]], beyond=beyond)
        )  # fmt: skip
    shade = 1.0 if of == 1 else 0.4 + 0.6 * place / (of - 1)
    return Series("", result.perturbation, NEUTRAL, tuple(points), "solid", shade)


def _regions(family: Sequence[SnrResult]) -> tuple[Region, ...]:
    """Bands that every severity leaves robust, or that none does, neighbours joined."""
    first = family[0]
    edges = _borders(first)
    found: list[Region] = []
    for band, (low, high) in edges.items():
        kinds = {result.category[band] for result in family}
        if kinds not in ({ROBUST}, {NON_ROBUST}):
            continue
        kind = kinds.pop()
        if found and found[-1].kind == kind and abs(found[-1].high - low) < 1e-9:
            found[-1] = Region(found[-1].low, high, kind)
        else:
            found.append(Region(low, high, kind))
    return tuple(found)


def _borders(result: SnrResult) -> dict[int, tuple[float, float]]:
    """Band -> where its shading begins and ends, in log2 of cycles/pixel: halfway to its neighbours."""
    at = [(band, log2(f)) for band, f in enumerate(result.frequency.tolist()) if isfinite(f) and f > 0]
    middles = [(a + b) / 2 for (_, a), (_, b) in pairwise(at)]
    return {
        band: (middles[i - 1] if i else -99.0, middles[i] if i < len(middles) else 99.0)
        for i, (band, _) in enumerate(at)
    }


def _described(family: Sequence[SnrResult]) -> str:
    parts = []
    for result in family:
        kinds = {kind: [place for place, one in zip(places(result.bands), result.category, strict=True) if one == kind]
                 for kind in (ROBUST, UNDECIDED, NON_ROBUST)}  # fmt: skip
        told = [f"{kind} {', '.join(some)}" for kind, some in kinds.items() if some]
        parts.append(f"{result.perturbation}, bands in cycles/pixel: {'; '.join(told)}")
    return ". ".join(parts) + "."


def _table(results: Sequence[SnrResult]) -> Table:
    first = results[0]
    columns = ("perturbation", *places(first.bands), "mean (DC)", "dB/octave")
    rows = []
    for result in results:
        cells = [Cell(result.perturbation)]
        for value, (low, high) in zip(result.db.tolist(), result.interval.tolist(), strict=True):
            cells.append(Cell(_db(value), value, interval(low, high, 1) if isfinite(value) else ""))
        dc = result.dc_db
        cells.append(Cell(_db(dc.value), dc.value, interval(dc.low, dc.high, 1) if isfinite(dc.value) else ""))
        rows.append((*cells, Cell(slope_text(result.decay.db_per_octave), result.decay.db_per_octave.value)))
        left = zip(result.modulus.tolist(), result.modulus_interval.tolist(), strict=True)
        moduli = [Cell(number(mu), mu, interval(*ends)) for mu, ends in left]
        mean = result.dc_modulus
        rows.append((Cell(f"{result.perturbation}, modulus"), *moduli,
                     Cell(number(mean.value), mean.value, interval(mean.low, mean.high)), Cell("")))  # fmt: skip
    caption = f"SNR in dB and robustness modulus by band (cycles/pixel), {percent(first.confidence)} intervals"
    return Table(caption, columns, tuple(rows), frozenset(range(1, len(columns))))


def _survival_table(results: Sequence[SnrResult]) -> Table:
    """Perturbations by bands: how much of each is left, tinted by category."""
    first = results[0]
    rows = []
    for result in results:
        cells = [Cell(result.perturbation)]
        for mu, kind in zip(result.modulus.tolist(), result.category, strict=True):
            cells.append(Cell(number(mu), mu, kind, kind=kind))
        rows.append(tuple(cells))
    caption = (
        "How much of each band (cycles/pixel) is left: robustness modulus, 1 intact, 0 gone; robust or non-robust "
        f"where its {percent(first.confidence)} interval lies on one side of 1/2"
    )
    columns = ("perturbation", *places(first.bands))
    return Table(caption, columns, tuple(rows), frozenset(range(1, len(columns))), True)


def _db(value: float) -> str:
    return "not touched" if value == inf else f"{number(value, 1)} dB"


def _family(perturbation: str) -> str:
    """The perturbation's name without its severity; anything else stays whole."""
    name, _, rest = perturbation.partition(":")
    return name if rest.isdecimal() else perturbation
