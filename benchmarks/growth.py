"""Time and memory of decompose against images, bands, models and workers, with straight lines; then ImageNet.

    python benchmarks/growth.py [--quick] [--rows images exact ...] [--out docs/logs/growth.txt]

Each run in a process of its own, which says what it took once everything is imported: wall seconds, CPU seconds (its
own and its decoders'), peak memory. The line is fitted to the CPU seconds of the row (to wall seconds where Ray plays),
relative errors alike; the ratio behind it is measured / line. Beside it stands what `spectrobe plan` says before such
a run, in one process, and wall seconds / plan. cifar-resnet8 on CIFAR-10; a linear model on photographs
where decoding is what is measured. Then what ImageNet's 50,000 validation images cost for 1,000 models at M = 8:
forward passes a second of a GPU and prices are assumptions, all else is measured here.

About fifteen minutes on two quiet cores. Finished runs are kept in --kept: stopped, the same call goes on from there;
remove that file to measure anew.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import SHARED, cifar_resnet8, machine
from torch import nn

import spectrobe as sb
from spectrobe.data.cached import CachedData, PixelCache
from spectrobe.game.coalitions import make_design
from spectrobe.studies.plan.measure import Measured
from spectrobe.studies.plan.result import Plan
from spectrobe.studies.plan.study import plan_decompose

ROOT = Path(__file__).resolve().parents[1]
LOG, KEPT = ROOT / "docs" / "logs" / "growth.txt", ROOT / "runs" / "growth.jsonl"
ROWS = ["images", "exact", "permutation", "models", "workers", "ray", "imagenet"]
N_IMAGENET, N_MODELS = 50_000, 1_000
RATES = (1_000, 3_000, 10_000)
"""Forward passes a second of one GPU at 224 px: assumed, from a large to a small model."""
GPU_HOUR, GB_MONTH, MILLION_WRITES = 2.0, 0.023, 5.0
"""Dollars, assumed: a rented GPU with the cores beside it, a gigabyte and writes in an object store."""


PLAYED: dict[str, Any] = {
    "value": "usable-information", "absence": "zero", "precision": "float32", "batch_size": 32,
}  # fmt: skip
"""What every run of the rows has in common."""


def cifar10() -> Any:
    """The images of the rows."""
    return sb.open_data(f"parquet:{SHARED}/data/cifar10/train.parquet", n_classes=10)


def linear() -> Any:
    """1,000 classes from coarse colours: next to nothing to play, so that decoding and storing show."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.AvgPool2d(56), nn.Flatten(), nn.Linear(48, 1000))
    return sb.open_model(net, num_classes=1000, size=224)


def child(settings: dict[str, Any]) -> dict[str, Any]:
    """One run, in this process: {wall, cpu, mib, passes}; or a plan, as a mapping."""
    import resource
    import time

    if "plan" in settings:
        return planned(settings["plan"])
    if "forecast" in settings:
        return forecast(settings["forecast"])
    kind, models, workers = settings.pop("data"), settings.pop("models", 1), settings.pop("workers", 0)
    ray = settings.pop("ray", 0)
    photographs = kind == "photographs"
    data = sb.open_data(str(SHARED / "data/imagenet-sample"), n_classes=1000) if photographs else cifar10()
    cache, passes = PixelCache(), 0
    engine: Any = sb.RayOptions(workers=ray, timeout=600) if ray else "local"

    def used() -> float:
        both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(one.ru_utime + one.ru_stime for one in both)

    wall, cpu = time.perf_counter(), used()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(models):
            model: Any = linear() if photographs else cifar_resnet8()
            shown = data if photographs else CachedData(data, cache)
            result = sb.decompose(
                model, shown, workers=workers, engine=engine, out=f"{folder}/{number}", **PLAYED, **settings
            )
            passes += result.forward_passes
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"wall": time.perf_counter() - wall, "cpu": used() - cpu, "mib": mib, "passes": passes}


def forecast(settings: dict[str, Any]) -> dict[str, Any]:
    """What `plan` says before such a run, in a process of its own: seconds of all its models."""
    if settings.pop("data") != "cifar10":
        raise ValueError("expected a run of cifar-resnet8 on CIFAR-10")
    models = settings.pop("models", 1)
    plan = plan_decompose(cifar_resnet8(), cifar10(), models=models, **PLAYED, **settings)
    return {"seconds": models * plan.seconds}


def planned(design: str) -> dict[str, Any]:
    """The plan of ImageNet and a thousand linear models, measured on photographs."""
    found = plan_decompose(linear(), str(SHARED / "data/imagenet-sample"), design=design, images=N_IMAGENET,
                           models=N_MODELS, precision="float32", batch_size=32, absence="mean")  # fmt: skip
    return found.to_dict()


