"""Noise in chosen frequency bands, as strong as it takes for each image to have a given SNR there after clipping.

Noise added for 10 dB does not come out at 10 dB: clipping to [0, 1] takes some of it away and spreads some into other
bands, more in bright and dark images. So the amplitude is set in a closed loop, image by image: add, clip, measure,
correct. Where even noise that drives every pixel to black or white is too weak, the image is counted as unreachable.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spectrobe.bands import BandPartition
from spectrobe.errors import InputError
from spectrobe.perturbations.attacks.band import parse_keep, written_bands
from spectrobe.perturbations.base import Perturbation
from spectrobe.perturbations.registry import register
from spectrobe.seeding import torch_generator
from spectrobe.spectrum import UNTOUCHED, band_images, per_band

MOST_DB = 90.0
"""Above this SNR float32 pixels have hardly any room for the noise."""
REACHED_DB = 0.1
"""An image whose SNR ends further from its target than this, in any band asked for, counts as unreachable."""

_ROUNDS, _CLOSE_DB = 60, 0.005
_LARGEST_RMS = 50.0  # of the noise before clipping: nearly every pixel is then black or white
_PER_DB = math.log(10) / 20  # amplitude, as a logarithm
_LEAST_SLOPE, _LARGEST_STEP = 0.05, 1.0


@dataclass(frozen=True)
class BandSnrRecord:
    """What came of a batch of N images; M bands, float64 and read-only. The mean (DC) is left out of all bands.

    bands: the bands asked for, ascending.   target_db: (B,), in their order.
    snr_db: (N, M), of every band after clipping; infinite where a band was not touched, NaN where it holds nothing.
    reachable: bool (N,), SNR within 0.1 dB of the target in all bands asked for.
    outside_bands: (N,), share of the perturbation's energy that lies in other bands or in the mean: the leakage.
    lowest_db: (N, B), the lowest SNR that was met on the way: for an unreachable image, what clipping leaves.
    """

    bands: tuple[int, ...]
    target_db: np.ndarray
    snr_db: np.ndarray
    reachable: np.ndarray
    outside_bands: np.ndarray
    lowest_db: np.ndarray

    @property
    def unreachable(self) -> int:
        """How many images cannot have the SNR asked for."""
        return int((~self.reachable).sum())


def set_band_snr(
    x: Tensor,
    targets: Mapping[int, float],
    bands: int | str | BandPartition = 8,
    *,
    ids: Sequence[object] | None = None,
    seed: int = 0,
) -> tuple[Tensor, BandSnrRecord]:
    """Add noise so that bands have a given SNR: images (N, C, H, W) in [0, 1] -> images of that shape, and a record.

    targets: band -> SNR in dB, |X_i|^2 / |Delta_i|^2 of the image and of what was added, after clipping, channels
        added up, the mean (DC) left out. Other bands are touched by what clipping spreads alone.
    bands: 8, "radial:8", a BandPartition, ...   ids: one an image (default 0..N-1); noise is drawn by (seed, id, band).

    Images that cannot reach a target come back as near to it as clipping allows; the record counts them. Raises
    InputError for a band that does not exist, a target above 90 dB, or a partition with a band for the mean alone.
    """
    partition, wanted = BandPartition.of(bands), _checked(targets, bands)
    names = [str(name) for name in (range(len(x)) if ids is None else ids)]
    pixels = x.detach().to("cpu", torch.float64)
    parts = torch.stack([_noise(pixels, partition, band, names, seed) for band in wanted], dim=1)
    loop = _Loop(pixels, parts, partition, list(wanted), torch.tensor(list(wanted.values()), dtype=torch.float64))
    loop.run()
    return loop.images.to(x.device), loop.record()


class BandSnr(Perturbation):
    """Sets the SNR of frequency bands, image by image, after clipping: `band_snr:band=3;db=10`.

    After a call, `record` says what SNR each band has, what leaked into other bands, and which images were unreachable.
    """

    name = "band_snr"

    def __init__(
        self,
        *,
        band: int | str | Sequence[int],
        db: float | str | Sequence[float],
        bands: int | str | BandPartition = 8,
        unreachable: str = "error",
    ) -> None:
        """band: 3, [2, 3], "2-4" or "2+3". db: SNR of all of them, or one each, as [10, 5] or "10+5".

        unreachable: what to do with images that clipping keeps from it: "error", or "nearest" (as near as it allows).
        """
        self.bands = BandPartition.of(bands)
        if unreachable not in ("error", "nearest"):
            raise InputError(f"expected unreachable 'error' or 'nearest', got {unreachable!r}")
        chosen, levels = _band_numbers(band, self.bands), _levels(db)
        if len(levels) not in (1, len(chosen)):
            raise InputError(f"expected one SNR in dB, or one for each of {len(chosen)} bands, got {len(levels)}")
        self.targets = dict(zip(chosen, levels * len(chosen) if len(levels) == 1 else levels, strict=True))
        _checked(self.targets, self.bands)
        self.unreachable = unreachable
        self.record: BandSnrRecord | None = None

    @property
    def settings(self) -> dict[str, object]:
        levels = [f"{level:.12g}" for level in self.targets.values()]
        said: dict[str, object] = {
            "band": "+".join(map(str, self.targets)),
            "db": levels[0] if len(set(levels)) == 1 else "+".join(levels),
        }
        if self.bands != BandPartition.square(8):
            said["bands"] = written_bands(self.bands)
        return said | ({} if self.unreachable == "error" else {"unreachable": self.unreachable})

    def _perturb(self, x: Tensor, labels: Tensor | None, ids: Sequence[str], seed: int) -> Tensor:
        y, self.record = set_band_snr(x, self.targets, self.bands, ids=ids, seed=seed)
        if self.record.unreachable and self.unreachable == "error":
            raise InputError(_out_of_reach(self.record, ids))
        return y


def _out_of_reach(record: BandSnrRecord, ids: Sequence[str]) -> str:
    image = int(np.argmin(record.reachable))
    short = np.abs(record.snr_db[image, list(record.bands)] - record.target_db)
    at = int(np.argmax(np.where(np.isnan(short), np.inf, short)))
    what = f"an SNR of {record.target_db[at]:g} dB in band {record.bands[at]}"
    count = f"{record.unreachable} of {len(record.reachable)} images, such as {ids[image]},"
    lowest = record.lowest_db[:, at]
    if not np.isfinite(lowest[image]):
        return f"{what} cannot be set on {count} which hold nothing there: leave them out, or unreachable='nearest'"
    return (
        f"{what} is out of reach of {count} because pixels are clipped to [0, 1]: that image reaches "
        f"{lowest[image]:.1f} dB and more, all of them {np.nanmax(lowest[np.isfinite(lowest)]):.1f} dB and more (up to "
        f"{MOST_DB:g}); give a higher SNR, or unreachable='nearest'"
    )


class _Loop:
    """Amplitudes of the noise in each band, corrected until the clipped images have the SNR asked for.

    Each image goes its own way and is left alone once it has arrived, so that its batch does not matter.
    """

    def __init__(self, x: Tensor, parts: Tensor, bands: BandPartition, wanted: list[int], target: Tensor) -> None:
        """x (N, C, H, W), parts (N, B, C, H, W) noise of each band, float64; target (B,) in dB."""
        self.x, self.parts, self.bands, self.wanted, self.target = x, parts, bands, wanted, target
        self.signal = self._energy(x)[0]
        total = self.signal.sum(1, keepdim=True)
        self.empty = (self.signal <= UNTOUCHED * total) | (total == 0)
        self.images = x.to(torch.float32)
        self.noise, self.leaked = torch.zeros_like(self.signal), torch.zeros(len(x), dtype=torch.float64)
        self.worst = torch.full((len(x),), math.inf, dtype=torch.float64)
        self.lowest = torch.full((len(x), len(wanted)), math.inf, dtype=torch.float64)

    def run(self) -> None:
        """Correct until all images are close, or no correction is left to try."""
        rows = torch.nonzero(~self.empty[:, self.wanted].any(1)).flatten()
        if len(rows) == 0:
            return
        rms = self.parts[rows].square().mean((2, 3, 4)).sqrt()
        strength = self._energy(self.parts[rows].flatten(0, 1))[0].view(len(rows), len(self.wanted), -1)
        own = torch.stack([strength[:, i, band] for i, band in enumerate(self.wanted)], dim=1)
        level = 0.5 * torch.log(self.signal[rows][:, self.wanted] / own) - self.target * _PER_DB
        most = torch.log(_LARGEST_RMS / rms)
        before: tuple[Tensor, Tensor] | None = None
        for _ in range(_ROUNDS):
            if len(rows) == 0:
                return
            level = torch.minimum(level, most)
            error = self._try(rows, level)
            # log amplitude against log noise: 1 until pixels clip, then less
            slope = torch.ones_like(error)
            if before is not None:
                moved = level - before[0]
                slope = torch.where(moved.abs() > 1e-9, (before[1] - error) * _PER_DB / moved, slope)
            before = level, error
            step = (error * _PER_DB / slope.clamp(_LEAST_SLOPE, 1.0)).clamp(-_LARGEST_STEP, _LARGEST_STEP)
            on = (error.abs() > _CLOSE_DB).any(1) & ~((level >= most) & (error > 0)).all(1)
            rows, most, level, before = rows[on], most[on], (level + step)[on], (before[0][on], before[1][on])

    def _try(self, rows: Tensor, level: Tensor) -> Tensor:
        """Images at these log amplitudes (n, B): how far their SNR is above the target, in dB; the best are kept."""
        added = sum(part * level[:, i].exp()[:, None, None, None] for i, part in enumerate(self.parts[rows].unbind(1)))
        y = (self.x[rows] + added).clamp(0, 1).to(torch.float32)
        noise, mean = self._energy(y.to(torch.float64) - self.x[rows])
        db = 10 * torch.log10(self.signal[rows][:, self.wanted] / noise[:, self.wanted].clamp_min(1e-300))
        self.lowest[rows] = torch.minimum(self.lowest[rows], db)
        error = db - self.target
        worst = error.abs().amax(1)
        better = worst < self.worst[rows]
        kept = rows[better]
        self.worst[kept], self.images[kept], self.noise[kept] = worst[better], y[better], noise[better]
        outside = noise.sum(1) + mean - noise[:, self.wanted].sum(1)
        self.leaked[kept] = (outside / (noise.sum(1) + mean).clamp_min(1e-300))[better]
        return error

    def record(self) -> BandSnrRecord:
        """What the images that were kept have."""
        snr = 10 * torch.log10(self.signal / self.noise)
        snr[self.empty] = math.nan
        snr[~self.empty & (self.noise <= UNTOUCHED * self.signal)] = math.inf
        numbers = [part.numpy() for part in (self.target, snr, self.worst <= REACHED_DB, self.leaked, self.lowest)]
        for array in numbers:
            array.setflags(write=False)
        return BandSnrRecord(tuple(self.wanted), *numbers)

    def _energy(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Energy per band without the mean (n, M), and the mean's own (n,), as in `spectrum.band_energy`."""
        power = torch.fft.rfft2(images).abs().square().sum(1)
        mean = power[:, 0, 0].clone()
        power[:, 0, 0] = 0
        return per_band(power, self.bands, images.shape[-1]), mean


