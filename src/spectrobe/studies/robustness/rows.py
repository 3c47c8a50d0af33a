"""What a robustness run stores: one row an image, from which every accuracy and summary follows without the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from spectrobe.engine.local import Run
from spectrobe.errors import InputError, RunFolderError

FOLDER = "predictions"
"""The run's subfolder with the rows."""
_PER_CONDITION = ("predicted", "right", "log_q", "l2", "linf", "in_range")


@dataclass(frozen=True)
class Predictions:
    """N rows, an image each; P conditions, in the order of the run.

    position: int64 (N,), the image's place in the data set.   ids, digest (of the clean pixels): N strings.
    label: int64 (N,).   clean_predicted: int32 (N,), top class, -1 in a run without clean images.
    clean_right: int8 (N,), whether it is the label.
    clean_log_q: float64 (N,), log softmax(z)_label in nats, NaN without clean images.
    predicted, right, log_q: (N, P), the same of the perturbed image; -1, 0 and NaN where the perturbation failed.
    l2, linf: float32 (N, P), norm of the perturbation, perturbed minus clean; NaN without clean images.
    in_range: int8 (N, P), all pixels in [0, 1].
    failed: N strings, JSON of condition -> why it failed on this image, or "".
    unreadable: N strings, why a stored counterpart cannot be read, or "".
    """

    position: np.ndarray
    ids: tuple[str, ...]
    label: np.ndarray
    digest: tuple[str, ...]
    clean_predicted: np.ndarray
    clean_right: np.ndarray
    clean_log_q: np.ndarray
    predicted: np.ndarray
    right: np.ndarray
    log_q: np.ndarray
    l2: np.ndarray
    linf: np.ndarray
    in_range: np.ndarray
    failed: tuple[str, ...]
    unreadable: tuple[str, ...]
    n_classes: int

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def distance(self) -> Mapping[str, np.ndarray]:
        """Norm of every perturbation, by the norm's name."""
        return {"l2": self.l2, "linf": self.linf}

    def columns(self) -> dict[str, np.ndarray | tuple[str, ...]]:
        """The rows as columns, from which `from_columns` makes them again."""
        return {f.name: getattr(self, f.name) for f in fields(self)} | {"n_classes": np.full(len(self), self.n_classes)}

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any]) -> Predictions:
        """The rows that `columns` came from; KeyError when one is missing."""
        own = {f.name: columns[f.name] for f in fields(cls)}
        for name in _PER_CONDITION:
            own[name] = np.reshape(own[name], (len(own["ids"]), -1))
        return cls(**(own | {"n_classes": int(own["n_classes"][0])}))

    def rows(self, index: np.ndarray) -> Predictions:
        """Some rows, in the order asked for."""
        kept: dict[str, Any] = {}
        for f in fields(self):
            column = getattr(self, f.name)
            if isinstance(column, np.ndarray):
                kept[f.name] = column[index]
            elif isinstance(column, tuple):
                kept[f.name] = tuple(column[i] for i in index)
        return replace(self, **kept)


def concatenated(parts: Sequence[Predictions]) -> Predictions:
    """All rows of parts of one run."""
    merged: dict[str, Any] = {}
    for f in fields(Predictions):
        columns = [getattr(part, f.name) for part in parts]
        if isinstance(columns[0], np.ndarray):
            merged[f.name] = np.concatenate(columns)
        elif isinstance(columns[0], tuple):
            merged[f.name] = tuple(item for column in columns for item in column)
    return replace(parts[0], **merged)


def stored_predictions(run: Run, shards: Sequence[int], where: str = "the run") -> tuple[Predictions, dict[str, str]]:
    """The rows of some shards in the run's order, and the images left out with the reason.

    Images with an unreadable stored counterpart are left out everywhere, so that all conditions have the same images.
    """
    parts: list[Predictions] = []
    skipped: dict[str, str] = {}
    for index in shards:
        columns, bad = run.read_shard(index)
        skipped |= bad
        if columns is None:
            continue
        try:
            part = Predictions.from_columns(columns)
        except (KeyError, ValueError, IndexError) as error:
            raise RunFolderError(
                f"{where}: the rows of shard {index} are damaged ({error!r}): delete that file, and the same call "
                "makes it anew"
            ) from None
        unreadable = np.asarray([bool(why) for why in part.unreadable])
        skipped |= {part.ids[i]: part.unreadable[i] for i in np.flatnonzero(unreadable)}
        parts.append(part.rows(np.flatnonzero(~unreadable)))
    if not parts or not sum(map(len, parts)):
        raise InputError("no image was measured: all were left out")
    return concatenated(parts), skipped
