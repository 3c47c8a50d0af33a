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
from spectrobe.engine.lent import Lent
from spectrobe.engine.progress import Progress
from spectrobe.engine.shards import Columns
from spectrobe.errors import MissingExtraError
from spectrobe.perturbations.attacks import Attack, BandPGD, outside_bands
from spectrobe.perturbations.attacks.checks import predictions
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
    attacked: the model of the attacks, which has to go where they go, and be lent there.
    """

    perturbations: dict[str, Perturbation | None]
    bands: BandPartition
    border: Border | None
    luminance: bool
    quantize: int | None
    seed: int
    batch_size: int
    labels: bool = False
    attacked: Lent | None = None

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
                    made = _Made.plain(self._quantised(batch.pixels[:, x.shape[1] :]))
                else:
                    made = self._perturbed(perturbation, x, batch)
                rows[name].append(self._rows(name, batch, clean, made))
                progress.advance(len(x))
        return concatenated([part for parts in rows.values() for part in parts]).columns()

    def _perturbed(self, perturbation: Perturbation, x: Tensor, batch: Shard) -> _Made:
        """Perturbed images and the status of each; where a batch fails, each image gets a try of its own."""
        labels = None if batch.label is None or not self.labels else torch.from_numpy(batch.label)
        try:
            y = self._quantised(perturbation(x, labels, batch.ids, self.seed))
            return _attacked(perturbation, x, y) if isinstance(perturbation, Attack) else _Made.plain(y)
        except MissingExtraError:
            raise  # no image can go better
        except Exception as error:
            if is_out_of_memory(error):
                raise
            if len(x) == 1:
                return _Made.plain(x, _reason(error))
            alone = (slice(i, i + 1) for i in range(len(x)))
            return _joined([self._perturbed(perturbation, x[one], _part(batch, one)) for one in alone])

    def _quantised(self, y: Tensor) -> Tensor:
        if self.quantize is None:
            return y
        levels = 2**self.quantize - 1
        rounded: Tensor = torch.round(y * levels) / levels
        return rounded

    def _rows(self, name: str, batch: Shard, clean: CleanSpectra, made: _Made) -> SnrRows:
        x, y = clean.pixels, made.pixels
        terms = clean.terms(y)
        delta = (y.to(torch.float64) - x).flatten(1)
        to_border = ((y <= 0) & (x > 0)) | ((y >= 1) & (x < 1))
        missing = np.asarray([one != MEASURED for one in made.status])
        numbers = {
            "signal": terms.signal, "noise": terms.noise, "cross": terms.cross, "bin_db": terms.bin_db, "dc": terms.dc,
            "l2": delta.norm(dim=1), "linf": delta.abs().amax(1), "clipped": to_border.flatten(1).double().mean(1),
        }  # fmt: skip
        columns = {column: number.numpy().astype(np.float64) for column, number in numbers.items()}
        columns |= {"fooled": made.fooled.astype(np.float64), "outside": made.outside.astype(np.float64)}
        for column in columns.values():
            column[missing] = np.nan
        return SnrRows(
            position=np.asarray(batch.position, dtype=np.int64),
            ids=batch.ids,
            digest=tuple(content_digest(image) for image in x),
            perturbation=(name,) * len(x),
            status=tuple(made.status),
            **columns,
        )


@dataclass(frozen=True)
class _Made:
    """What came of N images: pixels (N, C, H, W); status, fooled and outside (N,), as in `SnrRows`."""

    pixels: Tensor
    status: Sequence[str]
    fooled: np.ndarray
    outside: np.ndarray

    @classmethod
    def plain(cls, pixels: Tensor, status: str = MEASURED) -> _Made:
        """Images that are no attack's."""
        unknown = np.full(len(pixels), np.nan)
        return cls(pixels, [status] * len(pixels), unknown, unknown)


def _attacked(attack: Attack, x: Tensor, y: Tensor) -> _Made:
    """An attack's images; success and energy outside its bands are measured on them, not taken from what it says."""
    attacked = np.ones(len(x), dtype=bool) if attack.record is None else attack.record.attacked
    fooled = (predictions(attack.model, y) != predictions(attack.model, x)).numpy()
    outside = np.full(len(x), np.nan)
    if isinstance(attack, BandPGD):
        outside = outside_bands(y - x, attack.bands, attack.keep)
    return _Made(y, [MEASURED if one else UNATTACKED for one in attacked], fooled, outside)


def _joined(parts: Sequence[_Made]) -> _Made:
    return _Made(
        torch.cat([part.pixels for part in parts]),
        [status for part in parts for status in part.status],
        np.concatenate([part.fooled for part in parts]),
        np.concatenate([part.outside for part in parts]),
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
