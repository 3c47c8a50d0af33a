"""Studies that train, on CIFAR-10: what noisy labels do to the profile, what a band's SNR does to robustness.

    python -m benchmarks.evidence_training label-noise --budget      # says what it would cost, and ends
    python -m benchmarks.evidence_training label-noise --out ../evidence-runs/label-noise

25,000 training images and 3 seeds; held-out images are CIFAR-10's test set, as far as ../shared has it. The images are
JPEG files, which removes some of the top band. Stopped at any point, the same call goes on. Small networks and few
epochs, so that a study takes about an hour on 2 quiet cores: --arch, --epochs and --images change that.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from benchmarks.machine import SHARED, ended

CIFAR10 = SHARED / "data" / "cifar10"


def main() -> int:
    options = parse()
    from spectrobe.cli.terminal import Terminal

    terminal = Terminal()
    studies: dict[str, Any] = {"label-noise": label_noise, "feature-snr": feature_snr}
    with terminal.progress("image passes") as progress:
        result = studies[options.study](options, progress)
    if result is None:
        return 0
    terminal.show(result.summary())
    from spectrobe import figures

    draw = {"label_noise": "label_noise", "feature_snr": "snr_training"}[result.to_dict()["kind"]]
    figures.save_figure(getattr(figures, draw)(result), options.out / "figures", options.study)
    return 0


def label_noise(options: argparse.Namespace, progress: Any) -> Any:
    """Rates 0 to .8, symmetric or class-pair."""
    from spectrobe.studies.label_noise.study import label_noise as study

    return study(
        f"parquet:{options.data / 'train.parquet'}", test=f"parquet:{options.data / 'test.parquet'}",
        rates=options.rates, kind=options.kind, seeds=options.seeds, epochs=options.epochs or 12, arch=options.arch,
        images=options.images, forward_passes=options.forward_passes, seed=options.seed, budget_only=options.budget,
        out=options.out, progress=progress,
    )  # fmt: skip


def feature_snr(options: argparse.Namespace, progress: Any) -> Any:
    """Low, middle and high bands, and the same with injected noise."""
    from spectrobe.studies.feature_snr.study import feature_snr as study

    return study(
        f"parquet:{options.data / 'train.parquet'}", test=f"parquet:{options.data / 'test.parquet'}",
        seeds=options.seeds, epochs=options.epochs or 10, arch=options.arch, images=options.images,
        inject_db=options.inject_db, seed=options.seed, budget_only=options.budget, out=options.out, progress=progress,
    )  # fmt: skip


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=["label-noise", "feature-snr"])
    parser.add_argument("--out", type=Path, help="the run folder (default runs/evidence-STUDY)")
    parser.add_argument(
        "--data", type=Path, default=SHARED / "data" / "cifar10", help="folder with train.parquet and test.parquet"
    )
    parser.add_argument("--arch", default="resnet:8")
    parser.add_argument("--epochs", type=int, help="of each training")
    parser.add_argument("--images", type=int, default=25_000, help="to train on")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rates", type=float, nargs="+", default=[0, 0.2, 0.4, 0.6, 0.8])
    parser.add_argument("--kind", default="symmetric", choices=["symmetric", "class-pair"])
    parser.add_argument("--inject-db", type=float, default=10, help="SNR of the noise injected in the condition apart")
    parser.add_argument("--forward-passes", type=int, default=6_000, help="of one reading of the profile")
    parser.add_argument("--budget", action="store_true", help="say what it costs, and end")
    options = parser.parse_args()
    options.out = options.out or Path("runs") / f"evidence-{options.study}"
    return options


if __name__ == "__main__":
    sys.exit(ended(main))
