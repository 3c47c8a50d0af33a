"""How near to its target the SNR of a band comes on photographs, what leaks into other bands, what is out of reach.

    python benchmarks/band_snr.py [--images 500]

CIFAR-10 test images, 8 bands, noise drawn by (seed, image), SNR measured after clipping to [0, 1].
"""

from __future__ import annotations

import argparse

import numpy as np
from machine import cifar10, machine

from spectrobe.perturbations.band_snr import set_band_snr

parser = argparse.ArgumentParser()
parser.add_argument("--images", type=int, default=500)
arguments = parser.parse_args()

images, _ = cifar10(arguments.images)
print(f"{arguments.images} CIFAR-10 test images; {machine()}")
for targets in ({0: 10}, {0: 0}, {0: -5}, {3: 10}, {3: 0}, {3: -10}, {3: -20}, {7: 0}, {7: -20}, {1: 5, 6: -10}):
    _, record = set_band_snr(images, {band: float(db) for band, db in targets.items()})
    off = np.abs(record.snr_db[:, list(record.bands)] - record.target_db)[record.reachable]
    told = f"median {np.median(off):.4f}, 95 % within {np.quantile(off, 0.95):.3f} dB" if len(off) else "none reached"
    lowest = record.lowest_db[~record.reachable]
    reach = f", which reach {np.median(lowest):.1f} dB (median)" if len(lowest) else ""
    print(f"{targets}: {told}; leakage {np.median(record.outside_bands):.3f} (median); "
          f"{record.unreachable} unreachable{reach}")  # fmt: skip
