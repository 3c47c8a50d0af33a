"""The gradient of the loss with respect to the pixels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from spectrobe.errors import InputError
from spectrobe.models.base import Model
from spectrobe.perturbations.attacks.base import may_have_gradients

GRADIENT = "gradient power spectrum"
"""What `failed` calls it."""
_NONE = "it needs gradients, which do not reach the pixels through this model"


def why_none(model: Model) -> str:
    """Why a model has no gradients for sure; empty where it may have some."""
    return "" if may_have_gradients(model) else f"it needs gradients, which {model.name} does not give"


def pixel_gradients(forward: Callable[[Tensor], Tensor], x: Tensor, labels: Tensor) -> Tensor:
    """Gradient of the cross-entropy, -log softmax(z)_label in nats, of each image: float32 (N, C, H, W).

    Raises InputError where none arrives, or it is not finite.
    """
    points = x.detach().clone().requires_grad_(True)
    with torch.inference_mode(False), torch.enable_grad():
        try:
            logits = forward(points)
        except RuntimeError as error:
            if "requires grad" not in str(error):  # what tensors say when they are to become numpy arrays
                raise
            raise InputError(_NONE) from error
        if not logits.requires_grad:
            raise InputError(_NONE)
        # in double: a confident model's loss is 1 - q small, which rounds to 0 in single
        wide = logits if logits.device.type == "mps" else logits.double()
        loss = torch.nn.functional.cross_entropy(wide, labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, points)
    if not bool(torch.isfinite(gradient).all()):
        raise InputError("the gradient is NaN or infinite on some images")
    return gradient.detach()
