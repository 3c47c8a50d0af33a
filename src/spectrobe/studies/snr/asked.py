"""The perturbations that a spectral-SNR run is asked for: read, checked, built for the model that attacks attack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spectrobe.errors import InputError
from spectrobe.models.base import Model
from spectrobe.perturbations import Perturbation, PerturbationSpec, as_perturbation, parse_perturbations
from spectrobe.perturbations.attacks import Attack


def wanted(perturbations: Any) -> list[Perturbation | PerturbationSpec]:
    """Perturbations as the caller gives them, text parsed: one, or a list of some."""
    if isinstance(perturbations, str):
        return list(parse_perturbations(perturbations))
    if isinstance(perturbations, PerturbationSpec):
        return [perturbations]
    if isinstance(perturbations, Sequence):
        return [one for some in perturbations for one in wanted(some)]
    return [as_perturbation(perturbations)]


def checked(asked: list[Perturbation | PerturbationSpec]) -> list[Perturbation | PerturbationSpec]:
    """The same; InputError for settings out of range, before a model is opened."""
    for one in asked:
        if isinstance(one, PerturbationSpec):
            one.check()
    return asked


def build(
    asked: Sequence[Perturbation | PerturbationSpec], model: Model | None
) -> tuple[dict[str, Perturbation], dict[str, str]]:
    """The perturbations by name, and why this model does not take the others; InputError where it takes none."""
    built: dict[str, Perturbation] = {}
    refused: dict[str, str] = {}
    for spec in asked:
        try:
            one = spec.build(model) if isinstance(spec, PerturbationSpec) else spec
        except InputError as error:  # settings were checked before: it is the model
            if model is None:
                raise
            refused[str(spec)] = str(error)
            continue
        if str(one) in built:
            raise InputError(
                f"expected perturbations of different names, got {one} twice: name yours with as_perturbation"
            )
        built[str(one)] = one
    if refused and not built:
        raise InputError("; ".join(dict.fromkeys(refused.values())))
    return built, refused


def identity_of(perturbation: Perturbation) -> dict[str, Any]:
    """What tells it from others, JSON-able."""
    function = getattr(perturbation, "function", None)
    found: dict[str, Any] = {"item": str(perturbation), "settings": perturbation.settings}
    if function is not None:
        found["callable"] = (
            f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', type(function).__qualname__)}"
        )
    if isinstance(perturbation, Attack):
        found["model"] = dict(perturbation.model.identity())
    return found
