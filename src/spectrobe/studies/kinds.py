"""Whose result a result is: studies are packages, one a question, and a result's kind is its study's name."""

from __future__ import annotations

from typing import Any

from spectrobe.errors import InputError

_STUDIES = "spectrobe.studies."


def kind_of(result: Any) -> str:
    """The name of the study whose result this is; InputError for anything else."""
    module = type(result).__module__
    if not module.startswith(_STUDIES):
        raise InputError(f"expected a run folder or the result of a study, got {type(result).__name__}")
    return module.removeprefix(_STUDIES).partition(".")[0]
