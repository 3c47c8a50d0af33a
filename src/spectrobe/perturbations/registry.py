"""The table of perturbations: name -> builder. A new corruption or attack adds one `register` call beside its code."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from spectrobe.errors import InputError
from spectrobe.perturbations.base import Perturbation
from spectrobe.plugins import check_name, load_plugin, plugin_names

Builder = Callable[..., Perturbation]

ENTRY_POINTS = "spectrobe.perturbations"


@dataclass(frozen=True)
class Entry:
    """One row of the table.

    builder: called with the settings as keywords, returns a Perturbation.    kind: "corruption", "attack", "noise", ...
    summary: one line for `spectrobe list perturbations`.    needs_model: the builder takes `model=`.
    """

    name: str
    builder: Builder
    kind: str
    summary: str
    needs_model: bool


_TABLE: dict[str, Entry] = {}


def register(
    name: str, builder: Builder, *, kind: str = "corruption", summary: str = "", needs_model: bool = False
) -> None:
    """Add `name` to the table of perturbations; InputError when it is taken by another builder.

    `builder(**settings)` returns a Perturbation; with `needs_model` it also takes `model=`. Settings that its signature
    does not name are refused before it is called. Other people's packages use the entry-point group
    "spectrobe.perturbations" (name = builder) instead and need not call this.
    """
    if not name or any(character in name for character in ",:;= \t\n"):
        raise InputError(f"expected a perturbation's name without spaces, commas, colons or '=', got {name!r}")
    if name in _TABLE and _TABLE[name].builder is not builder:
        raise InputError(f"the name {name!r} is taken by another perturbation: choose another")
    if not summary:
        summary = (inspect.getdoc(builder) or "").partition("\n")[0]
    _TABLE[name] = Entry(name, builder, kind, summary, needs_model)


def names() -> tuple[str, ...]:
    """Every known name: those of this package in the order they were registered, then other packages' entry points."""
    return tuple(dict.fromkeys([*_TABLE, *plugin_names(ENTRY_POINTS)]))


def attacks_a_model(name: str) -> bool:
    """Whether a perturbation of spectrobe's own, or one that is loaded already, needs a model; nothing is imported."""
    entry = _TABLE.get(name)
    return entry is not None and entry.needs_model


def lookup(name: str) -> Entry:
    """The table's row for `name`; InputError with the nearest names when there is none."""
    if check_name(name, "a perturbation") not in _TABLE:
        found = load_plugin(ENTRY_POINTS, name, "perturbation")
        if found is None:
            raise unknown("perturbation", name, names())
        if not callable(found):
            raise InputError(f"expected the perturbation {name!r} to be a class or a function, got {found!r:.80}")
        register(name, found, kind="entry point")
    return _TABLE[name]


def build(name: str, **settings: Any) -> Perturbation:
    """Build the perturbation `name` from its settings; InputError for an unknown name or setting."""
    entry = lookup(name)
    parameters = inspect.signature(entry.builder).parameters
    if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        for setting in settings:
            if setting not in parameters:
                raise unknown(f"setting of {name}", setting, tuple(parameters))
    missing = [
        p.name
        for p in parameters.values()
        if p.default is inspect.Parameter.empty
        and p.kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        and p.name not in settings
    ]
    if missing:
        raise InputError(f"{name} needs {', '.join(missing)}: give {', '.join(f'{m}=...' for m in missing)}")
    return entry.builder(**settings)


def unknown(what: str, got: str, known: tuple[str, ...]) -> InputError:
    """The error for a name that is not among `known`: the nearest ones, or all of them when there are few."""
    near = difflib.get_close_matches(got, known, n=3, cutoff=0.5)
    if near:
        hint = f"did you mean {' or '.join(near)}?"
    elif len(known) <= 12:
        hint = f"known: {', '.join(known) or 'none'}"
    else:
        hint = "`spectrobe list perturbations` shows all"
    return InputError(f"unknown {what}: {got!r}; {hint}")
