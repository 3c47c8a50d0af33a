"""Small models, images and perturbations whose robustness is known, and hand-made rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

import spectrobe as sb
from spectrobe.engine import phases
from spectrobe.perturbations.attacks import BoundedAttack
from spectrobe.studies.robustness.conditions import Condition
from spectrobe.studies.robustness.result import RobustnessResult, RobustnessSettings, summarise
from spectrobe.studies.robustness.rows import Predictions
from spectrobe.studies.robustness.sanity import Sanity
from tests.perturbations.attack_models import Linear, images, two_classes

SHAPE = (1, 8, 8)


def linear_case(n: int = 120, seed: int = 0) -> tuple[Linear, Tensor, Tensor, np.ndarray]:
    """A linear model of two classes, mid-grey images, their labels, and each image's margin for its label.

    One label in eight is wrong, so that the clean accuracy is 7/8.
    """
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(SHAPE, generator=generator)
    model = two_classes(weight, -0.5 * float(weight.sum()))
    x = images(n, SHAPE, seed + 1, 0.3, 0.7)
    margin = torch.einsum("nchw,chw->n", x.double(), weight.double()) - 0.5 * float(weight.sum())
    y = (margin > 0).long()
    y[::8] = 1 - y[::8]
    return model, x, y, np.where(y.numpy() == 1, margin.numpy(), -margin.numpy())


class DoesNothing(BoundedAttack):
    """An attack that is none."""

    family = "does_nothing"

    def _attack(self, x: Tensor, target: object, ids: Sequence[str], seed: int) -> Tensor:
        return x


class TooFar(BoundedAttack):
    """An attack that leaves its ball."""

    family = "too_far"

    def _run(self, x: Tensor, target: object, ids: Sequence[str], seed: int) -> Tensor:
        return (x + 2 * self.eps).clamp(0, 1) if self.eps else x

    def _attack(self, x: Tensor, target: object, ids: Sequence[str], seed: int) -> Tensor:
        raise NotImplementedError


class Stuck(BoundedAttack):
    """An attack that finds nothing once eps is above 0.1, though it does below."""

    family = "stuck"

    def _attack(self, x: Tensor, target: Callable[..., object], ids: Sequence[str], seed: int) -> Tensor:
        if self.eps > 0.1:
            return x
        gradient = target.gradient(x)[0]  # type: ignore[attr-defined]
        return x + self.eps * gradient.sign()


class Rounds(torch.nn.Module):
    """A linear model behind a rounding, through which no gradient goes."""

    def __init__(self, model: Linear) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.model(torch.round(x * 255) / 255)
        return logits


def condition(name: str, **facts: object) -> Condition:
    """A condition by its command-line name: corruption:severity, or attack:eps=..."""
    family, _, rest = name.partition(":")
    if rest.isdecimal():
        return Condition(name, "corruption", family, {}, severity=int(rest))
    return Condition(name, **{"kind": "attack", "family": family, "norm": "linf", **facts})  # type: ignore[arg-type]


def hand_made(
    right: Mapping[str, Sequence[int]],
    conditions: Sequence[Condition],
    clean: Sequence[int] | None = None,
    distance: Mapping[str, Sequence[float]] | None = None,
    name: str = "hand-made",
    ids: Sequence[str] | None = None,
    data_digest: str = "digest",
    failed: Mapping[str, str] | None = None,
) -> RobustnessResult:
    """The result of a run with these rows: for each condition, who was right."""
    columns = np.asarray([right[c.name] for c in conditions], dtype=np.int8).T
    n = len(columns)
    names = tuple(map(str, range(n))) if ids is None else tuple(ids)
    clean_right = np.ones(n, np.int8) if clean is None else np.asarray(clean, np.int8)
    norms = np.zeros(columns.shape, np.float32)
    for j, c in enumerate(conditions):
        norms[:, j] = (distance or {}).get(c.name, np.zeros(n))
    rows = Predictions(
        position=np.arange(n), ids=names, label=np.zeros(n, np.int64), digest=names,
        clean_predicted=1 - clean_right, clean_right=clean_right, clean_log_q=np.linspace(-1, 0, n),
        predicted=1 - columns, right=columns, log_q=np.linspace(-2, 0, columns.size).reshape(columns.shape),
        l2=norms, linf=norms, in_range=np.ones_like(columns), failed=("",) * n, unreadable=("",) * n, n_classes=2,
    )  # fmt: skip
    settings = RobustnessSettings(name, "rows", data_digest, (8, 8), 0.95, 0, True)
    return summarise(rows, settings, tuple(conditions), failed or {}, 0, {}, (), Sanity())


class Stopped(Exception):
    """The process was killed."""


@contextmanager
def stopping(phase: str, count: int) -> Iterator[None]:
    """Raise Stopped when the run comes to `phase` for the count-th time."""
    seen = 0

    def stop(reached: str) -> None:
        nonlocal seen
        seen += reached == phase
        if reached == phase and seen == count:
            raise Stopped

    phases.listen(stop)
    try:
        yield
    finally:
        phases._listeners.remove(stop)


def measure(model: Any, x: Tensor, y: Tensor, perturbations: Any, **settings: Any) -> sb.RobustnessResult:
    return sb.robustness(model, (x, y), perturbations, **{"batch_size": 40, **settings})


def identity(x: Tensor) -> Tensor:
    return x


def black(x: Tensor) -> Tensor:
    return torch.zeros_like(x)
