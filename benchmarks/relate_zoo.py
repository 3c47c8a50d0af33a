"""The experiment of docs/protocol.md: measures the zoo, relates scores to robustness, prints the evidence's tables.

    python -m benchmarks.relate_zoo --out runs/zoo                  # everything; goes on where it was stopped
    python -m benchmarks.relate_zoo --out runs/zoo --only resnet-at-8
    python -m benchmarks.relate_zoo --out runs/zoo --jobs 2         # models shared out over two processes
    python -m benchmarks.relate_zoo --out runs/zoo --report         # from what is there, without measuring
    python -m benchmarks.relate_zoo --out runs/try --zoo /tmp/zoo --small

What is measured and how it is decided stands in the protocol; nothing here is a choice but how fast it goes (--batch,
--device, --threads, --jobs). Stopped at any point, the same call goes on: what is begun goes on from its last shard.
OUT/evidence.md holds what was printed, OUT/answers/question-N.json the numbers of each question (and zoo, spread,
defaults, other-measures), OUT/relate the whole result.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

import spectrobe as sb
from benchmarks.machine import ended
from benchmarks.zoo import evidence
from benchmarks.zoo.measuring import ABSENCES, Measuring, Sizes
from benchmarks.zoo.questions import ONLY, PRIMARY
from benchmarks.zoo.store import write
from spectrobe.engine.store import json_text
from spectrobe.studies.relate.correlate import FEWEST

CORRUPTION_KINDS = {
    "noise": ("gaussian_noise", "shot_noise", "impulse_noise"),
    "blur": ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    "weather": ("snow", "frost", "fog", "brightness"),
    "digital": ("contrast", "elastic_transform", "pixelate", "jpeg_compression"),
}
"""ImageNet-C's own four (Hendrycks & Dietterich 2019, arXiv 1903.12261)."""
ROOT = Path(__file__).resolve().parents[1]
SMALL = Sizes(
    images=40,
    corruption_images=40,
    snr_images=16,
    minimum_norm_images=16,
    minimum_norm="fmn_linf:steps=10,ddn_l2:steps=10",
    corruptions="gaussian_noise:3,defocus_blur:3,fog:3,contrast:3,jpeg_compression:3",
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
        if options.only is None and options.jobs > 1:
            in_processes(zoo, options)
        else:
            zoo.all(options.only)
        print(f"measured in {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
    complete = zoo.complete()
    missing = [name for name in options.only or zoo.entries if name not in complete]
    if options.only is None and len(complete) >= FEWEST:
        write_report(zoo, complete)
    for what, why in zoo.failed.items():
        print(f"failed: {what}: {why}", file=sys.stderr)
    for name in missing:
        print(f"not complete: {name}", file=sys.stderr)
    return 1 if zoo.failed or missing else 0


def in_processes(zoo: Measuring, options: argparse.Namespace) -> None:
    """What is of all models here, then every Nth model in one of N processes, on its share of the cores."""
    zoo.of_all()
    names = list(zoo.entries)
    paths = [part for name in ("out", "zoo", "data") for part in (f"--{name}", getattr(options, name).resolve())]
    passed = [*paths, "--batch", options.batch]
    passed += ["--threads", options.threads or max(1, torch.get_num_threads() // options.jobs)]
    passed += [*(["--device", options.device] if options.device else []), *(["--small"] if options.small else [])]
    calls = [
        [sys.executable, "-m", "benchmarks.relate_zoo", *map(str, passed), "--only", *names[k :: options.jobs]]
        for k in range(min(options.jobs, len(names)))
    ]
    for child in [subprocess.Popen(call, cwd=ROOT) for call in calls]:
        child.wait()


def write_report(zoo: Measuring, names: list[str]) -> None:
    """Relate these models, keep the result in OUT/relate, write the answers down in words and in numbers."""
    entries = {name: entry for name, entry in zoo.entries.items() if name in names}
    missing = [name for name in zoo.entries if name not in names]
    content = [f"Not complete, and left out: {', '.join(missing)}."] if missing else []
    for name, text, numbers in evidence.report(related(zoo, names), entries, decompositions(zoo, names)):
        content.append(text)
        print(f"{text}\n", flush=True)
        write(zoo.out / "answers" / f"{name}.json", json_text({"answers": numbers}).encode())
    write(zoo.out / "evidence.md", ("\n\n".join(content) + "\n").encode())


def decompositions(zoo: Measuring, names: list[str]) -> dict[str, dict[str, sb.DecomposeResult]]:
    """Absence -> model -> decomposition."""
    return {a: {name: sb.load(zoo.out / name / f"decompose-{a}") for name in names} for a in ABSENCES}


def related(zoo: Measuring, names: list[str]) -> sb.RelateResult:
    """Every score against every measure; kept in OUT/relate with its figure."""
    result = sb.relate(
        [*(zoo.out / name for name in names), *(zoo.baselines(name) for name in names)],
        snr=[zoo.out / "snr-corruptions"],
        scores={"published-procedure": {name: zoo.published(name) for name in names}},
        against=further_measures(zoo, names),
        only=ONLY,
        without="at",
    )
    folder = zoo.out / "relate"
    shutil.rmtree(folder, ignore_errors=True)  # follows from the runs
    result.save(folder)
    measures = [first for first, *_ in PRIMARY.values() if first in result.measures]
    sb.figures.save_figure(
        sb.figures.score_robustness(result, None, measures or None), folder / "figures", "score-robustness"
    )
    return result


def further_measures(zoo: Measuring, names: list[str]) -> dict[str, dict[str, float]]:
    """Measures that `relate` does not make itself: means over bands, over corruptions of a kind, and at severity 3."""
    found: dict[str, dict[str, float]] = {}
    for name in names:
        noise, corruptions = (sb.load(zoo.out / name / what) for what in ("band-noise", "corruptions"))
        own = {
            "band-noise": np.mean([one.value for one in noise.accuracy.values()]),
            "corruptions-severity-3": corruptions.severity_accuracy["3"].value,
        }
        for kind, members in CORRUPTION_KINDS.items():
            errors = [corruptions.corruption_error[one].value for one in members if one in corruptions.corruption_error]
            own |= {f"corruptions-{kind}": 1 - np.mean(errors)} if errors else {}
        for measure, value in own.items():
            found.setdefault(measure, {})[name] = float(value)
    return found


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--zoo", type=Path, default=ROOT / "zoo")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data/cifar10/test.parquet")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="measure these models; no report")
    parser.add_argument("--report", action="store_true", help="only relate what is there")
    parser.add_argument("--small", action="store_true", help="a try: few images, few perturbations")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--device")
    parser.add_argument("--threads", type=int, help="of each process")
    parser.add_argument("--jobs", type=int, default=1, help="processes that share the models out")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(ended(main))
