"""What is wrong with a data set before a model sees it, and what is merely odd."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spectrobe.data.base import ImageData
from spectrobe.data.digests import content_digest as content_digest
from spectrobe.errors import InputError


def check_data(data: ImageData, n_classes: int | None) -> list[str]:
    """Warnings about `data`; raises InputError for what no study can work with.

    Fatal: fewer than 2 images, ids that repeat, labels outside the model's classes.
    """
    if len(data) < 2:
        raise InputError(f"expected at least 2 images, got {len(data)} in {data.name}: intervals need several")
    if len(set(data.ids)) != len(data):
        repeated = next(name for name in data.ids if data.ids.count(name) > 1)
        raise InputError(f"expected ids that differ, got {repeated!r} more than once in {data.name}")
    if data.labels is None:
        return []
    if data.labels.shape != (len(data),):
        raise InputError(f"expected {len(data)} labels, one an image, got shape {data.labels.shape}")
    _refuse_out_of_range(data, data.labels, n_classes)
    classes = np.unique(data.labels)
    if len(classes) == 1:  # fatal for the values that score labels, sound for --value agreement: the study knows which
        return [
            f"all {len(data)} images of {data.name} are of class {classes[0]}: any constant output is right on them"
        ]
    if n_classes is not None and len(classes) < n_classes and len(data) >= 20 * n_classes:
        return [f"only {len(classes)} of the model's {n_classes:,} classes occur among {len(data):,} images"]
    return []


def duplicate_warning(
    ids: Sequence[str], digests: Sequence[str], labels: Sequence[int] | np.ndarray | None = None
) -> str | None:
    """One line on images whose `content_digest` is the same, naming two of them; None when there are none.

    labels: one an image, where there are any: pairs that contradict each other are singled out.
    """
    first: dict[str, int] = {}
    extra = [(first[digest], i) for i, digest in enumerate(digests) if first.setdefault(digest, i) != i]
    if not extra:
        return None
    one, other = extra[0]
    said = (
        f"{len(extra)} of {len(ids)} images repeat another one pixel for pixel (such as {ids[other]}, equal to "
        f"{ids[one]}): intervals count them as independent and come out too narrow"
    )
    contrary = [] if labels is None else [(i, j) for i, j in extra if labels[i] != labels[j]]
    if not contrary or labels is None:
        return said
    one, other = contrary[0]
    return said + (
        f"; {len(contrary)} of them have another label than the image they repeat (such as {ids[other]}, of class "
        f"{labels[other]}, and {ids[one]}, of class {labels[one]}): one of the two must be wrong"
    )


def _refuse_out_of_range(data: ImageData, labels: np.ndarray, n_classes: int | None) -> None:
    outside = labels < 0 if n_classes is None else (labels < 0) | (labels >= n_classes)
    if outside.any():
        index = int(np.argmax(outside))
        label = int(labels[index])
        upto = "" if n_classes is None else f" to {n_classes - 1}"
        name = data.class_names[label] if data.class_names and 0 <= label < len(data.class_names) else ""
        named = f" ({name})" if name else ""
        more = f" ({int(outside.sum())} images in all)" if outside.sum() > 1 else ""
        raise InputError(
            f"image {data.ids[index]} of {data.name} has label {label}{named}, expected 0{upto}{more}: "
            "do data and model have the same classes? --class-map translates"
        )
