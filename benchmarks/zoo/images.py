"""CIFAR-10 as uint8 tensors, from the Parquet files of ../shared or from the file that is carried to other machines.

The carried file holds the images' JPEG bytes end to end as one uint8 array (49 MiB for 55,000 images; decoded they
would be 170 MB), with where each begins, and the labels.
"""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]
CARRIED = ROOT / ".carry" / "cifar10.npz"
SHARED = ROOT.parent / "shared" / "data" / "cifar10"
MOST_BYTES = 60 * 2**20


def carry(source: Path = SHARED, target: Path = CARRIED) -> int:
    """Write the carried file from the Parquet files; its size in bytes. SystemExit when it would be too large."""
    arrays = {}
    for split in ("train", "test"):
        encoded, labels = _parquet(source / f"{split}.parquet")
        arrays[f"{split}_bytes"] = np.frombuffer(b"".join(encoded), dtype=np.uint8)
        arrays[f"{split}_starts"] = np.cumsum([0, *map(len, encoded)]).astype(np.int64)
        arrays[f"{split}_labels"] = labels.astype(np.uint8)
    target.parent.mkdir(parents=True, exist_ok=True)
    np.savez(target, **arrays)
    size = target.stat().st_size
    if size > MOST_BYTES:
        raise SystemExit(f"{target} takes {size / 2**20:.0f} MiB, more than the {MOST_BYTES / 2**20:.0f} that travel")
    return size


def load(split: str, count: int | None = None, source: Path | None = None) -> tuple[Tensor, Tensor]:
    """The first `count` images of a split (default all): uint8 (N, 3, 32, 32), and labels int64 (N,).

    source: the carried file or the folder of the Parquet files; default the first of the two that is there.
    """
    source = source or (CARRIED if CARRIED.exists() else SHARED)
    encoded, labels = _parquet(source / f"{split}.parquet") if source.is_dir() else _carried(source, split)
    encoded, labels = encoded[:count], labels[:count]
    with ThreadPoolExecutor() as pool:
        pixels = list(pool.map(_decoded, encoded))
    images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous()
    return images, torch.from_numpy(labels.astype(np.int64))


def _decoded(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def _carried(path: Path, split: str) -> tuple[list[bytes], np.ndarray]:
    with np.load(path) as arrays:
        flat, starts, labels = (arrays[f"{split}_{name}"] for name in ("bytes", "starts", "labels"))
    whole = flat.tobytes()
    return [whole[a:b] for a, b in pairwise(starts)], labels


def _parquet(path: Path) -> tuple[list[bytes], np.ndarray]:
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    return [row["bytes"] for row in table["image"].to_pylist()], np.asarray(table["label"].to_pylist())
