"""Perturbations: corruptions, attacks and noise; each takes images and a seed and gives images of the same shape.

`perturbation(name, **settings)` builds one; `parse_perturbations(text)` reads a command line's list;
`as_perturbation(callable)` wraps the caller's own; `register(name, builder)` or an entry point of the group
"spectrobe.perturbations" adds one to the table.
"""

from __future__ import annotations

from typing import Any

from spectrobe.perturbations import attacks, band_noise, band_snr, corruptions
from spectrobe.perturbations.base import Perturbation
from spectrobe.perturbations.own import as_perturbation
from spectrobe.perturbations.parse import SETS, PerturbationSpec, parse_perturbations
from spectrobe.perturbations.registry import build, names, register

__all__ = [
    "SETS",
    "Perturbation",
    "PerturbationSpec",
    "as_perturbation",
    "attacks",
    "band_noise",
    "band_snr",
    "corruptions",
    "names",
    "parse_perturbations",
    "perturbation",
    "register",
]


def perturbation(name: str, **settings: Any) -> Perturbation:
    """One perturbation by name: `perturbation("snow", severity=3)`, `perturbation("pgd_linf", eps=8/255, model=model)`.

    A corruption needs its severity, 1 to 5: there is no default. `names()` lists the names. Raises InputError for an
    unknown name (with the nearest ones), an unknown or missing setting, a severity outside 1 to 5.
    """
    return build(name, **settings)
