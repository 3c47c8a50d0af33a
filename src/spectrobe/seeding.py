"""One seed for everything: a generator for each (seed, image id, purpose), so that order and workers never matter."""

from __future__ import annotations

import hashlib

import numpy as np
import torch


def stream(seed: int, *names: object) -> int:
    """A 63-bit seed for the stream named by `names` (image id, purpose, severity, ...); equal on every machine."""
    text = "\x1f".join([str(int(seed)), *(f"{type(name).__name__}:{name}" for name in names)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def numpy_generator(seed: int, *names: object) -> np.random.Generator:
    """A numpy generator for the stream named by `names`."""
    return np.random.Generator(np.random.PCG64(stream(seed, *names)))


def torch_generator(seed: int, *names: object) -> torch.Generator:
    """A CPU torch generator for the stream named by `names`: draw on the CPU, then move, so that devices agree."""
    return torch.Generator().manual_seed(stream(seed, *names))


def seeded_order(ids: tuple[str, ...] | list[str], seed: int) -> np.ndarray:
    """Positions of `ids` in an order that depends on the seed and each id alone, so that subsets are nested."""
    keys = [stream(seed, "order", image_id) for image_id in ids]
    return np.argsort(np.asarray(keys, dtype=np.uint64), kind="stable")
