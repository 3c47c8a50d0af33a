"""Images and labels, wherever they lie: folders, Parquet, the hub, torch Datasets, tensors, the demo photographs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from spectrobe.data.base import ClassMap, DataOptions, ImageData
from spectrobe.data.checks import check_data, content_digest, duplicate_warning
from spectrobe.data.label_noise import LabelNoise, noisy_labels, with_label_noise
from spectrobe.data.loader import load_images
from spectrobe.data.planted_images import Planted, planted
from spectrobe.data.tensors import TensorData
from spectrobe.errors import InputError
from spectrobe.plugins import load_plugin, plugin_names

__all__ = [
    "DataOptions",
    "ImageData",
    "LabelNoise",
    "Planted",
    "check_data",
    "content_digest",
    "duplicate_warning",
    "load_images",
    "noisy_labels",
    "open_data",
    "planted",
    "source_names",
    "with_label_noise",
]

Opener = Callable[[str, DataOptions], ImageData]

# Scheme -> where its opener is, loaded when used, so that plain tensors need neither Pillow nor pyarrow. An opener is
# given what follows the colon and the caller's options. Other packages add theirs as entry points of the group below.
_SOURCES = {
    "demo": "spectrobe.data.demo:open_demo",
    "digits": "spectrobe.data.digits:open_digits",
    "hf": "spectrobe.data.hf:open_hub",
    "parquet": "spectrobe.data.parquet:open_parquet",
    "planted": "spectrobe.data.planted_images:open_planted",
}
ENTRY_POINTS = "spectrobe.data"
_FORMS = "a folder, hf:NAME[:split], parquet:PATH, demo"


def open_data(
    data: object,
    *,
    n_classes: int | None = None,
    class_names: Sequence[str] | None = None,
    class_map: ClassMap | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    split: str | None = None,
    labelled: bool = True,
) -> ImageData:
    """Open any data that spectrobe takes, with labels in the model's order.

    data: an ImageData (returned as is); a pair (images (N, C, H, W) float in [0, 1] or uint8, labels (N,) integers or
        None) of tensors or numpy arrays; images alone; a map-style torch Dataset; a `datasets.Dataset`; or a string:
        a folder, `hf:NAME[:split]`, `parquet:PATH`, `demo`, or `SCHEME:...` of an installed extension.
    n_classes, class_names: the model's, which names of class folders are matched to.
    class_map: name -> class index (or name of the model's class), as a mapping or a JSON or CSV file.
    image_column, label_column: for Parquet, hub sets and Datasets of dicts.    split: where the data has several.
    labelled: False when no labels are needed: folders may then be nested as they like, and no class has to be known.

    Raises InputError saying what was expected, MissingExtraError when a library is not installed.
    """
    names = None if class_names is None else tuple(class_names)
    options = DataOptions(n_classes, names, class_map, image_column, label_column, split, labelled)
    if isinstance(data, ImageData):
        options.refuse("data that is open already", "class_map", "image_column", "label_column", "split")
        return data
    if isinstance(data, str | PathLike):
        opened = _open_string(str(fspath(data)), options)
        opened.written = str(fspath(data))
    else:
        opened = _open_object(data, options)
    opened.said = options.said
    return opened


def source_names() -> list[str]:
    """The schemes of data strings, of this package and of installed extensions."""
    return sorted({*_SOURCES, *plugin_names(ENTRY_POINTS)})


def _open_string(data: str, options: DataOptions) -> ImageData:
    if not data:
        raise InputError(f"expected a data string, got an empty one: data is {_FORMS}")
    scheme, colon, argument = data.partition(":")
    opener = None if argument.startswith("//") else _opener(scheme)
    if opener is not None:
        return opener(argument, options)
    path = Path(data)
    if path.suffix.lower() == ".parquet" and path.exists():
        raise InputError(f"{data!r} is a Parquet file: give it as parquet:{data}")
    if path.exists() or argument.startswith("//"):
        from spectrobe.data.folder import open_folder

        return open_folder(data, options)
    if colon and "/" not in scheme:
        raise InputError(f"unknown data {data!r}: expected {_FORMS}; schemes here: {', '.join(source_names())}")
    raise InputError(f"no such folder: {data!r}; data is {_FORMS}")


def _opener(scheme: str) -> Opener | None:
    if scheme in _SOURCES:
        module, _, function = _SOURCES[scheme].partition(":")
        opener: Opener = getattr(import_module(module), function)
        return opener
    found = load_plugin(ENTRY_POINTS, scheme, "data scheme")
    if found is not None and not callable(found):
        raise InputError(f"expected the data scheme {scheme!r} to be a function, got {found!r:.80}")
    return found


def _open_object(data: Any, options: DataOptions) -> ImageData:
    columns_and_split = ("image_column", "label_column", "split")
    if isinstance(data, Tensor | np.ndarray):
        options.refuse("a tensor of images", *columns_and_split)
        return TensorData(data, None, options)
    if isinstance(data, tuple | list) and len(data) == 2 and _is_array(data[0]) and data[0].ndim == 4:
        options.refuse("a pair of tensors", *columns_and_split)
        return TensorData(data[0], data[1] if options.labelled else None, options)
    if type(data).__module__.partition(".")[0] == "datasets":
        from spectrobe.data.hf import open_datasets_object

        return open_datasets_object(data, options)
    if isinstance(data, DataLoader):
        raise InputError("expected a Dataset, got a DataLoader: give loader.dataset")
    if isinstance(data, IterableDataset):
        raise InputError("expected a Dataset with item numbers, got an IterableDataset: collect its items in a list")
    if (
        isinstance(data, tuple)
        or not (hasattr(data, "__getitem__") and hasattr(data, "__len__"))
        or isinstance(data, dict)
    ):
        raise InputError(
            f"expected data to be {_FORMS}, a pair (images (N, C, H, W), labels), or a Dataset with __len__ and "
            f"__getitem__, got {_describe(data)}"
        )
    from spectrobe.data.torch_dataset import TorchData

    return TorchData(data, options)


def _is_array(value: object) -> bool:
    return isinstance(value, Tensor | np.ndarray)


def _describe(data: object) -> str:
    if isinstance(data, tuple):
        shapes = [
            f"{type(part).__name__} {tuple(part.shape)}" if _is_array(part) else type(part).__name__ for part in data
        ]
        return f"a tuple ({', '.join(shapes)})"
    return type(data).__name__
