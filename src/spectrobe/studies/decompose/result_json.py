"""A decomposition as JSON and back: floats at full precision, null for NaN, coalitions not evaluated left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from spectrobe.errors import RunFolderError
from spectrobe.game.intervals import Estimate
from spectrobe.studies.decompose.settings import Settings

if TYPE_CHECKING:
    from spectrobe.studies.decompose.result import DecomposeResult

_ARRAYS = ("shapley", "stderr", "interval", "simultaneous", "interactions", "power_db")
_NUMBERS = ("efficiency_gap", "n_images", "n_classes", "forward_passes")
_TABLES = ("values", "tau")


def decomposition_to_dict(result: DecomposeResult) -> dict[str, Any]:
    """The result without its payoff table."""
    seen = np.flatnonzero(~np.isnan(result.values))
    return {
        "kind": "decompose",
        "settings": result.settings.to_dict(),
        **{name: getattr(result, name) for name in _ARRAYS + _NUMBERS},
        "scores": {name: estimate_to_dict(score) for name, score in result.scores.items()},
        "information": estimate_to_dict(result.information),
        "accuracy": None if result.accuracy is None else estimate_to_dict(result.accuracy),
        "by_size": dict(result.by_size),
        "coalitions": seen,
        **{name: getattr(result, name)[seen] for name in _TABLES},
        "warnings": list(result.warnings),
        "skipped": dict(result.skipped),
    }


def decomposition_fields(content: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The fields of the result that `decomposition_to_dict` described; RunFolderError naming `where` when damaged."""
    try:
        settings = Settings.from_dict(content["settings"])
        found: dict[str, Any] = {name: content[name] for name in _NUMBERS}
        for name in _ARRAYS:
            found[name] = None if content[name] is None else array_from_json(content[name])
        for name in _TABLES:
            found[name] = np.full(2**settings.bands.n_bands, np.nan)
            found[name][np.asarray(content["coalitions"], dtype=np.int64)] = array_from_json(content[name])
        return found | {
            "settings": settings,
            "scores": {name: estimate_from_dict(score) for name, score in content["scores"].items()},
            "information": estimate_from_dict(content["information"]),
            "accuracy": None if content["accuracy"] is None else estimate_from_dict(content["accuracy"]),
            "by_size": {name: array_from_json(values) for name, values in content["by_size"].items()},
            "warnings": tuple(content["warnings"]),
            "skipped": dict(content["skipped"]),
        }
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise RunFolderError(
            f"{where}: result.json is damaged ({error!r}): delete it, and the same call makes it anew"
        ) from None


def array_from_json(values: Any) -> np.ndarray:
    """Nested lists with null for NaN -> float64."""
    return np.asarray(values, dtype=np.float64)


def estimate_to_dict(estimate: Estimate) -> dict[str, Any]:
    """JSON-able."""
    return {f.name: getattr(estimate, f.name) for f in fields(estimate)}


def estimate_from_dict(content: Mapping[str, Any]) -> Estimate:
    """The estimate that `estimate_to_dict` described."""
    numbers: dict[str, Any] = {key: np.nan if value is None else value for key, value in content.items()}
    return Estimate(**numbers)
