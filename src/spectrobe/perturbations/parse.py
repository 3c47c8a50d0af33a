"""Perturbations as text: `ITEM[,ITEM]`, where ITEM is `NAME[:SEVERITY|:FROM-TO][:key=value;key=value...]`.

gaussian_noise:3                      one severity
gaussian_noise:1-5, gaussian_noise    severities 1 to 5; a bare name means all five, as ImageNet-C averages them
imagenet-c:3, imagenet-c              each of the 15 at severity 3; at all five (75 perturbations)
imagenet-c-extra                      the 4 extra ones
pgd_linf:eps=4/255;steps=20           settings of an attack
pgd_linf:eps=1/255..8/255             doubles: 1/255, 2/255, 4/255, 8/255 (the end is always included)
jpeg_compression:3:quantize=true      both
band_noise:power=0.0064;band=3;bands=octaves:5
band_pgd_linf:eps=8/255;keep=0-1;bands=radial:8    a setting may hold colons, and commas before numbers (edges:0,.1,1)
"""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from torch import nn

from spectrobe.errors import InputError, MissingExtraError
from spectrobe.perturbations.base import Perturbation, written
from spectrobe.perturbations.corruptions import IMAGENET_C, IMAGENET_C_EXTRA, SEVERITIES
from spectrobe.perturbations.registry import build, lookup, names, unknown

SETS: Mapping[str, tuple[str, ...]] = {"imagenet-c": IMAGENET_C, "imagenet-c-extra": IMAGENET_C_EXTRA}

_SYNTAX = "NAME[:SEVERITY or FROM-TO][:key=value;key=value...]"
_MOST_STEPS = 64
_BETWEEN_ITEMS = re.compile(r",(?!\s*[\d.]+(?:[,:;]|\s*$))")  # a comma before a number belongs to a setting


@dataclass(frozen=True)
class PerturbationSpec:
    """A name and its settings; `build` makes the perturbation, with a model where it attacks one."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def needs_model(self) -> bool:
        """Whether `build` needs a model: attacks do."""
        return lookup(self.name).needs_model

    def build(self, model: Any = None) -> Perturbation:
        """The perturbation; InputError where it needs a model and none is given, or for settings it refuses."""
        if not self.needs_model:
            return build(self.name, **self.settings)
        if model is None:
            raise InputError(f"{self.name} needs a model to attack, got none: give model=..., or --model MODEL")
        return build(self.name, **self.settings, model=model)

    def check(self) -> None:
        """Raise InputError for settings that no model would be measured under; what `build` refuses later is the model.

        A library that is not installed is told when it is needed.
        """
        try:
            self.build(nn.Flatten() if self.needs_model else None)
        except MissingExtraError:
            return

    def __str__(self) -> str:
        """The item that the command line takes."""
        settings = ";".join(f"{key}={written(value)}" for key, value in self.settings.items() if key != "severity")
        parts = [self.name, *([str(self.settings["severity"])] if "severity" in self.settings else [])]
        return ":".join([*parts, *([settings] if settings else [])])


def parse_perturbations(text: str) -> list[PerturbationSpec]:
    """Read a list of perturbations (the syntax is at the top of this module), in the order written, duplicates dropped.

    Names and severities are checked here, everything else when a spec is built. Raises InputError naming the item.
    """
    items = [item.strip() for item in _BETWEEN_ITEMS.split(text)]
    if not any(items):
        raise InputError(f"expected at least one perturbation, {_SYNTAX}, got {text!r}")
    specs: list[PerturbationSpec] = []
    for item in items:
        for spec in _parse_item(item):
            if spec not in specs:
                specs.append(spec)
    return specs


def _parse_item(item: str) -> list[PerturbationSpec]:
    name, *rest = (part.strip() for part in item.split(":", 1))
    members = SETS.get(name, (name,))
    if name not in SETS and name not in names():
        raise unknown("perturbation", name, (*names(), *SETS))
    severities: tuple[int, ...] | None = None
    if rest and "=" not in rest[0].partition(":")[0]:
        first, *rest = (part.strip() for part in rest[0].split(":", 1))
        severities = _parse_severities(first, item)
    grid = _parse_settings(rest[0], item) if rest else {}
    specs = []
    for member in members:
        axes = dict(grid)
        if _takes(member, "severity"):
            if "severity" in axes and severities is not None:
                raise InputError(f"expected one severity, as :3 or as severity=3, got both in {item!r}")
            axes.setdefault("severity", list(severities or SEVERITIES))
            for value in axes["severity"]:
                _check_severity(value, item)
            axes = {"severity": axes.pop("severity"), **axes}
        elif severities is not None:
            raise InputError(f"{member} has no severity: expected {member}:key=value, got {item!r}")
        combinations = itertools.product(*axes.values())
        specs += [PerturbationSpec(member, dict(zip(axes, values, strict=True))) for values in combinations]
    return specs


def _takes(name: str, setting: str) -> bool:
    return setting in inspect.signature(lookup(name).builder).parameters


def _parse_severities(text: str, item: str) -> tuple[int, ...]:
    match = re.fullmatch(r"(-?\d+)(?:-(-?\d+))?", text)
    if match is None:
        raise InputError(f"expected {_SYNTAX} with severities from 1 to 5, as 3 or 1-5, got {text!r} in {item!r}")
    first, last = int(match[1]), int(match[2] or match[1])
    for severity in (first, last):
        _check_severity(severity, item)
    if first > last:
        raise InputError(f"expected severities from low to high, as 1-5, got {text!r} in {item!r}")
    return tuple(range(first, last + 1))


def _check_severity(severity: object, item: str) -> None:
    if isinstance(severity, bool) or severity not in SEVERITIES:
        raise InputError(f"expected a severity from 1 to 5, got {severity} in {item!r}")


def _parse_settings(text: str, item: str) -> dict[str, list[Any]]:
    """`key=value;key=low..high` -> the values of each key."""
    grid: dict[str, list[Any]] = {}
    for part in text.split(";"):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not (key.isidentifier() and equals and value):
            raise InputError(f"expected key=value;key=value..., got {part!r} in {item!r}")
        if "=" in value:
            raise InputError(f"expected {_SYNTAX}, got {item!r}")
        if key in grid:
            raise InputError(f"expected each setting once, got {key} twice in {item!r}")
        grid[key] = _doubled(value, item) if ".." in value else [_value(value)]
    return grid


def _value(text: str) -> Any:
    """Text -> bool, int, float (also 4/255), or the text itself."""
    lowered = text.lower()
    if lowered in ("true", "false", "none"):
        return {"true": True, "false": False, "none": None}[lowered]
    for kind in (int, float, Fraction):
        try:
            return kind(text) if kind is not Fraction else float(Fraction(text.replace(" ", "")))
        except (ValueError, ZeroDivisionError):
            continue
    return text


def _doubled(text: str, item: str) -> list[Any]:
    low, high = (_value(end.strip()) for end in text.split("..", 1))
    numbers = [end for end in (low, high) if isinstance(end, (int, float)) and not isinstance(end, bool)]
    if len(numbers) != 2 or not 0 < low <= high:
        raise InputError(f"expected a range of positive numbers low..high, as 1/255..8/255, got {text!r} in {item!r}")
    values = [low]
    while values[-1] * 2 < high * (1 - 1e-9):
        if len(values) == _MOST_STEPS:
            raise InputError(f"expected at most {_MOST_STEPS} doublings, got more in {item!r}")
        values.append(values[-1] * 2)
    return values if low == high else [*values, high]
