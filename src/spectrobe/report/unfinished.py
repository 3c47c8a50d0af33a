"""What a run that is not finished holds so far, summed up as a finished run would be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from spectrobe.engine.store import RunFolder
from spectrobe.errors import InputError, SpectrobeError
from spectrobe.studies.training.so_far import TrainingSoFar

_FEWEST = 2  # images that an interval needs


@dataclass(frozen=True)
class Progress:
    """So many done, of how many; unit: of what.

    why: why there is no result to show yet, empty otherwise.   trainings: of a study that trains, those begun.
    """

    done: int
    of: int
    why: str = ""
    unit: str = "images"
    trainings: tuple[TrainingSoFar, ...] = ()

    def __str__(self) -> str:
        return f"{self.done:,} of {self.of:,} {self.unit}"


def unfinished(path: str, about: Mapping[str, Any]) -> tuple[Any, Progress]:
    """The result so far, or None; and how far the run has come."""
    command, of = str(about.get("command")), len(about.get("images") or ())
    try:
        if command in _OF_PARTS:
            return _OF_PARTS[command](path, about)
        if command not in _SO_FAR:
            return None, Progress(0, of, "runs of this kind are shown once they are finished")
        result, done = _SO_FAR[command](path, about)
    except (SpectrobeError, KeyError, TypeError, ValueError, IndexError) as error:
        return None, Progress(0, of, f"nothing can be read yet ({error})", _UNITS.get(command, "images"))
    if done < _FEWEST:
        return None, Progress(done, of, f"an interval needs at least {_FEWEST} images")
    return result, Progress(done, of)


def _decompose(path: str, about: Mapping[str, Any]) -> tuple[Any, int]:
    from spectrobe.engine.payoffs import payoffs_of
    from spectrobe.studies.decompose.settings import Settings
    from spectrobe.studies.decompose.summary import summarise

    run = RunFolder(path)
    if not run.shards():
        return None, 0
    payoffs = payoffs_of(run, run.shards())
    if len(payoffs) < _FEWEST:
        return None, len(payoffs)
    settings = Settings.from_dict(about["identity"]["settings"])
    passes = sum(chunk.coalition.size for chunk in payoffs.chunks())
    return summarise(payoffs, settings, passes, {}, tuple(about.get("warnings") or ())), len(payoffs)


def _snr(path: str, about: Mapping[str, Any]) -> tuple[Any, int]:
    from spectrobe.studies.snr.result import SnrSettings, SnrStudy
    from spectrobe.studies.snr.rows import rows_by_perturbation
    from spectrobe.studies.snr.summary import summarise

    run = RunFolder(path, rows="snr")
    rows = rows_by_perturbation(run, run.shards())
    settings = SnrSettings.from_dict(about["identity"]["settings"])
    done = min(map(len, rows.values()), default=0)
    if done < _FEWEST:
        return None, done
    warnings = tuple(about.get("warnings") or ())
    results = {name: summarise(some, replace(settings, perturbation=name), {}, warnings) for name, some in rows.items()}
    return SnrStudy(results), done


def _robustness(path: str, about: Mapping[str, Any]) -> tuple[Any, int]:
    from spectrobe.studies.robustness.conditions import Condition
    from spectrobe.studies.robustness.result import RobustnessSettings, summarise
    from spectrobe.studies.robustness.rows import FOLDER, stored_predictions
    from spectrobe.studies.robustness.sanity import Sanity

    run, identity = RunFolder(path, rows=FOLDER), about["identity"]
    if not run.shards():
        return None, 0
    rows, skipped = stored_predictions(run, run.shards(), path)
    if len(rows) < _FEWEST:
        return None, len(rows)
    settings = RobustnessSettings.from_dict(identity["settings"])
    conditions = tuple(Condition(**one) for one in identity["conditions"])
    passes = len(rows) * (len(conditions) + settings.clean)
    warnings = tuple(about.get("warnings") or ())
    result = summarise(rows, settings, conditions, identity["refused"], passes, skipped, warnings, Sanity())
    return result, len(rows)


def _response(path: str, about: Mapping[str, Any]) -> tuple[Any, int]:
    from spectrobe.studies.response.rows import FOLDER, HeatRows, ResponseRows, stored_rows
    from spectrobe.studies.response.settings import ResponseSettings
    from spectrobe.studies.response.summary import summarise
    from spectrobe.studies.robustness.conditions import Condition

    run, identity = RunFolder(path, rows=FOLDER), about["identity"]
    shards = run.shards()
    if not shards:
        return None, 0
    rows, skipped = stored_rows(ResponseRows, run, shards, path)
    if len(rows) < _FEWEST:
        return None, len(rows)
    try:
        heat_rows, _ = stored_rows(HeatRows, run, shards, path)
    except InputError:  # the heat map comes last
        heat_rows = None
    settings = ResponseSettings.from_dict(identity["settings"])
    conditions = [Condition(**one) for one in identity["conditions"]]
    passes = rows.right.size + (0 if heat_rows is None else heat_rows.right.size)
    result = summarise(
        rows, heat_rows, settings, conditions, identity["refused"], n_classes=int(identity["model"]["n_classes"]),
        forward_passes=passes, skipped=skipped, warnings=tuple(about.get("warnings") or ()),
    )  # fmt: skip
    return replace(result, _folder=run), len(rows)


def _track(path: str, about: Mapping[str, Any]) -> tuple[Any, Progress]:
    """The checkpoints that are measured, in their order."""
    from spectrobe.studies.decompose.result import DecomposeResult
    from spectrobe.studies.track.files import folder_name
    from spectrobe.studies.track.result import of_checkpoints

    listed, found = about["checkpoints"], []
    for name, one in listed.items():
        own = RunFolder(f"{path}/{folder_name(name, one['sha256'])}")
        if own.exists("result.json"):
            found.append((name, one["file"], DecomposeResult.from_dict(own.read_json("result.json"), own)))
    if not found:
        return None, Progress(0, len(listed), "no checkpoint is measured yet", "checkpoints")
    return of_checkpoints(about["identity"]["model"], found), Progress(len(found), len(listed), unit="checkpoints")


def _label_noise(path: str, about: Mapping[str, Any]) -> tuple[Any, Progress]:
    from spectrobe.studies.label_noise.settings import Settings
    from spectrobe.studies.label_noise.so_far import trainings_so_far
    from spectrobe.studies.training.readings import FOLDER

    settings = Settings.from_dict(about["identity"]["settings"])
    found = trainings_so_far(RunFolder(path, rows=FOLDER), settings)
    return None, _of_trainings(found, len(settings.rates) * settings.seeds)


def _feature_snr(path: str, about: Mapping[str, Any]) -> tuple[Any, Progress]:
    from spectrobe.studies.feature_snr.conditions import FOLDER, conditions, trainings_so_far
    from spectrobe.studies.feature_snr.settings import Settings

    settings = Settings.from_dict(about["identity"]["settings"])
    found = trainings_so_far(RunFolder(path, rows=FOLDER), settings)
    return None, _of_trainings(found, len(conditions(settings)))


def _of_trainings(found: list[TrainingSoFar], of: int) -> Progress:
    """What such a study is about compares trainings, and is said once all are there."""
    why = "its curves compare trainings and are drawn once all are done" + "; those read are below" * bool(found)
    return Progress(sum(one.done for one in found), of, why, "trainings", tuple(found))


_SO_FAR: dict[str, Callable[[str, Mapping[str, Any]], tuple[Any, int]]] = {
    "decompose": _decompose,
    "response": _response,
    "robustness": _robustness,
    "snr": _snr,
}
"""Studies of images: the result of those that are done, and how many these are."""
_OF_PARTS: dict[str, Callable[[str, Mapping[str, Any]], tuple[Any, Progress]]] = {
    "feature_snr": _feature_snr,
    "label_noise": _label_noise,
    "track": _track,
}
"""Studies of trainings and checkpoints."""
_UNITS = {"feature_snr": "trainings", "label_noise": "trainings", "track": "checkpoints"}
