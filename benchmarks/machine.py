"""What the benchmarks share: the machine's name, the test images, alternation and medians."""

from __future__ import annotations

import io
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from spectrobe.cli.terminal import say
from spectrobe.errors import SpectrobeError

SHARED = Path(__file__).resolve().parents[2] / "shared"


def machine() -> str:
    """One line that names the machine and the versions that matter."""
    model = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        model = names[0] if names else model
    return f"{model}, {torch.get_num_threads()} threads, torch {torch.__version__}, Python {platform.python_version()}"


def ended(main: Callable[[], int | None]) -> int:
    """The exit code of a script: bad input is one line and 2, Ctrl-C one line and 130, as on the command line."""
    try:
        return main() or 0
    except SpectrobeError as error:
        say(str(error))
        return 2
    except KeyboardInterrupt:
        say("interrupted; what was done is kept where there is a run folder, and the same call goes on from it")
        return 130


def alternate(sides: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each side, the sides taking turns; the order is reversed every other time."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for repeat in range(repeats):
        for name in list(sides)[:: 1 if repeat % 2 == 0 else -1]:
            start = time.perf_counter()
            sides[name]()
            seconds[name].append(time.perf_counter() - start)
            print(f"  {name}: {seconds[name][-1]:.2f} s", file=sys.stderr, flush=True)
    return seconds


def ratio(seconds: dict[str, list[float]], one: str, other: str) -> str:
    """Median of the ratios of the rounds, with their range."""
    ratios = [a / b for a, b in zip(seconds[one], seconds[other], strict=True)]
    return f"{statistics.median(ratios):.3f} (rounds {min(ratios):.3f} to {max(ratios):.3f})"


def cifar_resnet8() -> nn.Module:
    """The small trained network of shared/models."""
    from safetensors.torch import load_file

    spec = spec_from_file_location("cifar_resnet8", SHARED / "models/cifar_resnet8.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(SHARED)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    net: nn.Module = module.CifarResNet8()
    net.load_state_dict(load_file(SHARED / "models/cifar-resnet8.safetensors"))
    return net.eval()


def cifar10(n: int, split: str = "test") -> tuple[Tensor, Tensor]:
    """The first n CIFAR-10 images of shared/data as pixels in [0, 1], with labels."""
    import pyarrow.parquet as pq
    from PIL import Image

    rows = pq.read_table(SHARED / f"data/cifar10/{split}.parquet").slice(0, n)
    pixels = [np.asarray(Image.open(io.BytesIO(row["bytes"])).convert("RGB")) for row in rows["image"].to_pylist()]
    images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255
    return images, torch.tensor(rows["label"].to_pylist())


def photographs(n: int, size: int = 224) -> Tensor:
    """The first n photographs of shared/data at a square size, as pixels in [0, 1]."""
    from PIL import Image

    paths = sorted((SHARED / "data/imagenet-sample").glob("*/*"))[:n]
    out = []
    for path in paths:
        image = Image.open(path).convert("RGB")
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        box = (left, top, left + side, top + side)
        out.append(np.asarray(image.resize((size, size), Image.Resampling.BICUBIC, box=box)))
    return torch.from_numpy(np.stack(out)).permute(0, 3, 1, 2).float() / 255


def best_batch(forward: Callable[[Tensor], Tensor], images: Tensor, candidates: tuple[int, ...]) -> int:
    """The batch size with the shortest time an image, of those tried, each the best of three."""
    times = {}
    with torch.inference_mode():
        for size in (size for size in candidates if size <= len(images)):
            batch = images[:size].contiguous(memory_format=torch.channels_last)
            forward(batch)
            runs = []
            for _ in range(3):
                start = time.perf_counter()
                forward(batch)
                runs.append((time.perf_counter() - start) / size)
            times[size] = min(runs)
    return min(times, key=lambda size: times[size])
