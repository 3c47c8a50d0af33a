"""The perturbations that the page offers, each with five levels: severities of corruptions, radii of attacks."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spectrobe.errors import InputError
from spectrobe.models.base import Model
from spectrobe.perturbations import names
from spectrobe.perturbations.attacks.base import may_have_gradients
from spectrobe.perturbations.base import Perturbation
from spectrobe.perturbations.corruptions import IMAGENET_C, SEVERITIES
from spectrobe.perturbations.registry import build, lookup

RADII = ("1/255", "2/255", "4/255", "8/255", "16/255")
_WITHIN_A_RADIUS = {
    "noise_linf": "Random noise within the radius: what attacks are compared with",
    "fgsm_linf": "Attack: one step along the gradient",
    "pgd_linf": "Attack: 20 steps along the gradient, which take a few seconds",
}


@dataclass(frozen=True)
class PerturbationChoice:
    """One entry of the page's list. levels: what each of the five is called; settings: what each of them is."""

    name: str
    title: str
    group: str
    hint: str
    levels: tuple[str, ...]
    settings: tuple[Mapping[str, Any], ...]

    def build(self, level: int, model: Model) -> Perturbation:
        """The perturbation at `level`, from 1 up; InputError for another level."""
        if not 1 <= level <= len(self.settings):
            raise InputError(f"expected a level of {self.name} from 1 to {len(self.settings)}, got {level}")
        attacked = {"model": model} if lookup(self.name).needs_model else {}
        return build(self.name, **self.settings[level - 1], **attacked)


def offered(model: Model) -> dict[str, PerturbationChoice]:
    """What can be chosen for this model, by name: ImageNet-C's first, attacks where gradients reach the pixels."""
    with_severity = [name for name in names() if "severity" in inspect.signature(lookup(name).builder).parameters]
    ordered = [*IMAGENET_C, *(name for name in with_severity if name not in IMAGENET_C)]
    found = [_corruption(name) for name in ordered]
    found += [
        _within_a_radius(name) for name in _WITHIN_A_RADIUS if not lookup(name).needs_model or may_have_gradients(model)
    ]
    return {choice.name: choice for choice in found}


def _corruption(name: str) -> PerturbationChoice:
    levels = tuple(f"severity {severity} of {SEVERITIES[-1]}" for severity in SEVERITIES)
    settings = tuple({"severity": severity} for severity in SEVERITIES)
    hint = lookup(name).summary.partition(":")[0].replace("`", "").rstrip(".")
    return PerturbationChoice(name, _title(name), "Corruptions", hint, levels, settings)


def _within_a_radius(name: str) -> PerturbationChoice:
    levels = tuple(f"each value moves by at most {radius}" for radius in RADII)
    return PerturbationChoice(
        name, _title(name), "Attacks", _WITHIN_A_RADIUS[name], levels, tuple({"eps": eps} for eps in RADII)
    )


def _title(name: str) -> str:
    """gaussian_noise -> Gaussian noise, pgd_linf -> PGD, jpeg_compression -> JPEG compression."""
    known = {"noise_linf": "Random noise of an attack's size", "fgsm_linf": "FGSM", "pgd_linf": "PGD"}
    words = name.replace("_", " ").replace("jpeg", "JPEG")
    return known.get(name, words[:1].upper() + words[1:])
