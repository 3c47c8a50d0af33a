"""The stored real payoff table: cifar-resnet8 on 2,000 CIFAR-10 images, 4 bands (benchmarks/make_real_table.py)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch

from spectrobe.game.coalitions import Design, ExactDesign
from spectrobe.game.fit import Payoffs
from spectrobe.game.table import PayoffTable, cells_from_logits

PATH = Path(__file__).parent / "assets" / "cifar-resnet8-4-bands.npz"


def table_from_logits(logits: np.ndarray, label: np.ndarray, band_power: np.ndarray | None = None) -> PayoffTable:
    """A payoff table of the exact design: logits (N, 2**M, C) with the full coalition first, labels (N,)."""
    n, k, n_classes = logits.shape
    n_bands = k.bit_length() - 1
    reference = torch.from_numpy(np.repeat(label.astype(np.int64), k))
    cells = cells_from_logits(torch.from_numpy(logits.reshape(n * k, n_classes)).float(), reference)
    return PayoffTable(
        position=np.arange(n),
        ids=tuple(str(i) for i in range(n)),
        label=label.astype(np.int64),
        digest=tuple(f"{i:016x}" for i in range(n)),
        band_power=np.ones((n, n_bands)) if band_power is None else band_power.astype(np.float64),
        coalition=np.tile(ExactDesign(n_bands).coalitions(""), (n, 1)),
        **{name: cell.numpy().reshape(n, k, *cell.shape[1:]) for name, cell in cells.items()},
        n_classes=n_classes,
    )


@cache
def real_logits() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits float32 (2000, 16, 10), full coalition first; labels (2000,); energy per band (2000, 4)."""
    with np.load(PATH) as stored:
        return stored["logits"].astype(np.float32), stored["label"].astype(np.int64), stored["band_power"]


@cache
def real_table() -> PayoffTable:
    """The exact payoff table of the 2,000 images, the population of the tests."""
    return table_from_logits(*real_logits())


def draw(table: PayoffTable, rows: np.ndarray, design: Design, ids: Sequence[str] | None = None) -> Payoffs:
    """The payoffs that `design` would give on some images of an exact table, which may repeat: no model is needed.

    ids: what the images are called in this draw, which settles each one's order of the bands.
    """
    n = len(rows)
    ids = [str(i) for i in range(n)] if ids is None else ids
    masks = np.stack([design.coalitions(image_id) for image_id in ids])
    cell = (1 << table.n_bands) - 1 - masks  # the exact table holds the masks falling
    drawn = {name: getattr(table, name)[rows[:, None], cell] for name in ("log_q", "predicted", "margin", "confidence")}
    picked = table.rows(rows)
    return Payoffs.of(replace(picked, position=np.arange(n), ids=tuple(ids), coalition=masks, **drawn))
