"""A response run in a process of its own that kills itself at the n-th reach of a phase: driver.py OUT PHASE N."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from spectrobe.engine.phases import listen
from tests.studies.response.runs import run

out, phase, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
seen = 0


def stop(reached: str) -> None:
    global seen
    seen += reached == phase
    if reached == phase and seen == count:
        os.kill(os.getpid(), signal.SIGKILL)


torch.set_num_threads(1)
listen(stop)
run(out)
