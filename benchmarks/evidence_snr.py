"""The claim that low frequencies have the higher SNR, for ImageNet-C's corruptions and for attacks, on photographs.

    python -m benchmarks.evidence_snr [--images 200] [--severity 3] [--attacks] [--cw-images 50] [--out FOLDER]

Photographs of ../shared/data/imagenet-sample at 224 px, 8 square bands, mean apart, median over images, 95 % intervals
over images. Prints for each of the 19 corruptions (and with --attacks for FGSM, PGD-10 and Carlini-Wagner on
EfficientNet-Lite0, which are led away from the labels): slope in dB/octave, the difference of Akaike's criterion
(exponential minus power
law: above 0 the power law fits better), which bands are robust, whether they are the lowest ones, and the exceptions.
With --out the runs are kept there and go on where they were.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch

from benchmarks.machine import SHARED, ended, machine
from spectrobe.studies.snr.result import SnrResult, SnrStudy
from spectrobe.studies.snr.study import snr_study
from spectrobe.studies.snr.wording import PATTERNS, robust_text, slope_text

DATA = SHARED / "data" / "imagenet-sample"
MODEL = "demo:efficientnet-lite0"
EPS = "4/255"
CW = "cw_l2"  # at most 5 x 50 steps


def row(result: SnrResult) -> str:
    """One perturbation."""
    decay = result.decay
    difference = decay.aic_difference
    low, high = result.db[0], result.db[-1]
    exceptions = ""
    if not result.prefix:
        exceptions = (
            f"; lost below a robust one: {result.non_robust_below}, robust above a lost one: {result.robust_above}"
        )
    return (
        f"{result.perturbation:32} {result.n_images:4} {slope_text(decay.db_per_octave):>22} "
        f"{difference.value:+7.1f} [{difference.low:+6.1f}, {difference.high:+6.1f}] {low:6.1f} {high:6.1f}  "
        f"{robust_text(result)}{exceptions}"
    )


def show(study: SnrStudy) -> None:
    """The table, and which perturbations keep to the claim."""
    print(
        f"{'perturbation':32} {'n':>4} {'slope (dB/octave)':>22} {'AIC difference':>24} {'low':>6} {'high':>6}  bands"
    )
    for result in study.results.values():
        print(row(result))
    for pattern, told in PATTERNS.items():
        names = [name for name, result in study.results.items() if result.pattern == pattern]
        if names:
            print(f"{told} ({len(names)} of {len(study.results)}): {', '.join(names)}")
    for name, reason in study.failed.items():
        print(f"failed: {name}: {reason}")
    print(flush=True)


def corruptions(images: int, severity: int, out: str | None) -> None:
    """All 19."""
    items = f"imagenet-c:{severity},imagenet-c-extra:{severity}"
    show(snr_study(str(DATA), items, size=224, images=images, out=out and f"{out}/corruptions"))


def attacks(images: int, cw_images: int, out: str | None) -> None:
    """FGSM and PGD-10 on all images, Carlini-Wagner on some, noise of the same norm as control."""
    from spectrobe.models import open_model

    model = open_model(MODEL)
    bounded = f"fgsm_linf:eps={EPS},pgd_linf:eps={EPS};steps=10,noise_linf:eps={EPS}"
    call = {"model": model, "batch_size": 25}
    show(snr_study(str(DATA), bounded, images=images, out=out and f"{out}/attacks", **call))
    show(snr_study(str(DATA), CW, images=min(images, cw_images), out=out and f"{out}/carlini-wagner", **call))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--severity", type=int, default=3)
    parser.add_argument("--attacks", action="store_true")
    parser.add_argument("--cw-images", type=int, default=50)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--out")
    asked = parser.parse_args()
    if asked.threads:
        torch.set_num_threads(asked.threads)
    print(
        f"{machine()}; {asked.images} photographs of {Path(DATA).name} at 224 px, severity {asked.severity}\n",
        flush=True,
    )
    start = time.perf_counter()
    corruptions(asked.images, asked.severity, asked.out)
    print(f"{time.perf_counter() - start:.0f} s\n", flush=True)
    if asked.attacks:
        start = time.perf_counter()
        attacks(asked.images, asked.cw_images, asked.out)
        print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    sys.exit(ended(main))
