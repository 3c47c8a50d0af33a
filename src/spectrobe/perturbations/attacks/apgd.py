"""Auto-PGD: momentum, and a step size that falls when progress stalls (Croce and Hein 2020, arXiv 2003.01690).

Written from the paper's Algorithm 1 and section 4; the loss is the cross-entropy or the difference of logits ratio
(DLR).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from spectrobe.errors import InputError
from spectrobe.perturbations.attacks.base import BoundedAttack, Target, WorstSeen
from spectrobe.perturbations.attacks.gradient import at_least
from spectrobe.perturbations.attacks.losses import Loss, difference_of_logits_ratio, log_odds_against
from spectrobe.perturbations.attacks.norms import Norm, feasible, per_image, random_start, steepest

ALPHA = 0.75  # weight of the gradient step against momentum
RHO = 0.75  # least share of steps between two checkpoints that must raise the loss


class APGD(BoundedAttack):
    """Auto-PGD on one loss, from random starts on the surface of the ball.

    Returns the worst point met: one that fools the model before one that does not, then the higher loss. A restart
    begins anew on every image. Costs restarts x (steps + 1) forward and as many backward passes.
    """

    losses: ClassVar[dict[str, Loss]] = {"ce": log_odds_against, "dlr": difference_of_logits_ratio}

    def __init__(
        self,
        loss: Literal["ce", "dlr"],
        norm: Norm,
        *,
        eps: float | str,
        model: Any,
        steps: int = 100,
        restarts: int = 1,
    ) -> None:
        """loss: "ce" or "dlr"; DLR needs 4 classes or more."""
        if loss not in self.losses:
            raise InputError(f"expected loss 'ce' or 'dlr', got {loss!r}")
        self.loss_name = loss
        self.loss = self.losses[loss]
        self.family = f"apgd_{loss}"
        super().__init__(norm, eps=eps, model=model)
        self.steps = at_least(1, steps=steps)
        self.restarts = at_least(1, restarts=restarts)

    def _fixed(self) -> dict[str, Any]:
        return {"loss": self.loss_name, "norm": self.norm}

    @property
    def settings(self) -> dict[str, object]:
        return {"eps": self.eps, "steps": self.steps, "restarts": self.restarts}

    def _attack(self, x: Tensor, target: Target, ids: Sequence[str], seed: int) -> Tensor:
        worst = WorstSeen(x)
        for restart in range(self.restarts):
            start = random_start(x, self.norm, self.eps, ids, seed, self.name, restart, surface=True)
            self._ascend(start, x, target, worst)
        return worst.points

    def _ascend(self, start: Tensor, x: Tensor, target: Target, worst: WorstSeen) -> None:
        """Algorithm 1 from one start; every point met goes into `worst`."""
        gradient, loss, fooled = target.gradient(start)
        worst.update(start, loss, fooled)
        best = _Best(start, gradient, loss)
        schedule = _StepSize(2 * self.eps, loss)
        points, previous = start, start
        checkpoints = set(_checkpoints(self.steps))
        for k in range(1, self.steps + 1):
            step = per_image(schedule.size).to(x.dtype)
            z = feasible(points + step * steepest(gradient, self.norm), x, self.norm, self.eps)
            # the first step has no momentum
            moved = z if k == 1 else points + ALPHA * (z - points) + (1 - ALPHA) * (points - previous)
            points, previous = feasible(moved, x, self.norm, self.eps), points
            gradient, loss, fooled = target.gradient(points)
            worst.update(points, loss, fooled)
            best.update(points, gradient, loss)
            schedule.saw(loss)
            if k in checkpoints:
                halved = schedule.halve(best.loss)
                points = torch.where(per_image(halved), best.points, points)
                gradient = torch.where(per_image(halved), best.gradient, gradient)
                schedule.last = torch.where(halved, best.loss, schedule.last)


def _checkpoints(steps: int) -> list[int]:
    """w_j = ceil(p_j N) with p_0 = 0, p_1 = 0.22, p_(j+1) = p_j + max(p_j - p_(j-1) - 0.03, 0.06); 0 left out."""
    shares = [0.0, 0.22]
    while shares[-1] < 1:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 0.03, 0.06))
    # 1e-9: 0.22 N is a whole number for some N, its float is not
    return sorted({math.ceil(share * steps - 1e-9) for share in shares[1:] if share <= 1})


@dataclass
class _Best:
    """x_max: the point of the highest loss in this ascent, with its gradient."""

    points: Tensor
    gradient: Tensor
    loss: Tensor

    def update(self, points: Tensor, gradient: Tensor, loss: Tensor) -> None:
        higher = loss > self.loss
        self.points = torch.where(per_image(higher), points, self.points)
        self.gradient = torch.where(per_image(higher), gradient, self.gradient)
        self.loss = torch.where(higher, loss, self.loss)


class _StepSize:
    """The step size of each image, halved at a checkpoint when progress has stalled (the paper's conditions)."""

    def __init__(self, size: float, loss: Tensor) -> None:
        self.size = torch.full_like(loss, size)
        self.last, self.best_before = loss.clone(), loss.clone()
        self.rises, self.seen = torch.zeros_like(loss), 0
        self.halved_before = torch.ones_like(
            loss, dtype=torch.bool
        )  # so that condition 2 cannot hold at the first checkpoint

    def saw(self, loss: Tensor) -> None:
        self.rises += loss > self.last
        self.seen += 1
        self.last = loss

    def halve(self, best: Tensor) -> Tensor:
        """Halve where the loss rose too seldom, or where neither step size nor best loss moved since; returns where."""
        halved = (self.rises < RHO * self.seen) | (~self.halved_before & (best <= self.best_before))
        self.size = torch.where(halved, self.size / 2, self.size)
        self.halved_before, self.best_before = halved, best.clone()
        self.rises, self.seen = torch.zeros_like(best), 0
        return halved
