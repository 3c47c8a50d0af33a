"""All sanity checks of one attack on one batch, in a call: each failure is a warning for the result to carry."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from spectrobe.perturbations.attacks.base import BoundedAttack
from spectrobe.perturbations.attacks.checks import (
    check_attack,
    check_control,
    check_gradient,
    check_growth,
    check_steps,
    check_zero_eps,
    predictions,
    zero_gradients,
)
from spectrobe.perturbations.attacks.noise import NormNoise


def sanity(
    attack: BoundedAttack, x: Tensor, labels: Tensor | None = None, ids: Sequence[object] | None = None, seed: int = 0
) -> tuple[str, ...]:
    """Try `attack` on a batch at eps 0, eps / 2 and eps, with twice the steps, and beside noise of the same norm.

    x (N, C, H, W), labels (N,) or None for the model's prediction. Costs about four and a half times the attack itself:
    a batch of 50 to 100 images is enough, and on fewer a single image more or less is no warning. Returns the warnings;
    none means that nothing speaks against the attack.
    """
    by_chance = 1.5 / len(x)
    wanted = predictions(attack.model, x) if labels is None else labels.cpu()
    name = str(attack)
    warnings: list[str] = []

    def right(one: BoundedAttack | NormNoise) -> np.ndarray:
        perturbed = one(x, wanted, ids, seed)
        check = check_attack(attack.model, x, perturbed, wanted, norm=one.norm, eps=one.eps, name=str(one))
        warnings.extend(check.warnings)
        return ~check.success

    clean = (predictions(attack.model, x) == wanted).numpy()
    at_eps = {eps: right(attack.replace(eps=eps)) for eps in (0.0, attack.eps / 2, attack.eps)}
    warnings += check_zero_eps(clean, at_eps[0.0], name)
    warnings += check_growth(at_eps, name, max(0.01, by_chance))
    warnings += check_control(at_eps[attack.eps], right(NormNoise(attack.norm, eps=attack.eps)), name)
    for setting in ("steps", "queries"):
        if setting in attack.settings:
            longer = attack.replace(**{setting: 2 * int(getattr(attack, setting))})
            warnings += check_steps(at_eps[attack.eps], right(longer), name, max(0.02, by_chance))
    if attack.needs_gradient:
        warnings += check_gradient(zero_gradients(attack.model, x, wanted), name)
    return tuple(dict.fromkeys(warnings))
