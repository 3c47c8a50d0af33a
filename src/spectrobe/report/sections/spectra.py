"""Where models respond, and where each perturbation has its power: the two factors of response times spectrum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite, log2
from typing import TYPE_CHECKING

import numpy as np

from spectrobe.report.blocks import Cell, Section, Table, Text
from spectrobe.report.charts.bands import octave_axis
from spectrobe.report.charts.chart import NEUTRAL, Axis, Chart, Panels, Point, Series, round_ticks, span
from spectrobe.report.material import Material, attempt, told_apart
from spectrobe.report.numbers import places, plural
from spectrobe.report.runs import Run
from spectrobe.report.sections.prediction import tested
from spectrobe.report.sections.profiles import look_of
from spectrobe.report.sections.response import DIFFERING
from spectrobe.studies.response.spectra import as_shares, perturbation_spectra, strongest
from spectrobe.studies.words import percent

if TYPE_CHECKING:
    from spectrobe.studies.response.result import Curve, ResponseResult

READING = (
    "Solid: how strongly the model responds to noise in a band (1 / the power that takes accuracy half way to chance). "
    "Dashed: the power of what the perturbation changes in it, at the highest strength measured. Both are shares of "
    "their sum over bands. Where the curves lie over each other, the perturbation hits what the model responds to."
)
_POWER = "power"  # switches the perturbations' own curves

Spectra = Mapping[str, "Curve"]


def section(material: Material) -> Section | None:
    """Panels for each set of runs that can share them."""
    blocks: list[object] = []
    for number_, runs in enumerate(tested(material)):
        labels = told_apart(runs, DIFFERING)
        spectra, why = attempt(perturbation_spectra, runs[0].result)
        blocks.append(
            Text((f"The spectra of these perturbations cannot be drawn: {why}.",), "note")
            if spectra is None
            else _spectra(material, runs, labels, spectra, f"spectra-{number_}")
        )
    title = "Where models respond, and where perturbations have their power"
    return Section("spectra", "Spectra", title, tuple(blocks), READING) if blocks else None


def _spectra(material: Material, runs: Sequence[Run], labels: Sequence[str], spectra: Spectra, identity: str) -> Panels:
    """A panel a perturbation, at its highest strength: the models' responses and its power, as shares over bands."""
    first: ResponseResult = runs[0].result
    responses = [as_shares(run.result.masking.sensitivity) for run in runs]
    powers = {name: as_shares(spectrum) for name, spectrum in strongest(spectra).items()}
    ends = [float(end) for one in (*responses, *powers.values()) for end in (*one.value, *one.interval.ravel())]
    _, high = span([min(end, 1.0) for end in ends], zero=True)
    x = octave_axis(first.frequency.tolist(), [first.image_size], "band (cycles/pixel)")
    y = Axis("share over the bands", 0.0, high, round_ticks(0.0, high, 5))
    level = percent(first.confidence)
    charts = []
    for k, (name, power) in enumerate(powers.items()):
        models = tuple(
            Series(
                material.key(run.result.model_name), label, look_of(material, runs, i),
                _band_points(first.frequency, response, f"{label}, response", level), "solid",
            )
            for i, (run, label, response) in enumerate(zip(runs, labels, responses, strict=True))
        )  # fmt: skip
        points = _band_points(first.frequency, power, f"{name}, power", level)
        own = Series(_POWER, "power of the perturbation", NEUTRAL, points, "dashed")
        told = f"{name}: {_most('most of its power', first, power.value)}; " + "; ".join(
            _most(f"{label} responds most", first, response.value)
            for label, response in zip(labels, responses, strict=True)
        )
        charts.append(Chart(f"{identity}-{k}", name, f"{told}.", x, y, (*models, own), Table("", (), ()), small=True))
    return Panels(
        identity=identity,
        title="Response and power over the bands" + f": {labels[0]}" * (len(runs) == 1),
        charts=tuple(charts),
        table=_doses(runs, labels, spectra),
        intervals=f"Bars: {level} intervals over {plural(first.n_images, 'image')}, each band alone.",
        legend="Curves",
    )  # fmt: skip


def _band_points(frequency: np.ndarray, shares: Curve, name: str, level: str) -> tuple[Point, ...]:
    points = []
    for f, value, (low, high) in zip(frequency.tolist(), shares.value.tolist(), shares.interval.tolist(), strict=True):
        if isfinite(f) and f > 0 and isfinite(value):
            says = f"{name}\n{percent(round(value, 3))} of it at {f:.3g} cycles/pixel\n"
            says += f"{level} interval {percent(round(low, 3))} to {percent(round(high, 3))}"
            points.append(Point(log2(f), value, (low, high), says=says))
    return tuple(points)


def _most(what: str, result: ResponseResult, shares: np.ndarray) -> str:
    known = np.where(np.isfinite(shares), shares, -np.inf)
    band = int(np.argmax(known))
    return f"{what} at {places(result.bands)[band]} cycles/pixel ({percent(round(float(shares[band]), 3))})"


def _doses(runs: Sequence[Run], labels: Sequence[str], spectra: Spectra) -> Table:
    """A row a model and perturbation: response times spectrum, and which bands it comes from."""
    first: ResponseResult = runs[0].result
    rows = []
    for run, label in zip(runs, labels, strict=True):
        for name, spectrum in spectra.items():
            by_band = run.result.masking.sensitivity.value * spectrum.value
            total = float(by_band.sum())
            shares = by_band / total if total > 0 else by_band
            cells = [Cell(percent(round(share, 3)), share, tint=_tint(share)) for share in shares.tolist()]
            rows.append((Cell(name), *([Cell(label)] if len(runs) > 1 else []), Cell(f"{total:.3g}", total), *cells))
    columns = ("perturbation", *(["model"] if len(runs) > 1 else []), "response × spectrum", *places(first.bands))
    caption = (
        "Response times spectrum (1: as much as takes accuracy half way to chance), and the share of it that each band "
        "(cycles/pixel) brings"
    )
    return Table(caption, columns, tuple(rows), frozenset(range(len(columns) - first.bands.n_bands - 1, len(columns))),
                 True)  # fmt: skip


def _tint(share: float) -> int | None:
    return round(5 * share) if isfinite(share) else None
