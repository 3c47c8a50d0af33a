"""The three studies on a folder of small images, as runs that are stopped, changed and gone on with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import spectrobe as sb
from spectrobe.engine import local, phases
from spectrobe.studies.robustness import preparation as robustness_preparation
from spectrobe.studies.snr.preparation import SnrPreparation

N_IMAGES, PER_SHARD, N_SHARDS = 12, 4, 3
ROWS = {"decompose": "payoffs", "snr": "snr", "robustness": "predictions"}
"""Study -> the run's subfolder with the rows."""


class Stopped(Exception):
    """The process was killed."""


@contextmanager
def stopping(phase: str, count: int = 1) -> Iterator[None]:
    """Raise Stopped when a run comes to `phase` for the count-th time."""
    seen = 0

    def stop(reached: str) -> None:
        nonlocal seen
        seen += reached == phase
        if reached == phase and seen == count:
            raise Stopped

    phases.listen(stop)
    try:
        yield
    finally:
        phases._listeners.remove(stop)


def small_shards(monkeypatch: Any) -> None:
    """Four images a shard in every study."""
    monkeypatch.setattr(local, "_MOST_IMAGES_PER_SHARD", PER_SHARD)
    monkeypatch.setattr(robustness_preparation, "shard_size", lambda *_: PER_SHARD)
    shards = SnrPreparation.shards

    def few(self: SnrPreparation) -> dict[int, Any]:
        self.images_per_shard = PER_SHARD
        return shards(self)

    monkeypatch.setattr(SnrPreparation, "shards", few)


def picture(number: int) -> np.ndarray:
    """A noisy uint8 image (16, 16, 3) of class number % 3."""
    draws = np.random.default_rng(number)
    image = draws.integers(0, 120, (16, 16, 3))
    image[..., number % 3] += 40
    return image.astype(np.uint8)


def save_picture(folder: Path, number: int, image: np.ndarray) -> Path:
    """Bitmaps are not compressed: whatever is in them, the file has the same size."""
    path = folder / "abc"[number % 3] / f"{number:02d}.bmp"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


def pictures(folder: Path, noisy: bool = False) -> Path:
    """The folder of class folders."""
    for number in range(N_IMAGES):
        save_picture(folder, number, picture(number) + 7 * noisy)
    return folder


def change(folder: Path, image_id: str) -> Callable[[], None]:
    """Change one pixel of an image on the disk by 1; gives what changes it back."""
    path = folder / image_id
    before = path.read_bytes()
    image = np.array(Image.open(path))
    image[3, 3, 0] ^= 1
    Image.fromarray(image).save(path)
    assert path.stat().st_size == len(before) and path.read_bytes() != before

    def restore() -> None:
        path.write_bytes(before)

    return restore


class Colour(torch.nn.Module):
    """Three classes, told apart by colour; last digits may depend on the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 3, 16, bias=False)
        with torch.no_grad():
            draws = torch.randn(self.layer.weight.shape, generator=torch.Generator().manual_seed(0))
            self.layer.weight.copy_(0.1 * draws + torch.eye(3)[:, :, None, None] / 6)

    def forward(self, x: Tensor) -> Tensor:
        return torch.flatten(self.layer(x), 1)


CLASSES = {"a": 0, "b": 1, "c": 2}


def run(study: str, data: Path, out: Path | None, model: Any = None, **settings: Any) -> Any:
    """One of the studies on a folder of pictures; snr and robustness also on noisy/ beside it, where that is there."""
    net = Colour().eval() if model is None else model
    noisy = data.parent / "noisy"
    if study == "decompose":
        given = {"bands": 3, "value": "usable-information", "absence": "mean", "design": "exact", "batch_size": 8}
        return sb.decompose(net, data, class_map=CLASSES, out=out, precision="float32", **given | settings)
    if study == "snr":
        against = {"perturbed": noisy} if noisy.exists() else {"perturbations": "gaussian_noise:1,contrast:2"}
        return sb.snr_study(data, bands=4, batch_size=2, out=out, **against | settings)
    against = {"against": noisy} if noisy.exists() else {}
    items = "contrast:2,fgsm_linf:eps=1/64"
    given = {"class_map": CLASSES, "batch_size": 4, "out": out}
    return sb.robustness(net, data, items, **against | given | settings)


def order_of(study: str, data: Path, tmp: Path) -> list[str]:
    """Ids of the images in the order in which a run takes them."""
    from json import loads

    run(study, data, tmp)
    return list(loads((tmp / "run.json").read_text())["images"])


def files(folder: Path) -> dict[str, bytes]:
    """All files of a run but its lock."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}
