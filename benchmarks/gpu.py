"""How fast the exact design plays on this device: against bare forward passes, and against a transform a coalition.

    python benchmarks/gpu.py [--models resnet50 vit_b_16] [--minutes 7] [--precisions float32 tf32 bfloat16]

Random weights, random images at 224 px, M = 8, absence zero. In one run, the sides taking turns: coalition images a
second of the exact design; of bare forward passes on a batch that lies on the device, at the best batch size; of one
rfft2 and irfft2 per coalition before each pass. On CUDA, in the last precision and at the end, also the bare pass
through torch.compile, to see whether it would pay. Where spectrobe is not installed: PYTHONPATH=src. Needs torch,
torchvision, numpy and scipy alone, and works on a CPU too (tests: --size 32 --bands 2 ...).
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
import torchvision
from torch import Tensor

from spectrobe.bands import BandPartition
from spectrobe.engine.absence import Surroundings, Zero
from spectrobe.engine.batching import CANDIDATES_CPU, CANDIDATES_DEVICE, is_out_of_memory, noise, seconds_per_batch
from spectrobe.engine.evaluate import Evaluator, Shard
from spectrobe.engine.progress import Silent
from spectrobe.game.coalitions import ExactDesign, members
from spectrobe.models.module import ModuleModel

ROUNDS = 3


@dataclass
class Case:
    """One model in one precision on the device."""

    forward: Callable[[Tensor], Tensor]
    n_classes: int
    shape: torch.Size
    bands: BandPartition
    device: torch.device
    batch: int

    def exact(self, n_images: int) -> float:
        """Coalition images a second of the exact design, cells of the payoff table and all."""
        ids = tuple(str(i) for i in range(n_images))
        pixels = torch.rand(n_images, *self.shape, generator=torch.Generator().manual_seed(0))
        surroundings = Surroundings(ids, lambda positions: ((p, pixels[p]) for p in positions), 0)
        design = ExactDesign(self.bands.n_bands)
        player = Evaluator(
            self.forward, self.n_classes, self.bands, design, Zero({}, surroundings), self.device, self.batch
        )
        shard = Shard(tuple(range(n_images)), ids, np.arange(n_images) % self.n_classes, pixels)
        return self._rate(lambda: player.payoff_table(shard, Silent()), n_images * player.passes_per_image)

    def bare(self, n_passes: int) -> float:
        """The same of forward passes alone."""
        images, count = noise(self.batch, self.shape, self.device), max(1, n_passes // self.batch)

        def go() -> None:
            for _ in range(count):
                self.forward(images)

        return self._rate(go, count * self.batch)

    def transforms(self, n_passes: int) -> float:
        """The same with a transform and its inverse for every coalition image."""
        images, count = noise(self.batch, self.shape, self.device), max(1, n_passes // self.batch)
        labels = self.bands.labels(*self.shape[1:]).to(self.device)
        masks = np.arange(count * self.batch) % 2**self.bands.n_bands
        present = torch.from_numpy(members(masks, self.bands.n_bands)).to(self.device)

        def go() -> None:
            for start in range(0, len(present), self.batch):
                keep = present[start : start + self.batch][:, labels]
                mixed = torch.fft.irfft2(torch.fft.rfft2(images) * keep[:, None], s=self.shape[1:])
                self.forward(mixed.contiguous(memory_format=torch.channels_last))

        return self._rate(go, count * self.batch)

    def _rate(self, do: Callable[[], object], n_images: int) -> float:
        with torch.inference_mode():
            self._wait()
            start = time.perf_counter()
            do()
            self._wait()
        return n_images / (time.perf_counter() - start)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def best_batch(case: Case, most: int) -> tuple[int, float]:
    """The batch size with the best throughput of bare passes, and that throughput."""
    rates: dict[int, float] = {}
    sizes = CANDIDATES_CPU if case.device.type == "cpu" else CANDIDATES_DEVICE
    for size in (size for size in sizes if size <= most):
        try:
            seconds = seconds_per_batch(case.forward, noise(size, case.shape, case.device), repeats=3)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            break
        rates[size] = size / seconds
        if rates[size] < 0.8 * max(rates.values()):
            break
    best = max(rates, key=lambda size: rates[size])
    return best, rates[best]


def report(name: str, precision: str, case: Case, options: argparse.Namespace, seconds: float) -> None:
    """Measure one case within so many seconds and print a line a number."""
    case.batch, rate = best_batch(case, options.most_batch)
    passes = 2**options.bands - 1
    # a round is three sides: the exact design, bare passes, and transforms (at most about as slow again)
    n_images = max(1, int(seconds / (4 * ROUNDS) * rate / passes))
    case.exact(1)  # what is done once a process
    case.transforms(case.batch)
    rounds = []
    for number in range(ROUNDS):
        sides = [lambda: case.exact(n_images), lambda: case.bare(n_images * passes),
                 lambda: case.transforms(n_images * passes)]  # fmt: skip
        turn = [0, 1, 2] if number % 2 == 0 else [2, 1, 0]
        rates = {side: sides[side]() for side in turn}
        rounds.append([rates[side] for side in range(3)])
    exact, bare, transforms = ([one[side] for one in rounds] for side in range(3))
    print(f"{name} {precision}: best bare batch {case.batch}; {n_images} images x {passes} coalitions, {ROUNDS} rounds")
    print(f"  coalition images a second: exact {statistics.median(exact):.1f}, bare {statistics.median(bare):.1f}, "
          f"a transform each {statistics.median(transforms):.1f}")  # fmt: skip
    print(
        f"  exact / bare: {_ratio(exact, bare)} (the aim: 0.95); exact / a transform each: {_ratio(exact, transforms)}",
        flush=True,
    )


def compiled(name: str, precision: str, case: Case) -> None:
    """Whether torch.compile with CUDA graphs would pay on the bare pass."""
    images = noise(case.batch, case.shape, case.device)
    plain = seconds_per_batch(case.forward, images, repeats=5)
    start = time.perf_counter()
    quick = torch.compile(case.forward, mode="reduce-overhead")
    faster = seconds_per_batch(quick, images, repeats=5)
    print(f"{name} {precision}: torch.compile(reduce-overhead) / plain passes a second: {plain / faster:.3f} "
          f"({time.perf_counter() - start:.0f} s to compile and measure)", flush=True)  # fmt: skip


def _ratio(one: list[float], other: list[float]) -> str:
    ratios = [a / b for a, b in zip(one, other, strict=True)]
    return f"{statistics.median(ratios):.3f} (rounds {min(ratios):.3f} to {max(ratios):.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["resnet50", "vit_b_16"])
    parser.add_argument("--precisions", nargs="+", default=None, choices=["float32", "tf32", "bfloat16"])
    parser.add_argument("--minutes", type=float, default=7.0, help="of the whole run")
    parser.add_argument("--bands", type=int, default=8)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--most-batch", type=int, default=1024)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--no-compile", action="store_true")
    options = parser.parse_args()
    begun, device = time.perf_counter(), torch.device(options.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "CPU"
    precisions = options.precisions or (["float32", "tf32", "bfloat16"] if device.type == "cuda" else ["float32"])
    print(
        f"{name}; torch {torch.__version__}, torchvision {torchvision.__version__}, Python {platform.python_version()}"
    )
    compiles = device.type == "cuda" and not options.no_compile
    share = 0.8 * 60 * options.minutes / (len(options.models) * (len(precisions) + 1.5 * compiles))
    shape, bands, played = torch.Size((3, options.size, options.size)), BandPartition.square(options.bands), []
    for model_name in options.models:
        torch.manual_seed(0)
        model = ModuleModel(torchvision.models.get_model(model_name, weights=None).eval())
        for precision in precisions:
            lent: AbstractContextManager[Callable[[Tensor], Tensor]] = model.prepared(device, precision)
            with lent as forward, torch.inference_mode():
                case = Case(forward, 1000, shape, bands, device, 1)
                report(model_name, precision, case, options, share)
        played.append((model_name, model, case.batch))
    for model_name, model, batch in played if compiles else ():  # last: it needs a compiler, and has no time limit
        if time.perf_counter() - begun > 54 * options.minutes:
            print(f"{model_name}: no time left to compile")
            continue
        with model.prepared(device, precisions[-1]) as forward, torch.inference_mode():
            try:
                compiled(model_name, precisions[-1], Case(forward, 1000, shape, bands, device, batch))
            except Exception as error:  # no compiler, no triton, a graph that cannot be captured: said, and no loss
                print(f"{model_name}: torch.compile failed: {' '.join(str(error).split())[:200]}", flush=True)
    print(f"{time.perf_counter() - begun:.0f} s in all")


if __name__ == "__main__":
    main()
