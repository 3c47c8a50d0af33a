"""What the model is shown instead of an image: band noise added, frequencies cut off; and how strong a change was."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from spectrobe.bands import BandPartition
from spectrobe.perturbations.band_noise import unit_band_noise, white_spectra
from spectrobe.spectrum import band_energy


def masked(
    x: Tensor, bands: BandPartition, powers: Sequence[float], ids: Sequence[str], seed: int
) -> Iterator[tuple[int, float, Tensor]]:
    """(band, power, images) for every band and power: what the perturbation `band_noise` makes of x."""
    height, width = x.shape[-2:]
    spectra = white_spectra(height, width, ids, seed)
    for band in range(bands.n_bands):
        field = unit_band_noise(spectra, bands, band, width)
        for power in powers:
            yield band, power, (x + (math.sqrt(power) * field).to(x.device)).clamp(0, 1)


def cut_off(x: Tensor, absence: Tensor, bands: BandPartition) -> Iterator[tuple[int, Tensor, Tensor]]:
    """(cut, low-pass, high-pass images) at every inner edge of the partition.

    Low-pass images hold the bands below `cut`, high-pass ones that band and those above; the absence image (C, H, W)
    gives the others. They are coalition images: nothing is rescaled or clipped.
    """
    base = absence.to(x.device)
    labels = bands.labels(x.shape[-2], x.shape[-1]).to(x.device)
    spectra = torch.fft.rfft2(x - base)
    for cut in range(1, bands.n_bands):  # one at a time: all bands of a batch would take its memory M times
        low = base + torch.fft.irfft2(spectra * (labels < cut), s=x.shape[-2:])
        yield cut, low, x - low + base


def noise_power(delta: Tensor, bands: BandPartition) -> tuple[np.ndarray, np.ndarray]:
    """Mean square of a change (N, C, H, W) in each band, the mean (DC) left out, and of the mean alone: (N, M), (N,).

    They sum to the mean square over pixels and channels (Parseval).
    """
    channels, height, width = delta.shape[1:]
    delta = measurable(delta)
    mean = delta.double().mean((2, 3), keepdim=True)
    energy = band_energy(delta - mean.to(delta.dtype), bands) / (channels * (height * width) ** 2)
    return energy.cpu().numpy(), mean.square().mean((1, 2, 3)).cpu().numpy()


def measurable(images: Tensor) -> Tensor:
    """On a device with double precision, which Apple's GPUs have not."""
    return images.cpu() if images.device.type == "mps" else images


def gradient_energy(gradient: Tensor, bands: BandPartition) -> tuple[np.ndarray, np.ndarray]:
    """Energy of a gradient (N, C, H, W) in each band, the mean (DC) left out, and of the mean alone: (N, M), (N,).

    They sum to the squared L2 norm of the gradient (Parseval).
    """
    pixels = gradient.shape[-2] * gradient.shape[-1]
    gradient = measurable(gradient).to(torch.float64)
    mean = gradient.mean((2, 3), keepdim=True)
    energy = band_energy(gradient - mean, bands) / pixels
    return energy.cpu().numpy(), (mean.square().sum((1, 2, 3)) * pixels).cpu().numpy()
