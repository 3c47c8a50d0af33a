"""The stored images of a run: leaves of a tree, a second folder; opened, and paired with the clean images."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spectrobe.data import open_data
from spectrobe.data.base import ImageData
from spectrobe.data.pairs import lossy_codecs, lossy_warning, perturbed_name
from spectrobe.errors import InputError
from spectrobe.models.base import Geometry
from spectrobe.studies.robustness.conditions import Item
from spectrobe.studies.robustness.folders import StoredImages, fitting_geometry, native_size, pair, tree_folders


@dataclass(frozen=True)
class _Leaf:
    """One set of stored images: its condition's name, family and severity (None for a folder that is no tree)."""

    name: str
    family: str
    severity: int | None
    data: ImageData


@dataclass(frozen=True)
class StoredSets:
    """All of them; failed: name -> why a set could not be opened."""

    leaves: tuple[_Leaf, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def warnings(self) -> list[str]:
        """What to know of the files: a lossy codec took away some of what it was to keep."""
        lossy = sorted({codec for leaf in self.leaves for codec in lossy_codecs(leaf.data)})
        return [lossy_warning(lossy)] if lossy else []

    def base(self, geometry: Geometry) -> tuple[ImageData, Geometry]:
        """What stands in for the clean images where there are none: ids and labels of the fullest leaf."""
        if not self.leaves:
            why = "; ".join(f"{name}: {reason}" for name, reason in self.failed.items())
            raise InputError(f"expected clean images (DATA), or a tree of perturbed ones{': ' + why if why else ''}")
        fullest = max(self.leaves, key=lambda leaf: len(leaf.data)).data
        return fullest, fitting_geometry(fullest, fullest.name, 0, None, geometry)

    def paired(
        self, base: ImageData, order: np.ndarray, geometry: Geometry, clean: bool, loading: Mapping[str, Any]
    ) -> tuple[list[Item], dict[str, str]]:
        """An item for each set that holds the images of the run, and why the others do not."""
        positions = [int(p) for p in order]
        items: list[Item] = []
        failed = dict(self.failed)
        for leaf in self.leaves:
            skip = loading["on_bad_image"] == "skip"
            try:
                # of a tree, a severity that lacks images is left out as a whole: the others are measured on all images
                partner = pair(base, positions, leaf.data, leaf.name, skip if leaf.severity is None else None)
                first = next(p for p in positions if base.ids[p] in partner)
                size = native_size(base, first, geometry) if clean and geometry.size is not None else None
                number = partner[base.ids[first]]
                fitted = fitting_geometry(leaf.data, leaf.name, number, size, geometry) if clean else geometry
            except InputError as error:
                failed[leaf.name] = str(error)
                continue
            stored = StoredImages(leaf.name, leaf.data, partner, fitted, loading["workers"], skip=skip)
            items.append(Item(stored.condition(leaf.family, leaf.severity), stored, 1))
        return items, failed


def open_stored(
    tree: str | os.PathLike[str] | None,
    against: Any,
    clean: ImageData | None,
    known: Mapping[str, Any],
    columns: Mapping[str, Any],
) -> StoredSets:
    """Open the leaves of a tree, and a second data set, with what `open_data` is told of classes and columns."""
    leaves: list[_Leaf] = []
    failed: dict[str, str] = {}
    if tree is not None:
        for (corruption, severity), folder in tree_folders(tree).items():
            name = f"{corruption}:{severity}"
            try:
                leaves.append(_Leaf(name, corruption, severity, _opened(folder, clean, known)))
            except InputError as error:
                failed[name] = str(error)
    if against is not None:
        data = _opened(against, clean, {**known, **columns})
        name = data.name if clean is None else perturbed_name(against, data, clean)
        leaves.append(_Leaf(name, name, None, data))
    return StoredSets(tuple(leaves), failed)


def _opened(data: Any, clean: ImageData | None, known: Mapping[str, Any]) -> ImageData:
    """With labels, to be compared with the clean ones; without where theirs cannot be told and the clean images'
    are enough, such as in folders that lack a class.
    """
    try:
        return open_data(data, **known)
    except InputError:
        if clean is None:
            raise
        return open_data(data, **{**known, "class_map": None}, labelled=False)
