"""Independent checks: what an attack returned, measured anew, and whether a whole evaluation can be believed.

Nothing here uses what an attack says about itself. A check that fails is a warning string, for the result to carry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spectrobe.errors import InputError
from spectrobe.perturbations.attacks.base import Target, as_model, checked_logits, lent, read_only
from spectrobe.perturbations.attacks.norms import Norm, written_eps

ROUNDING = 1e-5  # float32: x + delta - x is off by up to 6e-8 a pixel, an L2 norm of 150,000 pixels by 1e-6 of itself


@dataclass(frozen=True)
class AttackCheck:
    """What an attack delivered, one entry an image.

    distance: norm of the perturbation as delivered, float64.    in_box, in_ball: bool.
    success: the model's class on the returned image is not the label.    right: it was the label on the clean image.
    minimum_distance: distance where the attack succeeded, 0 where the clean image was wrong, infinite where nothing was
    found. warnings: what is wrong with it, in words.
    """

    distance: np.ndarray
    in_box: np.ndarray
    in_ball: np.ndarray
    success: np.ndarray
    right: np.ndarray
    warnings: tuple[str, ...]

    @property
    def minimum_distance(self) -> np.ndarray:
        return np.where(self.right, np.where(self.success, self.distance, np.inf), 0.0)


def check_attack(
    model: Any,
    x: Tensor,
    perturbed: Tensor,
    labels: Tensor | None = None,
    *,
    norm: Norm,
    eps: float | None = None,
    name: str = "the attack",
    claimed: Sequence[bool] | np.ndarray | None = None,
) -> AttackCheck:
    """Measure norm, range and success of `perturbed` (N, C, H, W) against the clean `x`.

    labels: (N,), default the model's prediction on x. eps: the bound to hold, None for minimum-norm attacks.
    claimed: what the attack says about its success, to be compared.
    """
    if perturbed.shape != x.shape:
        raise InputError(f"{name}: expected perturbed images of shape {tuple(x.shape)}, got {tuple(perturbed.shape)}")
    delta = perturbed.detach().double().cpu() - x.detach().double().cpu()
    flat = delta.flatten(1)
    far = flat.abs().amax(1) if norm == "linf" else torch.linalg.vector_norm(flat, dim=1)
    pixels = perturbed.detach().flatten(1)
    in_box = (pixels.amin(1) >= -1e-6) & (pixels.amax(1) <= 1 + 1e-6) & torch.isfinite(pixels).all(1)
    in_ball = torch.isfinite(far) if eps is None else far <= eps * (1 + ROUNDING) + 1e-6
    clean = predictions(model, x)
    wanted = clean if labels is None else labels.cpu()
    success = predictions(model, torch.where(torch.isfinite(perturbed), perturbed, 0)) != wanted
    warnings = []
    if not bool(in_box.all()):
        warnings.append(f"{name}: {int((~in_box).sum())} of {len(x)} images have pixels outside [0, 1] or not finite")
    if not bool(in_ball.all()):
        bound = "" if eps is None else f" at most {eps:.6g}"
        warnings.append(f"{name}: expected a {norm} norm{bound}, got up to {float(far.max()):.6g}")
    if claimed is not None and (differ := int((np.asarray(claimed, dtype=bool) != success.numpy()).sum())):
        warnings.append(f"{name}: says of {differ} of {len(x)} images what the model's class on them does not bear out")
    return AttackCheck(
        distance=read_only(far),
        in_box=read_only(in_box),
        in_ball=read_only(in_ball),
        success=read_only(success),
        right=read_only(clean == wanted),
        warnings=tuple(warnings),
    )


def predictions(model: Any, x: Tensor, batch_size: int = 128) -> Tensor:
    """The model's class of each image: (N, C, H, W) -> int64 (N,) on the CPU."""
    opened = as_model(model)
    with lent(opened) as classify:
        chunks = torch.split(x.detach().float(), batch_size)
        return torch.cat([checked_logits(classify(c.to(opened.device)), len(c)).argmax(1).cpu() for c in chunks])


