"""Images in the order asked for, decoded ahead by worker processes."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from spectrobe.data.base import ImageData
from spectrobe.errors import BadImageError, InputError, SpectrobeError
from spectrobe.models.base import Geometry

OnBadImage = Literal["error", "skip"]
_AHEAD = 16  # images that each worker decodes ahead: bridges a forward pass, and bounds memory

Loaded = tuple[int, Tensor | BadImageError]


def load_images(
    data: ImageData,
    indices: Sequence[int],
    geometry: Geometry,
    workers: int = 0,
    on_bad_image: OnBadImage = "error",
) -> Iterator[Loaded]:
    """Yield (index, pixels float32 (C, H, W) in [0, 1]) for `indices`, in that order, whatever the number of workers.

    With on_bad_image="skip" a bad image yields (index, its BadImageError) for the caller to list; with "error" that is
    raised. Without a size in `geometry` all images must share one. Close the iterator to stop the workers early.
    Starting workers costs up to seconds: call this once for many images.
    """
    if on_bad_image not in ("error", "skip"):
        raise InputError(f"expected on_bad_image to be 'error' or 'skip', got {on_bad_image!r}")
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 0:
        raise InputError(f"expected workers to be 0 or more, got {workers!r}")
    outside = [index for index in indices if not 0 <= index < len(data)]
    if outside:
        raise InputError(f"expected image numbers from 0 to {len(data) - 1}, got {outside[0]}")
    order = [int(index) for index in indices]
    items = (
        _in_process(data, order, geometry)
        if workers == 0 or data.in_memory
        else _in_workers(data, order, geometry, workers)
    )
    return _checked(items, data, on_bad_image)


def _checked(items: Iterator[Loaded], data: ImageData, on_bad_image: OnBadImage) -> Iterator[Loaded]:
    first: tuple[int, tuple[int, ...]] | None = None
    try:
        for index, value in items:
            if isinstance(value, BadImageError):
                if on_bad_image == "error":
                    raise value
            else:
                first = first or (index, tuple(value.shape))
                if tuple(value.shape) != first[1]:
                    raise InputError(
                        f"image {data.ids[index]} is {tuple(value.shape)}, image {data.ids[first[0]]} is {first[1]}: "
                        "expected one size for all; this model names none, so give --size"
                    )
            yield index, value
    finally:
        items.close()  # type: ignore[attr-defined]  # a generator; stops its workers


def _in_process(data: ImageData, order: Sequence[int], geometry: Geometry) -> Iterator[Loaded]:
    for index in order:
        try:
            value: Tensor | BadImageError = data.pixels(index, geometry)
        except BadImageError as error:
            value = error
        yield index, value


class _Decoder(Dataset[Any]):
    """What a worker runs. Arrays travel through a pipe, not as tensors through shared memory, which containers lack."""

    def __init__(self, data: ImageData, geometry: Geometry) -> None:
        self.data, self.geometry = data, geometry

    def __getitem__(self, index: int) -> tuple[int, np.ndarray | SpectrobeError]:
        try:
            return index, self.data.pixels(index, self.geometry).numpy()
        except SpectrobeError as error:  # returned, because a raised one comes back with a traceback in its message
            return index, error


def _in_workers(data: ImageData, order: Sequence[int], geometry: Geometry, workers: int) -> Iterator[Loaded]:
    if not order:
        return
    loader = DataLoader(
        _Decoder(data, geometry),
        batch_size=None,
        sampler=order,
        num_workers=min(workers, len(order)),
        collate_fn=_unchanged,
        prefetch_factor=_AHEAD,
        worker_init_fn=_leave_interrupts_to_parent,
        generator=torch.Generator(),  # else it draws from the caller's global one
    )
    iterator = iter(loader)
    try:
        for index, value in iterator:
            if isinstance(value, SpectrobeError) and not isinstance(value, BadImageError):
                raise value
            yield index, value if isinstance(value, BadImageError) else torch.from_numpy(value)
    except RuntimeError as error:
        if "DataLoader worker" in str(error) and ("exited" in str(error) or "killed" in str(error)):
            raise SpectrobeError("a process that decodes images died (out of memory?): use fewer workers") from error
        raise
    finally:
        iterator._shutdown_workers()  # type: ignore[attr-defined]  # at once, not when the collector comes by


def _unchanged(item: Any) -> Any:
    return item


def _leave_interrupts_to_parent(worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a parent that finishes its work before it stops needs them
