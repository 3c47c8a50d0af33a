"""The README's first question, asked as a stranger would: which frequencies survive my own noise?

    python -m benchmarks.own_noise [--images 30] [--picture FILE.png] [--folder FOLDER]

Writes photographs of ../shared at their own sizes to clean/, and what three sources of noise make of them to jpeg/
(Pillow, quality 30), sensor/ (Gaussian noise of 0.08 of the range, stored as PNG) and lens/ (Gaussian blur, 1.5 px).
Then runs `spectrobe snr clean --against NOISY` on each, prints what it prints, and draws all three in one figure.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

import spectrobe as sb
from benchmarks.machine import SHARED, machine
from spectrobe.cli import main as spectrobe

NOISES = ("jpeg", "sensor", "lens")


def write(folder: Path, count: int) -> None:
    """clean/ and a folder for each of NOISES."""
    for name in ("clean", *NOISES):
        (folder / name).mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    for index, path in enumerate(sorted((SHARED / "data/imagenet-sample").glob("*/*"))[:count]):
        name, image = f"photo{index:02}", Image.open(path).convert("RGB")
        image.save(folder / f"clean/{name}.png")
        image.save(folder / f"jpeg/{name}.jpg", quality=30)
        noisy = np.asarray(image) / 255 + 0.08 * generator.standard_normal((image.height, image.width, 3))
        Image.fromarray((noisy.clip(0, 1) * 255).round().astype(np.uint8)).save(folder / f"sensor/{name}.png")
        image.filter(ImageFilter.GaussianBlur(1.5)).save(folder / f"lens/{name}.png")


def run() -> None:
    """The command on each folder, in the current one."""
    for name in NOISES:
        spectrobe(["snr", "clean", "--against", name, "--out", f"runs/{name}", "--quiet"])
        print(flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=30)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--folder", type=Path, help="where folders and runs are kept (default: nowhere)")
    asked = parser.parse_args()
    picture = asked.picture and asked.picture.resolve()
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary)
        write(folder, asked.images)
        print(machine())
        with contextlib.chdir(folder):
            run()
            figure = sb.figures.snr_bias([sb.load(f"runs/{name}") for name in NOISES])
        if picture:
            figure.savefig(picture, dpi=200, metadata={"Software": None})


if __name__ == "__main__":
    main()
