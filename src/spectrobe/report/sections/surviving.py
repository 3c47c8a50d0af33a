"""How much of what each model leans on survives each perturbation: profiles weighted by what an SNR run measured."""

from __future__ import annotations

from math import isnan

from spectrobe.report.blocks import Cell, Section, Table
from spectrobe.report.material import Material, model_label
from spectrobe.report.numbers import estimate_cell
from spectrobe.studies.score_under import ScoreUnder
from spectrobe.studies.words import percent

READING = (
    "The profile of a model meets what a perturbation leaves of each band: the share says how much of what the model "
    "leans on is left, the information how much there is left to lean on. It is a forecast from two measurements, not "
    "a measured accuracy; intervals are over the images of the profile."
)


def section(material: Material) -> Section | None:
    """A row a model and perturbation, where a decomposition and an SNR run have the same bands."""
    found = material.survivals
    if not found:
        return None
    level = percent(found[0][0].result.confidence)
    rows = tuple(
        (Cell(score.perturbation), Cell(model_label(run)), estimate_cell(score.perturbation_aware, tint=_tint(score)),
         estimate_cell(score.surviving_information))
        for run, score in found
    )  # fmt: skip
    units = " or ".join(dict.fromkeys(score.unit for _, score in found))
    columns = ("perturbation", "model", "share that survives", f"information that survives ({units})")
    caption = f"What survives of what a model leans on, with {level} intervals"
    table = Table(caption, columns, rows, frozenset({2, 3}), True)
    return Section("surviving", "What survives", "What survives of what a model leans on", (table,), READING)


def _tint(score: ScoreUnder) -> int | None:
    share = score.perturbation_aware.value
    return None if isnan(share) else round(5 * min(max(share, 0.0), 1.0))
