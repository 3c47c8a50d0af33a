"""What studies do before a run: choose images, look at a few of them, try the model on these, say what ran it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spectrobe.data.base import ImageData
from spectrobe.engine.batching import halved, is_out_of_memory
from spectrobe.engine.environment import environment
from spectrobe.engine.local import ImageLoader, stack_images
from spectrobe.errors import InputError
from spectrobe.models.base import Model
from spectrobe.models.check import check_model
from spectrobe.seeding import seeded_order

_ASKED, _LOGITS = 4, 8  # images that a model without weights is known by, and logits of each


def chosen_order(images: ImageData, most: int | None, seed: int) -> np.ndarray:
    """Positions of the first `most` images (None: all) in seeded order; InputError when there are fewer."""
    if len(images) < 2:
        raise InputError(
            f"expected at least 2 images, got {len(images)} in {images.name}: intervals over images need more"
        )
    if most is not None and most > len(images):
        raise InputError(f"expected at most {len(images)} images, which {images.name} has, got images={most}")
    return seeded_order(images.ids, seed)[:most]


def sample_of(loader: ImageLoader, order: np.ndarray, most: int) -> tuple[list[int], Tensor]:
    """The readable ones of the first `most` images: positions, and pixels (N, C, H, W)."""
    found = [(p, image) for p, image in loader.each([int(p) for p in order[:most]]) if isinstance(image, Tensor)]
    if not found:
        raise InputError(f"none of the first {min(most, len(order))} images of {loader.data.name} can be used")
    return [p for p, _ in found], stack_images([image for _, image in found])


def self_check(model: Model, sample: Tensor, labels: Tensor | None, ids: list[str]) -> list[str]:
    """What `check_model` warns of, on as many images of the sample as memory allows."""
    while True:
        try:
            return check_model(model, sample, labels, ids)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        few = halved(len(sample))
        sample, labels = sample[:few], None if labels is None else labels[:few]


def model_identity(model: Model, forward: Callable[[Tensor], Tensor], sample: Tensor) -> dict[str, Any]:
    """The model's own, and for a callable without weights its logits of a few images: else any two would pass for one.

    sample: pixels (N, C, H, W) on the model's device.
    """
    identity = dict(model.identity())
    if identity.get("weights_sha256") == "unhashed":
        with torch.no_grad():
            answers = torch.cat([forward(image[None]) for image in sample[:_ASKED]])
        identity["answers"] = [[float(f"{logit:.3g}") for logit in row] for row in answers[:, :_LOGITS].tolist()]
    return identity


def execution_identity(device: torch.device, **libraries: str) -> dict[str, Any]:
    """What the last digits depend on: kind of device, threads, versions of spectrobe, torch and other libraries."""
    versions: Mapping[str, str] = environment()["versions"]
    return {
        "device": device.type,
        "threads": torch.get_num_threads(),
        "versions": {**{name: versions.get(name) for name in ("spectrobe", "torch")}, **libraries},
    }
