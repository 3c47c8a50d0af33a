"""The committed zoo: small CIFAR-10 classifiers of several recipes, `demo:zoo/NAME`, weights held by their hash.

They come with the repository, not with the package: twelve megabytes that few installations need.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from spectrobe.errors import InputError
from spectrobe.models.adapter import agreed_classes
from spectrobe.models.base import Model
from spectrobe.models.messages import nearest
from spectrobe.models.module import ModuleModel
from spectrobe.models.options import ModelOptions, Preprocessing, crop_geometry
from spectrobe.models.zoo_networks import NETWORKS

MANIFEST = "manifest.json"
FOLDER_VARIABLE = "SPECTROBE_ZOO"
PREFIX = "zoo/"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def open_zoo(target: str, options: ModelOptions) -> Model:
    """`demo:zoo/NAME`; `?folder=FOLDER` says where the zoo lies.

    Raises InputError: no zoo there, an unknown name, weights that are not the manifest's.
    """
    name = target.removeprefix(PREFIX)
    folder = zoo_folder(options.extra.get("folder"))
    entries = read_manifest(folder)
    if name not in entries:
        raise InputError(
            f"unknown model {name!r} of the zoo in {folder}, known are {', '.join(entries)}{nearest(name, entries)}"
        )
    module = NETWORKS[entries[name]["architecture"]]()
    module.load_state_dict(_weights(folder, entries[name]))
    own = Preprocessing(crop_geometry((32, 32))).overridden(options)
    return ModuleModel(
        module.eval().to(options.device or "cpu"),
        f"demo:{target}",
        own,
        agreed_classes(f"demo:{target}", options.num_classes, len(CLASSES)),
        options.class_names or CLASSES,
    )


def zoo_folder(given: str | os.PathLike[str] | None = None) -> Path:
    """The zoo's folder: the one given, else SPECTROBE_ZOO's, else the repository's. InputError where there is none."""
    said = given or os.environ.get(FOLDER_VARIABLE)
    folder = Path(said).expanduser() if said else Path(__file__).resolve().parents[3] / "zoo"
    if not (folder / MANIFEST).is_file():
        where = f"there is none in {folder}" if said else "this installation has none"
        raise InputError(
            f"expected the zoo's folder with {MANIFEST}, {where}: it comes with spectrobe's repository, not with the "
            f"package; clone that, and give demo:zoo/NAME?folder=FOLDER or set {FOLDER_VARIABLE}"
        )
    return folder


def read_manifest(folder: Path) -> dict[str, dict[str, Any]]:
    """Name -> what the manifest says of the model. InputError for a damaged one."""
    try:
        entries = json.loads((folder / MANIFEST).read_text())["models"]
        for entry in entries.values():
            if entry["architecture"] not in NETWORKS or not entry["sha256"]:
                raise ValueError(f"unknown architecture {entry['architecture']!r}")
            if Path(entry["file"]).name != entry["file"]:
                raise ValueError(f"a file outside the folder: {entry['file']!r}")
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{folder / MANIFEST} is damaged ({error!r}): take it from the repository anew") from None
    return dict(entries)


def _weights(folder: Path, entry: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Stored as float16, used as float32; InputError when the file is missing or not the manifest's."""
    from safetensors.torch import load

    path = folder / entry["file"]
    if not path.is_file():
        raise InputError(f"expected the weights in {path}, there is no such file: take it from the repository anew")
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != entry["sha256"]:
        raise InputError(
            f"{path} is not the file of the manifest: its SHA-256 is {found[:12]}..., expected "
            f"{entry['sha256'][:12]}...: take it from the repository anew"
        )
    return {key: tensor.float() if tensor.is_floating_point() else tensor for key, tensor in load(content).items()}
