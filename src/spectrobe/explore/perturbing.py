"""The perturbations that the page offers, each with five levels: severities of corruptions, radii of attacks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from spectrobe.errors import InputError
from spectrobe.models.base import Model
from spectrobe.perturbations import names
from spectrobe.perturbations.attacks.base import may_have_gradients
from spectrobe.perturbations.base import Perturbation
from spectrobe.perturbations.corruptions import IMAGENET_C, SEVERITIES
from spectrobe.perturbations.registry import build, lookup

T = TypeVar("T")

RADII = ("1/255", "2/255", "4/255", "8/255", "16/255")


@dataclass(frozen=True)
class _Radius:
    """Something that moves values within a radius. key: of the page's list.   settings: besides the radius."""

    name: str
    key: str
    title: str
    hint: str
    settings: Mapping[str, Any] = field(default_factory=dict)


_WITHIN_A_RADIUS = (
    _Radius(
        "noise_linf", "noise_linf", "Random noise of an attack's size",
        "Random noise within the radius: what attacks are compared with",
    ),
    _Radius("fgsm_linf", "fgsm_linf", "FGSM", "Attack: one step along the gradient"),
    # three steps are what two cores can take while somebody waits
    _Radius(
        "pgd_linf", "pgd_linf", "PGD, 3 steps", "Attack: 3 steps along the gradient, for a quick look", {"steps": 3}
    ),
    _Radius(
        "pgd_linf", "pgd_linf-20", "PGD, 20 steps", "Attack: 20 steps along the gradient, which take a few seconds",
        {"steps": 20},
    ),
)  # fmt: skip


@dataclass(frozen=True)
class PerturbationChoice:
    """One entry of the page's list. levels: what each of the five is called; settings: what each of them is.

    name: of the entry.   perturbation: what it is made with.
    """

    name: str
    perturbation: str
    title: str
    group: str
    hint: str
    levels: tuple[str, ...]
    settings: tuple[Mapping[str, Any], ...]

    def build(self, level: int, model: Model) -> Perturbation:
        """The perturbation at `level`, from 1 up; InputError for another level."""
        if not 1 <= level <= len(self.settings):
            raise InputError(f"expected a level of {self.name} from 1 to {len(self.settings)}, got {level}")
        attacked = {"model": model} if lookup(self.perturbation).needs_model else {}
        return build(self.perturbation, **self.settings[level - 1], **attacked)


def offered(model: Model) -> tuple[dict[str, PerturbationChoice], list[str]]:
    """What can be chosen for this model, by name, and what is wrong with other packages' that cannot be used.

    ImageNet-C's corruptions first, then others with a severity, and attacks where gradients reach the pixels.
    """
    found, problems = usable(names(), lookup)
    with_severity = [name for name, entry in found.items() if "severity" in inspect.signature(entry.builder).parameters]
    choices = [_corruption(name) for name in (*IMAGENET_C, *with_severity)]
    choices += [
        _within_a_radius(one)
        for one in _WITHIN_A_RADIUS
        if not found[one.name].needs_model or may_have_gradients(model)
    ]
    return {choice.name: choice for choice in choices}, problems


def usable(names: Iterable[str], find: Callable[[str], T]) -> tuple[dict[str, T], list[str]]:
    """What `find` gives for each name, and the messages of those of other packages that cannot be had."""
    found: dict[str, T] = {}
    problems: list[str] = []
    for name in names:
        try:
            found[name] = find(name)
        except InputError as error:
            problems.append(str(error))
    return found, problems


def _corruption(name: str) -> PerturbationChoice:
    levels = tuple(f"severity {severity} of {SEVERITIES[-1]}" for severity in SEVERITIES)
    settings = tuple({"severity": severity} for severity in SEVERITIES)
    hint = lookup(name).summary.partition(":")[0].replace("`", "").rstrip(".")
    return PerturbationChoice(name, name, _title(name), "Corruptions", hint, levels, settings)


def _within_a_radius(one: _Radius) -> PerturbationChoice:
    levels = tuple(f"each value moves by at most {radius}" for radius in RADII)
    settings = tuple({"eps": eps, **one.settings} for eps in RADII)
    return PerturbationChoice(one.key, one.name, one.title, "Attacks", one.hint, levels, settings)


def _title(name: str) -> str:
    """gaussian_noise -> Gaussian noise, jpeg_compression -> JPEG compression."""
    words = name.replace("_", " ").replace("jpeg", "JPEG")
    return words[:1].upper() + words[1:]
