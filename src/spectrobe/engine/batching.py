"""How many images a forward pass takes: the batch size with the best throughput, halved when memory runs out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from numbers import Integral

import numpy as np
import torch
from torch import Tensor

from spectrobe.errors import InputError, SpectrobeError
from spectrobe.seeding import torch_generator

CANDIDATES_CPU = (8, 16, 32, 64, 128)
CANDIDATES_DEVICE = (32, 64, 128, 256, 512, 1024)
_MOST_SECONDS, _SHARE_OF_RUN = 4.0, 0.01


def best_batch_size(
    forward: Callable[[Tensor], Tensor], shape: torch.Size, device: torch.device, forward_passes: int
) -> int:
    """The batch size with the best throughput of a few tried, for a run of so many forward passes.

    Not the largest that fits: on CPUs small batches stay in the cache and are faster. Sizes that run out of memory are
    left out (where the smallest does, half of it is tried, and so on), and the search stops when it has taken its share
    of the run's time.
    """
    candidates = CANDIDATES_CPU if device.type == "cpu" else CANDIDATES_DEVICE
    sizes = [size for size in candidates if size <= forward_passes] or [forward_passes]
    best, best_rate, spent, budget = 1, 0.0, 0.0, np.inf
    while sizes:
        size = sizes.pop(0)
        try:
            seconds = seconds_per_batch(forward, noise(size, shape, device), repeats=2 if spent == 0 else 1)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            sizes = [halved(size)] if best_rate == 0 else []
            continue
        spent += 2 * seconds
        budget = min(_MOST_SECONDS, max(0.5, _SHARE_OF_RUN * forward_passes * seconds / size))
        if size / seconds > best_rate:
            best, best_rate = size, size / seconds
        if spent > budget / 2 or size / seconds < 0.8 * best_rate:
            break
    return best


def noise(size: int, shape: torch.Size, device: torch.device) -> Tensor:
    """Random pixels (size, *shape) to take times with, channels-last; the global generators stay as they are."""
    pixels = torch.rand(size, *shape, generator=torch_generator(0, "batch to take times with"))
    return pixels.to(device).contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def seconds_per_batch(forward: Callable[[Tensor], Tensor], images: Tensor, repeats: int) -> float:
    """Shortest time of a few forward passes, the first of all not counted."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        forward(images)
        if images.device.type == "cuda":
            torch.cuda.synchronize(images.device)
        times.append(time.perf_counter() - start)
    return max(min(times), 1e-9)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch means that memory ran out (CPU allocations raise a plain RuntimeError)."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    said = ("can't allocate memory", "cannot allocate memory", "not enough memory")  # on Linux, there too, on Windows
    return isinstance(error, RuntimeError) and any(text in str(error).lower() for text in said)


def check_batch_size(batch_size: int | str) -> None:
    """Raise InputError unless batch_size is "auto" or a whole number, at least 1."""
    if batch_size != "auto" and (
        not isinstance(batch_size, Integral) or isinstance(batch_size, bool) or batch_size < 1
    ):
        raise InputError(f"expected batch_size 'auto' or a whole number, at least 1, got {batch_size!r}")


def halved(batch_size: int) -> int:
    """Half a batch size after memory ran out; SpectrobeError when one image alone does not fit."""
    if batch_size == 1:
        raise SpectrobeError(
            "memory ran out with one image a batch: use a smaller model, smaller images, or another device"
        )
    return batch_size // 2


@dataclass
class BatchSizes:
    """The batch size of each shard: the one settled at the start, smaller from a shard on where memory ran out.

    halved: shard -> batch size from there on. Kept with the run, so that a shard made again is made alike.
    """

    settled: int
    halved: dict[int, int] = field(default_factory=dict)

    def at(self, shard: int) -> int:
        """The batch size of a shard."""
        return min((size for first, size in self.halved.items() if first <= shard), default=self.settled)

    def warnings(self) -> tuple[str, ...]:
        """That memory ran out, where it did."""
        if not self.halved:
            return ()
        smallest = min(self.halved.values())
        return (f"memory ran out: batches went from {self.settled} to {smallest} on the way",)
