"""What models return, brought to one form: finite float32 logits (N, K) with K > 1, or refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spectrobe.errors import ModelOutputError

_DETECTION = {"boxes", "pred_boxes"}


def to_logits(output: Any, n_images: int, n_classes: int | None, name: str) -> Tensor:
    """Logits (N, K) float32 from whatever the model `name` returned for `n_images` images.

    Taken: a tensor or array (N, K), also (N, K, 1, 1); `.logits` or ["logits"] of an output object; the logits of a
    tuple in which one entry alone can be them. One logit an image, (N, 1) or (N,), is read as the two-class logits
    [0, z] where n_classes is 2. All else raises ModelOutputError. NaN is not looked for here: see `check_finite`.
    """
    logits = _find_tensor(output, n_images, name)
    while logits.ndim > 2 and logits.shape[-1] == 1:
        logits = logits.squeeze(-1)
    shape = tuple(logits.shape)
    if logits.ndim == 0 or shape[0] != n_images:
        raise ModelOutputError(f"{name}: expected logits ({n_images}, K) for {n_images} images, got shape {shape}")
    if logits.ndim > 2:
        kind = "a segmentation or dense head" if logits.ndim == 4 else "a sequence, dense or detection head"
        raise ModelOutputError(f"{name}: expected logits ({n_images}, K), got shape {shape}: {kind} is no classifier")
    if not logits.is_floating_point():
        raise ModelOutputError(
            f"{name}: expected floating logits, got {logits.dtype}: return scores, not class indices"
        )
    logits = logits.to(torch.float32)
    if logits.ndim == 1 or shape[1] == 1:
        logits = _two_classes(logits.reshape(n_images, 1), n_classes, name)
    if n_classes is not None and logits.shape[1] != n_classes:
        raise ModelOutputError(f"{name}: expected {n_classes} classes (num_classes), got logits of {logits.shape[1]}")
    if logits.shape[1] == 0:
        raise ModelOutputError(f"{name}: expected logits ({n_images}, K) with K > 1, got none (K = 0)")
    return logits


def check_finite(logits: Tensor, name: str, images: list[str] | None = None) -> None:
    """Raise ModelOutputError naming the rows (or `images`) whose logits hold NaN or infinity."""
    finite = torch.isfinite(logits).all(dim=1)
    if bool(finite.all()):
        return
    bad = [images[i] if images else str(i) for i in torch.nonzero(~finite).flatten().tolist()]
    shown = ", ".join(bad[:3]) + (", ..." if len(bad) > 3 else "")
    raise ModelOutputError(f"{name}: expected finite logits, got NaN or infinity for {len(bad)} image(s): {shown}")


def graph_classes(last: object, n_classes: int | None, name: str) -> int | None:
    """K where a graph fixes its output (N, K) at `last`, else None. Raises ModelOutputError for a lone logit."""
    if last == 1:
        _refuse_lone_logit(n_classes, name)
    return last if isinstance(last, int) and last > 1 else None


def _two_classes(logit: Tensor, n_classes: int | None, name: str) -> Tensor:
    _refuse_lone_logit(n_classes, name)
    return torch.cat([torch.zeros_like(logit), logit], dim=1)


def _refuse_lone_logit(n_classes: int | None, name: str) -> None:
    if n_classes != 2:
        raise ModelOutputError(
            f"{name}: expected at least 2 logits an image, got 1 (K = 1): give num_classes=2 to read a logit z "
            f"(before the sigmoid) as the two-class logits [0, z]"
        )


def _find_tensor(output: Any, n_images: int, name: str) -> Tensor:
    if isinstance(output, Tensor):
        return output
    if isinstance(output, np.ndarray):
        return torch.from_numpy(output)
    entries = _entries(output)
    if entries is None:
        raise ModelOutputError(f"{name}: expected logits (N, K), got {type(output).__name__}: return a tensor")
    if _DETECTION & set(entries) or any(_DETECTION & set(_entries(value) or ()) for value in entries.values()):
        raise ModelOutputError(f"{name}: expected logits (N, K), got boxes: a detection head is no classifier")
    if entries.get("logits") is not None:
        return _find_tensor(entries["logits"], n_images, name)
    fits = [value for value in entries.values() if _may_be_logits(value, n_images, alone=len(entries) == 1)]
    if len(fits) == 1:
        return _find_tensor(fits[0], n_images, name)
    described = ", ".join(f"{key} {_shape(value)}" for key, value in list(entries.items())[:5]) or "nothing"
    raise ModelOutputError(
        f"{name}: expected one tensor of logits (N, K), got {type(output).__name__} of {described}: "
        f"return the logits alone"
    )


def _entries(output: Any) -> dict[str, Any] | None:
    """The named parts of an output object; None for what has no parts."""
    if isinstance(output, Mapping):
        return {str(key): value for key, value in output.items()}
    if isinstance(output, (tuple, list)):
        return dict(zip(getattr(output, "_fields", map(str, range(len(output)))), output, strict=True))
    if hasattr(output, "logits"):
        return {"logits": output.logits}
    return None


def _may_be_logits(value: Any, n_images: int, alone: bool) -> bool:
    if not isinstance(value, (Tensor, np.ndarray)):
        return False
    return alone or (value.ndim == 2 and len(value) == n_images)


def _shape(value: Any) -> str:
    return str(tuple(value.shape)) if isinstance(value, (Tensor, np.ndarray)) else type(value).__name__
