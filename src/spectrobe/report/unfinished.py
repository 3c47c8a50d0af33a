"""What a run that is not finished holds so far, summed up as a finished run would be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from spectrobe.engine.store import RunFolder
from spectrobe.errors import InputError, SpectrobeError

_FEWEST = 2  # images that an interval needs


@dataclass(frozen=True)
class Progress:
    """Images done, of how many; why: why there is nothing to show yet, empty otherwise."""

    done: int
    of: int
    why: str = ""

    def __str__(self) -> str:
        return f"{self.done:,} of {self.of:,} images"


def unfinished(path: str, about: Mapping[str, Any]) -> tuple[Any, Progress]:
    """The result so far, or None; and how far the run has come."""
    of = len(about.get("images") or ())
    summed_up = _SO_FAR.get(str(about.get("command")))
    if summed_up is None:
        return None, Progress(0, of, "runs of this kind are shown once they are finished")
    try:
        result, done = summed_up(path, about)
    except (SpectrobeError, KeyError, TypeError, ValueError) as error:
        return None, Progress(0, of, f"nothing can be read yet ({error})")
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


_SO_FAR: dict[str, Callable[[str, Mapping[str, Any]], tuple[Any, int]]] = {
    "decompose": _decompose,
    "response": _response,
    "robustness": _robustness,
    "snr": _snr,
}
