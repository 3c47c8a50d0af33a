"""Commands whose options come from more than one function: typer reads them from a signature that is made here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any


def parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Arguments and options of a function, annotations evaluated."""
    return list(inspect.signature(function, eval_str=True).parameters.values())


def with_parameters(
    run: Callable[..., int], found: Sequence[inspect.Parameter], help_text: str | None
) -> Callable[..., int]:
    """`run`, which takes keywords, as a command with these arguments and options."""
    run.__doc__ = help_text
    run.__signature__ = inspect.Signature(found, return_annotation=int)  # type: ignore[attr-defined]  # what typer reads
    run.__annotations__ = {one.name: one.annotation for one in found} | {"return": int}
    return run


def taken(given: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """These options, taken out of the others."""
    return {name: given.pop(name) for name in names}
