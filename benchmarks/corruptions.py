"""Images per second of the 19 corruptions against `imagecorruptions` (pip install imagecorruptions-imaug).

The same images in one process, one thread for each library, both called in turn, medians over rounds; times are CPU
seconds of the process, so that a busy machine slows neither. The ratio of the whole set is total time over total time.

    python benchmarks/corruptions.py [--images 4] [--rounds 3] [--size 224] [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import imagecorruptions
import numpy as np
import torch
from machine import SHARED, machine
from PIL import Image

from spectrobe.perturbations import perturbation
from spectrobe.perturbations.corruptions import IMAGENET_C, IMAGENET_C_EXTRA


def photographs(folder: Path, count: int, size: int) -> np.ndarray:
    """Crops (N, size, size, 3) uint8 of the first images in a folder; coloured noise where there is no folder."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))[:count]
    if len(files) < count:
        print(f"fewer than {count} images in {folder}: smooth noise instead")
        noise = np.random.default_rng(0).integers(0, 256, (count, size // 8 + 1, size // 8 + 1, 3), dtype=np.uint8)
        return np.stack([np.asarray(Image.fromarray(n).resize((size, size), Image.Resampling.BICUBIC)) for n in noise])
    made = []
    for path in files:
        image = Image.open(path).convert("RGB")
        scale = size / min(image.size)
        image = image.resize((max(size, round(image.width * scale)), max(size, round(image.height * scale))))
        left, top = (image.width - size) // 2, (image.height - size) // 2
        made.append(np.asarray(image.crop((left, top, left + size, top + size))))
    return np.stack(made)


def main() -> None:
    """Print a line for each corruption and the ratio of the whole set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--folder", type=Path, default=SHARED / "data" / "imagenet-sample")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)

    arrays = photographs(arguments.folder, arguments.images, arguments.size)
    tensors = torch.from_numpy(arrays).permute(0, 3, 1, 2).float() / 255
    calls = arguments.images * 5
    print(machine())
    totals = {"spectrobe": 0.0, "imagecorruptions": 0.0}
    print(f"{arguments.images} images of {arguments.size} px, severities 1 to 5, median of {arguments.rounds} rounds")
    print(f"{'':20}{'spectrobe':>14}{'imagecorruptions':>20}{'ratio':>8}   (images/s)")
    for name in IMAGENET_C + IMAGENET_C_EXTRA:
        ours = [perturbation(name, severity=severity) for severity in range(1, 6)]

        def run_ours(ours: list = ours) -> None:  # type: ignore[type-arg]
            for p in ours:
                p(tensors)

        def run_theirs(name: str = name) -> None:
            for severity in range(1, 6):
                for array in arrays:
                    imagecorruptions.corrupt(array, severity, name)

        jobs = {"spectrobe": run_ours, "imagecorruptions": run_theirs}
        times: dict[str, list[float]] = {key: [] for key in jobs}
        for job in jobs.values():  # once unmeasured: compilation, textures, caches
            job()
        for _ in range(arguments.rounds):
            for key, job in jobs.items():
                start = time.process_time()
                job()
                times[key].append(time.process_time() - start)
        middle = {key: float(np.median(values)) for key, values in times.items()}
        for key in totals:
            totals[key] += middle[key]
        rates = {key: calls / seconds for key, seconds in middle.items()}
        print(
            f"{name:20}{rates['spectrobe']:14.1f}{rates['imagecorruptions']:20.1f}"
            f"{middle['imagecorruptions'] / middle['spectrobe']:8.2f}"
        )
    rates = {key: 19 * calls / seconds for key, seconds in totals.items()}
    print(
        f"{'all 19':20}{rates['spectrobe']:14.1f}{rates['imagecorruptions']:20.1f}"
        f"{totals['imagecorruptions'] / totals['spectrobe']:8.2f}"
    )


if __name__ == "__main__":
    main()
