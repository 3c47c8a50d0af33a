"""Classes by name: the model's, the data set's, ImageNet's in words, or numbers."""

from __future__ import annotations

from collections import Counter
from importlib.util import find_spec

from spectrobe.data.base import ImageData
from spectrobe.data.labels import imagenet_wordnet_ids, is_wordnet_id
from spectrobe.models.base import Model


def class_names(model: Model | None, data: ImageData, n_classes: int) -> list[str]:
    """A name for every class index: the model's, the data set's, or "class 7".

    WordNet ids become words where timm, which has a table of them, is installed.
    """
    names = (model.class_names if model else None) or data.class_names or _imagenet_ids(model, n_classes)
    if names is None or len(names) != n_classes:
        return [f"class {index}" for index in range(n_classes)]
    return _in_words(list(names)) if all(map(is_wordnet_id, names)) else list(names)


def _imagenet_ids(model: Model | None, n_classes: int) -> tuple[str, ...] | None:
    """ImageNet's, for the pretrained weights of the demo and of timm, whose 1,000 classes are ImageNet's."""
    if model is None:
        return None
    notes = getattr(model, "notes", ("unknown",))  # a checkpoint of the user's, or random weights, leave a note
    pretrained = model.name.startswith(("demo:", "timm:")) and not notes
    return imagenet_wordnet_ids() if pretrained and n_classes == len(imagenet_wordnet_ids()) else None


def _in_words(ids: list[str]) -> list[str]:
    if find_spec("timm") is None:
        return ids
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    known = set(info.label_names())
    words = [info.label_name_to_description(i, detailed=False).split(", ")[0] if i in known else i for i in ids]
    twice = {word for word, count in Counter(words).items() if count > 1}
    return [f"{word} ({i})" if word in twice else word for word, i in zip(words, ids, strict=True)]
