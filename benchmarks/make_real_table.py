"""Make tests/assets/cifar-resnet8-4-bands.npz: a real payoff table, the population that intervals are tested on.

The logits of cifar-resnet8 (../shared/models) on all 16 coalitions of 4 square bands of the first 2,000 CIFAR-10 test
images (../shared/data), absence mean; tests/real_table.py makes the payoff table of them. About a minute on two cores:

    python benchmarks/make_real_table.py
"""

from __future__ import annotations

import argparse
import importlib.util
import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from spectrobe.bands import BandPartition
from spectrobe.game.coalitions import ExactDesign, members
from spectrobe.seeding import seeded_order
from spectrobe.spectrum import band_energy, coalition_images

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
TARGET = ROOT / "tests" / "assets" / "cifar-resnet8-4-bands.npz"
N_BANDS = 4


def cifar10_test(count: int) -> tuple[Tensor, Tensor]:
    """The first `count` test images: pixels (N, 3, 32, 32) in [0, 1] and labels (N,)."""
    table = pq.read_table(SHARED / "data" / "cifar10" / "test.parquet").slice(0, count)
    images = [np.asarray(Image.open(io.BytesIO(row["bytes"])).convert("RGB")) for row in table["image"].to_pylist()]
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
    return pixels, torch.tensor(table["label"].to_pylist())


def cifar_resnet8() -> nn.Module:
    """The class and the weights of ../shared/models, in eval mode."""
    spec = importlib.util.spec_from_file_location("cifar_resnet8", SHARED / "models" / "cifar_resnet8.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model: nn.Module = module.CifarResNet8()
    model.load_state_dict(load_file(SHARED / "models" / "cifar-resnet8.safetensors"))
    return model.eval()


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=TARGET)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    bands, model = BandPartition.square(N_BANDS), cifar_resnet8()
    pixels, labels = cifar10_test(options.images)
    first = seeded_order([str(i) for i in range(len(pixels))], 0)[:512]
    mean = pixels[torch.from_numpy(first)].mean(0)
    coalitions = torch.from_numpy(members(ExactDesign(N_BANDS).coalitions(""), N_BANDS))
    logits = torch.cat(
        [
            model(coalition_images(x, bands, coalitions, mean).flatten(0, 1)).view(len(x), len(coalitions), -1)
            for x in pixels.split(16)
        ]
    )
    centred = logits - logits.mean(
        2, keepdim=True
    )  # a softmax does not see the shift; float16 keeps more of what is left
    power = band_energy(pixels - pixels.mean((2, 3), keepdim=True), bands)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        options.out,
        logits=centred.half().numpy(),
        label=labels.to(torch.uint8).numpy(),
        band_power=power.to(torch.float32).numpy(),
    )
    accuracy = float((logits[:, 0].argmax(1) == labels).float().mean())
    size = options.out.stat().st_size / 1e6
    print(
        f"{len(pixels)} images, accuracy {accuracy:.3f}, largest logit {float(logits.abs().max()):.1f}, {size:.2f} MB"
    )


if __name__ == "__main__":
    main()
