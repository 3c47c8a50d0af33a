"""The frozen result of track: a decomposition for each checkpoint, and what changed from the first to the last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from spectrobe.bands import BandPartition
from spectrobe.errors import RunFolderError
from spectrobe.game.intervals import Estimate, mean_intervals
from spectrobe.studies.decompose.result import DecomposeResult
from spectrobe.studies.decompose.result_json import array_from_json
from spectrobe.studies.words import percent

if TYPE_CHECKING:
    import pandas as pd

    from spectrobe.engine.store import RunFolder


@dataclass(frozen=True)
class Change:
    """Shapley values of the last checkpoint minus those of the first, image by image; float64, read-only.

    difference: (M,).   simultaneous: (M, 2), max-t interval over all bands.   n_images: shared.
    """

    difference: np.ndarray
    simultaneous: np.ndarray
    n_images: int


@dataclass(frozen=True, eq=False)
class TrackResult:
    """Profiles over checkpoints, in the order given; E checkpoints, M bands.

    names: of the checkpoints, short.   files: where they were.   folders: of their runs, below that of the whole; empty
    for what was kept in memory.   results: one DecomposeResult each, so that `sb.compare(track.results[0],
    track.results[-1])` and `.with_value(...)` work.
    change: from the first to the last; None for one checkpoint.   failed: checkpoint -> why it could not be measured.
    """

    model_name: str
    names: tuple[str, ...]
    files: tuple[str, ...]
    folders: tuple[str, ...]
    results: tuple[DecomposeResult, ...]
    change: Change | None
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def shapley(self) -> np.ndarray:
        """Shapley values: (E, M)."""
        return np.stack([result.shapley for result in self.results])

    @property
    def stderr(self) -> np.ndarray:
        """Their standard errors: (E, M)."""
        return np.stack([result.stderr for result in self.results])

    @property
    def interval(self) -> np.ndarray:
        """Their pointwise intervals over images: (E, M, 2)."""
        return np.stack([result.interval for result in self.results])

    @property
    def scores(self) -> tuple[Estimate, ...]:
        """The signed score of each checkpoint."""
        return tuple(result.score for result in self.results)

    @property
    def information(self) -> tuple[Estimate, ...]:
        """v(all) - v(empty) of each checkpoint."""
        return tuple(result.information for result in self.results)

    @property
    def accuracy(self) -> tuple[Estimate | None, ...]:
        """Accuracy of each checkpoint on the intact images; None without labels."""
        return tuple(result.accuracy for result in self.results)

    @property
    def bands(self) -> BandPartition:
        """The band partition."""
        return self.results[0].bands

    def summary(self) -> str:
        """One line a checkpoint, and a sentence on what changed."""
        first = self.results[0]
        width = max(map(len, self.names))
        lines = [
            f"{self.model_name} on {first.data_name}: {len(self.names)} checkpoints, {first.n_images} images, "
            f"{first.value} ({first.unit}), absence {first.absence}, {first.design} design"
        ]
        for name, result in zip(self.names, self.results, strict=True):
            lines.append(f"{name:>{width}}: {result.information} {result.unit}, score {result.score}")
        lines += [f"{name}: not measured ({why})" for name, why in self.failed.items()]
        return "\n".join([*lines, self.sentence()])

    def sentence(self) -> str:
        """What changed from the first checkpoint to the last, band by band, as far as these images can tell."""
        if self.change is None:
            return "One checkpoint shows no change."
        unit, told = self.results[0].unit, []
        low, high = self.change.simultaneous.T
        for name, bands in (("more", low > 0), ("less", high < 0)):
            if bands.any():
                which = ", ".join(f"{i} ({self.change.difference[i]:+.2f})" for i in np.flatnonzero(bands))
                told.append(f"{name} from band{'s' * int(bands.sum() > 1)} {which}")
        level = percent(self.results[0].confidence)
        where = f"From {self.names[0]} to {self.names[-1]}, on {self.change.n_images} shared images"
        if not told:
            return f"{where}, no band changed by its simultaneous {level} interval: these images cannot tell."
        return f"{where}, {self.model_name} takes {' and '.join(told)} ({unit}; simultaneous {level} intervals)."

    def to_frame(self) -> pd.DataFrame:
        """One row a checkpoint and band. Needs pandas."""
        from spectrobe.studies.frames import import_pandas

        frames = []
        for name, result in zip(self.names, self.results, strict=True):
            frame = result.to_frame()
            frame.insert(0, "checkpoint", name)
            frames.append(frame)
        return import_pandas().concat(frames, ignore_index=True)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, without payoff tables."""
        change = None if self.change is None else vars(self.change)
        return {
            "kind": "track",
            "model_name": self.model_name,
            "checkpoints": [
                {"name": name, "file": file, "folder": folder, "result": result.to_dict()}
                for name, file, folder, result in zip(self.names, self.files, self.folders, self.results, strict=True)
            ],
            "change": change,
            "failed": dict(self.failed),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], folder: RunFolder | None = None) -> TrackResult:
        """The result that `to_dict` described; tables are read from the checkpoints' own folders when asked for."""
        from spectrobe.engine.store import RunFolder

        where = folder.path if folder else "result.json"
        try:
            entries, change = content["checkpoints"], content["change"]
            places = [RunFolder(f"{folder.path}/{entry['folder']}") if folder else None for entry in entries]
            return cls(
                model_name=content["model_name"],
                names=tuple(entry["name"] for entry in entries),
                files=tuple(entry["file"] for entry in entries),
                folders=tuple(entry["folder"] for entry in entries),
                results=tuple(
                    DecomposeResult.from_dict(entry["result"], place)
                    for entry, place in zip(entries, places, strict=True)
                ),
                change=None if change is None else _change(change),
                failed=dict(content["failed"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RunFolderError(
                f"{where}: result.json is damaged ({error!r}): delete it, and the same call makes it anew"
            ) from None


def of_checkpoints(
    model_name: str,
    measured: Sequence[tuple[str, str, DecomposeResult]],
    folders: Sequence[str] = (),
    failed: Mapping[str, str] | None = None,
) -> TrackResult:
    """The result of checkpoints, in order: the name, the file and the decomposition of each.

    folders: of their runs, below that of the whole; none for what is in memory.
    """
    names, files, results = zip(*measured, strict=True)
    change = change_between(results[0], results[-1]) if len(results) > 1 else None
    kept = tuple(folders) or ("",) * len(results)
    return TrackResult(model_name, names, files, kept, results, change, failed or {})


def change_between(first: DecomposeResult, last: DecomposeResult) -> Change:
    """Paired differences of per-image Shapley values, on the images that both were measured on."""
    a, b = first.table().position, last.table().position
    shared, in_a, in_b = np.intersect1d(a, b, return_indices=True)
    means = mean_intervals(last.fit.rows[in_b] - first.fit.rows[in_a], first.confidence, first.settings.seed)
    return _change({"difference": means.mean, "simultaneous": means.simultaneous, "n_images": len(shared)})


def _change(content: Mapping[str, Any]) -> Change:
    difference, simultaneous = (array_from_json(content[name]) for name in ("difference", "simultaneous"))
    for array in (difference, simultaneous):
        array.setflags(write=False)
    return Change(difference, simultaneous, int(content["n_images"]))
