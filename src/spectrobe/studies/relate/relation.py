"""How one score goes with one measured robustness over a set of models, and what comes of choosing among scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from spectrobe.game.intervals import Estimate


@dataclass(frozen=True)
class Correlation(Estimate):
    """A rank correlation; its interval is the percentile bootstrap's over recipes.

    p: two-sided permutation p-value.   p_max: the same, allowed for all scores tried on this measure (max statistic).
    null: 95 % of the permutations stay within +- null, which is what no relation at all looks like.
    """

    p: float = np.nan
    p_max: float = np.nan
    null: float = np.nan

    @classmethod
    def undefined(cls, reason: str, confidence: float = 0.95) -> Correlation:
        """A correlation that does not exist, with the reason."""
        return cls(np.nan, np.nan, np.nan, np.nan, confidence, reason)


@dataclass(frozen=True)
class Range:
    """The lowest and the highest value when one thing at a time is left out, and which one each is without."""

    low: float = np.nan
    high: float = np.nan
    low_without: str = ""
    high_without: str = ""


@dataclass(frozen=True)
class Relation:
    """One score against one measure over n_models models of n_recipes recipes.

    subset: "" for all models, else what was left out ("without at-*").   missing: models that lack a number.
    spearman, kendall: rank correlations.   partial: Spearman's given clean accuracy.
    leave_one_out, leave_recipe_out: range of Spearman's when a model, or a recipe, is left out.
    held_out: R2 of the rank of models of recipes left out, predicted from the others' ranks by a line: 1 = exact, 0 =
        no better than to say "in the middle", negative = worse.
    over_clean: Spearman's less that of clean accuracy, each counted in its own direction.
    """

    score: str
    measure: str
    subset: str
    n_models: int
    n_recipes: int
    missing: tuple[str, ...]
    spearman: Correlation
    kendall: Correlation
    partial: Correlation
    over_clean: Estimate
    leave_one_out: Range = field(default_factory=Range)
    leave_recipe_out: Range = field(default_factory=Range)
    held_out: float = np.nan

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: _plain(value) for name, value in plain.items()}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Relation:
        """The relation that `to_dict` described; null is NaN."""
        made: dict[str, Any] = dict(content)
        for name in ("spearman", "kendall", "partial"):
            made[name] = Correlation(**_numbers(content[name]))
        made["over_clean"] = Estimate(**_numbers(content["over_clean"]))
        for name in ("leave_one_out", "leave_recipe_out"):
            made[name] = Range(**_numbers(content[name]))
        held_out = np.nan if content["held_out"] is None else content["held_out"]
        return cls(**{**made, "held_out": held_out, "missing": tuple(content["missing"])})


@dataclass(frozen=True)
class Choice:
    """What comes of choosing the best of n_scores scores for one measure: that overfits the models it is chosen on.

    best: the score of largest |rho| on all models.   without: recipe -> the one chosen without its models.
    held_out: R2 of the ranks of each recipe's models, predicted by the score chosen without them (see Relation).
    """

    measure: str
    subset: str
    n_scores: int
    best: str
    without: Mapping[str, str]
    held_out: float

    @property
    def agreement(self) -> float:
        """Share of recipes without which the same score is chosen as with all."""
        return sum(name == self.best for name in self.without.values()) / len(self.without)


def _plain(value: Any) -> Any:
    if isinstance(value, Estimate | Range):
        return {f.name: getattr(value, f.name) for f in fields(value)}
    return list(value) if isinstance(value, tuple) else value


def _numbers(content: dict[str, Any]) -> dict[str, Any]:
    return {name: np.nan if value is None else value for name, value in content.items()}
