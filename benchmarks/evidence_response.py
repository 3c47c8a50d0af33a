"""How models respond to spatial frequencies, and whether that predicts what perturbations cost them.

    python -m benchmarks.evidence_response lite0 [--images 200] [--out FOLDER]
    python -m benchmarks.evidence_response resnet8 [--images 1000] [--out FOLDER]

lite0: EfficientNet-Lite0 (ImageNet weights) on photographs of ../shared/data/imagenet-sample at 224 px. resnet8:
cifar-resnet8 on CIFAR-10 test images. Gradient spectrum, band noise at four powers, cut-offs with and without
gaussian_noise:3, the 15 corruptions of ImageNet-C at severities 1, 3 and 5, and a Fourier heat map at the L2 norms of
Yin et al. 2019 (15.7 at 224 px, 4 at 32 px). With --out the run is kept there and goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
import time

import torch

from benchmarks.machine import SHARED, cifar10, cifar_resnet8, ended, machine
from spectrobe.studies.response.study import response

PERTURBATIONS = "imagenet-c:1,imagenet-c:3,imagenet-c:5"
HEAT_MAPS = {"lite0": (15.7, 40), "resnet8": (4.0, 200)}
"""L2 norm after clipping, and images."""
IMAGES = {"lite0": 200, "resnet8": 1000}


class Notes:
    """Prints what the run says, and a line now and then."""

    def __init__(self) -> None:
        self.total = self.done = 0
        self.told = time.perf_counter()

    def note(self, text: str) -> None:
        print(text, flush=True)

    def expect(self, forward_passes: int) -> None:
        self.total = forward_passes

    def advance(self, forward_passes: int) -> None:
        self.done += forward_passes
        if time.perf_counter() - self.told > 300:
            self.told = time.perf_counter()
            print(f"{self.done:,} of {self.total:,} forward passes", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=list(IMAGES))
    parser.add_argument("--images", type=int)
    parser.add_argument("--batch-size", type=int, default=25)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    images = asked.images or IMAGES[asked.model]
    norm, heat_images = HEAT_MAPS[asked.model]
    if asked.model == "lite0":
        model, data = "demo:efficientnet-lite0", str(SHARED / "data" / "imagenet-sample")
    else:
        model, data = cifar_resnet8(), cifar10(images)
    start = time.perf_counter()
    found = response(
        model,
        data,
        PERTURBATIONS,
        images=images,
        heat_map=norm,
        heat_map_images=heat_images,
        batch_size=asked.batch_size,
        out=asked.out,
        progress=Notes(),
    )
    print(machine())
    print(found.summary())
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    sys.exit(ended(main))
