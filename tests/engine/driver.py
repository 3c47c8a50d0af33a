"""A run in a process of its own that kills itself at the n-th time it reaches a phase: driver.py OUT PHASE N DESIGN."""

from __future__ import annotations

import os
import signal
import sys

import torch

import spectrobe as sb
from spectrobe.engine.phases import listen

out, phase, count, design = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
seen = 0


def stop(reached: str) -> None:
    global seen
    seen += reached == phase
    if reached == phase and seen == count:
        print(f"killed at {phase} {count}", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)


torch.set_num_threads(1)
listen(stop)
draws = torch.Generator().manual_seed(0)
images = torch.rand(90, 3, 16, 16, generator=draws)
labels = torch.arange(90) % 5
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, 5))
with torch.no_grad():
    model[1].weight.copy_(torch.randn(5, 768, generator=draws))
    model[1].bias.zero_()
sb.decompose(model, (images, labels), bands=6, design=design, absence="mean", value="usable-information",
             batch_size=32, precision="float32", out=out)  # fmt: skip
