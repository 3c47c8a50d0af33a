"""What images are measured under: perturbations as text, objects or callables, each with its facts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from spectrobe.errors import InputError, MissingExtraError
from spectrobe.models.base import Model
from spectrobe.perturbations import Perturbation, PerturbationSpec, as_perturbation, parse_perturbations
from spectrobe.perturbations.attacks import Attack, NormNoise

Perturbations = str | Perturbation | Callable[..., Any] | Sequence[str | Perturbation | Callable[..., Any]]


@dataclass(frozen=True)
class Condition:
    """One perturbation with its settings; JSON-able.

    name: the item of the command line, `gaussian_noise:3`, `pgd_linf:eps=4/255`.   settings: all of them.
    kind: "corruption" (it has a severity), "attack" (it has an eps), "minimum-norm" (an attack without one), "noise"
        (the control of attacks), "folder" (stored images), "other".
    family: what the conditions of one curve share: the name without the severity, or without the eps.
    severity, norm ("linf", "l2"), eps (pixels of [0, 1]): None where there is none.
    """

    name: str
    kind: str
    family: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    severity: int | None = None
    norm: str | None = None
    eps: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self) | {"settings": dict(self.settings)}


@dataclass(frozen=True)
class Item:
    """A condition and the perturbation that makes it; passes: forward passes an image, at most, all told."""

    condition: Condition
    perturbation: Perturbation
    passes: int


Plan = PerturbationSpec | Perturbation


def plan(perturbations: Perturbations) -> list[Plan]:
    """Read and check perturbations without a model: strings in the command line's form, objects, callables.

    Raises InputError for unknown names (with the nearest ones), a severity or an eps out of range, settings refused.
    """
    given = [perturbations] if isinstance(perturbations, str) or callable(perturbations) else list(perturbations)
    plans: list[Plan] = []
    for one in given:
        if isinstance(one, str):
            plans += [spec for spec in parse_perturbations(one) if spec not in plans]
        else:
            plans.append(as_perturbation(one))
    for spec in plans:
        if isinstance(spec, PerturbationSpec):
            spec.check()
    return plans


def build(plans: Sequence[Plan], model: Model) -> tuple[list[Item], dict[str, str]]:
    """The perturbations for this model, and why some cannot be had: no gradients, a library that is not installed."""
    items: list[Item] = []
    failed: dict[str, str] = {}
    for one in plans:
        try:
            made = one.build(model) if isinstance(one, PerturbationSpec) else _bound(one, model)
        except (InputError, MissingExtraError) as error:  # settings were checked before: it is the model, or a library
            failed[str(one)] = str(error)
            continue
        condition = describe(made, _free(str(made), items))
        items.append(Item(condition, made, passes(made)))
    return items, failed


def describe(perturbation: Perturbation, name: str | None = None) -> Condition:
    """The facts of a perturbation."""
    settings = dict(perturbation.settings)
    severity, eps = settings.get("severity"), getattr(perturbation, "eps", None)
    attack, known = isinstance(perturbation, Attack), name or str(perturbation)
    kind = "corruption" if isinstance(severity, int) else "other"
    if attack:
        kind = "minimum-norm" if eps is None else "attack"
    elif isinstance(perturbation, NormNoise):
        kind = "noise"
    return Condition(
        name=known,
        kind=kind,
        family=known.replace(f":{severity}", "", 1) if kind == "corruption" else _without_eps(known),
        settings=settings,
        severity=severity if isinstance(severity, int) else None,
        norm=getattr(perturbation, "norm", None) if attack or kind == "noise" else None,
        eps=None if eps is None else float(eps),
    )


def passes(perturbation: Perturbation) -> int:
    """Forward passes an image that measuring under a perturbation costs, at most: the attack's, and one to classify."""
    return attack_passes(perturbation.settings) if isinstance(perturbation, Attack) else 1


def attack_passes(settings: Mapping[str, Any]) -> int:
    """The same for an attack with these settings."""
    if settings.get("eps") == 0:
        return 2
    rounds = settings.get("queries") or settings.get("steps", 0) + 1
    return 2 + int(rounds * settings.get("restarts", 1) * settings.get("binary_search_steps", 1))


def _bound(perturbation: Perturbation, model: Model) -> Perturbation:
    """An attack on the very module that is measured uses the model as it is opened here, on its device."""
    if not isinstance(perturbation, Attack) or perturbation.model is model:
        return perturbation
    module = getattr(perturbation.model, "module", None)
    if module is None or module is not getattr(model, "module", None):
        return perturbation  # an attack on another model: its images are transferred
    from copy import copy

    bound = copy(perturbation)
    bound.model = model
    return bound


def _free(name: str, items: Sequence[Item]) -> str:
    """The name, numbered when another one has it already, as two lambdas have."""
    taken, number, free = {item.condition.name for item in items}, 1, name
    while free in taken:
        number += 1
        free = f"{name}#{number}"
    return free


def _without_eps(name: str) -> str:
    return re.sub(r":eps=[^;]*;", ":", re.sub(r":eps=[^;]*$", "", name))
