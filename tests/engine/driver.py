"""A run in a process of its own that kills itself at the n-th time it reaches a phase: driver.py OUT PHASE N WHAT.

WHAT is a design of decompose (exact, permutation), or another study (snr, robustness).
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

import spectrobe as sb
from spectrobe.engine.phases import listen


def go(what: str, out: Path) -> Any:
    """The run; the same in every process."""
    torch.set_num_threads(1)
    draws = torch.Generator().manual_seed(0)
    images = torch.rand(90, 3, 16, 16, generator=draws)
    labels = torch.arange(90) % 5
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, 5))
    with torch.no_grad():
        model[1].weight.copy_(torch.randn(5, 768, generator=draws))
        model[1].bias.zero_()
    if what == "snr":
        return sb.snr_study(images, "gaussian_noise:1,contrast:2", bands=4, batch_size=16, out=out)
    if what == "robustness":
        return sb.robustness(model, (images, labels), "contrast:2,pgd_linf:eps=1/64;steps=40", batch_size=16, out=out)
    return sb.decompose(model, (images, labels), bands=6, design=what, absence="mean", value="usable-information",
                        batch_size=32, precision="float32", out=out)  # fmt: skip


def killing(phase: str, count: int) -> None:
    """Have this process killed when the run comes to `phase` for the count-th time."""
    seen = 0

    def stop(reached: str) -> None:
        nonlocal seen
        seen += reached == phase
        if reached == phase and seen == count:
            print(f"killed at {phase} {count}", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

    listen(stop)


if __name__ == "__main__":
    killing(sys.argv[2], int(sys.argv[3]))
    go(sys.argv[4], Path(sys.argv[1]))
