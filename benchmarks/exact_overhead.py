"""Exact design against bare forward passes, the published procedure, and one FFT pair a coalition.

    python benchmarks/exact_overhead.py resnet18|cifar-resnet8 [--against bare published fft]

Both sides in one process, taking turns; float32, channels_last on both; bare passes at their own best batch size.
`decompose` is the whole call: checks, batch size, game, intervals, writing the run folder.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from machine import alternate, best_batch, cifar10, cifar_resnet8, machine, photographs, ratio

import spectrobe as sb
from spectrobe.game.published import decompose as published_decompose

parser = argparse.ArgumentParser()
parser.add_argument("model", choices=["resnet18", "cifar-resnet8"])
parser.add_argument("--repeats", type=int, default=3)
parser.add_argument("--against", nargs="*", default=["bare"], choices=["bare", "published", "fft"])
parser.add_argument("--images", type=int, default=256)
arguments = parser.parse_args()

if arguments.model == "resnet18":
    from torchvision.models import resnet18

    torch.manual_seed(0)
    model, images, n_bands, sizes = resnet18(), photographs(arguments.images), 4, (8, 16, 32, 64)
    labels = torch.arange(len(images)) % 1000
else:
    model, n_bands, sizes = cifar_resnet8(), 8, (8, 16, 32, 48, 64, 96, 128, 256)
    images, labels = cifar10(arguments.images)
model = model.eval().to(memory_format=torch.channels_last)
coalitions = 2**n_bands
bands = sb.BandPartition.square(n_bands)
batch = best_batch(model, images, sizes)
print(f"{arguments.model}: {len(images)} images x {coalitions} coalitions; best bare batch {batch}; {machine()}")


def decompose() -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        sb.decompose(model, (images, labels), bands=bands, value="usable-information", absence="zero", design="exact",
                     precision="float32", out=out)  # fmt: skip


@torch.inference_mode()
def bare() -> None:
    pool = images[:batch].contiguous(memory_format=torch.channels_last)
    # the empty coalition of absence zero is one image for all
    for _ in range((len(images) * (coalitions - 1) + 1) // batch):
        model(pool)


@torch.inference_mode()
def fft() -> None:
    masks = bands.labels(*images.shape[-2:])
    for start in range(0, len(images), batch):
        x = images[start : start + batch]
        for mask in range(coalitions):
            keep = torch.tensor([mask >> i & 1 for i in range(n_bands)], dtype=torch.bool)[masks]
            filtered = torch.fft.irfft2(torch.fft.rfft2(x) * keep, s=x.shape[-2:])
            model(filtered.contiguous(memory_format=torch.channels_last)).log_softmax(1)


@torch.inference_mode()
def published() -> None:
    published_decompose(model, images, labels, bands=n_bands, batch_size=batch)


sides = {"decompose": decompose, **{name: globals()[name] for name in arguments.against}}
seconds = alternate(sides, arguments.repeats)
for name in arguments.against:
    print(f"time of decompose / {name}: {ratio(seconds, 'decompose', name)}")
