"""Minimum-norm attacks, which look for the nearest image that fools the model: foolbox's, through its adapter.

They take no eps: the perturbation is as small as they can make it, in the box [0, 1]. An image for which nothing is
found comes back unchanged, so that its distance must be read as "not found" (see `checks.check_attack`), never as 0. L2
has DDN rather than FMN because the projection of foolbox 3.3.4's L2FMNAttack does nothing (its factor is `min(1, norms
/ norms)`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from types import ModuleType
from typing import Any, ClassVar

from torch import Tensor

from spectrobe.perturbations.attacks.base import Attack, Target
from spectrobe.perturbations.attacks.foolbox_adapter import foolbox_attacks, minimise
from spectrobe.perturbations.attacks.gradient import at_least
from spectrobe.perturbations.attacks.norms import Norm, check_norm


class MinimumNorm(Attack):
    """A foolbox MinimizationAttack; a new one writes its settings and `_foolbox`."""

    family: ClassVar[str]

    def __init__(self, norm: Norm, *, model: Any) -> None:
        """Raises MissingExtraError when foolbox is not installed."""
        self.norm = check_norm(norm)
        self.name = f"{self.family}_{self.norm}"
        foolbox_attacks(self.name)
        super().__init__(model=model)

    @abstractmethod
    def _foolbox(self, attacks: ModuleType) -> Any:
        """The attack, made from foolbox.attacks."""

    def _attack(self, x: Tensor, target: Target, ids: Sequence[str], seed: int) -> Tensor:
        return minimise(self._foolbox(foolbox_attacks(self.name)), x, target, seed, self.name)


class DeepFool(MinimumNorm):
    """Steps to the nearest boundary of the linearised model (Moosavi-Dezfooli et al. 2016, arXiv 1511.04599)."""

    family = "deepfool"

    def __init__(
        self, norm: Norm, *, model: Any, steps: int = 50, candidates: int = 10, overshoot: float = 0.02
    ) -> None:
        """candidates: most likely classes considered. overshoot: share by which the boundary is crossed."""
        super().__init__(norm, model=model)
        self.steps = at_least(1, steps=steps)
        self.candidates = at_least(2, candidates=candidates)
        self.overshoot = float(overshoot)

    def _fixed(self) -> dict[str, Any]:
        return {"norm": self.norm}

    @property
    def settings(self) -> dict[str, object]:
        return {"steps": self.steps, "candidates": self.candidates, "overshoot": self.overshoot}

    def _foolbox(self, attacks: ModuleType) -> Any:
        make = attacks.L2DeepFoolAttack if self.norm == "l2" else attacks.LinfDeepFoolAttack
        return make(steps=self.steps, candidates=self.candidates, overshoot=self.overshoot)


class CarliniWagner(MinimumNorm):
    """The L2 attack of Carlini and Wagner 2017 (arXiv 1608.04644): Adam on distance plus c times the margin.

    Costs binary_search_steps x steps forward and backward passes. Foolbox's early end is off: it looks at the sum over
    the batch, so that an image's result would depend on its neighbours.
    """

    family = "cw"

    def __init__(
        self,
        *,
        model: Any,
        binary_search_steps: int = 5,
        steps: int = 50,
        step_size: float = 0.02,
        confidence: float = 0.0,
        initial_const: float = 1.0,
    ) -> None:
        """initial_const: first c; it grows tenfold until an image is fooled, then is bisected. confidence: logits."""
        super().__init__("l2", model=model)
        self.binary_search_steps = at_least(1, binary_search_steps=binary_search_steps)
        self.steps = at_least(1, steps=steps)
        self.step_size, self.confidence = float(step_size), float(confidence)
        self.initial_const = float(initial_const)

    @property
    def settings(self) -> dict[str, object]:
        return {
            "binary_search_steps": self.binary_search_steps,
            "steps": self.steps,
            "step_size": self.step_size,
            "confidence": self.confidence,
            "initial_const": self.initial_const,
        }

    def _foolbox(self, attacks: ModuleType) -> Any:
        return attacks.L2CarliniWagnerAttack(
            binary_search_steps=self.binary_search_steps,
            steps=self.steps,
            stepsize=self.step_size,
            confidence=self.confidence,
            initial_const=self.initial_const,
            abort_early=False,
        )


class DDN(MinimumNorm):
    """Decoupled direction and norm, L2 (Rony et al. 2019, arXiv 1811.09600)."""

    family = "ddn"

    def __init__(self, *, model: Any, steps: int = 100, init_epsilon: float = 1.0, gamma: float = 0.05) -> None:
        """init_epsilon: first norm tried. gamma: share by which the norm grows or shrinks after each step."""
        super().__init__("l2", model=model)
        self.steps = at_least(1, steps=steps)
        self.init_epsilon, self.gamma = float(init_epsilon), float(gamma)

    @property
    def settings(self) -> dict[str, object]:
        return {"steps": self.steps, "init_epsilon": self.init_epsilon, "gamma": self.gamma}

    def _foolbox(self, attacks: ModuleType) -> Any:
        return attacks.DDNAttack(init_epsilon=self.init_epsilon, steps=self.steps, gamma=self.gamma)


class FMN(MinimumNorm):
    """Fast minimum-norm attack, Linf (Pintor et al. 2021, arXiv 2102.12827)."""

    family = "fmn"

    def __init__(self, *, model: Any, steps: int = 100, max_step_size: float = 1.0, gamma: float = 0.05) -> None:
        """max_step_size: first L2 length of a step. gamma: first share by which eps grows or shrinks."""
        super().__init__("linf", model=model)
        self.steps = at_least(1, steps=steps)
        self.max_step_size, self.gamma = float(max_step_size), float(gamma)

    @property
    def settings(self) -> dict[str, object]:
        return {"steps": self.steps, "max_step_size": self.max_step_size, "gamma": self.gamma}

    def _foolbox(self, attacks: ModuleType) -> Any:
        return attacks.LInfFMNAttack(steps=self.steps, max_stepsize=self.max_step_size, gamma=self.gamma)
