"""Runs, wherever they lie, sorted by the model they are of: matched by the weights' hash, else by the name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any, Protocol, runtime_checkable

from spectrobe.errors import InputError, RunFolderError
from spectrobe.game.intervals import Estimate
from spectrobe.studies.decompose.result import DecomposeResult
from spectrobe.studies.robustness.result import RobustnessResult
from spectrobe.studies.snr.result import SnrResult, SnrStudy

ZOO_FILE = "zoo.json"
"""What `spectrobe zoo` leaves beside its runs: names and recipes of the models."""
_DEPTH = 4  # folders below the one given in which runs are looked for
_UNHASHED = "unhashed"


@runtime_checkable
class Numbers(Protocol):
    """A result of any other study that has single numbers of one model: they become scores.

    model_name: whose.   numbers: name -> Estimate.
    """

    @property
    def model_name(self) -> str: ...

    @property
    def numbers(self) -> Mapping[str, Estimate]: ...


@dataclass(frozen=True)
class Run:
    """One finished run. where: its folder, or "memory".   name: the model's.   model: its identity, as far as known.

    title, recipe: what a zoo calls the model, and its recipe.
    """

    result: Any
    where: str
    name: str
    model: Mapping[str, Any] = field(default_factory=dict)
    title: str | None = None
    recipe: str | None = None

    @property
    def weights(self) -> str | None:
        """Hash of the model's weights, None where there is none."""
        found = self.model.get("weights_sha256")
        return None if found == _UNHASHED else found


@dataclass
class ModelRuns:
    """All runs of one model. title: what it is shown as.   recipe: models of one are relatives."""

    title: str
    recipe: str
    names: set[str]
    weights: str | None
    decompositions: list[Run] = field(default_factory=list)
    robustness: list[Run] = field(default_factory=list)
    snr: list[Run] = field(default_factory=list)
    others: list[Run] = field(default_factory=list)

    def add(self, run: Run) -> None:
        """Put a run where it belongs."""
        result = run.result
        kinds = ((DecomposeResult, self.decompositions), (RobustnessResult, self.robustness))
        fitting = [runs for kind, runs in kinds if isinstance(result, kind)]
        fitting += [self.snr] if isinstance(result, SnrResult | SnrStudy) else []
        (fitting or [self.others])[0].append(run)
        self.names.add(run.name)


@dataclass(frozen=True)
class Gathered:
    """What was given: models in the order met; SNR runs of no model; what was left out, and why."""

    models: list[ModelRuns]
    snr: list[Run]
    left_out: dict[str, str]


def gather(runs: Any) -> Gathered:
    """The models of results, run folders and folders of run folders.

    Raises InputError when there are none, or one is given that is no run; RunFolderError for a damaged one.
    """
    given = [runs] if isinstance(runs, str | os.PathLike) or not isinstance(runs, Iterable) else list(runs)
    found: list[Run] = []
    left_out: dict[str, str] = {}
    for one in given:
        if isinstance(one, str | os.PathLike):
            found += _in_folder(os.fspath(one), left_out)
        else:
            found.append(_in_memory(one))
    if not found:
        why = "; ".join(f"{where}: {reason}" for where, reason in left_out.items())
        raise InputError(f"expected runs of decompose and robustness, got none{': ' + why if why else ''}")
    loose = [run for run in found if isinstance(run.result, SnrResult | SnrStudy)]
    models = _by_model([run for run in found if not isinstance(run.result, SnrResult | SnrStudy)])
    of_models = [(run, model) for run in loose for model in models if run.name in model.names]
    for run, model in of_models:
        model.add(run)
    return Gathered(models, [run for run in loose if all(run is not one for one, _ in of_models)], left_out)


def snr_runs(runs: Any) -> list[Run]:
    """SNR results, folders of them, or folders of such folders."""
    given = [runs] if isinstance(runs, str | os.PathLike | SnrResult | SnrStudy) else list(runs)
    found: list[Run] = []
    for one in given:
        found += _in_folder(os.fspath(one), {}) if isinstance(one, str | os.PathLike) else [_in_memory(one)]
    others = [run.where for run in found if not isinstance(run.result, SnrResult | SnrStudy)]
    if others or not found:
        raise InputError(f"expected runs of snr, got {', '.join(others) or 'none'}")
    return found


def _in_memory(result: Any) -> Run:
    if isinstance(result, SnrResult | SnrStudy):
        return Run(result, "memory", _attacked(result))
    if not isinstance(result, DecomposeResult | RobustnessResult | Numbers):
        raise InputError(
            f"expected results of decompose and robustness, or folders of such runs, got {type(result).__name__}"
        )
    folder = getattr(result, "_folder", None)
    about = result.about() if isinstance(result, DecomposeResult) else folder.read_json("run.json") if folder else {}
    return _run(result, folder.path if folder else "memory", about)


