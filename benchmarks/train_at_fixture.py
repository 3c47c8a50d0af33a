"""Make tests/assets/cifar-resnet8-at.safetensors: the small adversarially trained network that attacks are tested on.

cifar-resnet8 (../shared/models) is fine-tuned on CIFAR-10 images of ../shared/data with FGSM from a random start
(Wong, Rice and Kolter 2020, arXiv 2001.03994) at 8/255 in Linf, a few minutes on two cores:

    python benchmarks/train_at_fixture.py [--images 22500] [--epochs 5]

Its accuracy is that of a fixture, not of a robust model from the literature: what matters is that its gradients are
honest and that a good share of images stays right under attack. The weights are stored as float16.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import math
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
TARGET = ROOT / "tests" / "assets" / "cifar-resnet8-at.safetensors"
EPS = 8 / 255


def cifar10(split: str, count: int) -> tuple[Tensor, Tensor]:
    """The first `count` images of a split: pixels (N, 3, 32, 32) in [0, 1] and labels (N,)."""
    table = pq.read_table(SHARED / "data" / "cifar10" / f"{split}.parquet").slice(0, count)
    images = [np.asarray(Image.open(io.BytesIO(row["bytes"])).convert("RGB")) for row in table["image"].to_pylist()]
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
    return pixels, torch.tensor(table["label"].to_pylist())


def cifar_resnet8(weights: Path) -> nn.Module:
    """The class beside the shared weights, with the given weights, in eval mode."""
    spec = importlib.util.spec_from_file_location("cifar_resnet8", SHARED / "models" / "cifar_resnet8.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model: nn.Module = module.CifarResNet8(24)
    model.load_state_dict(load_file(weights))
    return model.eval()


def adversarial(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """One signed gradient step of 1.25 eps from a uniform start, back in the ball and the box."""
    start = (x + torch.empty_like(x).uniform_(-EPS, EPS)).clamp(0, 1).requires_grad_(True)
    (gradient,) = torch.autograd.grad(F.cross_entropy(model(start), y), start)
    step = start.detach() + 1.25 * EPS * gradient.sign()
    return (x + (step - x).clamp(-EPS, EPS)).clamp(0, 1)


def train(model: nn.Module, x: Tensor, y: Tensor, epochs: int, batch: int, peak: float) -> None:
    steps = epochs * (len(x) // batch)
    optimizer = torch.optim.SGD(model.parameters(), lr=peak, momentum=0.9, weight_decay=5e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=steps, pct_start=0.25)
    began, done = time.perf_counter(), 0
    model.train()
    for epoch in range(epochs):
        for chunk in torch.randperm(len(x)).split(batch)[: len(x) // batch]:
            images = x[chunk]
            flip = torch.rand(len(images)) < 0.5
            images[flip] = images[flip].flip(-1)
            images = images.contiguous(memory_format=torch.channels_last)
            loss = F.cross_entropy(model(adversarial(model, images, y[chunk])), y[chunk])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            done += 1
            if not math.isfinite(loss.item()):
                raise SystemExit("the loss is not finite: lower --peak")
        spent = time.perf_counter() - began
        print(f"epoch {epoch + 1}: adversarial loss {loss.item():.3f}, {spent:.0f} s, {done}/{steps} steps", flush=True)
    model.eval()


def accuracy_under_pgd(model: nn.Module, x: Tensor, y: Tensor, steps: int = 10) -> tuple[float, float]:
    """Clean accuracy, and accuracy under PGD in Linf at 8/255, a quick look while training."""
    delta = torch.empty_like(x).uniform_(-EPS, EPS)
    for _ in range(steps):
        point = (x + delta).clamp(0, 1).requires_grad_(True)
        (gradient,) = torch.autograd.grad(F.cross_entropy(model(point), y, reduction="sum"), point)
        delta = (point.detach() + EPS / 4 * gradient.sign() - x).clamp(-EPS, EPS)
    with torch.no_grad():
        clean, robust = model(x), model((x + delta).clamp(0, 1))
    return float((clean.argmax(1) == y).float().mean()), float((robust.argmax(1) == y).float().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=22_500)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--peak", type=float, default=0.05, help="the largest learning rate")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=TARGET)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    model = cifar_resnet8(SHARED / "models" / "cifar-resnet8.safetensors").to(memory_format=torch.channels_last)
    train(model, *cifar10("train", options.images), options.epochs, options.batch, options.peak)
    weights = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in weights.items()}, options.out)
    x, y = cifar10("test", 500)
    before = accuracy_under_pgd(model, x, y)
    after = accuracy_under_pgd(cifar_resnet8(options.out), x, y)
    print(
        f"clean and PGD-10 accuracy on 500 test images: {before[0]:.3f} {before[1]:.3f}, "
        f"as stored: {after[0]:.3f} {after[1]:.3f}"
    )


if __name__ == "__main__":
    main()
