"""What a coalition is worth: payoffs per image, whose mean over images is v(S). One class a value.

A value turns the cells of a payoff table into payoffs; the table holds enough for all of them. Values of other packages
are found through the entry point group "spectrobe.values" (a subclass of Value).
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from spectrobe.errors import InputError
from spectrobe.game.table import PayoffTable
from spectrobe.game.temperature import UNIT, at_temperature
from spectrobe.plugins import check_name, load_subclass, plugin_names


class Value(ABC):
    """name: what the user writes.   unit: of payoffs and Shapley values.
    needs_labels: whether unlabelled data is refused.
    fits_temperature: whether payoffs depend on the fitted inverse temperature of each coalition.
    """

    name: ClassVar[str]
    unit: ClassVar[str]
    needs_labels: ClassVar[bool] = True
    fits_temperature: ClassVar[bool] = False

    @abstractmethod
    def payoffs(self, table: PayoffTable, tau: np.ndarray) -> np.ndarray:
        """Payoff of every cell: float64 (N, K). tau: the inverse temperature of each cell, (N, K) or (K,)."""


class LogLikelihood(Value):
    """log q(y | x_S) - log q(y | x_empty), the value of Luo et al. (TMLR 2024, arXiv 2408.01139)."""

    name, unit = "log-likelihood", "nats"

    def payoffs(self, table: PayoffTable, tau: np.ndarray) -> np.ndarray:
        log_q = table.log_q[:, :, UNIT].astype(np.float64)
        return np.asarray(log_q - log_q[:, -1:])  # the empty coalition is last


class UsableInformation(Value):
    """log C + log softmax(tau_S z_S)_y with the best tau for each coalition: V-information (Xu et al., ICLR 2020).

    The family of predictors is "temperature-scaled outputs of this model"; 0 <= v <= log C, in nats.
    """

    name, unit, fits_temperature = "usable-information", "nats", True

    def payoffs(self, table: PayoffTable, tau: np.ndarray) -> np.ndarray:
        return np.asarray(np.log(table.n_classes) + at_temperature(table.log_q, tau))


class Accuracy(Value):
    """1 where the top class is the label."""

    name, unit = "accuracy", "share of images"

    def payoffs(self, table: PayoffTable, tau: np.ndarray) -> np.ndarray:
        return np.asarray(table.predicted == table.label[:, None], dtype=np.float64)


class Margin(Value):
    """The label's logit minus the best other logit."""

    name, unit = "margin", "logits"

    def payoffs(self, table: PayoffTable, tau: np.ndarray) -> np.ndarray:
        return np.asarray(table.margin, dtype=np.float64)


class Agreement(Value):
    """1 where the top class is the one predicted on the full image: no labels needed."""

    name, unit, needs_labels = "agreement", "share of images", False

    def payoffs(self, table: PayoffTable, tau: np.ndarray) -> np.ndarray:
        return np.asarray(table.predicted == table.predicted[:, :1], dtype=np.float64)  # the full coalition is first


DEFAULT_VALUE = UsableInformation.name
ENTRY_POINTS = "spectrobe.values"

_OWN: dict[str, type[Value]] = {
    value.name: value for value in (UsableInformation, LogLikelihood, Accuracy, Margin, Agreement)
}


def value_names() -> tuple[str, ...]:
    """Every name of a value, those of other packages included, which are not imported for it."""
    return tuple(dict.fromkeys([*_OWN, *plugin_names(ENTRY_POINTS)]))


def value_classes() -> dict[str, type[Value]]:
    """Every value by name, those of other packages included; InputError when one of those cannot be loaded."""
    return {name: value_class(name) for name in value_names()}


def value_class(name: str) -> type[Value]:
    """The value called `name`; InputError with the nearest names. Another package is imported for its own names."""
    if check_name(name, "a value") in _OWN:
        return _OWN[name]
    found = load_subclass(ENTRY_POINTS, name, "value", Value)  # type: ignore[type-abstract]  # a base, never made
    if found is not None:
        return found
    known = value_names()
    near = difflib.get_close_matches(name, known, n=2, cutoff=0.4)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise InputError(f"expected a value out of {', '.join(known)}, got {name!r}{hint}")


def make_value(name: str) -> Value:
    """The value called `name`; InputError with the nearest names."""
    return value_class(name)()
