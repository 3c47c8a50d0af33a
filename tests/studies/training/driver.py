"""A small study in a process of its own that kills itself after so many epochs: driver.py STUDY OUT [N]."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from spectrobe.engine.phases import listen
from tests.studies.training.small import run


def killing(count: int) -> None:
    """Have this process killed when the count-th epoch is dealt with."""
    seen = 0

    def stop(reached: str) -> None:
        nonlocal seen
        seen += reached == "shard done"
        if seen == count:
            os.kill(os.getpid(), signal.SIGKILL)

    listen(stop)


def main() -> Any:
    torch.set_num_threads(1)
    if len(sys.argv) > 3:
        killing(int(sys.argv[3]))
    return run(sys.argv[1], Path(sys.argv[2]))


if __name__ == "__main__":
    main()
