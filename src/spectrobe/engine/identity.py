"""Whether a run folder holds this very run, and if not, in words, what is different."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from spectrobe.bands import BandPartition
from spectrobe.errors import InputError, RunFolderError

Path = tuple[str, ...]
Difference = tuple[Path, Any, Any]
"""Where two descriptions differ, the value there, the value now."""

_MOST_NAMED, _MOST_LETTERS = 3, 60
_DIGEST = re.compile(r"[0-9a-f]{16,}(-[0-9a-f]{16,})*")

_OTHER_FILES = "images were added, removed, renamed or relabelled, or their files have other sizes"
_CHANGED = {
    "weights_sha256": "the weights of the model are others",
    "answers": "the model answers the same images otherwise",
    "digest": _OTHER_FILES,
    "data_digest": _OTHER_FILES,
    "pixels": "pixels are others",
    "first_images": "the first images are others",
    "pairs": "images are paired otherwise",
}
"""Last key -> what a difference means, where the values say nothing to anybody."""

_WORDS: dict[Path, str] = {
    ("settings", "model_name"): "model",
    ("settings", "data_name"): "data",
    ("settings", "image_size"): "image size",
    ("model", "name"): "model",
    ("data", "name"): "data",
    ("data", "images"): "number of images",
    ("data", "labels"): "how labels were found",
    ("loader", "on_bad_image"): "on_bad_image",
}
"""What people call it; everything else is called by the end of its path."""


def refuse_other(
    begun: Mapping[str, Any], wanted: Mapping[str, Any], folder: str, about_images: Sequence[str] = ()
) -> None:
    """Raise RunFolderError, naming up to three differences in words, unless both identities are equal.

    about_images: what is known of images added, removed or relabelled; it stands in for digests that differ.
    """
    found = differing(begun, wanted)
    follow = [path for path, _, _ in found if _says_which_images(path)]
    if any(path[-1] == "images" for path in follow):  # so that pixels, and what was made from them, are others
        follow += [path for path, _, _ in found if follows_from_images(path)]
    rest = [_phrase(*one) for one in found if not (about_images and one[0] in follow)]
    images_differ = bool(follow) or not found  # not where a setting alone chose other ones
    told = list(dict.fromkeys([*(about_images if images_differ else ()), *rest]))
    if told:
        more = f" and {len(told) - _MOST_NAMED} more" if len(told) > _MOST_NAMED else ""
        raise RunFolderError(
            f"{folder} holds a run of other settings ({'; '.join(told[:_MOST_NAMED])}{more}): "
            "choose another --out, or repeat that call"
        )


def differing(a: Any, b: Any, path: Path = ()) -> list[Difference]:
    """Where two JSON-able descriptions differ.

    Bands differ as a whole; lists of things that have names (perturbations) differ by name, and in their order.
    """
    if a == b:
        return []
    if path[-1:] == ("bands",):
        return [(path, a, b)]
    if _have_names(a) and _have_names(b):
        a, b = _by_name(a), _by_name(b)
        if list(a) != list(b) and set(a) == set(b):
            return [(path, list(a), list(b))]
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return [one for key in {**a, **b} for one in differing(a.get(key), b.get(key), (*path, str(key)))]
    return [(path, a, b)]


def images_in_words(
    was: Sequence[str], now: Sequence[str], labels_were: Sequence[int] | None, labels: Sequence[int] | None
) -> list[str]:
    """Which images of a run were added, removed or relabelled since: a phrase each, the first ones by name."""
    before, after = set(was), set(now)
    found = [
        *_some("added", [image for image in now if image not in before]),
        *_some("removed", [image for image in was if image not in after]),
    ]
    if labels_were is not None and labels is not None:
        old = dict(zip(was, labels_were, strict=False))
        pairs = zip(now, labels, strict=False)
        found += _some("relabelled", [image for image, label in pairs if old.get(image, label) != label])
    return found


def first_names(images: Sequence[str]) -> str:
    """a.png, b.png, c.png and 4 more."""
    more = f" and {len(images) - _MOST_NAMED} more" if len(images) > _MOST_NAMED else ""
    return ", ".join(images[:_MOST_NAMED]) + more


def _some(what: str, images: Sequence[str]) -> Iterator[str]:
    if images:
        yield f"{len(images)} image{'s' if len(images) > 1 else ''} {what}: {first_names(images)}"


def follows_from_images(path: Path) -> bool:
    """Whether a difference there is a digest that changes with the images, or is made from them."""
    made = path[0] == "data" and path[-1] in ("pixels", "first_images")
    return made or path[0] == "absence" or (_says_which_images(path) and path[-1] != "images")


def _says_which_images(path: Path) -> bool:
    return path == ("settings", "data_digest") or (path[0] == "data" and path[-1] in ("digest", "images"))


def _phrase(path: Path, was: Any, now: Any) -> str:
    if path[0] in ("perturbations", "conditions") and len(path) > 1:
        if was is None or now is None:
            return f"perturbation {path[1]} {'added' if was is None else 'removed'}"
        return f"{path[1]}: {_phrase(path[2:], was, now)}"
    if path[-1] in _CHANGED:
        return _CHANGED[path[-1]]
    if path[0] == "absence":
        return f"the absence image ({path[-1]}) is another"
    name = _WORDS.get(path) or _name(path)
    if _is_digest(was) or _is_digest(now):
        return f"{name} is another"
    if path == ("selection", "images"):
        was, now = ("all" if value is None else value for value in (was, now))
    return f"{name}: there {_told(was)}, now {_told(now)}"


def _name(path: Path) -> str:
    if path[-2:-1] == ("versions",):
        return f"version of {path[-1]}"
    rest = ".".join(path[1:])
    if path[0] in ("settings", "selection", "asked") and rest:
        return rest
    if path[0] in ("loader", "model", "data") and rest:
        return f"{rest} of the {'images' if path[0] == 'loader' else path[0]}"
    return ".".join(path)


def _told(value: Any) -> str:
    if isinstance(value, Mapping) and {"edges", "norm"} <= value.keys():
        try:
            return str(BandPartition.from_dict(value))
        except (InputError, TypeError):
            pass
    text = "none" if value is None else "all" if value == "all" else repr(value)
    return text if len(text) <= _MOST_LETTERS else f"{text[:_MOST_LETTERS]}..."


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def _have_names(value: Any) -> bool:
    titles = [_title(item) for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
    return isinstance(value, list) and all(titles) and len(set(titles)) == len(value)


def _by_name(value: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {_title(item): item for item in value}


def _title(item: Mapping[str, Any]) -> str:
    return str(item.get("name") or item.get("item") or "")
