"""The payoff table: what is stored of each image and coalition; values and scores follow without the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spectrobe.game.temperature import TEMPERATURES, UNIT

PER_CELL = ("log_q", "predicted", "margin", "confidence")


@dataclass(frozen=True)
class PayoffTable:
    """One row an image, one cell an image and coalition; K cells a row, T = 32 inverse temperatures.

    position: int64 (N,), the image's place in the data set.   ids: N strings.   label: int64 (N,), the reference class.
    digest: N strings, of the pixels.   band_power: float64 (N, M), energy per band of the intact image without DC.
    coalition: int64 (N, K) bit masks, full first, empty last.   log_q: float32 (N, K, T), log softmax(tau z)_label.
    predicted: int32 (N, K), top class.   margin: float32 (N, K), label's logit minus the best other.
    confidence: float32 (N, K), probability of the top class at tau = 1.
    clipped: float32 (N, K), share of the coalition image's pixel values that were clipped; None where nothing is.
    """

    position: np.ndarray
    ids: tuple[str, ...]
    label: np.ndarray
    digest: tuple[str, ...]
    band_power: np.ndarray
    coalition: np.ndarray
    log_q: np.ndarray
    predicted: np.ndarray
    margin: np.ndarray
    confidence: np.ndarray
    n_classes: int
    clipped: np.ndarray | None = None

    @property
    def n_bands(self) -> int:
        """Number of bands M."""
        return int(self.band_power.shape[1])

    def columns(self) -> dict[str, np.ndarray | tuple[str, ...]]:
        """The table as columns of N rows, from which `from_columns` makes it again."""
        own = {f.name: getattr(self, f.name) for f in fields(self)} | {"n_classes": np.full(len(self), self.n_classes)}
        return {name: column for name, column in own.items() if column is not None}

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any]) -> PayoffTable:
        """The table that `columns` came from; KeyError when one is missing."""
        own = {f.name: columns[f.name] for f in fields(cls) if f.name != "clipped"}
        own["clipped"] = columns.get("clipped")
        n = len(own["ids"])
        own["log_q"] = np.reshape(own["log_q"], (n, -1, len(TEMPERATURES)))
        return cls(**(own | {"n_classes": int(own["n_classes"][0])}))

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, index: np.ndarray | slice) -> PayoffTable:
        """The table of some images, in the order asked for."""
        index = np.arange(len(self))[index]
        kept: dict[str, Any] = {}
        for f in fields(self):
            column = getattr(self, f.name)
            if isinstance(column, np.ndarray):
                kept[f.name] = column[index]
            elif isinstance(column, tuple):
                kept[f.name] = tuple(column[i] for i in index)
        return replace(self, **kept)

    @staticmethod
    def concatenate(tables: Sequence[PayoffTable]) -> PayoffTable:
        """All rows of tables of one game."""
        first = tables[0]
        if len(tables) == 1:
            return first
        merged: dict[str, Any] = {}
        for f in fields(first):
            parts = [getattr(table, f.name) for table in tables]
            if isinstance(parts[0], np.ndarray):
                merged[f.name] = np.concatenate(parts)
            elif isinstance(parts[0], tuple):
                merged[f.name] = tuple(item for part in parts for item in part)
        return replace(first, **merged)


def cells_from_logits(logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """What is stored of each coalition image: logits (B, C), labels int64 (B,) -> one tensor a cell field, (B, ...).

    log-softmax in float32 at every inverse temperature of the grid, never softmax then log. Takes B x T x C floats.
    """
    z = logits.to(torch.float32)
    top, predicted = z.max(dim=1)
    own = z.gather(1, labels[:, None])[:, 0]
    others = z.scatter(1, labels[:, None], float("-inf")).max(dim=1).values
    tau = torch.tensor(TEMPERATURES, dtype=torch.float32, device=z.device)
    total = torch.exp((z - top[:, None])[:, None] * tau[:, None]).sum(2)  # (B, T), at least 1
    return {
        "log_q": (own - top)[:, None] * tau - total.log(),
        "predicted": predicted.to(torch.int32),
        "margin": own - others,
        "confidence": total[:, UNIT].reciprocal(),
    }
