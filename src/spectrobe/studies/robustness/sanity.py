"""Can the attacks of a run be believed? A few more passes on a few of its images; a check that fails is a warning.

What can be seen in the rows that every run has is in `summary.suspicions`; here is what costs extra.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spectrobe.engine.batching import is_out_of_memory
from spectrobe.engine.local import ImageLoader
from spectrobe.engine.progress import Progress
from spectrobe.models.base import Model
from spectrobe.perturbations import Perturbation
from spectrobe.perturbations.attacks import Attack, BandPGD, BoundedAttack, NormNoise, outside_bands
from spectrobe.perturbations.attacks.checks import (
    check_control,
    check_gradient,
    check_growth,
    check_outside,
    check_steps,
    check_zero_eps,
    zero_gradients,
)
from spectrobe.studies.robustness.conditions import Item, attack_passes, passes
from spectrobe.studies.robustness.player import RobustnessPlayer, perturbed, reason
from spectrobe.studies.robustness.rows import Predictions
from spectrobe.studies.robustness.summary import minimum_distances

N_SANITY = 50
_LONGER = ("steps", "queries")


@dataclass(frozen=True)
class Sanity:
    """What was tried: on how many images, at how many forward passes, and a line for each attack."""

    images: int = 0
    forward_passes: int = 0
    checks: tuple[str, ...] = ()


@dataclass
class _Trial:
    """The first images of the run, for attacks to be tried on; rows: their rows."""

    player: RobustnessPlayer
    pixels: Tensor
    rows: Predictions
    progress: Progress
    passes: int = 0
    warnings: list[str] = field(default_factory=list)

    def right(self, perturbation: Perturbation) -> np.ndarray:
        """Whether each image is still classified as labelled, bool (n,)."""

        def each(x: Tensor, labels: Tensor, ids: tuple[str, ...]) -> np.ndarray:
            y = perturbed(perturbation, x, labels, ids, self.player.seed)
            return self.player.classified(y, labels, ids)["right"]

        return self._batches(each, passes(perturbation)).astype(bool)

    def zero_gradients(self, model: Model) -> np.ndarray:
        """Whether the gradient is zero in every pixel, bool (n,)."""
        return self._batches(lambda x, labels, ids: zero_gradients(model, x, labels), 2)

    def outside(self, attack: BandPGD) -> np.ndarray:
        """Share of the perturbation's energy outside the attack's bands, float64 (n,)."""

        def each(x: Tensor, labels: Tensor, ids: tuple[str, ...]) -> np.ndarray:
            y = perturbed(attack, x, labels, ids, self.player.seed)
            return outside_bands(y - x, attack.bands, attack.keep)

        return self._batches(each, passes(attack))

    def _batches(self, each: Callable[[Tensor, Tensor, tuple[str, ...]], np.ndarray], cost: int) -> np.ndarray:
        while True:
            try:
                found = self._batches_of(self.player.batch_size, each)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                self.player = self.player.halved()
                continue
            self.progress.advance(cost * len(self.rows))
            self.passes += cost * len(self.rows)
            return found

    def _batches_of(self, size: int, each: Callable[[Tensor, Tensor, tuple[str, ...]], np.ndarray]) -> np.ndarray:
        found = []
        for start in range(0, len(self.rows), size):
            part = slice(start, start + size)
            x = self.pixels[part].to(self.player.device)
            labels = torch.from_numpy(self.rows.label[part]).to(self.player.device)
            found.append(each(x, labels, self.rows.ids[part]))
        return np.concatenate(found)


def expected_passes(items: Sequence[Item], n_images: int) -> int:
    """Forward passes that `check_attacks` takes, or nearly: which eps of a family it takes is known only afterwards."""
    cost = {item.condition.family: 1 for item in items if isinstance(item.perturbation, Attack)}
    for j, item in enumerate(items):
        if isinstance(item.perturbation, BoundedAttack):
            known: Mapping[str, Any] = item.perturbation.settings
            half = 0 if _has_ladder(items, j) else item.passes
            longer = {setting: 2 * known[setting] for setting in _LONGER if setting in known}
            again = item.passes if isinstance(item.perturbation, BandPGD) else 0
            cost[item.condition.family] = 3 + half + again + (attack_passes({**known, **longer}) if longer else 0)
    return min(n_images, N_SANITY) * (sum(cost.values()) + 2 * bool(cost))


def all_passes(items: Sequence[Item], clean: bool, n_images: int) -> int:
    """Forward passes of a run, those of the checks included; with attacks the most that it takes, or nearly."""
    each = clean + sum(item.passes for item in items)
    return n_images * each + (expected_passes(items, n_images) if clean else 0)


def check_attacks(
    player: RobustnessPlayer, model: Model, loader: ImageLoader, rows: Predictions, progress: Progress
) -> tuple[list[str], Sanity]:
    """Try every attack on the model of the run on its first images, up to 50; rows: of the whole run.

    eps = 0 equals clean; accuracy falls with eps; twice the steps do not help much; noise of the same norm does less;
    the gradient is not zero. Each family of attacks is tried at the eps where its accuracy is nearest to half the clean
    one, where most can be seen.
    """
    columns = [j for j, item in enumerate(player.items) if _is_ours(item, model)]
    if not columns:
        return [], Sanity()
    few = rows.rows(np.arange(min(N_SANITY, len(rows))))
    pixels = torch.stack([image for _, image in loader.each(few.position.tolist()) if isinstance(image, Tensor)])
    trial = _Trial(player, pixels, few, progress)
    done = []
    tried = _representatives(player.items, columns, rows)
    for column in tried:
        item = player.items[column]
        try:
            done.append(f"{item.condition.name}: {_try(trial, item.perturbation, column, rows)}")
        except Exception as error:  # the run itself is sound
            trial.warnings.append(f"{item.condition.name}: could not be checked: {reason(error)}")
    by_gradient = [j for j in tried if getattr(player.items[j].perturbation, "needs_gradient", False)]
    if by_gradient:
        trial.warnings += check_gradient(trial.zero_gradients(model), player.items[by_gradient[0]].condition.family)
        done.append("gradient of the loss at the clean images")
    return list(dict.fromkeys(trial.warnings)), Sanity(len(few), trial.passes, tuple(done))


def _is_ours(item: Item, model: Model) -> bool:
    return isinstance(item.perturbation, Attack) and item.perturbation.model is model


def _representatives(items: Sequence[Item], columns: Sequence[int], rows: Predictions) -> list[int]:
    """One column a family: the eps above 0 at which accuracy is nearest to half the clean one."""
    half = float(rows.clean_right.mean()) / 2
    best: dict[str, int] = {}
    for j in columns:
        condition = items[j].condition
        if condition.eps == 0 or rows.predicted[:, j].min() < 0:  # nothing to try, or it failed
            continue
        distance = abs(float(rows.right[:, j].mean()) - half)
        if condition.family not in best or distance < abs(float(rows.right[:, best[condition.family]].mean()) - half):
            best[condition.family] = j
    return list(best.values())


def _try(trial: _Trial, attack: Any, column: int, rows: Predictions) -> str:
    """Try one attack; says what was tried."""
    if isinstance(attack, BoundedAttack):
        return _try_bounded(trial, attack, column)
    return _try_minimum(trial, column, rows)


def _try_bounded(trial: _Trial, attack: BoundedAttack, column: int) -> str:
    name, few = str(attack), trial.rows
    at_eps = few.right[:, column].astype(bool)
    tolerance = 1.5 / len(few)
    trial.warnings += check_zero_eps(few.clean_right.astype(bool), trial.right(attack.replace(eps=0.0)), name)
    trial.warnings += check_control(at_eps, trial.right(NormNoise(attack.norm, eps=attack.eps)), name)
    tried = "eps = 0, noise of the same norm"
    if not _has_ladder(trial.player.items, column):  # else the run's own rows say whether accuracy falls with eps
        half = trial.right(attack.replace(eps=attack.eps / 2))
        trial.warnings += check_growth({attack.eps / 2: half, attack.eps: at_eps}, name, max(0.01, tolerance))
        tried += ", half the eps"
    for setting in _LONGER:
        if setting in attack.settings:
            longer = attack.replace(**{setting: 2 * int(getattr(attack, setting))})
            trial.warnings += check_steps(at_eps, trial.right(longer), name, max(0.02, tolerance))
            tried += f", twice the {setting}"
    if isinstance(attack, BandPGD):
        outside = trial.outside(attack)
        trial.warnings += check_outside(outside, name)
        if np.isfinite(outside).any():  # else it changed no image
            tried += f", {100 * np.nanmedian(outside):.2g}% of its energy outside the bands (median)"
    return tried


def _has_ladder(items: Sequence[Item], column: int) -> bool:
    """Whether the run has a smaller eps of the same family."""
    one = items[column].condition
    return any(
        other.condition.family == one.family and 0 < (other.condition.eps or 0.0) < (one.eps or 0.0) for other in items
    )


def _try_minimum(trial: _Trial, column: int, rows: Predictions) -> str:
    """Noise of the norm at which the attack has fooled half of the images must fool fewer."""
    condition = trial.player.items[column].condition
    median = float(np.median(minimum_distances(rows, condition, column)))
    if not 0 < median < np.inf or condition.norm is None:
        return "no noise control, its median distance is 0 or infinite"
    held = minimum_distances(trial.rows, condition, column) > median
    noise = trial.right(NormNoise(condition.norm, eps=median))  # type: ignore[arg-type]  # stored as text
    trial.warnings += check_control(held, noise, condition.name)
    return f"noise of the median norm, {median:.4g}"