class Runs:
    """Runs in processes of their own; each that has ended is kept in a file, and not made again."""

    def __init__(self, kept: Path) -> None:
        self.kept, self.found = kept, {}
        for line in kept.read_text().splitlines() if kept.exists() else ():
            one = json.loads(line)
            self.found[one["settings"]] = one["found"]

    def __call__(self, **settings: Any) -> dict[str, Any]:
        asked = json.dumps(settings, sort_keys=True)
        if asked not in self.found:
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            done = subprocess.run([sys.executable, __file__, "--child", asked], capture_output=True, text=True,
                                  env=environment)  # fmt: skip
            if done.returncode:
                raise RuntimeError(done.stderr[-2000:])
            self.found[asked] = json.loads(done.stdout.splitlines()[-1])
            self.kept.parent.mkdir(parents=True, exist_ok=True)
            with self.kept.open("a") as file:
                file.write(json.dumps({"settings": asked, "found": self.found[asked]}) + "\n")
        return self.found[asked]


def row(title: str, name: str, runs: Sequence[tuple[str, dict[str, Any]]], tell: Callable[[str], None],
        against: Callable[[str, dict[str, Any]], float], unit: str, y: str = "cpu") -> None:  # fmt: skip
    """A table: a run a line, called by the first of each pair, and the straight line in what `against` gives.

    Where runs know what `plan` said of them (key "plan"), its seconds and wall seconds / plan stand behind.
    """
    x = np.array([against(size, run) for size, run in runs])
    seconds = np.array([run[y] for _, run in runs])
    slope, start = np.polyfit(x, seconds, 1, w=1 / seconds)
    kind = {"cpu": "CPU s", "wall": "wall s"}[y]
    tell("")
    tell(f"{title}: {start:.2f} s + {1e3 * slope:.3g} ms x {unit}")
    tell(f"{name:>14}{'passes':>10}{'wall s':>9}{'CPU s':>9}{'peak MiB':>10}{'line, ' + kind:>14}{'ratio':>7}"
         + f"{'plan s':>9}{'ratio':>7}" * all("plan" in run for _, run in runs))  # fmt: skip
    for (size, run), line in zip(runs, start + slope * x, strict=True):
        said = f"{run['plan']:>9.1f}{run['wall'] / run['plan']:>7.2f}" if "plan" in run else ""
        tell(f"{size:>14}{run['passes']:>10,.0f}{run['wall']:>9.1f}{run['cpu']:>9.1f}{run['mib']:>10.0f}{line:>14.1f}"
             f"{run[y] / line:>7.2f}{said}")  # fmt: skip


def by_size(size: str, run: dict[str, Any]) -> float:
    """The number that the run is called by."""
    return float(size.replace(",", ""))


def by_passes(size: str, run: dict[str, Any]) -> float:
    """Forward passes."""
    return float(run["passes"])


def by_share(size: str, run: dict[str, Any]) -> float:
    """Forward passes of each worker, of a run called "WORKERS x IMAGES"."""
    return float(run["passes"]) / int(size.split()[0])


