"""Plays a shard of a spectral-SNR run: perturbs its images and measures each perturbation band by band."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from spectrobe.bands import BandPartition
from spectrobe.data.checks import content_digest
from spectrobe.engine.batching import halved, is_out_of_memory
from spectrobe.engine.evaluate import Shard
from spectrobe.engine.progress import Progress
from spectrobe.engine.shards import Columns
from spectrobe.errors import MissingExtraError
from spectrobe.perturbations.attacks import AttackRecord
from spectrobe.perturbations.base import Perturbation
from spectrobe.spectrum import Border, CleanSpectra
from spectrobe.studies.snr.rows import MEASURED, UNATTACKED, SnrRows, concatenated


@dataclass(frozen=True)
class Measurer:
    """All that turns a shard of images into rows.

    perturbations: by name; None where the shard's images are pairs, clean and perturbed stacked along the channels.
    bands: the rings, with the mean in band 0.   quantize: bits that perturbed images are rounded to, None for as they
        come.
    labels: attacks are given the images' labels, else they take the model's prediction.
    """

    perturbations: dict[str, Perturbation | None]
    bands: BandPartition
    border: Border | None
    luminance: bool
    quantize: int | None
    seed: int
    batch_size: int
    labels: bool = False

    @property
    def passes_per_image(self) -> int:
        """Perturbed images an image: the unit of progress here."""
        return len(self.perturbations)

    def halved(self) -> Measurer:
        """The same with half the batch size."""
        return replace(self, batch_size=halved(self.batch_size))

    def play(self, shard: Shard, progress: Progress) -> Columns:
        """The shard's rows, perturbation by perturbation."""
        rows: dict[str, list[SnrRows]] = {name: [] for name in self.perturbations}
        for start in range(0, len(shard.ids), self.batch_size):
            batch = _part(shard, slice(start, start + self.batch_size))
            x = batch.pixels[:, : _channels(batch, self.perturbations)]
            clean = CleanSpectra(x, self.bands, self.border, self.luminance)
            for name, perturbation in self.perturbations.items():
                if perturbation is None:
                    y, status = batch.pixels[:, x.shape[1] :], [MEASURED] * len(x)
                else:
                    y, status = self._perturbed(perturbation, x, batch)
                rows[name].append(self._rows(name, batch, clean, y, status))
                progress.advance(len(x))
        return concatenated([part for parts in rows.values() for part in parts]).columns()

    def _perturbed(self, perturbation: Perturbation, x: Tensor, batch: Shard) -> tuple[Tensor, list[str]]:
        """Perturbed images and the status of each; where a batch fails, each image gets a try of its own."""
        labels = None if batch.label is None or not self.labels else torch.from_numpy(batch.label)
        try:
            y = perturbation(x, labels, batch.ids, self.seed)
        except MissingExtraError:
            raise  # no image can go better
        except Exception as error:
            if is_out_of_memory(error):
                raise
            if len(x) > 1:
                each = [
                    self._perturbed(perturbation, x[i : i + 1], _part(batch, slice(i, i + 1))) for i in range(len(x))
                ]
                return torch.cat([y for y, _ in each]), [status for _, one in each for status in one]
            return x, [_reason(error)]
        record = getattr(perturbation, "record", None)
        if not isinstance(record, AttackRecord):
            return y, [MEASURED] * len(x)
        return y, [MEASURED if attacked else UNATTACKED for attacked in record.attacked]

    def _rows(self, name: str, batch: Shard, clean: CleanSpectra, y: Tensor, status: Sequence[str]) -> SnrRows:
        if self.quantize is not None:
            levels = 2**self.quantize - 1
            y = torch.round(y * levels) / levels
        x = clean.pixels
        terms = clean.terms(y)
        delta = (y.to(torch.float64) - x).flatten(1)
        to_border = ((y <= 0) & (x > 0)) | ((y >= 1) & (x < 1))
        missing = np.asarray([one != MEASURED for one in status])
        numbers = {
            "signal": terms.signal, "noise": terms.noise, "cross": terms.cross, "bin_db": terms.bin_db, "dc": terms.dc,
            "l2": delta.norm(dim=1), "linf": delta.abs().amax(1), "clipped": to_border.flatten(1).double().mean(1),
        }  # fmt: skip
        columns = {column: number.numpy().astype(np.float64) for column, number in numbers.items()}
        for column in columns.values():
            column[missing] = np.nan
        return SnrRows(
            position=np.asarray(batch.position, dtype=np.int64),
            ids=batch.ids,
            digest=tuple(content_digest(image) for image in x),
            perturbation=(name,) * len(x),
            status=tuple(status),
            **columns,
        )


def _channels(batch: Shard, perturbations: dict[str, Perturbation | None]) -> int:
    channels = batch.pixels.shape[1]
    return channels // 2 if None in perturbations.values() else channels


def _part(shard: Shard, rows: slice) -> Shard:
    label = None if shard.label is None else shard.label[rows]
    return Shard(shard.position[rows], shard.ids[rows], label, shard.pixels[rows])


def _reason(error: Exception) -> str:
    """In one line."""
    text = " ".join(str(error).split()) or "failed"
    return text if type(error).__module__.startswith("spectrobe") else f"{type(error).__name__}: {text}"
