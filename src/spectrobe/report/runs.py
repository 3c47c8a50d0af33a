"""Run folders and results, as a report takes them: read, told apart by kind, refused where they cannot be used."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from spectrobe.engine.store import RunFolder
from spectrobe.errors import InputError, RunFolderError
from spectrobe.report.unfinished import Progress, unfinished
from spectrobe.studies.kinds import kind_of
from spectrobe.studies.runs import load


@dataclass(frozen=True)
class Run:
    """One run.

    kind: the study's name.   result: its result; None where there is nothing to show yet.   about: what run.json says.
    folder: where it lies; empty for a result in memory.   progress: of a run that is not finished, else None.
    """

    kind: str
    result: Any
    about: Mapping[str, Any] = field(default_factory=dict)
    folder: str = ""
    progress: Progress | None = None

    @property
    def identity(self) -> Mapping[str, Any]:
        """What run.json says the run is; empty when unknown."""
        return dict(self.about.get("identity") or {})

    @property
    def parts(self) -> tuple[Any, ...]:
        """The result; where it holds one for each perturbation or checkpoint, these; nothing where there is none."""
        several = getattr(self.result, "results", None)
        if isinstance(several, Mapping | tuple):
            return tuple(several.values() if isinstance(several, Mapping) else several)
        return () if self.result is None else (self.result,)

    @property
    def model_name(self) -> str:
        """The model, as the result names it; empty where there is none, or several."""
        name = getattr(self.result, "model_name", "")
        return name if isinstance(name, str) else ""

    @property
    def weights(self) -> str:
        """Hash of the model's weights; empty when unknown."""
        model = self.identity.get("model")
        return str(model.get("weights_sha256", "")) if isinstance(model, Mapping) else ""


def open_runs(given: Any) -> tuple[Run, ...]:
    """Runs from results, run folders, folders of run folders, or a list of any of these.

    Raises RunFolderError where a folder holds no run, or one of another schema; InputError for anything else.
    """
    several = given if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    runs = [run for one in several for run in _opened(one)]
    if not runs:
        raise InputError("expected at least one run or result to report on, got none")
    return tuple(runs)


def _opened(one: Any) -> Iterator[Run]:
    if not isinstance(one, str | os.PathLike):
        yield Run(kind_of(one), one, _about(one))
        return
    folder = RunFolder(one)
    if folder.exists("run.json"):
        yield _run(folder)
        return
    below = _runs_below(folder)
    if not below:
        raise RunFolderError(f"{folder.path}: expected a run folder (with run.json in it), found {_instead(folder)}")
    yield from map(_run, below)


def _run(folder: RunFolder) -> Run:
    about = folder.read_json("run.json")
    if not folder.exists("result.json"):
        kind = str(about.get("command"))
        result, progress = unfinished(folder.path, about)
        return Run(kind, result, about, folder.path, progress)
    result = load(folder.path)
    return Run(kind_of(result), result, about, folder.path)


def _instead(folder: RunFolder) -> str:
    """What a folder holds that is no run."""
    if not folder.exists("result.json"):
        return "none"
    kind = folder.read_json("result.json").get("kind")
    return f"a result of {kind}, which is made from runs: give the runs"


def _runs_below(folder: RunFolder) -> list[RunFolder]:
    """Run folders directly inside this one, by name."""
    if not folder.filesystem.isdir(folder.root):
        return []
    names = sorted(PurePosixPath(path).name for path in folder.filesystem.ls(folder.root, detail=False))
    inside = [RunFolder(f"{folder.path.rstrip('/')}/{name}") for name in names]
    return [one for one in inside if one.exists("run.json")]


def _about(result: Any) -> Mapping[str, Any]:
    """What is known of the run of a result that was given as an object."""
    if hasattr(result, "about"):
        return dict(result.about())
    parts = (result, *Run(kind_of(result), result).parts)
    folders = [part._folder for part in parts if getattr(part, "_folder", None) is not None]
    return folders[0].read_json("run.json") if folders else {"command": kind_of(result)}
