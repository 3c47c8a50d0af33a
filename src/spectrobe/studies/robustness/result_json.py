"""Robustness results as JSON and back: floats at full precision, null for NaN, "Infinity" for distances not found."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from spectrobe.engine.environment import environment
from spectrobe.engine.store import MEND, RunFolder
from spectrobe.errors import RunFolderError
from spectrobe.game.intervals import Estimate
from spectrobe.studies.robustness.conditions import Condition
from spectrobe.studies.robustness.result import CleanAccuracy, RobustnessResult, RobustnessSettings
from spectrobe.studies.robustness.rows import FOLDER
from spectrobe.studies.robustness.sanity import Sanity

KIND = "robustness"
_ESTIMATES = ("mean_corruption_error", "mce")
_BY_NAME = (
    "accuracy", "log_likelihood", "corruption_error", "severity_accuracy", "relative_error", "worst_case", "area",
    "median_distance",
)  # fmt: skip
_PLAIN = ("n_images", "n_classes", "forward_passes", "failed", "reference", "skipped")


def to_dict(result: RobustnessResult) -> dict[str, Any]:
    """The result without its rows, JSON-able."""
    sanity = {f.name: getattr(result.sanity, f.name) for f in fields(Sanity)}
    clean = result.clean
    return {
        "kind": KIND,
        "settings": result.settings.to_dict(),
        "conditions": [condition.to_dict() for condition in result.conditions],
        "clean": clean and {**_estimate_to_dict(clean), "log_likelihood": _estimate_to_dict(clean.log_likelihood)},
        **{name: _maybe(getattr(result, name)) for name in _ESTIMATES},
        **{name: {k: _estimate_to_dict(v) for k, v in getattr(result, name).items()} for name in _BY_NAME},
        **{name: _plain(getattr(result, name)) for name in _PLAIN},
        "sanity": {**sanity, "checks": list(result.sanity.checks)},
        "warnings": list(result.warnings),
    }


def from_dict(content: Mapping[str, Any], folder: RunFolder | None = None) -> RobustnessResult:
    """The result that `to_dict` described; its rows are read from the folder when asked for."""
    own = None if folder is None else RunFolder(folder.path, rows=FOLDER)
    try:
        clean = content["clean"]
        if clean is not None:
            log_likelihood = Estimate(**_numbers(clean["log_likelihood"]))
            clean = CleanAccuracy(**_numbers(clean), log_likelihood=log_likelihood)
        found: dict[str, Any] = {name: content[name] for name in _PLAIN}
        found |= {name: content[name] and Estimate(**_numbers(content[name])) for name in _ESTIMATES}
        found |= {name: {k: Estimate(**_numbers(v)) for k, v in content[name].items()} for name in _BY_NAME}
        return RobustnessResult(
            settings=RobustnessSettings.from_dict(content["settings"]),
            conditions=tuple(Condition(**condition) for condition in content["conditions"]),
            clean=clean,
            sanity=Sanity(**{**content["sanity"], "checks": tuple(content["sanity"]["checks"])}),
            warnings=tuple(content["warnings"]),
            _folder=own,
            **found,
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        where = folder.path if folder else "result.json"
        raise RunFolderError(f"{where}: result.json is damaged ({error!r}): {MEND}") from None


def save(result: RobustnessResult, folder: str | os.PathLike[str]) -> None:
    """Write a result that was kept in memory to a new run folder."""
    run = RunFolder(folder, rows=FOLDER)
    with run.lock():
        if run.exists("run.json"):
            raise RunFolderError(f"{run.path}: expected a new folder, found a run: choose another, or remove it")
        identity = {"settings": result.settings.to_dict(), "conditions": [c.to_dict() for c in result.conditions]}
        run.write_json("run.json", {"command": KIND, "identity": identity, "shards": 1, "environment": environment()})
        run.write_shard(0, result.predictions.columns(), result.skipped)
        run.write_json("result.json", to_dict(result))


def _estimate_to_dict(estimate: Estimate) -> dict[str, Any]:
    return {f.name: _word(getattr(estimate, f.name)) for f in fields(Estimate)}


def _maybe(estimate: Estimate | None) -> dict[str, Any] | None:
    return None if estimate is None else _estimate_to_dict(estimate)


def _word(value: Any) -> Any:
    return "Infinity" if isinstance(value, float) and math.isinf(value) else value


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def _numbers(content: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an Estimate; null is NaN."""
    numbers = {f.name: math.nan if content[f.name] is None else content[f.name] for f in fields(Estimate)}
    return {name: value if name == "reason" else float(value) for name, value in numbers.items()}
