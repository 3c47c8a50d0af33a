"""What a spectral-SNR run stores: one row an image and perturbation, from which every summary follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from spectrobe.engine.local import Run
from spectrobe.errors import RunFolderError
from spectrobe.studies.snr.statistics import Energies

MEASURED, UNATTACKED = "", "unattacked"
"""Values of `status`; anything else says why the perturbation failed on the image."""

_PER_BAND = ("signal", "noise", "cross", "bin_db")


@dataclass(frozen=True)
class SnrRows:
    """N rows; M rings of the band partition, the mean (DC) apart from them.

    position: int64 (N,), the image's place in the data set.   ids, digest (of clean pixels), perturbation: N strings.
    status: N strings, "" measured, "unattacked" (an attack leaves images alone that are misclassified already), or why
    the perturbation failed; such rows hold NaN.   signal, noise, cross, bin_db: float64 (N, M) and dc: float64 (N, 3),
    as in `spectrobe.spectrum.SnrTerms`.   l2, linf: norm of the perturbation.   clipped: share of the pixel values
    that it took to 0 or 1.   fooled: 1 where the model's class on an attack's image is another than on the clean one,
    else 0.   outside: share of the energy of a band-limited attack outside the bands it keeps to. Both float64 (N,),
    NaN where there is no such attack.
    """

    position: np.ndarray
    ids: tuple[str, ...]
    digest: tuple[str, ...]
    perturbation: tuple[str, ...]
    status: tuple[str, ...]
    signal: np.ndarray
    noise: np.ndarray
    cross: np.ndarray
    bin_db: np.ndarray
    dc: np.ndarray
    l2: np.ndarray
    linf: np.ndarray
    clipped: np.ndarray
    fooled: np.ndarray
    outside: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def columns(self) -> dict[str, np.ndarray | tuple[str, ...]]:
        """The rows as columns, from which `from_columns` makes them again."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any]) -> SnrRows:
        """The rows that `columns` came from; KeyError when one is missing."""
        return cls(**{f.name: columns[f.name] for f in fields(cls)})

    def rows(self, index: np.ndarray) -> SnrRows:
        """Some rows, in the order asked for."""
        kept: dict[str, Any] = {}
        for name, column in self.columns().items():
            kept[name] = column[index] if isinstance(column, np.ndarray) else tuple(column[i] for i in index)
        return replace(self, **kept)

    def measured(self) -> SnrRows:
        """The rows with numbers."""
        return self.rows(np.flatnonzero([status == MEASURED for status in self.status]))

    def energies(self, dc: str, lowest_bins: int) -> Energies:
        """Energies per band with the mean left out ("apart"), in band 0 ("in-band"), or as band 0 before the others
        ("own").

        lowest_bins: bins of the lowest ring, the mean among them.
        """
        parts = {name: getattr(self, name) for name in _PER_BAND}
        if dc == "apart":
            return Energies(**parts)
        of_mean = dict(zip(_PER_BAND, (*self.dc.T, self.dc_db()), strict=True))
        if dc == "own":
            return Energies(**{name: np.column_stack([of_mean[name], part]) for name, part in parts.items()})
        lowest = {name: np.nan_to_num(part[:, 0]) + of_mean[name] for name, part in parts.items()}
        # a mean over bins, to which the mean's own bin adds one
        rest = np.nan_to_num(self.bin_db[:, 0]) * (lowest_bins - 1)
        lowest["bin_db"] = (rest + of_mean["bin_db"]) / lowest_bins
        return Energies(**{name: np.column_stack([lowest[name], part[:, 1:]]) for name, part in parts.items()})

    def dc_db(self) -> np.ndarray:
        """SNR of the mean alone in dB, from -100 to 100: (N,)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            db = 10 * np.log10(self.dc[:, 0] / self.dc[:, 1])
        return np.asarray(np.clip(db, -100, 100))


def concatenated(parts: Sequence[SnrRows]) -> SnrRows:
    """All rows of parts with the same bands."""
    merged: dict[str, Any] = {}
    for f in fields(SnrRows):
        columns = [getattr(part, f.name) for part in parts]
        stacked = isinstance(columns[0], np.ndarray)
        merged[f.name] = np.concatenate(columns) if stacked else tuple(item for column in columns for item in column)
    return SnrRows(**merged)


def rows_by_perturbation(run: Run, shards: Sequence[int]) -> dict[str, SnrRows]:
    """Each perturbation's rows of some shards, by position."""
    parts: dict[str, list[SnrRows]] = {}
    for index in shards:
        columns = run.read_shard(index)[0]
        if columns is None:
            continue
        try:
            rows = SnrRows.from_columns(columns)
        except KeyError as error:
            raise RunFolderError(
                f"the rows of shard {index} are damaged or of another version: they have no column {error}"
            ) from None
        for name in dict.fromkeys(rows.perturbation):
            own = np.flatnonzero([perturbation == name for perturbation in rows.perturbation])
            parts.setdefault(name, []).append(rows.rows(own))
    found = {}
    for name, some in parts.items():
        whole = concatenated(some)
        found[name] = whole.rows(np.argsort(whole.position, kind="stable"))
    return found