def _noise(x: Tensor, bands: BandPartition, band: int, ids: Sequence[str], seed: int) -> Tensor:
    """White Gaussian noise of one band, without a mean: float64, of the shape of x."""
    draws = [
        torch.randn(x.shape[1:], generator=torch_generator(seed, name, "band_snr", band), dtype=torch.float64)
        for name in ids
    ]
    noise = band_images(torch.stack(draws), bands)[:, band]
    return noise - noise.mean((2, 3), keepdim=True)


def _checked(targets: Mapping[int, float], bands: int | str | BandPartition) -> dict[int, float]:
    """Targets by ascending band; InputError for what cannot be set."""
    partition = BandPartition.of(bands)
    if partition.dc != "in-band":
        raise InputError("expected bands without one for the mean (dc='in-band'): noise has no mean in any case")
    if not targets:
        raise InputError("expected the SNR of at least one band, got none")
    for band, db in targets.items():
        if not isinstance(band, int) or isinstance(band, bool) or not 0 <= band < partition.n_bands:
            raise InputError(f"expected bands from 0 to {partition.n_bands - 1} of {partition}, got {band!r}")
        if isinstance(db, bool) or not isinstance(db, int | float) or not -math.inf < db <= MOST_DB:
            raise InputError(f"expected an SNR in dB, at most {MOST_DB:g} (float32 pixels), got {db!r}")
    return {band: float(targets[band]) for band in sorted(targets)}


def _band_numbers(band: int | str | Sequence[int], bands: BandPartition) -> tuple[int, ...]:
    try:
        return parse_keep(band, bands.n_bands)
    except InputError:
        raise InputError(
            f"expected band among 0..{bands.n_bands - 1} of {bands}, such as 3, [2, 3], '2-4' or '2+3', got {band!r}"
        ) from None


def _levels(db: float | str | Sequence[float]) -> list[float]:
    try:
        parts = db.split("+") if isinstance(db, str) else [db] if isinstance(db, int | float) else list(db)
        return [float(part) for part in parts]
    except (TypeError, ValueError):
        raise InputError(f"expected db as an SNR in dB, such as 10 or '10+5', got {db!r}") from None


register(BandSnr.name, BandSnr, kind="noise", summary="Noise that gives a band of each image a set SNR after clipping.")
