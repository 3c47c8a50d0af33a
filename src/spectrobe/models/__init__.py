"""Models, whatever library they come from: pixels (N, C, H, W) in [0, 1] -> logits (N, K)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any

import torch
from torch import nn

from spectrobe.errors import InputError
from spectrobe.models.base import Geometry, Model, Precision
from spectrobe.models.check import check_model
from spectrobe.models.options import ModelOptions, Preprocessing
from spectrobe.models.output import check_finite
from spectrobe.models.registry import Scheme, model_schemes, open_string

__all__ = [
    "Geometry",
    "Model",
    "ModelOptions",
    "Precision",
    "Preprocessing",
    "Scheme",
    "check_finite",
    "check_model",
    "model_schemes",
    "open_model",
]


def open_model(
    model: str | Model | nn.Module | Callable[[torch.Tensor], Any],
    *,
    checkpoint: str | PathLike[str] | None = None,
    num_classes: int | None = None,
    pretrained: bool | None = None,
    mean: float | Sequence[float] | str | None = None,
    std: float | Sequence[float] | str | None = None,
    size: int | tuple[int, int] | str | None = None,
    crop: float | None = None,
    interpolation: str | None = None,
    class_names: Sequence[str] | str | PathLike[str] | None = None,
    prompts: Sequence[str] | str | None = None,
    allow_pickle: bool = False,
    device: str | torch.device | None = None,
) -> Model:
    """A model from a model string, a torch module, any callable (N, C, H, W) -> (N, K), or a Model (returned as it is).

    Model strings: `timm:NAME`, `torchvision:NAME`, `hf:NAME`, `onnx:PATH`, `export:PATH.pt2`, `python:module:NAME`,
    `demo:NAME`, `clip:NAME`, and what other packages register; the options below can stand in the string as well,
    `timm:resnet50?checkpoint=best.pt&num_classes=10`, but for allow_pickle and device.

    checkpoint: file with your own weights, safetensors or torch.    num_classes: the classes of that checkpoint's head;
        2 also makes two classes of a single logit.    pretrained: False for random weights (seed 0).
    mean, std (for pixels in [0, 1]; 0 and 1 switch normalisation off), size ("none": images as they are), crop (the
        part of the resized shorter side that is kept) and interpolation override what the model's own configuration
        says. Modules, callables, onnx, export and python default to no normalisation and to the graph's input size.
    class_names: one a class, or a file with one a line; prompts: templates with {} for zero-shot models.
    allow_pickle: open files that can run code.    device: where a model opened from a string is put (default: the CPU);
        a module of yours stays where it is. `Model.prepared` lends a model on any device.
    Raises InputError: unknown names and options, files that do not fit, weights that cannot be had; MissingExtraError.
    """
    given: dict[str, object] = {
        "checkpoint": checkpoint,
        "num_classes": num_classes,
        "pretrained": pretrained,
        "mean": mean,
        "std": std,
        "size": size,
        "crop": crop,
        "interpolation": interpolation,
        "class_names": class_names,
        "prompts": prompts,
        "allow_pickle": allow_pickle,
        "device": device,
    }
    if isinstance(model, str):
        return open_string(model, given)
    _refuse(
        given,
        ("checkpoint", "pretrained", "prompts"),
        "a model string: load weights before you pass a model of your own",
    )
    if isinstance(model, Model):
        _refuse(
            given,
            tuple(key for key in given if key not in ("allow_pickle", "device")),
            "a model that is not a Model yet",
        )
        return model
    from spectrobe.models.python_models import wrap

    return wrap(model, None, ModelOptions.parse({key: value for key, value in given.items() if value is not None}))


def _refuse(given: Mapping[str, object], names: tuple[str, ...], wanted: str) -> None:
    said = [name for name in names if given[name] is not None]
    if said:
        raise InputError(f"expected {', '.join(said)} only with {wanted}")
