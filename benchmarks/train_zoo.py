"""Train the zoo: sixteen small CIFAR-10 classifiers that differ in what should matter for robustness, into zoo/.

    python -m benchmarks.train_zoo                                  # all, on the GPU if there is one
    python -m benchmarks.train_zoo --epochs 6 --images 25000 --attack-steps 1 --batch 128 --jobs 2 --threads 1
                                                                    # a size for two cores: some hours
    python -m benchmarks.train_zoo --only resnet-at-8 cnn-at-4
    python -m benchmarks.train_zoo --epochs 1 --images 1000 --test-images 200 --out /tmp/zoo     # a try

Stopped at any point, the same call goes on: finished models are kept, a model begun goes on from its last checkpoint.
Images come from ../shared, or from .carry/cifar10.npz, which `python -m benchmarks.carry_cifar10` makes for a machine
without ../shared. `--pack FILE` puts all that was made into one file, `--unpack FILE` takes it from there first.
`--jobs N` trains N models at a time in processes of their own: small networks leave a large GPU idle.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import torch

from benchmarks.zoo import images as cifar10
from benchmarks.zoo.plan import Entry, chosen
from benchmarks.zoo.store import STRENGTHS, assemble, keep, pack, unpack
from benchmarks.zoo.training import OutOfTime, Settings, train

OUT = Path(__file__).resolve().parents[1] / "zoo"


def main() -> int:
    options = parse()
    work = options.work or options.out / ".work"
    if options.unpack:
        unpack(options.unpack, options.out, work)
    deadline = None if options.minutes is None else time.monotonic() + 60 * options.minutes
    entries = chosen(options.only)
    missing = [entry for entry in entries if not (work / f"{entry.name}.json").exists()]
    try:
        if missing and options.jobs > 1:
            complete = in_processes(options, missing)
        else:
            complete = one_by_one(options, missing, work, deadline)
    finally:
        found = assemble(options.out, work)
        if options.pack:
            pack(options.out, work, options.pack)
    print(table([found[entry.name] for entry in entries if entry.name in found]))
    return 0 if complete else 1


def one_by_one(options: argparse.Namespace, entries: list[Entry], work: Path, deadline: float | None) -> bool:
    """Train and store each; False when time ran out."""
    if not entries:
        return True
    device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.backends.cudnn.benchmark = True
    settings = Settings(options.epochs, options.images, options.batch, options.attack_steps)
    x, y = (part.to(device) for part in cifar10.load("train", options.images, options.data))
    test_x, test_y = (part.to(device) for part in cifar10.load("test", options.test_images, options.data))
    print(f"{len(entries)} models, {len(x):,} images, {device}", flush=True)
    for entry in entries:
        if deadline is not None and time.monotonic() > deadline:
            return False
        try:
            net, told = train(entry, x, y, settings, work, deadline)
        except OutOfTime:
            print(f"{entry.name}: time is up; the same call goes on from the checkpoint", flush=True)
            return False
        facts = keep(entry, net, told, test_x, test_y, options.out, work)
        assemble(options.out, work)
        print(table([facts]).splitlines()[-1], flush=True)
    return True


def in_processes(options: argparse.Namespace, entries: list[Entry]) -> bool:
    """Share the models out over processes, the costly ones first, each to the process with least to do."""
    shares: list[list[Entry]] = [[] for _ in range(min(options.jobs, len(entries)))]
    for entry in sorted(entries, key=lambda entry: -entry.cost(options.attack_steps)):
        min(shares, key=lambda share: sum(e.cost(options.attack_steps) for e in share)).append(entry)
    passed = ["--out", str(options.out), "--batch", str(options.batch), "--attack-steps", str(options.attack_steps)]
    for name in ("work", "data", "epochs", "images", "test_images", "device", "threads", "minutes"):
        if getattr(options, name) is not None:
            passed += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    calls = [
        [sys.executable, "-m", "benchmarks.train_zoo", *passed, "--only", *(entry.name for entry in share)]
        for share in shares
    ]
    children = [subprocess.Popen(call, cwd=Path(__file__).resolve().parents[1]) for call in calls]
    codes = [child.wait() for child in children]
    return not any(codes)


def table(found: list[dict[str, object]]) -> str:
    """A line a model: what it reaches."""
    lines = [f"{'model':24} {'clean':>6} " + " ".join(f"{f'PGD {k}/255':>10}" for k in STRENGTHS) + "   seconds"]
    for facts in found:
        under = " ".join(f"{facts[f'pgd20_{k}']:10.3f}" for k in STRENGTHS)
        lines.append(f"{facts['name']:24} {facts['accuracy']:6.3f} {under} {facts['seconds']:9.0f}")
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these models")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--work", type=Path, help="checkpoints and entries (default OUT/.work)")
    parser.add_argument("--data", type=Path, help="the carried file, or the folder of the Parquet files")
    parser.add_argument("--epochs", type=int, help="of a residual network; the others in proportion")
    parser.add_argument("--images", type=int, help="of the training set (default all)")
    parser.add_argument("--test-images", type=int, help="of the test set (default all)")
    parser.add_argument("--batch", type=int, default=512, help="images; 128 is faster on a processor")
    parser.add_argument("--attack-steps", type=int, default=3, help="of adversarial training; 1 is cheap")
    parser.add_argument("--device")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--jobs", type=int, default=1, help="models trained at a time")
    parser.add_argument("--minutes", type=float, help="stop, with a checkpoint, after so many")
    parser.add_argument("--pack", type=Path, metavar="FILE")
    parser.add_argument("--unpack", type=Path, metavar="FILE")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
