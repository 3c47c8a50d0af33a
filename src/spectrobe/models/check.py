"""Self-check before a run: a few images through the model find the mistakes that otherwise show as strange results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from spectrobe.errors import InputError, ModelOutputError, SpectrobeError
from spectrobe.models.base import Model
from spectrobe.models.output import check_finite
from spectrobe.texts import first_line

_FEW = 4  # images that are passed again, alone and among others


def check_model(
    model: Model, sample_pixels: Tensor, labels: Tensor | None = None, ids: list[str] | None = None
) -> list[str]:
    """Warnings about a model on intact images (N, C, H, W) in [0, 1], with labels (N,) where there are any.

    ids: what images are called in messages. One forward pass of all and three of the first few on `model.device`.

    Raised: pixels outside [0, 1] or of another size than the model's, labels that the model has no class for
    (InputError); outputs that are not finite logits (N, K), logits of an image that depend on the rest of its batch
    (ModelOutputError). Warned of: probabilities instead of logits, sigmoid outputs, unrepeatable passes, outputs that
    ignore the input, a normalisation that a timm module names and nobody applies, accuracy near chance.
    Log-probabilities are as good as logits: softmax gives them back.
    """
    _check_pixels(model, sample_pixels)
    pixels = sample_pixels.to(model.device)
    with torch.no_grad(), model.prepared(model.device) as forward:
        logits = _passed(model, forward, pixels)
        check_finite(logits, model.name, ids)
        few = pixels[:_FEW]
        first, again = _passed(model, forward, few), _passed(model, forward, few)
        mixed = _passed(model, forward, torch.cat([1 - pixels[:1], few.flip(0)]))
    inverted, reordered = mixed[0], mixed[1:].flip(0)
    warnings = [*_repeatable(model, first, again, reordered), *_looks_like_logits(model, logits)]
    everything = torch.cat([logits, inverted[None]])
    if _shift(everything, everything[:1]) < 1e-6:
        warnings.append(f"{model.name} gives the same output for every image: untrained, or its input is not used")
    warnings += _unused_normalisation(model)
    if labels is not None:
        warnings += _accuracy(model, logits, labels)
    return warnings


def _check_pixels(model: Model, pixels: Tensor) -> None:
    if pixels.ndim != 4 or not pixels.is_floating_point() or len(pixels) == 0:
        raise InputError(
            f"expected floating images (N, C, H, W) in [0, 1], got {pixels.dtype} of shape {tuple(pixels.shape)}"
        )
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= -1e-6 and high <= 1 + 1e-6):
        raise InputError(
            f"expected pixels in [0, 1], got [{low:.4g}, {high:.4g}]: give pixels before normalisation, divided by 255"
        )
    size = tuple(pixels.shape[-2:])
    if model.geometry.size not in (None, size):
        raise InputError(
            f"{model.name}: expected images of {model.geometry.size}, got {size}: resize them, "
            f"or give size={size[0]}x{size[1]}"
        )
    if model.mean is not None and len(model.mean) != pixels.shape[1]:
        raise InputError(f"{model.name}: expected images of {len(model.mean)} channel(s), got {pixels.shape[1]}")


def _passed(model: Model, forward: Callable[[Tensor], Tensor], pixels: Tensor) -> Tensor:
    try:
        return forward(pixels).float()
    except (SpectrobeError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # someone else's code: whatever it raises
        raise InputError(
            f"{model.name} failed on images of shape {tuple(pixels.shape)}: {first_line(error)}"
        ) from error


def _shift(a: Tensor, b: Tensor) -> float:
    """The largest difference, relative to the size of the logits (at least 1)."""
    return float((a - b).abs().max() / a.abs().max().clamp_min(1))


def _repeatable(model: Model, logits: Tensor, again: Tensor, reordered: Tensor) -> list[str]:
    noise, mixing = _shift(logits, again), _shift(logits, reordered)
    if noise > 1e-3:
        return [
            f"{model.name} is not repeatable: two passes of the same images differ by {noise:.2g} of its logits "
            f"(dropout or other randomness inside): results will differ from run to run"
        ]
    if mixing > 1e-3:
        raise ModelOutputError(
            f"{model.name}: an image's logits change by {mixing:.2g} with the other images of its batch: "
            f"batch statistics of the training mode; call module.eval() before it is wrapped or exported"
        )
    return []


def _looks_like_logits(model: Model, logits: Tensor) -> list[str]:
    if not (float(logits.min()) >= 0 and float(logits.max()) <= 1):
        return []
    if float((logits.sum(1) - 1).abs().max()) < 1e-3:
        return [
            f"{model.name} returns probabilities, not logits (rows sum to 1): every value that uses its confidence "
            f"will be wrong; return the values before the softmax, or their logarithm"
        ]
    return [
        f"{model.name} returns values in [0, 1] that do not sum to 1: sigmoid outputs of a multi-label head? "
        f"expected logits of exclusive classes"
    ]


def _unused_normalisation(model: Model) -> list[str]:
    """A bare timm module brings its configuration along, but as a module it is given pixels as they are."""
    config: Any = getattr(getattr(model, "module", None), "pretrained_cfg", None)
    if model.mean is not None or not isinstance(config, dict) or not config.get("mean"):
        return []
    mean, std = (tuple(config.get(key) or ()) for key in ("mean", "std"))
    if not any(mean) and set(std) == {1.0}:
        return []
    return [
        f"{model.name}: its timm configuration names mean {mean} and std {std}, which nobody applies here: "
        f"give mean and std, or pass a callable if it normalises by itself"
    ]


def _accuracy(model: Model, logits: Tensor, labels: Tensor) -> list[str]:
    labels = labels.to(logits.device)
    n, classes = logits.shape
    if labels.shape != (n,):
        raise InputError(f"expected labels of shape ({n},), one an image, got {tuple(labels.shape)}")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise InputError(
            f"{model.name}: expected labels from 0 to {classes - 1}, the model's {classes} classes, got {low} to {high}"
            f": give a class map, or the model that was trained on these classes"
        )
    right = int((logits.argmax(1) == labels).sum())
    chance = 1 / classes
    if right / n > chance + 0.1 * (1 - chance):
        return []
    return [
        f"{model.name} gets {right} of {n} intact images right, near chance ({chance:.1%}): normalisation or label "
        f"order? ({_suspects(model)})"
    ]


def _suspects(model: Model) -> str:
    """Where to look first when nearly every answer is wrong."""
    if model.mean is None:
        return (
            "it is given pixels in [0, 1] as they are: if it was trained on others, say mean and std; else --class-map"
        )
    return "mean, std, size and --class-map are the usual suspects"
