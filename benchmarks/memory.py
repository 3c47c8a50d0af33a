"""Peak memory of decompose at 200 and at 2,000 images, each in a process of its own: the ratio should be near 1.

python benchmarks/memory.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from machine import SHARED, machine

CHILD = """
import resource, torch, spectrobe as sb
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.AvgPool2d(8), torch.nn.Flatten(), torch.nn.Linear(48, 10))
sb.decompose(model, "parquet:{data}", bands=8, value="usable-information", absence="mean", design="exact",
             images={n}, precision="float32", batch_size=64, out={out!r})
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def peak(n: int) -> float:
    """Peak resident memory in MiB of a run over n images."""
    with tempfile.TemporaryDirectory() as folder:
        data = SHARED / "data/cifar10/test.parquet"
        code = CHILD.format(data=data, n=n, out=str(Path(folder) / "run"))
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


print(f"a linear model, M = 8, exact, CIFAR-10 Parquet; {machine()}")
small, large = peak(200), peak(2000)
print(f"peak memory: {small:.0f} MiB at 200 images, {large:.0f} MiB at 2,000: ratio {large / small:.3f}")
