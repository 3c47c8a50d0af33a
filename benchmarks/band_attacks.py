"""Attacks that keep to frequency bands, on photographs: how often they fool a network, and what leaves the bands.

    python -m benchmarks.band_attacks [--images 20] [--out FOLDER]

EfficientNet-Lite0 at 224 px, 8 square bands, 10 steps, Linf 4/255 and L2 2, led away from the labels. Energy outside
the kept bands is measured on the images that came back. With --out the run is kept there and goes on where it was.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from benchmarks.machine import SHARED, machine
from spectrobe.studies.snr.study import snr_study

ITEMS = ",".join(
    f"band_pgd_{norm};keep={keep};steps=10"
    for norm in ("linf:eps=4/255", "l2:eps=2")
    for keep in ("0", "0-1", "2-3", "6-7")
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    print(machine(), flush=True)
    start = time.perf_counter()
    data = str(SHARED / "data/imagenet-sample")
    study = snr_study(data, ITEMS, model="demo:efficientnet-lite0", images=asked.images, batch_size=15, out=asked.out)
    print(f"{'attack':48} {'n':>3} {'fooled':>7}  energy outside the bands: median, largest")
    for name, result in study.results.items():
        outside = result.rows().measured().outside
        print(
            f"{name:48} {result.n_images:3} {result.delivered['fooled']:7.1%}  "
            f"{float(np.nanmedian(outside)):.3%}, {float(np.nanmax(outside)):.3%}"
        )
        for warning in result.warnings:
            print(f"  warning: {warning}")
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
