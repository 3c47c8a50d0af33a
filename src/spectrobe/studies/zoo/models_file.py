"""MODELS.toml: which models, what they are called, which recipe they are of, and their options."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spectrobe.errors import InputError

OPTIONS = (
    "checkpoint", "num_classes", "pretrained", "mean", "std", "size", "crop", "interpolation", "class_names", "prompts",
)  # fmt: skip
_KEYS = ("model", "name", "recipe", "options")
_FORM = 'expected models = ["timm:resnet18", ...], or [[model]] tables with model = "...", name, recipe, options'


@dataclass(frozen=True)
class ZooEntry:
    """One model of a zoo. model: a model string.   options: as `open_model` takes them.   folder: of its runs."""

    model: str
    name: str
    recipe: str
    folder: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """What a zoo's folder keeps of it, JSON-able."""
        return {"folder": self.folder, "name": self.name, "recipe": self.recipe, "model": self.model}


def read_models(path: str | os.PathLike[str]) -> list[ZooEntry]:
    """The models of a TOML file, in its order.

    models = ["MODEL", ...], and [[model]] tables: model (a model string), name (default: the string), recipe (default:
    the name, a recipe of its own), options (a table of what may stand in a model string). Raises InputError.
    """
    where = os.fspath(path)
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {where!r} ({getattr(error, 'strerror', None) or error}): {_FORM}") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{where!r} is no TOML ({error}): {_FORM}") from None
    unknown = sorted(set(content) - {"models", "model"})
    if unknown:
        raise InputError(f"{where!r}: unknown key {', '.join(unknown)}: {_FORM}")
    listed = content.get("models", [])
    tables = content.get("model", [])
    if not isinstance(listed, list) or not isinstance(tables, list):
        raise InputError(f"{where!r}: {_FORM}")
    given: list[Any] = [{"model": one} if isinstance(one, str) else one for one in [*listed, *tables]]
    return zoo_entries(given, repr(where))


def zoo_entries(given: Sequence[str | Mapping[str, Any]], where: str = "the models") -> list[ZooEntry]:
    """Entries from model strings and mappings with the keys of a [[model]] table. Raises InputError."""
    found: list[ZooEntry] = []
    for number, one in enumerate(given, start=1):
        entry = _entry({"model": one} if isinstance(one, str) else one, f"{where}, model {number}")
        for other in found:
            if entry.name == other.name or entry.folder.lower() == other.folder.lower():
                raise InputError(f"{where}: two models are called {entry.name!r}: give each a name of its own")
        found.append(entry)
    if not found:
        raise InputError(f"{where}: no models: {_FORM}")
    return found


def _entry(table: Any, where: str) -> ZooEntry:
    if not isinstance(table, Mapping):
        raise InputError(f"{where}: {_FORM}")
    unknown = sorted(set(table) - set(_KEYS))
    if unknown:
        raise InputError(f"{where}: unknown key {', '.join(unknown)}; known are {', '.join(_KEYS)}")
    texts = {key: table.get(key) for key in ("model", "name", "recipe")}
    wrong = [key for key, value in texts.items() if value is not None and not (isinstance(value, str) and value)]
    if wrong or not texts["model"]:
        key = (wrong or ["model"])[0]
        raise InputError(f"{where}: expected {key} to be a text, got {texts[key]!r}")
    options = table.get("options", {})
    if not isinstance(options, Mapping) or set(options) - set(OPTIONS):
        bad = ", ".join(sorted(set(options) - set(OPTIONS))) if isinstance(options, Mapping) else repr(options)
        raise InputError(f"{where}: unknown option {bad}; known are {', '.join(OPTIONS)}")
    model = str(texts["model"])
    name = texts["name"] or model
    return ZooEntry(model, name, texts["recipe"] or name, _slug(name), dict(options))


def _slug(name: str) -> str:
    """A name as a folder's."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:100] or "model"
