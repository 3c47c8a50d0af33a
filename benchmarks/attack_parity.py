"""APGD and Square against those of the Adversarial Robustness Toolbox (ART): accuracy under attack at the same budget.

    python -m benchmarks.attack_parity [--images 500] [--steps 20] [--queries 200] [--norms linf]

Two networks: cifar-resnet8 (../shared/models) and its adversarially trained sister (tests/assets), on CIFAR-10 test
images of ../shared/data. Accuracy is recomputed on the returned images, for both libraries by the same code. Same
budget: the same steps and restarts for APGD, whose first step is 2 eps in both; the same number of queries after the
start for Square. Needs the dev extra (ART). Prints a table; parity is a difference of at most one point.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.train_at_fixture import SHARED, TARGET, cifar10, cifar_resnet8
from spectrobe.perturbations.attacks import APGD, Square, check_attack

EPS = {("standard", "linf"): 2 / 255, ("standard", "l2"): 0.25, ("robust", "linf"): 8 / 255, ("robust", "l2"): 0.75}
WEIGHTS = {"standard": SHARED / "models" / "cifar-resnet8.safetensors", "robust": TARGET}
ATTACKS = ("apgd_ce", "apgd_dlr", "square")


@dataclass(frozen=True)
class Parity:
    """One row: accuracy of ours and of ART's on the same images, and the seconds each took."""

    model: str
    attack: str
    eps: float
    clean: float
    ours: float
    art: float
    seconds: tuple[float, float]

    def __str__(self) -> str:
        return (
            f"{self.model:9} {self.attack:14} eps {self.eps:.4f}  clean {self.clean:6.1%}  ours {self.ours:6.1%}  "
            f"ART {self.art:6.1%}  difference {100 * (self.ours - self.art):+5.1f} points  "
            f"({self.seconds[0]:.0f} s, {self.seconds[1]:.0f} s)"
        )


def ours(attack: str, norm: Any, model: nn.Module, eps: float, steps: int, queries: int) -> Callable[..., Tensor]:
    if attack == "square":
        return Square(norm, eps=eps, model=model, queries=queries + 1)  # ours counts the start
    return APGD("ce" if attack == "apgd_ce" else "dlr", norm, eps=eps, model=model, steps=steps)


def art(attack: str, norm: str, model: nn.Module, eps: float, steps: int, queries: int) -> Callable[..., Tensor]:
    from art.attacks.evasion import AutoProjectedGradientDescent, SquareAttack
    from art.estimators.classification import PyTorchClassifier

    estimator = PyTorchClassifier(
        model, nn.CrossEntropyLoss(), input_shape=(3, 32, 32), nb_classes=10, clip_values=(0, 1), device_type="cpu"
    )
    order = np.inf if norm == "linf" else 2
    if attack == "square":
        made = SquareAttack(estimator, norm=order, eps=eps, max_iter=queries, batch_size=250, verbose=False)
    else:
        loss = {"apgd_ce": "cross_entropy", "apgd_dlr": "difference_logits_ratio"}[attack]
        made = AutoProjectedGradientDescent(
            estimator,
            norm=order,
            eps=eps,
            eps_step=2 * eps,  # the paper's first step; ART's default is another
            max_iter=steps,
            nb_random_init=1,
            batch_size=250,
            loss_type=loss,
            verbose=False,
        )

    def run(x: Tensor, y: Tensor, seed: int) -> Tensor:
        np.random.seed(seed)  # noqa: NPY002  ART draws from numpy's global generator
        return torch.from_numpy(made.generate(x.numpy(), y.numpy()))

    return run


def compare(
    which: str, attack: str, norm: Any, x: Tensor, y: Tensor, steps: int = 20, queries: int = 200, seed: int = 0
) -> Parity:
    """Run one attack of both libraries on one of the two networks."""
    model = cifar_resnet8(WEIGHTS[which])
    eps = EPS[which, norm]
    with torch.no_grad():
        right = model(x).argmax(1) == y  # the others count as wrong, and neither library moves them
    accuracy, seconds = [], []
    for make in (ours, art):
        run = make(attack, norm, model, eps, steps, queries)
        began = time.perf_counter()
        perturbed = x.clone()
        perturbed[right] = run(x[right], y[right], seed=seed)
        seconds.append(time.perf_counter() - began)
        # ART's L2 steps overshoot the ball by float rounding: both are measured with the same allowance
        check = check_attack(model, x, perturbed, y, norm=norm, eps=eps * (1 + 1e-4), name=f"{make.__name__} {attack}")
        if check.warnings:
            raise SystemExit("; ".join(check.warnings))
        accuracy.append(float(1 - check.success.mean()))
    clean = float(right.float().mean())
    return Parity(which, f"{attack}_{norm}", eps, clean, accuracy[0], accuracy[1], (seconds[0], seconds[1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--steps", type=int, default=20, help="of APGD")
    parser.add_argument("--queries", type=int, default=200, help="of Square, after its start")
    parser.add_argument("--norms", nargs="+", default=["linf"], choices=["linf", "l2"])
    parser.add_argument("--attacks", nargs="+", default=list(ATTACKS), choices=ATTACKS)
    parser.add_argument("--models", nargs="+", default=list(WEIGHTS), choices=list(WEIGHTS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    x, y = cifar10("test", options.images)
    print(f"{options.images} images, APGD {options.steps} steps, Square {options.queries} queries", flush=True)
    rows = []
    for which in options.models:
        for norm in options.norms:
            for attack in options.attacks:
                rows.append(compare(which, attack, norm, x, y, options.steps, options.queries, options.seed))
                print(rows[-1], flush=True)
    worst = max(rows, key=lambda row: abs(row.ours - row.art))
    print(f"largest difference: {100 * abs(worst.ours - worst.art):.1f} points ({worst.model}, {worst.attack})")


if __name__ == "__main__":
    main()
