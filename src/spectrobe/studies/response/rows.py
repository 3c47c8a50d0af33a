"""What a response run stores: a row an image, from which every curve, fit and prediction follows without the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self, TypeVar

import numpy as np

from spectrobe.engine.local import Run
from spectrobe.engine.store import MEND
from spectrobe.errors import InputError, RunFolderError

FOLDER = "response"
"""The run's subfolder with the rows; shards of the heat map stand behind the others."""

R = TypeVar("R", bound="_Rows")


@dataclass(frozen=True)
class _Rows:
    """position: int64 (N,), the image's place in the data set.   ids: N strings."""

    position: np.ndarray
    ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def columns(self) -> dict[str, np.ndarray | tuple[str, ...]]:
        """The rows as columns, from which `from_columns` makes them again."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any]) -> Self:
        """The rows that `columns` came from; KeyError when one is missing."""
        return cls(**{f.name: columns[f.name] for f in fields(cls)})


@dataclass(frozen=True)
class ResponseRows(_Rows):
    """N rows, an image each; V views, in the order of the run; M bands.

    label: int64 (N,).   digest (of the clean pixels): N strings.
    right: int8 (N, V), whether the top class is the label, 0 where a perturbation failed.   log_q: float64 (N, V), log
    softmax(z)_label in nats, NaN there.   l2: float64 (N, V), norm of the change against the clean image.
    power: float64 (N, V * M), mean square of the change in each band without its mean, of masked and perturbed views.
    mean_power: float64 (N, V), of its mean.   gradient: float64 (N, M), energy per band of the loss's gradient without
    its mean.   gradient_mean: (N,), of its mean; both NaN without gradients.
    failed: N strings, JSON of what failed -> why, or "".
    """

    label: np.ndarray
    digest: tuple[str, ...]
    right: np.ndarray
    log_q: np.ndarray
    l2: np.ndarray
    power: np.ndarray
    mean_power: np.ndarray
    gradient: np.ndarray
    gradient_mean: np.ndarray
    failed: tuple[str, ...]

    @property
    def power_by_band(self) -> np.ndarray:
        """(N, V, M)"""
        return self.power.reshape(len(self), self.right.shape[1], -1)


@dataclass(frozen=True)
class HeatRows(_Rows):
    """N rows, an image each; V basis vectors.   right: int8 (N, V).   l2: float64 (N, V), delivered norm."""

    right: np.ndarray
    l2: np.ndarray


def concatenated(parts: Sequence[R]) -> R:
    """All rows of parts of one run."""
    merged: dict[str, Any] = {}
    for f in fields(parts[0]):
        columns = [getattr(part, f.name) for part in parts]
        stacked = isinstance(columns[0], np.ndarray)
        merged[f.name] = np.concatenate(columns) if stacked else tuple(item for column in columns for item in column)
    return type(parts[0])(**merged)


def stored_rows(kind: type[R], run: Run, shards: Sequence[int], where: str = "the run") -> tuple[R, dict[str, str]]:
    """The rows of this kind in some shards, in the run's order, and the images left out with the reason.

    A shard holds one kind; of shards without rows the images left out are told.
    """
    names = {f.name for f in fields(kind)}
    parts: list[R] = []
    skipped: dict[str, str] = {}
    for index in shards:
        columns, bad = run.read_shard(index)
        skipped |= bad
        if columns is None or ("label" in columns) != ("label" in names):
            continue
        try:
            parts.append(kind.from_columns(columns))
        except (KeyError, ValueError) as error:
            raise RunFolderError(f"{where}: the rows of shard {index} are damaged ({error!r}): {MEND}") from None
    if not parts:
        raise InputError("no image was measured: all were left out")
    return concatenated(parts), skipped
