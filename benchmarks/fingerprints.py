"""What it costs to notice changed images: fingerprints against decoding, taken in turns on the same images.

python benchmarks/fingerprints.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from machine import SHARED, machine

from spectrobe.data import ImageData, open_data
from spectrobe.engine.sources import Sources
from spectrobe.models.base import Geometry

ROUNDS = 5


def milliseconds(work: Callable[[], object], n: int) -> float:
    """Per image, of one go over all of them."""
    start = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - start) / n


def measure(name: str, data: ImageData, geometry: Geometry, n: int) -> None:
    """Print both costs and their ratio: medians over rounds, and the range of the ratios."""
    positions = list(range(n))
    sources = Sources(data, geometry)
    sources.of(positions, {})  # read once, so that both find the files in memory
    rounds = [
        (
            milliseconds(lambda: [data.pixels(p, geometry) for p in positions], n),
            milliseconds(lambda: sources.of(positions, {}), n),
        )
        for _ in range(ROUNDS)
    ]
    decode, fingerprint = np.median(rounds, axis=0)
    ratios = [b / a for a, b in rounds]
    print(
        f"{name}, {n} images: decoding {decode:.3f} ms, fingerprint {fingerprint:.3f} ms an image, "
        f"ratio {np.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
    )


print(machine())
measure(
    "photographs, JPEG files, 224 px", open_data(str(SHARED / "data/imagenet-sample"), labelled=False),
    Geometry((224, 224), 256), 500,
)  # fmt: skip
measure("CIFAR-10, Parquet, 32 px", open_data(f"parquet:{SHARED}/data/cifar10/test.parquet"), Geometry((32, 32)), 2000)
