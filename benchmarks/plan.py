"""Does `plan` say what runs then take? Forecast and run of cifar-resnet8 on CIFAR-10, taking turns; ratios.

    python benchmarks/plan.py [--images 200] [--repeats 3]

Wall seconds of the whole call and bytes of the shards, run / plan; forward passes must be equal.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from machine import SHARED, cifar_resnet8, machine

import spectrobe as sb
from spectrobe.studies.plan.study import plan_decompose

parser = argparse.ArgumentParser()
parser.add_argument("--images", type=int, default=200)
parser.add_argument("--repeats", type=int, default=3)
arguments = parser.parse_args()

data = f"parquet:{SHARED}/data/cifar10/test.parquet"
print(f"cifar-resnet8, {arguments.images} CIFAR-10 images; {machine()}")
for design, bands in (("exact", 5), ("permutation", 16)):
    game = {"bands": bands, "design": design, "images": arguments.images, "value": "usable-information",
            "absence": "mean", "precision": "float32", "batch_size": 32}  # fmt: skip
    seconds, sizes = [], []
    for _ in range(arguments.repeats):
        plan = plan_decompose(cifar_resnet8(), data, **game)
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            result = sb.decompose(cifar_resnet8(), data, out=f"{folder}/run", **game)
            seconds.append((time.perf_counter() - start) / plan.seconds)
            sizes.append(sum(one.stat().st_size for one in Path(folder, "run/payoffs").iterdir()) / plan.storage)
        if plan.passes != result.forward_passes:
            raise SystemExit(f"expected {plan.passes:,} forward passes, got {result.forward_passes:,}")
    print(
        f"{design}, M = {bands}: {result.forward_passes:,} forward passes as planned; run / plan: bytes "
        f"{statistics.median(sizes):.3f}, seconds {statistics.median(seconds):.2f} ({min(seconds):.2f} to "
        f"{max(seconds):.2f})"
    )
