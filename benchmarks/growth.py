"""Time and memory of decompose against images, bands, models and decoding workers, with straight lines; then ImageNet.

    python benchmarks/growth.py [--quick] [--out docs/logs/growth.txt]

Each run in a process of its own, which says what it took once everything is imported: wall seconds, CPU seconds (its
own and its workers'), peak memory. The line is fitted to the CPU seconds of the row, relative errors alike; the last
column is measured / line. cifar-resnet8 on CIFAR-10; a linear model on photographs where decoding is what is measured.
Then what ImageNet's 50,000 validation images cost for 1,000 models at M = 8: forward passes a second of a GPU are an
assumption, all else is measured here. About ten minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import SHARED, cifar_resnet8, machine
from torch import nn

import spectrobe as sb
from spectrobe.data.cached import CachedData, PixelCache
from spectrobe.game.coalitions import make_design
from spectrobe.studies.plan.study import plan_decompose

LOG = Path(__file__).resolve().parents[1] / "docs" / "logs" / "growth.txt"
ROWS = ["images", "exact", "permutation", "models", "workers", "imagenet"]
N_IMAGENET, N_MODELS = 50_000, 1_000
RATES = (1_000, 3_000, 10_000)
"""Forward passes a second of one GPU at 224 px: assumed, from a large to a small model."""


def linear() -> Any:
    """1,000 classes from coarse colours: next to nothing to play, so that decoding and storing show."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.AvgPool2d(56), nn.Flatten(), nn.Linear(48, 1000))
    return sb.open_model(net, num_classes=1000, size=224)


def child(settings: dict[str, Any]) -> dict[str, float]:
    """One run, in this process: {wall, cpu, mib, passes}."""
    import resource
    import time

    kind, models, workers = settings.pop("data"), settings.pop("models", 1), settings.pop("workers", 0)
    photographs = kind == "photographs"
    data = sb.open_data(str(SHARED / "data/imagenet-sample"), n_classes=1000) if photographs else sb.open_data(
        f"parquet:{SHARED}/data/cifar10/train.parquet", n_classes=10)  # fmt: skip
    cache, passes = PixelCache(), 0

    def used() -> float:
        both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(one.ru_utime + one.ru_stime for one in both)

    wall, cpu = time.perf_counter(), used()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(models):
            model: Any = linear() if photographs else cifar_resnet8()
            shown = data if photographs else CachedData(data, cache)
            result = sb.decompose(model, shown, value="usable-information", absence="zero", precision="float32",
                                  batch_size=32, workers=workers, out=f"{folder}/{number}", **settings)  # fmt: skip
            passes += result.forward_passes
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"wall": time.perf_counter() - wall, "cpu": used() - cpu, "mib": mib, "passes": passes}


