"""Map-style torch Datasets: items (image, label), an image alone, or dicts; an image is a Pillow image or a tensor."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from spectrobe.data.base import DataOptions, ImageData, identity_of
from spectrobe.data.columns import IMAGE_NAMES, LABEL_NAMES
from spectrobe.data.decode import check_geometry, decode_image, decoder_settings
from spectrobe.data.labels import map_numbers
from spectrobe.data.tensors import as_given, check_range
from spectrobe.errors import BadImageError, InputError
from spectrobe.models.base import Geometry

_PROBED = 3
_TUPLE_FORM = "items (image, label), an image alone, or a dict of the two"


class TorchData(ImageData):
    """A map-style Dataset, loaded item by item; Pillow images are resized as files are, tensors are used as given."""

    def __init__(self, dataset: Any, options: DataOptions) -> None:
        options.refuse("a torch Dataset", "split")
        self._dataset, self._options = dataset, options
        self.name = type(dataset).__name__
        if not len(dataset):
            raise InputError(f"the Dataset {self.name} is empty")
        self.ids = tuple(map(str, range(len(dataset))))
        self.class_names = options.class_names
        probed = self._probe()
        images = [image for image, _ in probed.values()]
        self._images_are_files = isinstance(images[0], Image.Image)
        self._first_images = _digest(images)
        if _digest([self._item(index)[0] for index in probed]) != self._first_images:
            raise InputError(
                f"the Dataset {self.name} gives another image each time an item is fetched (random augmentation?): "
                "give it with the evaluation transform"
            )
        self.labels, self._how_labelled = self._read_labels({index: label for index, (_, label) in probed.items()})
        if self.labels is None:
            self.unlabelled_because = f"the items of the Dataset {self.name} hold no label"

    def pixels(self, index: int, geometry: Geometry) -> Tensor:
        """Image `index` as float32 (C, H, W). Raises BadImageError when it cannot be read."""
        image, _ = self._item(index)
        if isinstance(image, Image.Image):
            return decode_image(image, geometry, self.ids[index])
        what = f"item {index} of the Dataset {self.name}"
        check_range(image, what)
        return as_given(image, geometry, what)

    def identity(self) -> Mapping[str, Any]:
        """Class name, count, digest of ids and labels, and of the first images: ids that only count say nothing."""
        return identity_of(self, how_labelled=self._how_labelled, first_images=self._first_images)

    def loader_settings(self, geometry: Geometry) -> Mapping[str, Any]:
        """How Pillow images were resized; tensors are given as they are."""
        if not self._images_are_files:
            return super().loader_settings(geometry)
        check_geometry(geometry)
        return {**decoder_settings(geometry), "codec": None, "note": "decoded by the Dataset"}

    def _probe(self) -> dict[int, tuple[Image.Image | Tensor, object]]:
        """The first few items that can be read, by number."""
        found: dict[int, tuple[Image.Image | Tensor, object]] = {}
        first_error: BadImageError | None = None
        for index in range(len(self)):
            try:
                found[index] = self._item(index)
            except BadImageError as error:
                first_error = first_error or error
            if len(found) == _PROBED:
                break
        if not found and first_error is not None:
            raise first_error
        return found

    def _item(self, index: int) -> tuple[Image.Image | Tensor, object]:
        """Image and label (None where there is none) of item `index`."""
        try:
            item = self._dataset[index]
        except OSError as error:  # what Pillow raises for files it cannot read; other errors are the Dataset's own
            reason = " ".join(str(error).split()) or type(error).__name__
            raise BadImageError(self.ids[index], f"the Dataset cannot read it ({reason})") from error
        image, label = self._split_item(item)
        if isinstance(image, Image.Image) or (isinstance(image, Tensor) and image.ndim == 3 and image.numel()):
            return image, label
        got = f"a tensor of shape {tuple(image.shape)}" if isinstance(image, Tensor) else type(image).__name__
        raise InputError(
            f"expected a Pillow image or a tensor (C, H, W) in item {index} of the Dataset {self.name}, got {got}: "
            f"expected {_TUPLE_FORM}"
        )

    def _split_item(self, item: object) -> tuple[object, object]:
        if isinstance(item, Mapping):
            image = _key(item, self._options.image_column, IMAGE_NAMES, "image_column")
            if image is None:
                raise InputError(f"expected an image among the keys {', '.join(map(str, item))}: give image_column")
            label = _key(item, self._options.label_column, LABEL_NAMES, "label_column")
            return item[image], None if label is None else item[label]
        self._options.refuse("a Dataset whose items are not dicts", "image_column", "label_column")
        if isinstance(item, tuple | list):
            if len(item) not in (1, 2):
                raise InputError(f"expected {_TUPLE_FORM} from the Dataset {self.name}, got {len(item)} parts")
            return item[0], item[1] if len(item) == 2 else None
        return item, None

    def _read_labels(self, probed: Mapping[int, object]) -> tuple[np.ndarray | None, str | None]:
        if not self._options.labelled or all(label is None for label in probed.values()):
            self._options.refuse("a Dataset without labels", "class_map")
            return None, None
        values = _targets(self._dataset, len(self))
        # What the Dataset stores is believed only where items agree: a target_transform may stand in between.
        known = {index: _as_int(label, index) for index, label in probed.items()}
        if values is None or any(values[index] != label for index, label in known.items()):
            # An item that cannot be read has no label to tell: any that occurs will do, as its pixels never come.
            stand_in = next(iter(known.values()))
            values = [self._label_or(stand_in, index) for index in range(len(self))]
        mapped, how = map_numbers(values, self._options)
        return np.asarray(mapped, dtype=np.int64), how

    def _label_or(self, stand_in: int, index: int) -> int:
        try:
            return _as_int(self._item(index)[1], index)
        except BadImageError:
            return stand_in


def _key(item: Mapping[Any, object], wanted: str | None, usual: tuple[str, ...], option: str) -> str | None:
    if wanted is not None and wanted not in item:
        raise InputError(
            f"{option}={wanted!r} is not among the keys of the Dataset's items: {', '.join(map(str, item))}"
        )
    return wanted or next((name for name in usual if name in item), None)


def _targets(dataset: Any, count: int) -> list[int] | None:
    """Labels without decoding a single image, as torchvision's Datasets and Subsets of them store them."""
    if isinstance(dataset, torch.utils.data.Subset):
        inner = _targets(dataset.dataset, len(dataset.dataset))  # type: ignore[arg-type]  # one that is counted
        return None if inner is None else [inner[index] for index in dataset.indices]
    stored = getattr(dataset, "targets", None)
    if getattr(dataset, "target_transform", None) is not None or not isinstance(stored, Sequence | Tensor | np.ndarray):
        return None
    array = np.asarray(stored.cpu() if isinstance(stored, Tensor) else stored)
    if array.shape != (count,) or not np.issubdtype(array.dtype, np.integer):
        return None
    return [int(value) for value in array]


def _as_int(label: object, index: int) -> int:
    if isinstance(label, Tensor | np.ndarray) and label.ndim == 0:
        label = label.item()
    if isinstance(label, bool) or not isinstance(label, int | np.integer):
        raise InputError(f"expected a class index as label of item {index} of the Dataset, got {label!r:.80}")
    return int(label)


def _digest(images: Sequence[Image.Image | Tensor]) -> str:
    digest = hashlib.sha256()
    for image in images:
        if isinstance(image, Image.Image):
            digest.update(f"{image.mode} {image.size}".encode() + image.tobytes())
        else:
            digest.update(f"{image.dtype} {tuple(image.shape)}".encode())
            digest.update(image.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
