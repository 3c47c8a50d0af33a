"""FGSM and PGD: signed or normalised gradient steps within a ball."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from spectrobe.errors import InputError
from spectrobe.perturbations.attacks.base import BoundedAttack, Target, WorstSeen
from spectrobe.perturbations.attacks.norms import Norm, feasible, random_start, steepest


class FGSM(BoundedAttack):
    """One step of length eps along the steepest direction of the cross-entropy (Goodfellow et al., arXiv 1412.6572).

    The optimum for linear models, weak on all others: a baseline.
    """

    family = "fgsm"

    def _attack(self, x: Tensor, target: Target, ids: Sequence[str], seed: int) -> Tensor:
        gradient, _, _ = target.gradient(x)
        return feasible(x + self.eps * steepest(gradient, self.norm), x, self.norm, self.eps)


class PGD(BoundedAttack):
    """Projected gradient ascent on the cross-entropy from random starts (Madry et al. 2018, arXiv 1706.06083).

    Returns the worst point met: one that fools the model before one that does not, then the higher loss. Costs
    restarts x (steps + 1) forward and restarts x steps backward passes.
    """

    family = "pgd"

    def __init__(
        self,
        norm: Norm,
        *,
        eps: float | str,
        model: Any,
        steps: int = 20,
        step_size: float | None = None,
        restarts: int = 1,
        random_start: bool = True,
    ) -> None:
        """step_size: length of a step in the norm, in pixels of [0, 1]; None for 2.5 eps / steps.

        random_start: begin uniformly inside the ball, drawn per (seed, image id, restart); else at the image.
        """
        super().__init__(norm, eps=eps, model=model)
        self.steps = at_least(1, steps=steps)
        self.restarts = at_least(1, restarts=restarts)
        self.step_size = None if step_size is None else float(step_size)
        self.random_start = bool(random_start)
        if self.step_size is not None and not self.step_size > 0:
            raise InputError(f"expected step_size above 0, in pixels of [0, 1], got {step_size!r}")

    @property
    def settings(self) -> dict[str, object]:
        return {
            "eps": self.eps,
            "steps": self.steps,
            "step_size": self.step_size,
            "restarts": self.restarts,
            "random_start": self.random_start,
        }

    def _attack(self, x: Tensor, target: Target, ids: Sequence[str], seed: int) -> Tensor:
        worst = WorstSeen(x)
        step = 2.5 * self.eps / self.steps if self.step_size is None else self.step_size
        for restart in range(self.restarts):
            points = x
            if self.random_start:
                points = random_start(x, self.norm, self.eps, ids, seed, self.name, restart)
            for _ in range(self.steps):
                gradient, loss, fooled = target.gradient(points)
                worst.update(points, loss, fooled)
                points = feasible(points + step * steepest(gradient, self.norm), x, self.norm, self.eps)
            worst.update(points, *target(points))
        return worst.points


def at_least(least: int, **setting: int) -> int:
    """The one setting given, a whole number of at least `least`, else InputError."""
    ((name, value),) = setting.items()
    if isinstance(value, bool) or int(value) != value or value < least:
        raise InputError(f"expected {name} as a whole number of at least {least}, got {value!r}")
    return int(value)
