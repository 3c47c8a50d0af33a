"""What results have in common: nobody can change them, and they can be copied, pickled and sent to other processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any

import numpy as np


class Frozen:
    """Base of frozen dataclasses: arrays and mappings of their fields are read-only, also in copies."""

    def __post_init__(self) -> None:
        self.__setstate__({name: getattr(self, name) for name in _names(self)})

    def __getstate__(self) -> dict[str, Any]:
        """The fields, without what was worked out from them and kept."""
        return {name: _open(getattr(self, name)) for name in _names(self)}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value if name.startswith("_") else _read_only(value))


def _names(result: Any) -> list[str]:
    return [f.name for f in fields(result)]


def _read_only(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        value.setflags(write=False)
    if isinstance(value, dict):
        return MappingProxyType({name: _read_only(item) for name, item in value.items()})
    return value


def _open(value: Any) -> Any:
    """Without proxies, which cannot be copied."""
    return {name: _open(item) for name, item in value.items()} if isinstance(value, MappingProxyType) else value
