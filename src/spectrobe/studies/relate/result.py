"""The frozen result of relate: every score against every measured robustness over the models, and how sure that is."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from spectrobe.errors import InputError
from spectrobe.game.intervals import Estimate
from spectrobe.studies.relate.columns import Column
from spectrobe.studies.relate.correlate import Draws, difference
from spectrobe.studies.relate.relation import Choice, Relation

if TYPE_CHECKING:
    import pandas as pd

    from spectrobe.engine.store import RunFolder

FEWEST_FOR_A_CLAIM = 10
"""Models under which a rank correlation is shown and nothing is claimed."""


@dataclass(frozen=True)
class RelateSettings:
    """What the numbers depend on, besides the columns.

    values: under which scores were computed.   without: patterns of models left out, a subset each.
    """

    confidence: float
    seed: int
    n_resamples: int
    n_permutations: int
    values: tuple[str, ...]
    without: tuple[str, ...] = ()

    @property
    def draws(self) -> Draws:
        """What is drawn."""
        return Draws(self.confidence, self.seed, self.n_resamples, self.n_permutations)


@dataclass(frozen=True)
class RelateResult:
    """Scores against measured robustness over N models. Mappings are read-only.

    models, recipes: names and recipes, in one order; models of one recipe are resampled together.
    scores, measures: name -> Column, a number a model.   clean: clean accuracy, the confounder.
    relations: one a score, measure and subset; `relation()` finds one.   choices: of the best score, one a measure and
    subset; `choice()` finds one.   subsets: "" (all models), then "without PATTERN" -> the models it keeps.
    left_out: models and runs that are not in it, and why.   warnings: what to know.
    """

    settings: RelateSettings
    models: tuple[str, ...]
    recipes: tuple[str, ...]
    scores: Mapping[str, Column]
    measures: Mapping[str, Column]
    clean: Column
    relations: tuple[Relation, ...]
    choices: tuple[Choice, ...]
    subsets: Mapping[str, tuple[str, ...]]
    left_out: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, dict):
                object.__setattr__(self, f.name, MappingProxyType(value))

    @property
    def n_models(self) -> int:
        """How many models."""
        return len(self.models)

    @property
    def claims(self) -> bool:
        """Whether there are models enough (10) to claim anything."""
        return self.n_models >= FEWEST_FOR_A_CLAIM

    @property
    def confidence(self) -> float:
        """Of the intervals."""
        return self.settings.confidence

    def scores_for(self, measure: str) -> dict[str, Column]:
        """The scores that a measure is related to: all, but those made for another measure. By the name shown."""
        return scores_for(self.scores.values(), measure)

    def relation(self, score: str, measure: str, subset: str = "") -> Relation:
        """One relation; InputError with the names there are."""
        for one in self.relations:
            if (one.score, one.measure, one.subset) == (score, measure, subset):
                return one
        raise self._unknown(score, measure, subset)

    def choice(self, measure: str, subset: str = "") -> Choice | None:
        """What comes of choosing a score for a measure; None where there were too few models or recipes."""
        return next((one for one in self.choices if (one.measure, one.subset) == (measure, subset)), None)

    def best(self, measure: str, subset: str = "") -> Relation | None:
        """The relation of the score with the largest |rho| among those that models can be chosen by."""
        choice = self.choice(measure, subset)
        if choice is not None:
            return self.relation(choice.best, measure, subset)
        own = [one for one in self.relations if (one.measure, one.subset) == (measure, subset)]
        own = [one for one in own if np.isfinite(one.spearman.value)]
        return max(own, key=lambda one: abs(one.spearman.value), default=None)

    def difference(self, score: str, other: str, measure: str, subset: str = "") -> Estimate:
        """|rho| of one score less that of another with the same measure, resampled together over recipes."""
        for name in (score, other):
            self.relation(name, measure, subset)
        keep = np.isin(self.models, self.subsets[subset])
        columns = self.scores_for(measure)
        recipe = np.unique(np.asarray(self.recipes)[keep], return_inverse=True)[1]
        x, z, y = (one.values[keep] for one in (columns[score], columns[other], self.measures[measure]))
        return difference(x, z, y, np.asarray(recipe), self.settings.draws)

    def summary(self) -> str:
        """What was found, in plain words."""
        from spectrobe.studies.relate.wording import summary

        return summary(self)

    def to_frame(self) -> pd.DataFrame:
        """One row a relation. Needs pandas."""
        from spectrobe.studies.frames import import_pandas
        from spectrobe.studies.relate.wording import frame_rows

        return import_pandas().DataFrame(frame_rows(self))

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write run.json and result.json; `load` gives the result back."""
        from spectrobe.studies.relate.result_json import save

        save(self, folder)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        from spectrobe.studies.relate.result_json import to_dict

        return to_dict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], folder: RunFolder | None = None) -> RelateResult:
        """The result that `to_dict` described."""
        from spectrobe.studies.relate.result_json import from_dict

        return from_dict(content, folder)

    def _unknown(self, score: str, measure: str, subset: str) -> InputError:
        if measure not in self.measures:
            return InputError(f"no measure {measure!r}; there are {', '.join(self.measures)}")
        if subset not in self.subsets:
            return InputError(f"no subset {subset!r}; there are {', '.join(map(repr, self.subsets))}")
        return InputError(f"no score {score!r} for {measure}; there are {', '.join(self.scores_for(measure))}")


def scores_for(columns: Sequence[Column] | Any, measure: str) -> dict[str, Column]:
    """Of these scores those that a measure is related to, by the name shown."""
    return {one.name: one for one in columns if one.measure in ("", measure)}
