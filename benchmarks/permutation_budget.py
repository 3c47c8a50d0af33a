"""Forward passes that the permutation design needs for the exact design's standard error, per band and for the score.

    python benchmarks/permutation_budget.py [--exact 400] [--permutation 4000]

cifar-resnet8 on CIFAR-10 test images, M = 8. A standard error falls as 1 / sqrt(images), so the passes for one standard
error go as passes x stderr^2; below 1 the permutation design is cheaper.
"""

from __future__ import annotations

import argparse

from machine import cifar10, cifar_resnet8, machine

import spectrobe as sb

parser = argparse.ArgumentParser()
parser.add_argument("--exact", type=int, default=400, help="images of the exact design")
parser.add_argument("--permutation", type=int, default=4000, help="images of the permutation design")
parser.add_argument("--absence", default="mean")
arguments = parser.parse_args()

model = cifar_resnet8()
images, labels = cifar10(max(arguments.exact, arguments.permutation))
found = {}
for design in ("exact", "permutation"):
    n = getattr(arguments, design)
    found[design] = sb.decompose(model, (images, labels), bands=8, value="usable-information", images=n,
                                 absence=arguments.absence, design=design, precision="float32")  # fmt: skip
print(f"cifar-resnet8, absence {arguments.absence}, M = 8; {machine()}")
for name, result in found.items():
    print(f"{name}: {result.n_images} images, {result.forward_passes:,} forward passes, score {result.score}")
for value in ("usable-information", "log-likelihood", "accuracy"):
    exact, permutation = (found[design].with_value(value) for design in ("exact", "permutation"))
    # passes for the same standard error, permutation / exact
    passes = permutation.forward_passes / exact.forward_passes
    bands = passes * (permutation.stderr / exact.stderr) ** 2
    score = passes * (permutation.score.stderr / exact.score.stderr) ** 2
    print(f"{value}: permutation / exact: bands {bands.round(2)}, worst {bands.max():.2f}; score {score:.2f}")
