"""The experiment of docs/protocol.md: measures the zoo, relates scores to robustness, prints the evidence's tables.

    python -m benchmarks.relate_zoo --out runs/zoo                  # everything; goes on where it was stopped
    python -m benchmarks.relate_zoo --out runs/zoo --only resnet-at-8
    python -m benchmarks.relate_zoo --out runs/zoo --report         # from what is there, without measuring
    python -m benchmarks.relate_zoo --out runs/try --zoo /tmp/zoo --small

What is measured and how it is decided stands in the protocol; nothing here is a choice but how fast it goes (--batch,
--device, --threads). OUT/evidence.md holds what was printed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import torch

import spectrobe as sb
from benchmarks.machine import ended
from benchmarks.zoo import evidence
from benchmarks.zoo.measuring import ABSENCES, Measuring, Sizes
from benchmarks.zoo.questions import ONLY
from benchmarks.zoo.store import write

ROOT = Path(__file__).resolve().parents[1]
SMALL = Sizes(
    images=40,
    corruption_images=40,
    snr_images=16,
    attacks="pgd_linf:eps=1/510..8/255;steps=20,pgd_l2:eps=1/4..1/2;steps=2",
    corruptions="gaussian_noise:3,contrast:3,jpeg_compression:3",
    band_noise="band_noise:power=0.0064;band=0,band_noise:power=0.0064;band=7",
)


def main() -> int:
    options = parse()
    if options.threads:
        torch.set_num_threads(options.threads)
    sizes = SMALL if options.small else Sizes()
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    zoo = Measuring(options.zoo, f"parquet:{options.data}", options.out, sizes, options.batch, device)
    start = time.monotonic()
    if not options.report:
        zoo.all(options.only)
        print(f"measured in {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
    if options.only is None:
        content = "\n\n".join(report(zoo))
        print(content)
        write(options.out / "evidence.md", f"{content}\n".encode())
    for what, why in zoo.failed.items():
        print(f"failed: {what}: {why}", file=sys.stderr)
    return 1 if zoo.failed else 0


def report(zoo: Measuring) -> list[str]:
    """Relates what is there, keeps the result in OUT/relate, and writes the answers down."""
    names = [name for name in zoo.entries if (zoo.out / name / "attacks" / "result.json").exists()]
    extra = [zoo.baselines(name) for name in names]
    published = {name: zoo.published(name) for name in names}
    result = sb.relate(
        [zoo.out, *extra],
        scores={"published-procedure": published},
        against=further_measures(zoo, names),
        only=ONLY,
        without="at",
    )
    folder = zoo.out / "relate"
    shutil.rmtree(folder, ignore_errors=True)  # follows from the runs
    result.save(folder)
    sb.figures.save_figure(sb.figures.score_robustness(result), folder / "figures", "score-robustness")
    results = {name: sb.load(zoo.out / name / "decompose-mean") for name in names}
    return list(evidence.report(result, zoo.entries, results, ABSENCES))


def further_measures(zoo: Measuring, names: list[str]) -> dict[str, dict[str, float]]:
    """Measures that `relate` does not make itself: band noise over all bands, corruptions at severity 3 alone."""
    found: dict[str, dict[str, float]] = {"band-noise": {}, "corruptions-severity-3": {}}
    for name in names:
        noise, corruptions = (sb.load(zoo.out / name / what) for what in ("band-noise", "corruptions"))
        found["band-noise"][name] = float(np.mean([one.value for one in noise.accuracy.values()]))
        found["corruptions-severity-3"][name] = corruptions.severity_accuracy["3"].value
    return found


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--zoo", type=Path, default=ROOT / "zoo")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data/cifar10/test.parquet")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="measure these models; no report")
    parser.add_argument("--report", action="store_true", help="only relate what is there")
    parser.add_argument("--small", action="store_true", help="a try: few images, few perturbations")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--device")
    parser.add_argument("--threads", type=int)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(ended(main))
