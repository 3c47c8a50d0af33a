"""What a study does where nothing was said, on real images and in its demo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DEMO_DATA = "digits"
DEMO_WARNING = (
    "this is a demo: networks that train for seconds on small digits show how the study works; it never counts as "
    "evidence"
)


def is_demo(data: Any) -> bool:
    """Whether the demo was asked for."""
    return isinstance(data, str) and data == "demo"


def chosen(given: Mapping[str, Any], usual: Mapping[str, Any], demo: Mapping[str, Any] | None) -> dict[str, Any]:
    """What was given, else what the demo does (None: it is none), else what is usual."""
    default = {**usual, **(demo or {})}
    return {name: default[name] if value is None else value for name, value in given.items()}
