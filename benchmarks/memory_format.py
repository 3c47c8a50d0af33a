"""What channels_last and bfloat16 gain over contiguous float32 on EfficientNet-Lite0, and how far they move phi.

    python benchmarks/memory_format.py [--repeats 3] [--images 20]

Bare forward passes at 224 px, sides taking turns; then a decomposition in each precision on the same images.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from machine import alternate, machine, photographs, ratio

import spectrobe as sb

parser = argparse.ArgumentParser()
parser.add_argument("--repeats", type=int, default=3)
parser.add_argument("--images", type=int, default=20)
parser.add_argument("--bands", type=int, default=4)
arguments = parser.parse_args()

model = sb.open_model("demo:efficientnet-lite0")
batch = photographs(32)
net = model.module.eval()  # type: ignore[attr-defined]
passes = 2


@torch.inference_mode()
def run(memory_format: torch.memory_format, dtype: torch.dtype) -> None:
    x = batch.contiguous(memory_format=memory_format)
    with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
        for _ in range(passes):
            net(x)


def side(memory_format: torch.memory_format, dtype: torch.dtype):  # type: ignore[no-untyped-def]
    def go() -> None:
        net.to(memory_format=memory_format)
        run(memory_format, dtype)

    return go


sides = {
    "contiguous float32": side(torch.contiguous_format, torch.float32),
    "channels_last float32": side(torch.channels_last, torch.float32),
    "channels_last bfloat16": side(torch.channels_last, torch.bfloat16),
}
print(f"EfficientNet-Lite0, batches of {len(batch)} at 224 px; {machine()}")
for go in sides.values():
    go()
seconds = alternate(sides, arguments.repeats)
for name in list(sides)[1:]:
    print(f"time of {name} / contiguous float32: {ratio(seconds, name, 'contiguous float32')}")
game = {"bands": arguments.bands, "value": "usable-information", "absence": "mean", "design": "exact"}
results = {}
for precision in ("float32", "bfloat16"):
    fresh = sb.open_model("demo:efficientnet-lite0")
    results[precision] = sb.decompose(
        fresh, "demo", images=arguments.images, precision=precision, batch_size=32, **game
    )
shift = np.abs(results["bfloat16"].shapley - results["float32"].shapley) / results["float32"].stderr
images = f"{arguments.images} images, M = {arguments.bands}"
print(f"bfloat16 moves phi by at most {shift.max():.3f} standard errors ({images})")
