"""Whether images that a model is measured on are among those it trains on: told by their content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import IterableDataset, Subset, TensorDataset

from spectrobe.engine.undisturbed import undisturbed
from spectrobe.errors import InputError

COMPARED = 5_000
"""So many training images are fetched to be compared, evenly spread, unless all are in memory or another is said."""


def refuse_overlap(
    images: Tensor,
    loaders: Any,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    most: int | None = None,
) -> str:
    """Raise InputError when an image (N, C, H, W) in [0, 1] is among the training images; else say what was compared.

    loaders: a DataLoader, or lists and dicts of them.   mean, std: of the normalisation that training images may have
    had.   most: how many training images to fetch (default: all that are in memory, 5,000 of others).

    Images are compared as 8-bit pixels, so that normalising and its rounding do not hide them. What random transforms
    have changed is not recognised. Fetching leaves the global random generators as they were.
    """
    known = {digest: i for i, digest in enumerate(map(_digest, images))}
    datasets = [dataset for loader in _each(loaders) if (dataset := getattr(loader, "dataset", None)) is not None]
    told: list[str] = []
    for dataset in datasets:
        if isinstance(dataset, IterableDataset) or not (
            hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")
        ):
            told.append(f"images of {type(dataset).__name__} have no numbers and were not compared")
            continue
        n_all, compared = len(dataset), 0
        with undisturbed():
            for index in _spread(n_all, n_all if most is None and _in_memory(dataset) else most or COMPARED):
                pixels = _in_unit_range(pixels_of(dataset[index]), mean, std)
                if pixels is None or pixels.shape != images.shape[1:]:
                    continue
                compared += 1
                if (same := known.get(_digest(pixels))) is not None:
                    raise InputError(
                        f"image {same} of those to measure on is training image {index}, by its content: expected "
                        "images that the model does not train on, such as a held-out split"
                    )
        told.append(f"{compared:,} of {n_all:,} training images compared, none is among those to measure on")
    return "; ".join(told) or "no training images were found to compare with"


def pixels_of(item: Any) -> Tensor | None:
    """The image of a Dataset's item as a tensor (C, H, W); None where there is none."""
    if isinstance(item, Mapping):
        return _first(item.values())
    if isinstance(item, tuple | list):
        return _first(item)
    return _first([item])


def _first(parts: Iterable[Any]) -> Tensor | None:
    for part in parts:
        if isinstance(part, Image.Image):
            part = np.asarray(part)
            part = part[None] if part.ndim == 2 else part.transpose(2, 0, 1)
        if isinstance(part, np.ndarray) and part.ndim == 3 and np.issubdtype(part.dtype, np.number):
            part = torch.from_numpy(np.array(part))
        if isinstance(part, Tensor) and part.ndim == 3:
            return part.detach().cpu()
    return None


def _in_unit_range(
    pixels: Tensor | None, mean: float | Sequence[float] | None, std: float | Sequence[float] | None
) -> Tensor | None:
    """Pixels in [0, 1], normalisation undone where there was one; None where they cannot be pixels."""
    if pixels is None:
        return None
    if pixels.dtype == torch.uint8:
        return pixels.to(torch.float32) / 255
    x = pixels.to(torch.float32)
    if _within(x):
        return x
    if mean is None or std is None:
        return None
    shift, scale = (torch.tensor(value, dtype=torch.float32).reshape(-1, 1, 1) for value in (mean, std))
    x = x * scale + shift
    return x if _within(x) else None


def _within(x: Tensor) -> bool:
    return float(x.min()) >= -1e-3 and float(x.max()) <= 1 + 1e-3


def _digest(pixels: Tensor) -> bytes:
    levels = (pixels * 255).round().clamp(0, 255).to(torch.uint8).contiguous()
    return hashlib.blake2b(repr(tuple(levels.shape)).encode() + levels.numpy().tobytes(), digest_size=16).digest()


def _each(loaders: Any) -> Iterator[Any]:
    """The loaders in what a Trainer holds: one, lists and dicts of them, Lightning's CombinedLoader."""
    inner = getattr(loaders, "flattened", None)
    if inner is None and isinstance(loaders, Mapping):
        inner = list(loaders.values())
    if inner is None and isinstance(loaders, list | tuple):
        inner = loaders
    if inner is None:
        yield loaders
        return
    for loader in inner:
        yield from _each(loader)


def _in_memory(dataset: Any) -> bool:
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    return isinstance(dataset, TensorDataset)


def _spread(n_all: int, wanted: int) -> Iterable[int]:
    """So many indices below n_all, evenly spread."""
    return (i * n_all // wanted for i in range(wanted)) if wanted < n_all else range(n_all)
