"""Noise of a stated power in one frequency band: what critical-band masking adds to images.

Solomon & Pelli 1994 (doi 10.1038/369395a0) masked letters so, Subramanian et al. 2023 (arXiv 2309.13190) photographs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spectrobe.bands import BandPartition
from spectrobe.errors import InputError
from spectrobe.perturbations.base import Perturbation
from spectrobe.perturbations.registry import register
from spectrobe.seeding import torch_generator
from spectrobe.spectrum import band_energy


@dataclass(frozen=True)
class BandNoiseRecord:
    """What the last call delivered after clipping, per image: float64 (N,) each.

    power: mean square of the change over pixels and channels.   l2: its norm.   in_band: the share of its energy that
    lies in the band, NaN where nothing was changed.   clipped: share of the values that clipping changed.
    """

    power: np.ndarray
    l2: np.ndarray
    in_band: np.ndarray
    clipped: np.ndarray


class BandNoise(Perturbation):
    """Gaussian noise of exactly the stated power within one frequency band, before clipping to [0, 1].

    power: mean square of the noise over pixels, in pixels of [0, 1]: 0.0064 is a standard deviation of 0.08. All
    channels get the same noise (it has no colour), and the image's mean stays, but for a band that is the mean alone.
    Drawn per (seed, image id): the same field for every power and band, cut to the band. `record` says what was
    delivered after clipping.

    Raises InputError for a power outside (0, 1], a band that the partition does not have, or one that holds nothing but
    the mean.
    """

    name = "band_noise"

    def __init__(self, *, power: float, band: int, bands: int | str | BandPartition = 8) -> None:
        """bands: as BandPartition.of takes them; band: one of 0..M-1."""
        self.bands = BandPartition.of(bands)
        self.power = checked_power(power)
        if isinstance(band, bool) or not isinstance(band, int) or not 0 <= band < self.bands.n_bands:
            raise InputError(f"expected band as one of 0..{self.bands.n_bands - 1} of {self.bands}, got {band!r}")
        self.band = band
        self.record: BandNoiseRecord | None = None

    @property
    def settings(self) -> dict[str, object]:
        return {"power": self.power, "band": self.band, "bands": str(self.bands)}

    def noise(self, shape: Sequence[int], ids: Sequence[str], seed: int) -> Tensor:
        """The noise before clipping: float32 (N, 1, H, W), each image's of mean square `power`."""
        height, width = shape[-2:]
        spectra = white_spectra(height, width, ids, seed)
        return math.sqrt(self.power) * unit_band_noise(spectra, self.bands, self.band, width)

    def _perturb(self, x: Tensor, labels: Tensor | None, ids: Sequence[str], seed: int) -> Tensor:
        wanted = x + self.noise(x.shape, ids, seed).to(x.device)
        y = wanted.clamp(0, 1)
        changed = (wanted != y).flatten(1).double().mean(1)
        self.record = delivered(x, y, self.bands, self.band, changed)
        return y


def checked_power(power: float) -> float:
    """The power as a number above 0 and at most 1, else InputError."""
    try:
        value = float(power)
    except (TypeError, ValueError):
        value = math.nan
    if isinstance(power, bool) or not 0 < value <= 1:
        raise InputError(
            "expected the noise's power (its mean square, in pixels of [0, 1]) above 0 and at most 1, such as 0.0064 "
            f"for a standard deviation of 0.08, got {power!r}"
        )
    return value


def white_spectra(height: int, width: int, ids: Sequence[str], seed: int) -> Tensor:
    """Half-plane spectra of a white Gaussian field an image, drawn on the CPU: complex64 (N, 1, H, W // 2 + 1)."""
    draws = [torch.randn(1, height, width, generator=torch_generator(seed, i, BandNoise.name)) for i in ids]
    return torch.stack([torch.fft.rfft2(draw) for draw in draws])


def unit_band_noise(spectra: Tensor, bands: BandPartition, band: int, width: int) -> Tensor:
    """The fields cut to one band and scaled to a mean square of 1: float32 (N, 1, H, W).

    Real by construction, since k and -k share a band. InputError where the band holds nothing but the mean.
    """
    height = spectra.shape[-2]
    mask = bands.labels(height, width) == band
    if not (bands.dc == "own" and band == 0):
        mask[0, 0] = False
    if not bool(mask.any()):
        raise InputError(
            f"band {band} of {bands} holds nothing but the mean on images of {height} x {width} pixels, which noise "
            "leaves alone: use fewer bands"
        )
    # image by image: the same operations on the same shapes give the same bits whatever the batch
    fields = [torch.fft.irfft2(spectrum * mask, s=(height, width)) for spectrum in spectra]
    # in float64: the power is to be exact to the last digits of float32
    return torch.stack([(field * field.double().square().mean().rsqrt()).to(torch.float32) for field in fields])


def delivered(x: Tensor, y: Tensor, bands: BandPartition, band: int, clipped: Tensor) -> BandNoiseRecord:
    """What became of the noise: y - x of float images (N, C, H, W)."""
    delta = y.double() - x.double()
    square = delta.square().flatten(1).sum(1)
    energy = band_energy(delta, bands)
    share = energy[:, band] / energy.sum(1)
    found = (square / delta[0].numel(), square.sqrt(), share, clipped)
    arrays = [np.asarray(part.cpu().numpy(), dtype=np.float64) for part in found]
    for array in arrays:
        array.setflags(write=False)
    return BandNoiseRecord(*arrays)


register(
    BandNoise.name,
    BandNoise,
    kind="noise",
    summary="Gaussian noise of a stated power in one frequency band: power=0.0064;band=3;bands=8",
)
