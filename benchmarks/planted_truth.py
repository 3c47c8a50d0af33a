"""Is the tool right where the truth is known? Profiles and intervals against planted information.

    python benchmarks/planted_truth.py [--images 4000] [--repeats 200]

First one large data set in both designs; then many small ones, of which intervals should hold the truth 95 % of the
time; last the permutation design on few images, whose shared temperatures take information from the lowest band.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from machine import machine

import spectrobe as sb
from spectrobe.studies.watch.reading import Reading

parser = argparse.ArgumentParser()
parser.add_argument("--images", type=int, default=4000, help="of the large data set")
parser.add_argument("--repeats", type=int, default=200, help="small data sets")
arguments = parser.parse_args()
torch.set_num_threads(1)

PLANTED = {"dprime": [0, 1.5, 0.8, 1.0, 0, 0.5, 1.2, 0], "bands": 8, "size": 16, "channels": 1}
# band 0 of 16 pixels holds the mean alone: nothing can be planted there, and a profile must say so


def reading(n: int, seed: int, design: str, classes: int = 2) -> tuple[np.ndarray, Reading]:
    """Distance of the Shapley values from the truth, (M,), and the reading."""
    data = sb.data.planted(images=n, seed=seed, classes=classes, **PLANTED)
    probe = sb.Probe.of(data, bands=8, absence="zero", design=design, forward_passes=10**9, seed=seed, batch_size=256)
    found = probe.read(data.model)
    return found.shapley - data.expected, found


print(f"planted {PLANTED}; {machine()}")
print("expected", sb.data.planted(images=2, **PLANTED).expected.round(4))
for design in ("exact", "permutation"):
    off, found = reading(arguments.images, 0, design)
    worst = np.abs(off / np.maximum(found.stderr, 1e-4)).max()
    print(f"{design}, {arguments.images} images: off by {off.round(4)}, at most {worst:.2f} standard errors")
for design, n in (("exact", 20), ("exact", 100), ("permutation", 400)):
    held, total = np.zeros(8), 0
    for seed in range(arguments.repeats):
        off, found = reading(n, seed, design)
        held += (found.interval[:, 0] <= found.shapley - off) & (found.shapley - off <= found.interval[:, 1])
        total += 1
    print(f"{design}, {n} images: 95 % intervals hold the truth in {(100 * held / total).round(1)} % of {total}")
for classes in (2, 8):
    for n in (20, 50, 100, 200):
        off = np.stack([reading(n, seed, "permutation", classes)[0] for seed in range(40)])
        print(f"permutation, {classes} classes, {n} images: mean distance from the truth {off.mean(0).round(3)} nats")