def measured(**settings: Any) -> dict[str, float]:
    """`child` in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, __file__, "--child", json.dumps(settings)], capture_output=True, text=True,
                          env=environment)  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def row(title: str, name: str, sizes: Sequence[int], settings: Callable[[int], dict[str, Any]],
        tell: Callable[[str], None], against: str = "size") -> None:  # fmt: skip
    """A table: a run a line, and the straight line in `size` or in `passes`."""
    runs = [measured(**settings(size)) for size in sizes]
    x = np.array(sizes if against == "size" else [run["passes"] for run in runs], dtype=float)
    y = np.array([run["cpu"] for run in runs])
    slope, start = np.polyfit(x, y, 1, w=1 / y) if len(x) > 1 else (0.0, y[0])
    tell("")
    tell(f"{title}: {start:.2f} s + {1e3 * slope:.3g} ms x {name if against == 'size' else 'forward passes'}")
    tell(f"{name:>10}{'passes':>10}{'wall s':>9}{'CPU s':>9}{'peak MiB':>10}{'line, CPU s':>13}{'ratio':>7}")
    for size, run, line in zip(sizes, runs, start + slope * x, strict=True):
        tell(f"{size:>10,}{run['passes']:>10,.0f}{run['wall']:>9.1f}{run['cpu']:>9.1f}{run['mib']:>10.0f}{line:>13.1f}"
             f"{run['cpu'] / line:>7.2f}")  # fmt: skip


def imagenet(tell: Callable[[str], None]) -> None:
    """The cost of all of it, from a plan measured on photographs with the seconds of play replaced."""
    for design in ("exact", "permutation"):
        few = plan_decompose(linear(), str(SHARED / "data/imagenet-sample"), design=design, images=N_IMAGENET,
                             models=N_MODELS, precision="float32", batch_size=32, absence="mean")  # fmt: skip
        passes = make_design(design, 8).n_coalitions - 1
        one = few.measured
        tell("")
        tell(
            f"{design}: {few.passes * N_MODELS:,} forward passes; {few.storage / 1e9:,.0f} GB in "
            f"{N_MODELS * few.shards:,} files of {few.images_per_shard} images"
        )
        tell(
            f"measured here: {1e3 * one.decode:.1f} ms to decode an image, {one.row_bytes / 1e3:.1f} KB, "
            f"{1e3 * one.write:.0f} ms to store a shard, {few.opening:.0f} s to open and {few.intervals:.0f} s of "
            "intervals a model"
        )
        tell(
            f"{'passes a second':>16}{'GPU-hours':>11}{'8 GPUs':>10}{'64 GPUs':>10}{'cores a GPU':>13}"
            f"{'one store at a time feeds':>27}"
        )
        for rate in RATES:
            many = [
                replace(few, workers=gpus, cores=10**6, measured=replace(one, play=passes / rate)) for gpus in (8, 64)
            ]
            # a store that takes shards of all workers at the same time
            once = N_MODELS * (few.opening + few.intervals) / 3600
            hours = [(N_MODELS * N_IMAGENET * job.worker_seconds / 3600 + once) / job.workers for job in many]
            tell(
                f"{rate:>16,}{many[0].device_hours:>11,.0f}{hours[0]:>8,.1f} h{hours[1]:>8,.1f} h"
                f"{one.decode / many[0].worker_seconds:>13.2f}{many[0].workers_store:>22,.0f} GPUs"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--rows", nargs="+", default=ROWS, choices=ROWS, help="some of it, added to the log")
    parser.add_argument("--out", type=Path, default=LOG)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(child(json.loads(options.child))))
        return

    options.out.parent.mkdir(parents=True, exist_ok=True)
    if options.rows == ROWS:
        options.out.unlink(missing_ok=True)

    def tell(line: str) -> None:
        print(line, flush=True)
        with options.out.open("a") as log:
            log.write(line + "\n")

    quick, chosen = options.quick, options.rows
    asked = f"{' --quick' * quick}{'' if chosen == ROWS else ' --rows ' + ' '.join(chosen)}"
    tell(f"$ python benchmarks/growth.py{asked}")
    tell(f"{machine()}; one thread a run; {os.cpu_count()} cores shared with other work")
    tell(f"load {os.getloadavg()[0]:.1f} at the start: CPU seconds are the ones to read")
    game = {"data": "cifar10", "design": "permutation"}
    few = 20 if quick else 100
    if "images" in chosen:
        sizes = (100, 300) if quick else (100, 1_000, 10_000)
        row("images, M = 4, permutation", "images", sizes, lambda n: {**game, "bands": 4, "images": n}, tell)
    if "exact" in chosen:
        sizes = (4, 5) if quick else (4, 6, 8)
        exact = {**game, "design": "exact", "images": few // 10}
        row(f"bands, exact, {few // 10} images", "bands", sizes, lambda m: {**exact, "bands": m}, tell, "passes")
    if "permutation" in chosen:
        sizes = (4, 6) if quick else (4, 8, 16)
        title = f"bands, permutation, {few} images"
        row(title, "bands", sizes, lambda m: {**game, "bands": m, "images": few}, tell, "passes")
    if "models" in chosen:
        sizes, some = (1, 2) if quick else (1, 2, 4, 8), {**game, "bands": 8, "images": few // 5}
        title = f"models, M = 8, permutation, {few // 5} images, decoded once"
        row(title, "models", sizes, lambda k: {**some, "models": k}, tell)
    if "workers" in chosen:
        some = {"data": "photographs", "design": "permutation", "bands": 4, "images": few}
        title = f"decoding workers, {few} photographs at 224 px, a linear model, M = 4, permutation"
        row(title, "workers", (0, 1, 2), lambda w: {**some, "workers": w}, tell)
    if "imagenet" in chosen:
        tell("")
        tell(f"{N_IMAGENET:,} images x {N_MODELS:,} models at M = 8, absence mean, images decoded for each model anew")
        tell("hours: playing and storing, the opening and the intervals of each model; as many cores as decoding takes")
        imagenet(tell)


if __name__ == "__main__":
    main()
