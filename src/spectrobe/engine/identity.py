"""Whether a run folder holds this very run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spectrobe.errors import RunFolderError


def refuse_other(begun: Mapping[str, Any], wanted: Mapping[str, Any], folder: str) -> None:
    """Raise RunFolderError, naming up to three differences, unless both identities are equal."""
    found = [f"{path}: there {was!r}, now {now!r}" for path, was, now in differing(begun, wanted)]
    if found:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise RunFolderError(
            f"{folder} holds a run of other settings ({'; '.join(found[:3])}{more}): "
            "choose another --out, or repeat that call"
        )


def differing(a: Any, b: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Where two JSON-able descriptions differ: (dotted path, value in a, value in b)."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        found = []
        for key in {**a, **b}:
            found += differing(a.get(key), b.get(key), f"{path}.{key}" if path else str(key))
        return found
    return [] if a == b else [(path, a, b)]
