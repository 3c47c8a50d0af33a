"""Whether images that a model is measured on are among those it trains on: told by their content."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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
TWICE = 16
"""So many are fetched twice: a random transform, a flip alone too, changes one of them but for a chance of 2 ** -16."""
_UNCHECKED = "whether images to measure on are among the training images could not be checked"


@dataclass(frozen=True)
class Comparison:
    """told: what was compared and found apart.   warnings: what could not be checked, and why. A phrase a data set."""

    told: tuple[str, ...]
    warnings: tuple[str, ...]


def refuse_overlap(
    images: Tensor,
    loaders: Any,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    most: int | None = None,
) -> Comparison:
    """Raise InputError when an image (N, C, H, W) in [0, 1] is among the training images; else say what was compared.

    loaders: a DataLoader, or lists and dicts of them.   mean, std: of the normalisation that training images may have
    had.   most: how many training images to fetch (default: all that are in memory, 5,000 of others).

    Images are compared as 8-bit pixels, so that normalising and its rounding do not hide them. What random transforms
    have changed is not recognised: where fetching an image twice gives two images, or none could be compared, that
    nothing was checked is a warning. Fetching leaves the global random generators as they were.
    """
    known = {digest: i for i, digest in enumerate(map(_digest, images))}
    datasets = [dataset for loader in _each(loaders) if (dataset := getattr(loader, "dataset", None)) is not None]
    told, warnings = list[str](), list[str]()
    for dataset in datasets:
        if isinstance(dataset, IterableDataset) or not (
            hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")
        ):
            warnings.append(f"{_UNCHECKED}: those of {type(dataset).__name__} have no numbers to fetch them by")
            continue
        n_all, compared, why = len(dataset), 0, Counter[str]()
        with undisturbed():
            changing = any(_changes(dataset, index) for index in _spread(n_all, TWICE))
            for index in _spread(n_all, n_all if most is None and _in_memory(dataset) else most or COMPARED):
                pixels = _in_unit_range(found := pixels_of(dataset[index]), mean, std)
                if pixels is None or pixels.shape != images.shape[1:]:
                    why[_reason(found, pixels, images)] += 1
                    continue
                compared += 1
                if (same := known.get(_digest(pixels))) is not None:
                    raise InputError(
                        f"image {same} of those to measure on is training image {index}, by its content: expected "
                        "images that the model does not train on, such as a held-out split"
                    )
        if changing:
            warnings.append(
                f"{_UNCHECKED}: two fetches of a training image give two images (random transforms), and a changed "
                "image is not recognised; make sure that they are of a held-out split"
            )
        elif compared == 0:
            reason = why.most_common(1)[0][0] if why else "there are none"
            warnings.append(f"{_UNCHECKED}: 0 of {n_all:,} could be compared ({reason})")
        else:
            told.append(f"{compared:,} of {n_all:,} training images compared, none is among those to measure on")
    if not datasets:
        warnings.append(f"{_UNCHECKED}: no training images were found")
    return Comparison(tuple(told), tuple(warnings))


def _changes(dataset: Any, index: int) -> bool:
    """Whether fetching an image again gives another."""
    first, second = (pixels_of(dataset[index]) for _ in range(2))
    return first is not None and second is not None and not torch.equal(first, second)


def _reason(found: Tensor | None, pixels: Tensor | None, images: Tensor) -> str:
    """Why an item of the training images cannot be compared."""
    if found is None:
        return "no image in what is fetched"
    if pixels is None:
        return "not pixels in [0, 1], also with the normalisation undone that mean and std name, if they are given"
    return f"{tuple(pixels.shape)} instead of {tuple(images.shape[1:])}"


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
