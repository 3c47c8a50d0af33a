"""One file a section of the report. A new kind of run is a new file here and its name in SECTIONS."""

from __future__ import annotations

from importlib import import_module

from spectrobe.report.blocks import Section
from spectrobe.report.material import Material

SECTIONS = (
    "answer",
    "profiles",
    "snr",
    "surviving",
    "response",
    "heat_map",
    "prediction",
    "spectra",
    "robustness",
    "score_robustness",
    "relate",
    "track",
    "label_noise",
    "feature_snr",
    "unfinished",
    "photographs",
    "classes",
    "unusual",
    "provenance",
)
"""Modules of this package in the order of the page. Each has section(material) -> Section, or None for nothing."""


def written(material: Material) -> list[Section]:
    """The sections that these runs give."""
    found = [import_module(f"{__name__}.{name}").section(material) for name in SECTIONS]
    return [section for section in found if section is not None]
