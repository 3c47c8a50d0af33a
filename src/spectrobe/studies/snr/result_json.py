"""Spectral-SNR results as JSON and back: floats at full precision, null for NaN, "Infinity" for untouched bands."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from spectrobe.engine.environment import environment
from spectrobe.engine.store import MEND, RunFolder
from spectrobe.errors import RunFolderError
from spectrobe.game.intervals import Estimate
from spectrobe.studies.snr.result import SnrResult, SnrSettings, SnrStudy
from spectrobe.studies.snr.rows import concatenated
from spectrobe.studies.snr.statistics import Decay

KIND = "snr"
_ARRAYS = ("db", "stderr", "interval", "modulus", "modulus_interval", "frequency")
_TUPLES = ("category", "non_robust_below", "robust_above", "warnings")
_PLAIN = ("prefix", "n_images", "clipped_share", "delivered", "unattacked", "failed", "skipped")


def study_to_dict(study: SnrStudy) -> dict[str, Any]:
    """The study without its rows, JSON-able."""
    return {
        "kind": KIND,
        "results": [result_to_dict(result) for result in study.results.values()],
        "failed": dict(study.failed),
    }


def result_to_dict(result: SnrResult) -> dict[str, Any]:
    """One perturbation's result without its rows, JSON-able."""
    decay = {f.name: getattr(result.decay, f.name) for f in fields(Decay)}
    content = {
        "settings": result.settings.to_dict(),
        **{name: getattr(result, name) for name in (*_ARRAYS, *_TUPLES, *_PLAIN)},
        "dc_db": result.dc_db,
        "dc_modulus": result.dc_modulus,
        "decay": decay,
    }
    return {name: _encoded(value) for name, value in content.items()}


def load_snr(content: Mapping[str, Any], folder: RunFolder | None = None) -> SnrResult | SnrStudy:
    """What a result.json of this kind holds: an SnrResult when it is one perturbation's, else an SnrStudy."""
    try:
        results = [_result(one, folder) for one in content["results"]]
        study = SnrStudy({result.perturbation: result for result in results}, dict(content["failed"]))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        where = folder.path if folder else "result.json"
        raise RunFolderError(f"{where}: result.json is damaged ({error!r}): {MEND}") from None
    return results[0] if len(results) == 1 and not study.failed else study


def save(study: SnrStudy, folder: str | os.PathLike[str]) -> None:
    """Write results that were kept in memory to a new run folder."""
    run = RunFolder(folder, rows=KIND)
    with run.lock():
        if run.exists("run.json"):
            raise RunFolderError(f"{run.path}: expected a new folder, found a run: choose another, or remove it")
        settings = [result.settings.to_dict() for result in study.results.values()]
        identity = {"settings": settings}
        about = {"command": KIND, "identity": identity, "shards": 1, "environment": environment()}
        run.write_json("run.json", about)
        rows = concatenated([result.rows() for result in study.results.values()])
        skipped = {image: why for result in study.results.values() for image, why in result.skipped.items()}
        run.write_shard(0, rows.columns(), skipped)
        run.write_json("result.json", study_to_dict(study))


def _result(content: Mapping[str, Any], folder: RunFolder | None) -> SnrResult:
    found: dict[str, Any] = {name: content[name] for name in _PLAIN}
    found |= {name: _array(content[name]) for name in _ARRAYS}
    found |= {name: tuple(content[name]) for name in _TUPLES}
    found |= {name: _estimate(content[name]) for name in ("dc_db", "dc_modulus")}
    return SnrResult(
        settings=SnrSettings.from_dict(content["settings"]), decay=_decay(content["decay"]), **found, _folder=folder
    )


def _decay(content: Mapping[str, Any]) -> Decay:
    return Decay(
        db_per_octave=_estimate(content["db_per_octave"]),
        db_per_cycle=_estimate(content["db_per_cycle"]),
        aic_octave=_number(content["aic_octave"]),
        aic_cycle=_number(content["aic_cycle"]),
        aic_difference=_estimate(content["aic_difference"]),
        left_out=tuple(content["left_out"]),
    )


def _encoded(value: Any) -> Any:
    """Infinity as a word, since JSON has none; everything else as `engine.store.plain` takes it."""
    if isinstance(value, Estimate):
        return {f.name: _encoded(getattr(value, f.name)) for f in fields(Estimate)}
    if isinstance(value, Mapping):
        return {name: _encoded(item) for name, item in value.items()}
    if isinstance(value, np.ndarray):
        return _encoded(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_encoded(item) for item in value]
    if isinstance(value, float) and math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _array(values: Any) -> np.ndarray:
    flat = [_array(value) if isinstance(value, list) else _number(value) for value in values]
    return np.asarray(flat, dtype=np.float64)


def _estimate(content: Mapping[str, Any]) -> Estimate:
    numbers: dict[str, Any] = {name: value if name == "reason" else _number(value) for name, value in content.items()}
    return Estimate(**numbers)
