"""Classes in words: WordNet ids, as ImageNet's models and folders number them, become what they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from spectrobe.data.labels import is_wordnet_id


def class_words(names: Sequence[str] | None, index: int) -> str:
    """The class at `index`: its first name where it has several, its number where nobody knows."""
    if names is None or not 0 <= index < len(names):
        return f"class {index}"
    name = names[index].split(",")[0]
    return _described(name) if is_wordnet_id(name) else name


@lru_cache(maxsize=4096)
def _described(wordnet_id: str) -> str:
    """What timm's table says of a WordNet id; the id itself without timm."""
    table = _table()
    return str(table.label_name_to_description(wordnet_id)).split(",")[0] if table else wordnet_id


@lru_cache(maxsize=1)
def _table() -> Any:
    try:
        from timm.data import ImageNetInfo
    except ImportError:
        return None
    return ImageNetInfo()
