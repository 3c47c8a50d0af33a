"""The caller's own perturbation: any callable from images to images."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from spectrobe.errors import InputError
from spectrobe.perturbations.base import Perturbation

_OFFERED = ("labels", "ids", "seed")


def as_perturbation(obj: Any, name: str | None = None) -> Perturbation:
    """Make a Perturbation of a callable (x) -> x, or of one that also names any of labels, ids, seed; one stays itself.

    x: float32 (N, C, H, W) in [0, 1]; the result has the same shape and is cut to [0, 1]. name: what results call it,
    by default the callable's own name. Raises InputError for what cannot be called with images alone.
    """
    if isinstance(obj, Perturbation):
        return obj
    if not callable(obj):
        raise InputError(
            f"expected a perturbation or a callable (images) -> images, got {type(obj).__name__}: "
            "names go through perturbation(name, ...)"
        )
    return OwnPerturbation(obj, name)


class OwnPerturbation(Perturbation):
    """A callable as a perturbation; of labels, ids and seed it is given those that its signature names."""

    def __init__(self, function: Callable[..., Any], name: str | None = None) -> None:
        self.function = function
        self.name = name or str(getattr(function, "__name__", type(function).__name__))
        self._wants = _wanted(function, self.name)

    @property
    def settings(self) -> dict[str, object]:
        return {}

    def _perturb(self, x: Tensor, labels: Tensor | None, ids: Sequence[str], seed: int) -> Tensor:
        offered = {"labels": labels, "ids": ids, "seed": seed}
        y = self.function(x.clone(), **{key: offered[key] for key in self._wants})
        if not isinstance(y, Tensor) or y.is_complex():
            got = y.dtype if isinstance(y, Tensor) else type(y).__name__
            raise InputError(f"{self.name} expected to return a real tensor of images like its input, got {got}")
        return y.detach().to(x.device, torch.float32)


def _wanted(function: Callable[..., Any], name: str) -> tuple[str, ...]:
    # A module's __call__ takes anything; its forward says what it takes.
    try:
        signature = inspect.signature(function.forward if isinstance(function, torch.nn.Module) else function)
    except (TypeError, ValueError):  # some builtins have no signature: images alone
        return ()
    parameters = list(signature.parameters.values())
    positional = (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.VAR_POSITIONAL,
    )
    if not parameters or parameters[0].kind not in positional:
        raise InputError(f"expected {name} to take images as its first argument, got {name}{signature}")
    rest = parameters[1:]
    by_keyword = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    wanted = tuple(p.name for p in rest if p.name in _OFFERED and p.kind in by_keyword)
    unmet = [
        p.name
        for p in rest
        if p.default is inspect.Parameter.empty
        and p.name not in wanted
        and p.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    ]
    if unmet:
        raise InputError(
            f"expected a perturbation (images) -> images, optionally with labels, ids and seed; {name}{signature} also "
            f"needs {', '.join(unmet)}: fix them, with functools.partial for instance"
        )
    return wanted
