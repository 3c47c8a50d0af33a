"""Runs in processes of their own, which kill themselves at the n-th time that they reach a phase.

The driver reads a run a line, [OUT, PHASE, N, WHAT] as JSON, and makes it in a child that it forks, since libraries
take longer to load than such a run; it answers with the child's exit code and what it printed. WHAT is a design of
decompose (exact, permutation), or another study (snr, robustness).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from contextlib import suppress
from importlib import import_module
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


def in_a_child(out: str, phase: str, count: int, what: str) -> tuple[int, str]:
    """Exit code (-9: killed) and output of a run in a process of its own."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.dup2(write, 1)
            os.dup2(write, 2)
            killing(phase, count)
            go(what, Path(out))
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    os.close(write)
    with os.fdopen(read) as printed:
        text = printed.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text


if __name__ == "__main__":
    for library in ("pandas", "pyarrow.parquet", "safetensors.torch", "scipy.stats"):  # loaded where they are used
        with suppress(ImportError):  # pyarrow looks for pandas, and does without
            import_module(library)
    for study in ("decompose", "robustness", "snr_study"):
        getattr(sb, study)
    for order in sys.stdin:
        print(json.dumps(in_a_child(*json.loads(order))), flush=True)
