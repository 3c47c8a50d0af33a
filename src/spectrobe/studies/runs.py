"""Results on disk: save a result, load any run folder."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from spectrobe.engine.environment import environment as environment
from spectrobe.errors import RunFolderError

if TYPE_CHECKING:
    from spectrobe.engine.local import Run
    from spectrobe.engine.store import RunFolder
    from spectrobe.studies.decompose.result import DecomposeResult

_CLASSES = {
    "decompose": ("decompose.result", "DecomposeResult"),
    "feature_snr": ("feature_snr.result", "FeatureSnrResult"),
    "label_noise": ("label_noise.result", "LabelNoiseResult"),
    "relate": ("relate.result", "RelateResult"),
    "response": ("response.result", "ResponseResult"),
    "robustness": ("robustness.result", "RobustnessResult"),
    "track": ("track.result", "TrackResult"),
}
"""Kind of a result -> module and class that read it. Loaded on use: a reader of one kind needs no other."""


def load(folder: str | os.PathLike[str]) -> Any:
    """The result of a finished run folder (a local folder or any fsspec location), in the class of its kind.

    Raises RunFolderError when there is none, it is not finished, damaged, or of another schema.
    """
    from spectrobe.engine.store import RunFolder

    run = RunFolder(folder)
    if not run.exists("run.json"):
        raise RunFolderError(f"{run.path}: expected a run folder (with run.json in it), found {_instead(run)}")
    run.read_json("run.json")
    if not run.exists("result.json"):
        raise RunFolderError(f"{run.path}: this run is not finished: the call that began it goes on from what is there")
    content = run.read_json("result.json")
    if content.get("kind") == "snr":
        from spectrobe.studies.snr.result_json import load_snr

        return load_snr(content, RunFolder(folder, rows="snr"))
    if content.get("kind") not in _CLASSES:
        expected = ", ".join((*_CLASSES, "snr"))
        raise RunFolderError(f"{run.path}: expected a result of kind {expected}, got {content.get('kind')!r}")
    module, name = _CLASSES[content["kind"]]
    return getattr(import_module(f"spectrobe.studies.{module}"), name).from_dict(content, run)


def _instead(run: RunFolder) -> str:
    """What a folder holds that is no run."""
    if not run.exists("result.json"):
        return "none"
    content = run.read_json("result.json")
    inner = content.get("results")
    if content.get("kind") == "absences" and isinstance(inner, dict):
        return f"runs with every absence: give one of {', '.join(f'{run.path}/{name}' for name in inner)}"
    return f"the result of {content.get('kind')!r} alone"


def load_decomposition(folder: str | os.PathLike[str]) -> DecomposeResult:
    """The result of a finished run of decompose; RunFolderError also when the run is of another kind."""
    from spectrobe.studies.decompose.result import DecomposeResult

    found = load(folder)
    if not isinstance(found, DecomposeResult):
        raise RunFolderError(f"{os.fspath(folder)}: expected a run of decompose, got a run of another command")
    return found


def save_decomposition(result: DecomposeResult, folder: str | os.PathLike[str]) -> None:
    """Write a result that was kept in memory to a new run folder."""
    from spectrobe.engine.store import RunFolder

    run = RunFolder(folder)
    with run.lock():
        if run.exists("run.json"):
            raise RunFolderError(f"{run.path}: expected a new folder, found a run: choose another, or remove it")
        shards = _shards_of(result)
        run.write_json("run.json", {**result.about(), "shards": len(shards.shards())})
        for index in shards.all_shards():
            run.write_shard(index, *shards.read_shard(index), shards.provenance(index))
        run.write_json("result.json", result.to_dict())


def _shards_of(result: DecomposeResult) -> Run:
    """The shards that the result came from, as they are, or its table as shards where there are none."""
    from spectrobe.engine.memory import MemoryRun

    if result._run is not None:
        return result._run
    run = MemoryRun()
    for index, chunk in enumerate(result.table().chunks()):
        run.write_shard(index, chunk.columns(), result.skipped if index == 0 else {})
    return run
