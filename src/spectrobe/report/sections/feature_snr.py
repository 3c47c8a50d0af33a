"""Feature SNR in training: native SNR of what networks were trained on, and their robustness."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spectrobe.figures.style import nth_look
from spectrobe.report.blocks import Cell, Section, Table, Text
from spectrobe.report.charts.chart import Axis, Chart, Guide, Panels, Point, Series, round_ticks, span
from spectrobe.report.material import Material
from spectrobe.report.numbers import interval, number
from spectrobe.studies.feature_snr.wording import injected_sentence

if TYPE_CHECKING:
    from spectrobe.studies.feature_snr.result import FeatureSnrResult

READING = (
    "Networks trained on one group of frequency bands each, at equal contrast: how much of these bands a perturbation "
    "leaves (their native modulus: 0 gone, 1 intact), and how accurate the networks are under it. "
    "Images of all bands get one gain, so that they hold a group's own bands weaker than in training, and accuracy is "
    "lost to that too."
)
_VIEWS = ("images of the bands trained on", "images of all bands")


def section(material: Material) -> Section | None:
    """For each study its sentence, charts and numbers; then the trainings with injected noise, apart."""
    blocks: list[object] = []
    for number_, run in enumerate(material.of("feature_snr")):
        result: FeatureSnrResult = run.result
        blocks += [Text((result.sentence(),)), _panels(result, f"feature-snr-{number_}", False), _table(result)]
        if result.injected_accuracy is not None:
            blocks += [Text((injected_sentence(result),)), _panels(result, f"feature-snr-{number_}-apart", True)]
    return Section("feature-snr", "Feature SNR", "Feature SNR in training", tuple(blocks), READING) if blocks else None


def _panels(result: FeatureSnrResult, identity: str, injected: bool) -> Panels:
    title = "Accuracy under perturbation against the native modulus of the bands trained on"
    if injected:
        title = f"Apart, no test of the claim: noise of {result.settings.inject_db:g} dB injected in training"
    return Panels(
        identity=identity, title=title, charts=tuple(_chart(result, identity, view, injected) for view in (0, 1)),
        table=_numbers(result, injected),
        legend="Trained on",
        intervals="Bars: from the lowest to the highest seed; points: means over seeds.",
    )  # fmt: skip


def _of(result: FeatureSnrResult, injected: bool) -> tuple[np.ndarray, np.ndarray]:
    """Clean accuracy (2, S, G) and accuracy (2, S, G, P)."""
    clean = result.injected_clean if injected else result.clean
    accuracy = result.injected_accuracy if injected else result.accuracy
    return np.asarray(clean), np.asarray(accuracy)


def _chart(result: FeatureSnrResult, identity: str, view: int, injected: bool) -> Chart:
    clean, accuracy = _of(result, injected)
    series = []
    for g, name in enumerate(result.groups):
        points = []
        before = float(clean[view, :, g].mean())
        for p, perturbation in enumerate(result.perturbations):
            x, seeds = float(result.modulus[g, p]), accuracy[view, :, g, p]
            says = (
                f"{name}, {perturbation}\nnative modulus {number(x)}\naccuracy {number(float(seeds.mean()), 3)}, "
                f"clean {number(before, 3)}"
            )
            ends = (float(seeds.min()), float(seeds.max()))
            points.append(Point(x, float(seeds.mean()), ends, says=says, fill="open" if injected else "full"))
        look = nth_look(g)
        series.append(Series(f"group-{g}", name, look, tuple(points)))
    low, high = span(result.modulus.ravel().tolist(), zero=False, room=0.15)
    relation = tuple(result.relations.values())[view]
    told = f"On {_VIEWS[view]}: " + "; ".join(
        f"{one.name} {', '.join(number(point.y, 2) for point in one.points)}" for one in series
    )
    if not injected:
        told += f". Partial rank correlation {number(relation.partial)}, p = {number(relation.p, 3)}."
    return Chart(
        identity=f"{identity}-{view}", title=f"On {_VIEWS[view]}", description=told,
        x=Axis("native modulus", low, high, round_ticks(low, high, 4)),
        y=Axis("accuracy", 0, 1.04, round_ticks(0, 1, 5)), series=tuple(series), table=Table("", (), ()), small=True,
        guides=(Guide(1 / result.n_classes, "chance"),),
    )  # fmt: skip


def _numbers(result: FeatureSnrResult, injected: bool) -> Table:
    clean, accuracy = _of(result, injected)
    rows = []
    for g, name in enumerate(result.groups):
        for p, perturbation in enumerate(result.perturbations):
            x, ends = float(result.modulus[g, p]), result.modulus_interval[g, p].tolist()
            cells = [Cell(name, float(g)), Cell(perturbation), Cell(number(x), x, interval(*ends))]
            for view in (0, 1):
                before, seeds = float(clean[view, :, g].mean()), accuracy[view, :, g, p]
                cells.append(Cell(number(before, 3), before))
                cells.append(
                    Cell(number(float(seeds.mean()), 3), float(seeds.mean()), interval(seeds.min(), seeds.max(), 3))
                )
            rows.append(tuple(cells))
    columns = (
        "trained on", "perturbation", "native modulus", "clean, its bands", "perturbed, its bands", "clean, all bands",
        "perturbed, all bands",
    )  # fmt: skip
    caption = "Native modulus with its interval over images; accuracies, means over seeds with their lowest and highest"
    return Table(caption, columns, tuple(rows), frozenset(range(2, 7)))


def _table(result: FeatureSnrResult) -> Table:
    """A row for each kind of images: the relation."""
    rows = []
    for view, relation in zip(_VIEWS, result.relations.values(), strict=True):
        known = [one for one in relation.seeds if not np.isnan(one)]
        ends = interval(min(known), max(known)) if known else ""
        rows.append(
            (
                Cell(view), Cell(number(relation.partial), relation.partial, ends),
                Cell(number(relation.p, 3), relation.p),
                Cell(number(relation.plain), relation.plain), Cell(str(relation.points), relation.points),
            )
        )  # fmt: skip
    columns = ("measured on", "partial rank correlation", "p", "without clean accuracy held fixed", "points")
    caption = "Native modulus and accuracy under perturbation, clean accuracy held fixed, with the range over seeds"
    return Table(caption, columns, tuple(rows), frozenset({1, 2, 3, 4}), True)