def zero_gradients(model: Any, x: Tensor, labels: Tensor | None = None) -> np.ndarray:
    """Whether the gradient of the cross-entropy at each clean image is zero in every pixel: bool (N,)."""
    opened = as_model(model)
    with lent(opened) as classify:
        pixels = x.detach().clone().float().to(opened.device)
        wanted = (predictions(opened, x) if labels is None else labels).to(opened.device)
        return read_only((Target(classify, wanted).gradient(pixels)[0] == 0).flatten(1).all(1))


def check_zero_eps(clean: np.ndarray, at_zero: np.ndarray, name: str = "the attack") -> list[str]:
    """eps = 0 must classify every image as the clean run did. clean, at_zero: right or not, bool (N,)."""
    differ = int((np.asarray(clean) != np.asarray(at_zero)).sum())
    if not differ:
        return []
    return [
        f"{name}: at eps = 0, {differ} of {len(clean)} images are classified otherwise than clean: "
        "is the model in eval mode?"
    ]


def check_growth(right: Mapping[float, np.ndarray], name: str = "the attack", tolerance: float = 0.01) -> list[str]:
    """Accuracy must not rise with eps by more than `tolerance`. right: eps -> right or not, bool (N,)."""
    rows = sorted((eps, float(np.mean(r))) for eps, r in right.items())
    return [
        f"{name}: accuracy rises from {a:.3f} at eps {written_eps(low)} to {b:.3f} at eps {written_eps(high)}: "
        "the attack is stuck"
        for (low, a), (high, b) in pairwise(rows)
        if b > a + tolerance
    ]


def check_steps(
    right: np.ndarray, with_more: np.ndarray, name: str = "the attack", tolerance: float = 0.02
) -> list[str]:
    """More steps must not lower accuracy by more than `tolerance`, else the attack has not converged."""
    few, many = float(np.mean(right)), float(np.mean(with_more))
    if few - many <= tolerance:
        return []
    return [
        f"{name}: more steps lower accuracy from {few:.3f} to {many:.3f}: the attack has not converged, give it more"
    ]


def check_gradient(zero: np.ndarray, name: str = "the attack", tolerance: float = 0.05) -> list[str]:
    """At most `tolerance` of the images may have a gradient of exactly zero. zero: bool (N,), see `zero_gradients`."""
    share = float(np.mean(zero)) if len(zero) else 0.0
    if share <= tolerance:
        return []
    return [
        f"{name}: the gradient is zero in every pixel of {share:.0%} of the images: gradients are masked, "
        "believe a black-box attack (square_linf, square_l2) instead"
    ]


def check_control(
    attacked: np.ndarray, noise: np.ndarray, name: str = "the attack", tolerance: float = 0.0
) -> list[str]:
    """Noise of the same norm must not lower accuracy more than the attack. attacked, noise: right or not, bool (N,)."""
    under_attack, under_noise = float(np.mean(attacked)), float(np.mean(noise))
    if under_noise >= under_attack - tolerance:
        return []
    return [
        f"{name}: accuracy is {under_attack:.3f} under the attack and {under_noise:.3f} under random noise of the same "
        "norm: the attack does not work"
    ]


def check_outside(outside: np.ndarray, name: str = "the attack", tolerance: float = 0.01) -> list[str]:
    """At most `tolerance` of a band-limited attack's energy, in the median, may lie outside its bands.

    outside: share of each image, float64 (N,), NaN where there is no perturbation.
    """
    known = outside[np.isfinite(outside)]
    median = float(np.median(known)) if len(known) else 0.0
    if median <= tolerance:
        return []
    return [
        f"{name}: {median:.2%} of its energy (median over images) lies outside the bands it keeps to: ball and box "
        "leave no more room, or give it more rounds"
    ]


def check_black_box(
    gradient: np.ndarray, black_box: np.ndarray, name: str = "the attack", tolerance: float = 0.01
) -> list[str]:
    """A black-box attack of the same ball must not beat a gradient attack. gradient, black_box: right or not."""
    white, black = float(np.mean(gradient)), float(np.mean(black_box))
    if black >= white - tolerance:
        return []
    return [
        f"{name}: a black-box attack gets accuracy down to {black:.3f}, this one to {white:.3f}: gradients are masked"
    ]
