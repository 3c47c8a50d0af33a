"""Adapter for torchvision's classifiers: `torchvision:NAME`; preprocessing is that of the weights' own transforms."""

from __future__ import annotations

from contextlib import redirect_stdout
from io import StringIO
from typing import Any

from spectrobe.errors import InputError, MissingExtraError
from spectrobe.models.base import Geometry, Model
from spectrobe.models.checkpoints import load_checkpoint
from spectrobe.models.messages import nearest
from spectrobe.models.module import ModuleModel
from spectrobe.models.options import ModelOptions, Preprocessing
from spectrobe.models.random_weights import NOTE, fixed_seed
from spectrobe.models.registry import Scheme
from spectrobe.texts import first_line


def weights_preprocessing(weights: Any) -> Preprocessing:
    """What the transforms of torchvision weights do, in our words."""
    transforms = weights.transforms()
    crop, resize = list(transforms.crop_size), list(transforms.resize_size)
    geometry = Geometry(
        size=(crop[0], crop[-1]),
        resize=resize[0] if len(resize) == 1 else (resize[0], resize[1]),
        interpolation=transforms.interpolation.value,
        antialias=bool(transforms.antialias),
    )
    return Preprocessing(geometry, tuple(transforms.mean), tuple(transforms.std))


def _open(name: str, options: ModelOptions) -> Model:
    weights = _weights(name, options.extra.get("weights"))
    has = len(weights.meta["categories"])
    pretrained = options.pretrained and options.checkpoint is None
    if pretrained and options.num_classes not in (None, has):
        raise InputError(
            f"torchvision:{name}: expected num_classes={has}, the pretrained head's, got {options.num_classes}: "
            f"give ?checkpoint=FILE with it"
        )
    classes = options.num_classes or has
    module = _create(name, weights if pretrained else None, classes)
    notes: tuple[str, ...] = (f"weights {weights.name}",) if pretrained else (NOTE,)
    if options.checkpoint is not None:
        notes = load_checkpoint(
            module, options.checkpoint, f"torchvision:{name}", options.num_classes, options.allow_pickle
        )
    module.to(options.device or "cpu")
    class_names = options.class_names or (tuple(weights.meta["categories"]) if pretrained else ())
    preprocessing = weights_preprocessing(weights).overridden(options)
    return ModuleModel(
        module, f"torchvision:{name}", preprocessing, classes, class_names, notes, ("torch", "torchvision")
    )


def _create(name: str, weights: Any, classes: int) -> Any:
    from torchvision.models import get_model

    if weights is None:
        # These two would otherwise warn, and spend long on an initialisation of their own.
        plain = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
        with fixed_seed():
            return get_model(name, weights=None, num_classes=classes, **plain)
    try:
        with redirect_stdout(StringIO()):  # torch.hub prints what it fetches
            return get_model(name, weights=weights, progress=False)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"torchvision:{name}: the pretrained weights could not be loaded ({first_line(error)}): "
            f"give your own, ?checkpoint=FILE, or go without, ?pretrained=false"
        ) from error


def _weights(name: str, asked: str | None) -> Any:
    """The weights entry that was asked for by name, else torchvision's default one; raises InputError."""
    try:
        from torchvision import models
    except ImportError:
        raise MissingExtraError("torchvision", "torchvision", f"torchvision:{name}") from None
    classifiers = models.list_models(module=models)
    if name not in classifiers:
        if name in models.list_models():
            kind = models.get_model_builder(name).__module__.split(".")[2]
            raise InputError(f"torchvision:{name} is a {kind} model: expected one of torchvision's image classifiers")
        raise InputError(f"torchvision has no classifier {name!r}{nearest(name, classifiers)}")
    choices = models.get_model_weights(name)
    if asked is None:
        return choices.DEFAULT
    if asked not in choices.__members__:
        raise InputError(
            f"torchvision:{name} has no weights {asked!r}, expected one of {', '.join(choices.__members__)}"
        )
    return choices[asked]


SCHEME = Scheme(_open, options=("checkpoint", "pretrained", "weights"), example="torchvision:resnet50")
