"""Random weights that are the same every time, for `?pretrained=false`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

NOTE = "random weights (seed 0)"


@contextmanager
def fixed_seed() -> Iterator[None]:
    """torch's CPU generator at seed 0 inside, and as it was afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