def _in_folder(path: str, left_out: dict[str, str]) -> list[Run]:
    """The run in a folder, or the runs in the folders below it; those that cannot be used go to `left_out`."""
    from spectrobe.engine.store import RunFolder

    run = RunFolder(path)
    if run.exists("run.json"):
        return [_told_by_zoo(_opened(path))]
    if not run.filesystem.isdir(run.root):
        raise InputError(f"no such folder: {path!r}; expected run folders, or a folder of them")
    found = []
    for relative in _folders_with_runs(run):
        if RunFolder(f"{path.rstrip('/')}/{relative}").read_json("run.json").get("command") == "relate":
            continue  # what an earlier call made of these runs
        try:
            opened = _opened(f"{path.rstrip('/')}/{relative}")
        except RunFolderError as error:
            left_out[relative] = str(error)
            continue
        found.append(_told_by_zoo(opened))
    if not found and not left_out:
        raise InputError(f"{path}: expected a run folder (with run.json in it), or a folder of them, found none")
    return found


def _told_by_zoo(run: Run) -> Run:
    """The run with the name and recipe that the zoo it lies in, ZOO/MODEL/RUN, has for its model."""
    from spectrobe.engine.store import RunFolder

    inside = run.where.rstrip("/").rpartition("/")[0]
    above, _, model = inside.rpartition("/")
    if not model or above.endswith(("/", ":")):  # nothing is above, or a store's address
        return run
    zoo = RunFolder(above or ("/" if inside.startswith("/") else "."))
    known = zoo.read_json(ZOO_FILE)["models"] if zoo.exists(ZOO_FILE) else []
    entry: Mapping[str, Any] = next((one for one in known if one["folder"] == model), {})
    return replace(run, title=entry.get("name"), recipe=entry.get("recipe"))


def _folders_with_runs(folder: Any) -> list[str]:
    names = folder.filesystem.find(folder.root, maxdepth=_DEPTH + 1)
    own = PurePosixPath(folder.root)
    inside = [PurePosixPath(name).parent for name in names if PurePosixPath(name).name == "run.json"]
    return sorted(str(parent.relative_to(own)) for parent in inside)


def _opened(path: str) -> Run:
    from spectrobe.engine.store import RunFolder
    from spectrobe.studies.runs import load

    result = load(path)
    if isinstance(result, SnrResult | SnrStudy):
        return Run(result, path, _attacked(result))
    if not isinstance(result, DecomposeResult | RobustnessResult | Numbers):
        raise RunFolderError(f"{path}: expected a run of decompose, robustness or snr, got one of another command")
    return _run(result, path, RunFolder(path).read_json("run.json"))


def _run(result: Any, where: str, about: Mapping[str, Any]) -> Run:
    identity = about.get("identity", {}).get("model", {})
    return Run(result, where, result.model_name, identity if isinstance(identity, Mapping) else {})


def _attacked(result: SnrResult | SnrStudy) -> str:
    """The model an SNR run attacked; empty where there was none."""
    return next(iter({one.settings.model_name for one in result.results.values()}), "")


def _by_model(runs: list[Run]) -> list[ModelRuns]:
    """Runs by model: those of one hash together; those without a hash join the only model of their name."""
    models: list[ModelRuns] = []
    for run in sorted(runs, key=lambda run: run.weights is None):
        same = [model for model in models if _is_of(run, model)]
        if len(same) > 1:
            raise InputError(
                f"{run.where}: the run of {run.name} has no weights' hash, and {len(same)} models have that name: "
                "give each its own name"
            )
        if not same:
            same = [ModelRuns(run.name, "", set(), run.weights)]
            models += same
        same[0].add(run)
        same[0].title = run.title or same[0].title
        same[0].recipe = run.recipe or same[0].recipe
    _tell_apart(models)
    order = {id(run): place for place, run in enumerate(runs)}
    return sorted(models, key=lambda model: min(order[id(run)] for run in _all(model)))


def _is_of(run: Run, model: ModelRuns) -> bool:
    if run.weights is not None and model.weights is not None:
        return run.weights == model.weights
    return run.name in model.names


def _tell_apart(models: list[ModelRuns]) -> None:
    """Titles that two models share get the weights' hash; a model without a recipe is one of its own."""
    titles = [model.title for model in models]
    for model in models:
        if titles.count(model.title) > 1:
            model.title = f"{model.title} ({(model.weights or 'no hash')[:8]})"
        model.recipe = model.recipe or model.title


def _all(model: ModelRuns) -> list[Run]:
    return [*model.decompositions, *model.robustness, *model.snr, *model.others]
