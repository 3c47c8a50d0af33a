"""Runs on Ray whose model misbehaves when told to by files; as a script, a driver that kills itself at a phase.

ray_driver.py OUT PHASE N WHAT MISCHIEF ADDRESS: as driver.py, on the Ray cluster at ADDRESS (local: without Ray).
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import spectrobe as sb
from tests.engine.driver import killing

_DRIVER = os.getpid()


class Classifier(nn.Module):
    """Linear. Of each file NAME-N in `mischief` one forward pass in a worker takes note, and then the file is gone.

    kill: the process kills itself.   raise: RuntimeError.
    poison, which stays: RuntimeError wherever `image` (C, H, W) is in the batch.   slow, too: a pass takes two seconds.
    """

    def __init__(self, mischief: Path, image: Tensor) -> None:
        super().__init__()
        draws = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(5, 768, generator=draws) * 0.1)
        self.mischief, self.driver, self.image = mischief, _DRIVER, image

    def forward(self, x: Tensor) -> Tensor:
        if os.getpid() != self.driver:
            if self._told("kill"):
                os.kill(os.getpid(), signal.SIGKILL)
            if self._told("raise"):
                raise RuntimeError("boom")
            there = bool(((x - self.image).abs().amax((1, 2, 3)) < 1e-4).any())
            if there and (self.mischief / "poison").exists():
                raise RuntimeError("poison")
            if (self.mischief / "slow").exists():
                time.sleep(2)
        return x.flatten(1) @ self.weight.T

    def _told(self, what: str) -> bool:
        for file in self.mischief.glob(f"{what}-*"):
            try:
                file.unlink()
            except FileNotFoundError:  # another worker was first
                continue
            return True
        return False


def go(what: str, out: Any, mischief: Path, engine: Any) -> Any:
    """A run of several shards; the same in every process. out: None keeps it in memory."""
    torch.set_num_threads(1)
    draws = torch.Generator().manual_seed(0)
    images = torch.rand(56, 3, 16, 16, generator=draws)
    labels = torch.arange(56) % 5
    model = Classifier(mischief, images[40])
    if what == "snr":
        return sb.snr_study(
            images.repeat(3, 1, 1, 1) * torch.linspace(0.5, 1, 168)[:, None, None, None], "gaussian_noise:1,contrast:2",
            bands=4, batch_size=16, out=out, engine=engine,
        )  # fmt: skip
    if what == "robustness":
        return sb.robustness(
            model, (images, labels), "contrast:2,pgd_linf:eps=1/64;steps=90", batch_size=8, out=out, engine=engine
        )
    return sb.decompose(model, (images, labels), bands=8, design=what, absence="noise", value="usable-information",
                        batch_size=32, precision="float32", out=out, engine=engine)  # fmt: skip


def main(out: str, phase: str, count: str, what: str, mischief: str, address: str) -> None:
    """What the script does."""
    killing(phase, int(count))
    engine = "local" if address == "local" else sb.RayOptions(address, workers=2, timeout=600)
    go(what, out, Path(mischief), engine)


if __name__ == "__main__":
    from tests.engine import ray_driver  # under the name that other processes know it by, not as __main__

    ray_driver.main(*sys.argv[1:])
