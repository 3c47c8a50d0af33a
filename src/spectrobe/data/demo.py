"""The 20 ImageNet photographs that the package foolbox ships: real images, with labels, without a download."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

from spectrobe.data.base import DataOptions
from spectrobe.data.folder import FileData
from spectrobe.data.labels import imagenet_wordnet_ids
from spectrobe.errors import InputError, MissingExtraError

_NAME = re.compile(r"imagenet_\d\d_(\d+)\.jpg")


def open_demo(argument: str, options: DataOptions) -> FileData:
    """The demo photographs; 19 are 512 x 512, one is 1024 x 683; the class index is in the file name."""
    if argument:
        raise InputError(f"expected the data string 'demo' alone, got 'demo:{argument}'")
    options.refuse("the demo photographs", "class_map", "image_column", "label_column", "split")
    if options.n_classes not in (None, len(imagenet_wordnet_ids())):
        raise InputError(
            f"the demo photographs are of ImageNet's 1,000 classes, the model has {options.n_classes}: give other data"
        )
    root = _folder()
    paths = sorted(path for path in root.iterdir() if _NAME.fullmatch(path.name))
    if not paths:
        raise InputError("the installed foolbox holds no ImageNet photographs: pip install 'foolbox>=3.3.4'")
    return FileData(
        str(root),
        "demo",
        [path.name for path in paths],
        [path.stat().st_size for path in paths],
        [int(_NAME.sub(r"\1", path.name)) for path in paths],
        "class index in the file name",
        options.class_names or imagenet_wordnet_ids(),
    )


def _folder() -> Path:
    spec = find_spec("foolbox")  # finds the package without importing it
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError("foolbox", "demo", "the demo data")
    return Path(spec.submodule_search_locations[0], "data")
