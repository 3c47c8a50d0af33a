"""Results of relate as JSON and back: floats at full precision, null for NaN."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from spectrobe.engine.environment import environment
from spectrobe.engine.store import RunFolder, json_text
from spectrobe.errors import RunFolderError
from spectrobe.game.intervals import Estimate
from spectrobe.studies.relate.columns import Column
from spectrobe.studies.relate.relation import Choice, Relation

if TYPE_CHECKING:
    from spectrobe.studies.relate.result import RelateResult

KIND = "relate"


def to_dict(result: RelateResult) -> dict[str, Any]:
    """All of the result."""
    return {
        "kind": KIND,
        "settings": {f.name: _plain(getattr(result.settings, f.name)) for f in fields(result.settings)},
        "models": list(result.models),
        "recipes": list(result.recipes),
        "claims": result.claims,
        "scores": {name: _column_to_dict(one) for name, one in result.scores.items()},
        "measures": {name: _column_to_dict(one) for name, one in result.measures.items()},
        "clean": _column_to_dict(result.clean),
        "relations": [one.to_dict() for one in result.relations],
        "choices": [{f.name: _plain(getattr(one, f.name)) for f in fields(Choice)} for one in result.choices],
        "subsets": {name: list(models) for name, models in result.subsets.items()},
        "left_out": dict(result.left_out),
        "warnings": list(result.warnings),
    }


def from_dict(content: Mapping[str, Any], folder: RunFolder | None = None) -> RelateResult:
    """The result that `to_dict` described; RunFolderError when it is damaged."""
    from spectrobe.studies.relate.result import RelateResult, RelateSettings

    try:
        settings: dict[str, Any] = dict(content["settings"])
        settings |= {name: tuple(settings[name]) for name in ("values", "without")}
        return RelateResult(
            settings=RelateSettings(**settings),
            models=tuple(content["models"]),
            recipes=tuple(content["recipes"]),
            scores={name: _column(one) for name, one in content["scores"].items()},
            measures={name: _column(one) for name, one in content["measures"].items()},
            clean=_column(content["clean"]),
            relations=tuple(Relation.from_dict(one) for one in content["relations"]),
            choices=tuple(Choice(**{**one, "held_out": _number(one["held_out"])}) for one in content["choices"]),
            subsets={name: tuple(models) for name, models in content["subsets"].items()},
            left_out=dict(content["left_out"]),
            warnings=tuple(content["warnings"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        where = folder.path if folder else "result.json"
        raise RunFolderError(f"{where}: result.json is damaged ({error!r}): run the same command anew") from None


def save(result: RelateResult, folder: str | os.PathLike[str]) -> None:
    """Write the result to a new folder, or to one that holds this very result."""
    run = RunFolder(folder)
    with run.lock():
        if run.exists("run.json"):
            if not run.exists("result.json") or run.read_bytes("result.json") != json_text(to_dict(result)).encode():
                raise RunFolderError(f"{run.path} holds another result: choose another folder, or remove it")
            return
        run.write_json("run.json", {"command": KIND, "environment": environment()})
        run.write_json("result.json", to_dict(result))


def _column_to_dict(column: Column) -> dict[str, Any]:
    plain = {f.name: _plain(getattr(column, f.name)) for f in fields(Column)}
    return plain | {"estimates": [{f.name: getattr(e, f.name) for f in fields(Estimate)} for e in column.estimates]}


def _column(content: Mapping[str, Any]) -> Column:
    estimates = tuple(Estimate(**{name: _number(value) for name, value in one.items()}) for one in content["estimates"])
    return Column(**{**content, "estimates": estimates, "conditions": tuple(content["conditions"])})


def _number(value: Any) -> Any:
    return math.nan if value is None else value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value
