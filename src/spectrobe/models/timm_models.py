"""Adapter for timm: `timm:NAME`; size, crop, interpolation and normalisation are those of timm's own configuration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import nn

from spectrobe.errors import InputError, MissingExtraError
from spectrobe.models.adapter import agreed_classes
from spectrobe.models.base import Geometry, Model
from spectrobe.models.checkpoints import load_checkpoint
from spectrobe.models.messages import nearest
from spectrobe.models.module import ModuleModel
from spectrobe.models.options import ModelOptions, Preprocessing
from spectrobe.models.random_weights import NOTE, fixed_seed
from spectrobe.models.registry import Scheme
from spectrobe.models.weight_files import refused_pickle
from spectrobe.remote import unlogged
from spectrobe.texts import first_line


def timm_preprocessing(name: str, config: Mapping[str, Any]) -> Preprocessing:
    """What timm's `resolve_data_config` says, in our words; raises InputError for crop modes that pad."""
    channels, height, width = config["input_size"]
    if config["crop_mode"] not in ("center", "squash"):
        raise InputError(f"timm:{name} pads its images (crop mode {config['crop_mode']}), which spectrobe does not do")
    scaled = math.floor(height / config["crop_pct"]), math.floor(width / config["crop_pct"])
    resize = scaled if config["crop_mode"] == "squash" else max(scaled)
    geometry = Geometry((height, width), resize, config["interpolation"], channels=channels)
    return Preprocessing(geometry, tuple(config["mean"]), tuple(config["std"]))


def _open(name: str, options: ModelOptions) -> Model:
    try:
        import timm
    except ImportError:
        raise MissingExtraError("timm", "timm", f"timm:{name}") from None
    _refuse_unknown(name)
    # A transformer's position table has to be made for the size asked for; timm resamples pretrained ones.
    config = timm.models.get_pretrained_cfg(name, allow_unregistered=True)
    fixed = config is not None and config.fixed_input_size
    sized = {"img_size": options.size} if fixed and isinstance(options.size, tuple) else {}
    module = _create(name, options, sized)
    preprocessing = timm_preprocessing(name, timm.data.resolve_data_config(model=module)).overridden(options)
    notes: tuple[str, ...] = () if options.pretrained else (NOTE,)
    if options.checkpoint is not None:
        notes = load_checkpoint(module, options.checkpoint, f"timm:{name}", options.num_classes, options.allow_pickle)
    module.to(options.device or "cpu")
    classes = agreed_classes(f"timm:{name}", options.num_classes, module.num_classes)
    return ModuleModel(module, f"timm:{name}", preprocessing, classes, options.class_names, notes, ("torch", "timm"))


def _create(name: str, options: ModelOptions, sized: Mapping[str, Any]) -> Any:
    import timm

    pretrained = options.pretrained and options.checkpoint is None
    if not pretrained:
        classes = {} if options.num_classes is None else {"num_classes": options.num_classes}
        with fixed_seed():
            module = timm.create_model(name, pretrained=False, **classes, **sized)
    else:
        config = timm.models.get_pretrained_cfg(name, allow_unregistered=True)
        if options.num_classes is not None and config is not None and config.num_classes != options.num_classes:
            raise InputError(
                f"timm:{name}: expected num_classes={config.num_classes}, the pretrained head's, "
                f"got {options.num_classes}: give ?checkpoint=FILE with it"
            )
        try:
            with unlogged("huggingface_hub"):
                module = timm.create_model(name, pretrained=True, **sized)
        except Exception as error:  # hub, network, cache and weight errors have no common base
            raise refused_pickle(f"timm:{name}", error) or InputError(
                f"timm:{name}: the pretrained weights could not be loaded ({first_line(error)}): "
                f"give your own, ?checkpoint=FILE, or go without, ?pretrained=false"
            ) from error
    if not isinstance(module, nn.Module) or not getattr(module, "num_classes", 0):
        raise InputError(
            f"timm:{name} has no classifier (num_classes 0): give ?checkpoint=FILE&num_classes=K, or another name"
        )
    return module


def _refuse_unknown(name: str) -> None:
    import timm

    if ":" in name:  # hf-hub:..., local-dir:... are timm's own schemes
        return
    base, _, tag = name.partition(".")
    if not timm.is_model(base):
        raise InputError(f"timm has no model {name!r}{nearest(base, timm.list_models())}")
    tagged = timm.list_models(f"{base}.*", pretrained=True)
    if tag and name not in tagged:
        raise InputError(f"timm has no weights {name!r}{nearest(name, tagged)}")


SCHEME = Scheme(_open, options=("checkpoint", "pretrained"), example="timm:resnet50.a1_in1k")
