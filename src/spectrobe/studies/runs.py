"""Results on disk: save a result, load any run folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from spectrobe.errors import RunFolderError

if TYPE_CHECKING:
    from spectrobe.studies.decompose.result import DecomposeResult


def load(folder: str | os.PathLike[str]) -> Any:
    """The result of a finished run folder (a local folder or any fsspec location), in the class of its kind.

    Raises RunFolderError when there is none, it is not finished, damaged, or of a newer schema.
    """
    from spectrobe.engine.store import RunFolder
    from spectrobe.studies.decompose.result import DecomposeResult
    from spectrobe.studies.robustness.result import RobustnessResult
    from spectrobe.studies.track.result import TrackResult

    run = RunFolder(folder)
    if not run.exists("run.json"):
        raise RunFolderError(f"{run.path}: expected a run folder (with run.json in it), found none")
    if not run.exists("result.json"):
        raise RunFolderError(f"{run.path}: this run is not finished: the call that began it goes on from what is there")
    content = run.read_json("result.json")
    if content.get("kind") == "snr":
        from spectrobe.studies.snr.result_json import load_snr

        return load_snr(content, RunFolder(folder, rows="snr"))
    kinds: dict[str, Any] = {"decompose": DecomposeResult, "robustness": RobustnessResult, "track": TrackResult}
    if content.get("kind") not in kinds:
        expected = ", ".join((*kinds, "snr"))
        raise RunFolderError(f"{run.path}: expected a result of kind {expected}, got {content.get('kind')!r}")
    return kinds[content["kind"]].from_dict(content, run)


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
        run.write_json("run.json", dict(result.about()))
        for index, chunk in enumerate(result.table().chunks()):
            run.write_shard(index, chunk.columns(), dict(result.skipped) if index == 0 else {})
        run.write_json("result.json", result.to_dict())


def environment() -> dict[str, Any]:
    """Library versions and the machine's kind, for run.json."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    versions = {}
    for name in ("spectrobe", "torch", "torchvision", "timm", "numpy", "scipy", "pillow", "pyarrow"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "versions": versions,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
    }
