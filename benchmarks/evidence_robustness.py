"""Measured robustness of cifar-resnet8: ImageNet-C's corruptions at severity 3 and a PGD ladder, on CIFAR-10.

python -m benchmarks.evidence_robustness [--images 500] [--out runs/evidence-robustness]
"""

from __future__ import annotations

import argparse
import sys
import time

import torch

import spectrobe as sb
from benchmarks.machine import cifar10, cifar_resnet8, ended, machine

ITEMS = (
    "imagenet-c:3,pgd_linf:eps=1/255..8/255,square_linf:eps=2/255;queries=500,noise_linf:eps=1/255..8/255,deepfool_l2"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--out", default=None)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    x, y = cifar10(arguments.images)
    start = time.perf_counter()
    found = sb.robustness(cifar_resnet8(), (x, y), ITEMS, batch_size=50, out=arguments.out)
    print(machine())
    print(found.summary())
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    sys.exit(ended(main))