def imagenet(runs: Runs, tell: Callable[[str], None]) -> None:
    """The cost of all of it, from a plan measured on photographs with the seconds of play replaced."""
    tell("")
    tell(f"{N_IMAGENET:,} images x {N_MODELS:,} models at M = 8, absence mean, images decoded for each model anew")
    tell(
        "hours: playing and storing, the opening and the intervals of each model; as many cores as decoding takes; the "
        "list of models in as many calls as GPUs, or in one call"
    )
    tell(
        f"assumed: passes a second of a GPU; ${GPU_HOUR:g} a GPU-hour, ${GB_MONTH:g} a GB and month, "
        f"${MILLION_WRITES:g} a million writes"
    )
    for design in ("exact", "permutation"):
        found = runs(plan=design)
        known = {one.name: found[one.name] for one in fields(Plan)}
        few = Plan(**known | {"measured": Measured(**found["measured"]), "notes": tuple(found["notes"])})
        passes, one = make_design(design, 8).n_coalitions - 1, few.measured
        tell("")
        tell(
            f"{design}: {few.passes * N_MODELS:,} forward passes; {few.storage / 1e9:,.0f} GB "
            f"(${few.storage / 1e9 * GB_MONTH:,.0f} a month) in {few.files:,} files of {few.images_per_shard} images "
            f"(${few.files / 1e6 * MILLION_WRITES:,.2f} to write)"
        )
        tell(
            f"measured here: {1e3 * one.decode:.1f} ms to decode an image, {one.row_bytes / 1e3:.1f} KB, "
            f"{1e3 * one.write:.0f} ms to store a shard, {few.opening:.0f} s to open and {few.intervals:.0f} s of "
            "intervals a model"
        )
        head = ("passes a second", "GPU-hours", "dollars", "8 GPUs", "64 GPUs", "64, one call", "cores a GPU",
                "one store at a time feeds")  # fmt: skip
        tell("".join(f"{name:>{len(name) + 2}}" for name in head))
        for rate in RATES:
            job = replace(few, cores=10**6, measured=replace(one, play=passes / rate))
            # a store that takes shards of all workers at the same time; a GPU is paid for until its model's intervals
            once = N_MODELS * (few.opening + few.intervals) / 3600
            played = N_MODELS * N_IMAGENET * job.worker_seconds / 3600
            # one call has one driver, which stores one shard at a time
            one_call = max(played / 64, job.files * one.write / 3600) + once
            cells = (f"{rate:,}", f"{job.device_hours:,.0f}", f"{GPU_HOUR * (played + once):,.0f}",
                     f"{(played + once) / 8:,.1f} h", f"{(played + once) / 64:,.1f} h", f"{one_call:,.1f} h",
                     f"{one.decode / job.worker_seconds:.2f}", f"{job.workers_store:,.0f} GPUs")  # fmt: skip
            tell("".join(f"{cell:>{len(name) + 2}}" for cell, name in zip(cells, head, strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--rows", nargs="+", default=ROWS, choices=ROWS, help="some of it")
    parser.add_argument("--out", type=Path, default=LOG)
    parser.add_argument("--kept", type=Path, default=KEPT, help="runs that were made, which are not made again")
    options = parser.parse_args()
    if options.child:
        print(json.dumps(child(json.loads(options.child))))
        return

    runs, lines = Runs(options.kept), []

    def tell(line: str) -> None:
        print(line, flush=True)
        lines.append(line)

    quick, chosen = options.quick, options.rows
    asked = f"{' --quick' * quick}{'' if chosen == ROWS else ' --rows ' + ' '.join(chosen)}"
    tell(f"$ python benchmarks/growth.py{asked}")
    tell(f"{machine()}; one thread a run; {os.cpu_count()} cores")
    tell(f"load {os.getloadavg()[0]:.1f} at the start: above 1, CPU seconds are the ones to read")
    game, few = {"data": "cifar10", "design": "permutation"}, 20 if quick else 100

    def called(sizes: Sequence[int], settings: Callable[[int], dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
        """Each run, with what `plan` says of it where models are played in one process."""
        found = []
        for size in sizes:
            asked = settings(size)
            said = {} if "workers" in asked else {"plan": runs(forecast=asked)["seconds"]}
            found.append((f"{size:,}", runs(**asked) | said))
        return found

    if "images" in chosen:
        sizes = (100, 300) if quick else (100, 1_000, 10_000)
        made = called(sizes, lambda n: {**game, "bands": 4, "images": n})
        row("images, M = 4, permutation", "images", made, tell, by_size, "images")
    if "exact" in chosen:
        sizes = (4, 5) if quick else (4, 6, 8, 10, 12)
        made = called(sizes, lambda m: {**game, "design": "exact", "images": few // 10, "bands": m})
        row(f"bands, exact, {few // 10} images", "bands", made, tell, by_passes, "forward passes")
    if "permutation" in chosen:
        sizes = (4, 6) if quick else (4, 8, 12, 16)
        made = called(sizes, lambda m: {**game, "bands": m, "images": few})
        row(f"bands, permutation, {few} images", "bands", made, tell, by_passes, "forward passes")
    if "models" in chosen:
        sizes = (1, 2) if quick else (1, 2, 4, 8)
        made = called(sizes, lambda k: {**game, "bands": 8, "images": few, "models": k})
        row(f"models, M = 8, permutation, {few} images, decoded once", "models", made, tell, by_size, "models")
    if "workers" in chosen:
        some = {"data": "photographs", "design": "permutation", "bands": 4, "images": max(few, 80)}
        made = called((0, 1, 2), lambda w: {**some, "workers": w})
        title = f"decoding workers, {some['images']} photographs at 224 px, a linear model, M = 4, permutation"
        row(title, "workers", made, tell, by_size, "workers")
    if "ray" in chosen:
        pairs = [(1, 10), (1, 20), (2, 20)] if quick else [(1, 50), (1, 200), (2, 200), (2, 400)]
        some = {"data": "cifar10", "design": "exact", "bands": 6 if quick else 8}
        made = [(f"{w} x {n}", runs(**some, images=n, ray=w)) for w, n in pairs]
        title = f"Ray workers x images, M = {some['bands']}, exact, Ray's own start and end included"
        row(title, "workers", made, tell, by_share, "forward passes a worker", "wall")
    if "imagenet" in chosen:
        imagenet(runs, tell)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
