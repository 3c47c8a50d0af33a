"""Response results as JSON and back: floats at full precision, null for NaN."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from spectrobe.engine.environment import environment
from spectrobe.engine.store import MEND, RunFolder
from spectrobe.errors import RunFolderError
from spectrobe.game.intervals import Estimate
from spectrobe.studies.response.claim import Claim, Prediction, Verdict
from spectrobe.studies.response.result import Curve, Cutoffs, GradientSpectrum, HeatMap, Masking, ResponseResult
from spectrobe.studies.response.rows import FOLDER
from spectrobe.studies.response.settings import ResponseSettings

KIND = "response"
_OWN = ("accuracy", "log_likelihood", "gradient", "masking", "cutoffs", "heat_map", "claim")
_PLAIN = ("untested", "n_images", "n_classes", "forward_passes", "failed", "skipped")


def to_dict(result: ResponseResult) -> dict[str, Any]:
    """The result without its rows, JSON-able."""
    return {
        "kind": KIND,
        "settings": result.settings.to_dict(),
        **{name: _encoded(getattr(result, name)) for name in _OWN},
        "frequency": result.frequency.tolist(),
        "bins": result.bins.tolist(),
        **{name: _encoded(getattr(result, name)) for name in _PLAIN},
        "numbers": _encoded(result.numbers),
        "warnings": list(result.warnings),
    }


def from_dict(content: Mapping[str, Any], folder: RunFolder | None = None) -> ResponseResult:
    """The result that `to_dict` described; its rows are read from the folder when asked for."""
    try:
        return ResponseResult(
            settings=ResponseSettings.from_dict(content["settings"]),
            accuracy=_estimate(content["accuracy"]),
            log_likelihood=_estimate(content["log_likelihood"]),
            gradient=None if content["gradient"] is None else _record(GradientSpectrum, content["gradient"]),
            masking=_record(Masking, content["masking"]),
            cutoffs=_record(Cutoffs, content["cutoffs"]),
            heat_map=None if content["heat_map"] is None else _heat_map(content["heat_map"]),
            claim=None if content["claim"] is None else _claim(content["claim"]),
            frequency=_array(content["frequency"]),
            bins=_array(content["bins"]),
            warnings=tuple(content["warnings"]),
            _folder=None if folder is None else RunFolder(folder.path, rows=FOLDER),
            **{name: content[name] for name in _PLAIN},
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        where = folder.path if folder else "result.json"
        raise RunFolderError(f"{where}: result.json is damaged ({error!r}): {MEND}") from None


def save(result: ResponseResult, folder: str | os.PathLike[str]) -> None:
    """Write a result that was kept in memory to a new run folder."""
    run = RunFolder(folder, rows=FOLDER)
    with run.lock():
        if run.exists("run.json"):
            raise RunFolderError(f"{run.path}: expected a new folder, found a run: choose another, or remove it")
        identity = {"settings": result.settings.to_dict()}
        tables = [result.rows, *([] if result.heat_rows is None else [result.heat_rows])]
        about = {"command": KIND, "identity": identity, "shards": len(tables), "environment": environment()}
        run.write_json("run.json", about)
        for index, rows in enumerate(tables):
            run.write_shard(index, rows.columns(), result.skipped if index == 0 else {})
        run.write_json("result.json", to_dict(result))


def _encoded(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _encoded(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {name: _encoded(item) for name, item in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value


def _record(kind: type[Any], content: Mapping[str, Any]) -> Any:
    """A dataclass whose fields are arrays, estimates, curves, text or nothing; what each is shows in its content."""
    return kind(**{f.name: _field(content[f.name]) for f in fields(kind)})


def _field(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _estimate(value) if "confidence" in value else Curve(**{k: _array(v) for k, v in value.items()})
    return _array(value) if isinstance(value, list) else value


def _heat_map(content: Mapping[str, Any]) -> HeatMap:
    found: HeatMap = _record(HeatMap, {**content, "frequencies": None})
    frequencies = np.asarray(content["frequencies"], dtype=np.int64)
    return HeatMap(**{**{f.name: getattr(found, f.name) for f in fields(HeatMap)}, "frequencies": frequencies})


def _claim(content: Mapping[str, Any]) -> Claim:
    return Claim(
        names=tuple(content["names"]),
        kinds=tuple(content["kinds"]),
        drop=_array(content["drop"]),
        drop_interval=_array(content["drop_interval"]),
        predictions={name: _record(Prediction, one) for name, one in content["predictions"].items()},
        verdicts={name: _record(Verdict, one) for name, one in content["verdicts"].items()},
    )


def _array(values: Any) -> np.ndarray:
    if values and isinstance(values[0], bool):
        return np.asarray(values)
    flat = [
        _array(value) if isinstance(value, list) else math.nan if value is None else float(value) for value in values
    ]
    return np.asarray(flat, dtype=np.float64)


def _estimate(content: Mapping[str, Any]) -> Estimate:
    numbers: dict[str, Any] = {
        f.name: math.nan if content[f.name] is None else content[f.name] for f in fields(Estimate)
    }
    return Estimate(**numbers)
