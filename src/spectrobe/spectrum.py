"""One FFT a batch: band images, coalition images, energy per band. Pixels in, pixels out; no model.

All functions take float images of any height, width and number of channels, and work in float32 at least, also under
autocast.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol

import torch
from torch import Tensor

from spectrobe.bands import BandPartition
from spectrobe.errors import InputError
from spectrobe.frequency_plane import half_plane_weights

Border = Literal["periodic-plus-smooth"]

UNTOUCHED = 1e-10
"""A band whose perturbation has less than this share of its energy was not touched: what is left is float rounding."""
_CLIP_ROUNDING = 1e-5
_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601


def band_images(x: Tensor, bands: BandPartition | int) -> Tensor:
    """The part of each image that lies in each band: (N, C, H, W) -> (N, M, C, H, W), summing to x over M (to 1e-6).

    Real by construction (k and -k share a band). Differentiable. Raises InputError on other shapes or empty bands.
    """
    bands = BandPartition.of(bands)
    x = _as_images(x)
    height, width = x.shape[-2:]
    with torch.autocast(x.device.type, enabled=False):
        spectrum = torch.fft.rfft2(x)
        masks = _masks(bands, height, width, x.device)
        parts: Tensor = torch.fft.irfft2(spectrum[:, None] * masks[:, None], s=(height, width))
        return parts


def coalition_images(
    x: Tensor,
    bands: BandPartition | int,
    coalitions: Tensor,
    absence: str | Tensor = "zero",
    *,
    clip: bool = False,
) -> Tensor:
    """What is left of each image when only some bands are present: (N, C, H, W) -> (N, K, C, H, W).

    coalitions: bool (K, M), True = band present. absence: "zero", or the image b that gives the absent bands, a tensor
    (C, H, W) or (N, C, H, W). x_S = sum of x's bands in S plus b's bands not in S; nothing is rescaled, and nothing
    clipped unless `clip` asks for pixels in [0, 1].
    """
    bands = BandPartition.of(bands)
    x = _as_images(x)
    coalitions = torch.as_tensor(coalitions, device=x.device)
    if coalitions.ndim != 2 or coalitions.shape[1] != bands.n_bands:
        raise InputError(f"expected coalitions of shape (K, {bands.n_bands}), got {tuple(coalitions.shape)}")
    if coalitions.dtype != torch.bool and not bool(((coalitions == 0) | (coalitions == 1)).all()):
        raise InputError(f"expected coalitions as bool, True = band present, got other numbers ({coalitions.dtype})")
    base = _absence_image(absence, x)
    parts = band_images(x - base, bands)
    with torch.autocast(x.device.type, enabled=False):
        images = base[:, None] + torch.einsum("km,nmchw->nkchw", coalitions.to(parts.dtype), parts)
        return images.clamp(0, 1) if clip else images


def clip_in_place(images: Tensor) -> Tensor:
    """Take all pixels to [0, 1]; returns the share of each image's values that were outside: (N, ...) -> float32 (N,).

    What float rounding alone puts outside is not counted.
    """
    flat = images.flatten(1)
    outside = (flat < -_CLIP_ROUNDING) | (flat > 1 + _CLIP_ROUNDING)
    images.clamp_(0, 1)
    return outside.to(torch.float32).mean(1)


def band_energy(x: Tensor, bands: BandPartition | int) -> Tensor:
    """Energy per band, summed over bins of the full plane and over channels: (N, C, H, W) -> float64 (N, M).

    Parseval: the energies of an image sum to H W times its sum of squared pixels.
    """
    x = _as_images(x)
    return per_band(torch.fft.rfft2(x).abs().square().to(torch.float64).sum(1), BandPartition.of(bands), x.shape[-1])


def per_band(half_plane: Tensor, bands: BandPartition, width: int) -> Tensor:
    """Sum a half-plane quantity over each band's bins of the full plane: (N, H, W // 2 + 1) -> float64 (N, M)."""
    height = half_plane.shape[-2]
    weighted = (half_plane.to(torch.float64) * half_plane_weights(height, width).to(half_plane.device)).flatten(1)
    labels = bands.labels(height, width).flatten().to(half_plane.device)
    out = torch.zeros(len(half_plane), bands.n_bands, dtype=torch.float64, device=half_plane.device)
    return out.index_add_(1, labels, weighted)


@dataclass(frozen=True)
class SnrTerms:
    """What the SNR of perturbed images is made of, per image and band; energies as in `band_energy`, float64 (N, M).

    signal: |X|^2 of the clean image.   noise: |Delta|^2 of the perturbation.   cross: Re<X, Delta>.
    bin_db: mean over the band's bins of 10 log10(|X|^2 / |Delta|^2), each bin's channels added up, from -100 to 100 dB.
    dc: signal, noise and cross of the mean alone, (N, 3), which the other four leave out.
    """

    signal: Tensor
    noise: Tensor
    cross: Tensor
    bin_db: Tensor
    dc: Tensor


class CleanSpectra:
    """The spectra of clean images, kept so that each perturbation of them costs one FFT more; float64, no gradient.

    The mean (DC) is kept apart from the bands. border "periodic-plus-smooth" takes out the jump between opposite
    borders, which a DFT sees as an edge (Moisan 2011, doi 10.1007/s10851-010-0227-1). luminance: Rec. 601 luminance
    instead of each channel.
    """

    def __init__(
        self, x: Tensor, bands: BandPartition | int, border: Border | None = None, luminance: bool = False
    ) -> None:
        """x: (N, C, H, W); bands: a partition whose mean is in band 0."""
        self.bands, self.border, self.luminance = BandPartition.of(bands), border, luminance
        if self.bands.dc != "in-band":
            raise InputError("expected a band partition with dc='in-band': the mean is kept apart here in any case")
        if border not in (None, "periodic-plus-smooth"):
            raise InputError(f"expected border None or 'periodic-plus-smooth', got {border!r}")
        self.pixels = _as_images(x)
        self.spectra = self._spectra(self.pixels)

    def terms(self, y: Tensor) -> SnrTerms:
        """Compare perturbed images y (N, C, H, W) with the clean ones; InputError for another shape."""
        if y.shape != self.pixels.shape:
            raise InputError(f"expected perturbed images of shape {tuple(self.pixels.shape)}, got {tuple(y.shape)}")
        delta = self._spectra(y.to(torch.float64) - self.pixels.to(torch.float64))
        signal = self.spectra.abs().square().sum(1)
        noise = delta.abs().square().sum(1)
        cross = (self.spectra * delta.conj()).real.sum(1)
        dc = torch.stack([part[:, 0, 0] for part in (signal, noise, cross)], dim=1)
        for part in (signal, noise, cross):
            part[:, 0, 0] = 0
        return SnrTerms(
            self._summed(signal), self._summed(noise), self._summed(cross), self._mean_db(signal, noise), dc
        )

    def _summed(self, part: Tensor) -> Tensor:
        return per_band(part, self.bands, self.pixels.shape[-1])

    def _mean_db(self, signal: Tensor, noise: Tensor) -> Tensor:
        """Bins that are empty in both are left out; NaN where none is left."""
        known = (signal > 0) | (noise > 0)
        most = -10 * math.log10(UNTOUCHED)
        db = 10 * torch.log10(signal.clamp_min(1e-300) / noise.clamp_min(1e-300))
        db = torch.where(known, db.clamp(-most, most), 0.0)
        return self._summed(db) / self._summed(known)

    def _spectra(self, images: Tensor) -> Tensor:
        images = images.detach().to(torch.float64)
        if self.luminance:
            images = _luminance(images)
        spectra: Tensor = torch.fft.rfft2(images)
        return spectra - _smooth_spectra(images) if self.border else spectra


class Parts(Protocol):
    """Keeps what was cut of images; see `spectrobe.data.cached.BandCache`."""

    def parts(self, pixels: Tensor, base: Tensor, bands: Hashable, cut: Callable[[], Tensor]) -> Tensor:
        """What `cut` makes, or made of the same before."""


class BandMixer:
    """The band images of a batch, kept so that any coalition image is one small matrix product (no more FFTs).

    Pixels are kept channels-last, so that mixed images have the memory format that convolutions like best.
    """

    def __init__(self, x: Tensor, base: Tensor, bands: BandPartition, cache: Parts | None = None) -> None:
        """x (N, C, H, W), base: the absence image (C, H, W) or (N, C, H, W).

        cache: keeps the band images for others who mix the same images.
        """
        self.shape = x.shape[1:]

        def cut() -> Tensor:
            whole = base.expand_as(x)
            parts = band_images(x - whole, bands).permute(0, 1, 3, 4, 2)
            # one row more than bands: the absence image itself, present in every coalition
            stack = torch.cat([parts, whole.permute(0, 2, 3, 1)[:, None]], dim=1)
            return stack.reshape(len(x), bands.n_bands + 1, -1).contiguous()

        self.parts = cut() if cache is None else cache.parts(x, base, bands, cut)

    def mix_into(self, out: Tensor, image: int, weights: Tensor) -> None:
        """Write one image's coalition images into out (K, C*H*W, channels-last); weights (K, M + 1), last column 1."""
        torch.mm(weights, self.parts[image], out=out)

    def as_images(self, flat: Tensor) -> Tensor:
        """A view of flat (B, C*H*W) as images (B, C, H, W) in channels-last memory format."""
        channels, height, width = self.shape
        return flat.view(-1, height, width, channels).permute(0, 3, 1, 2)


@lru_cache(maxsize=16)
def _masks(bands: BandPartition, height: int, width: int, device: torch.device) -> Tensor:
    # outlives the call: made in inference mode, it would refuse gradients ever after
    with torch.inference_mode(False):
        labels = bands.labels(height, width).to(device)
        return labels[None] == torch.arange(bands.n_bands, device=device)[:, None, None]


def _luminance(images: Tensor) -> Tensor:
    if images.shape[1] == 1:
        return images
    if images.shape[1] != 3:
        raise InputError(f"expected RGB or grey images for their luminance, got {images.shape[1]} channels")
    weights = torch.tensor(_LUMINANCE, dtype=images.dtype, device=images.device)
    return torch.einsum("nchw,c->nhw", images, weights)[:, None]


def _smooth_spectra(images: Tensor) -> Tensor:
    """Half-plane spectra of the smooth component, which carries the jump between opposite borders (Moisan 2011)."""
    height, width = images.shape[-2:]
    jump = torch.zeros_like(images)
    rows = images[..., -1, :] - images[..., 0, :]
    jump[..., 0, :] += rows
    jump[..., -1, :] -= rows
    columns = images[..., -1] - images[..., 0]
    jump[..., 0] += columns
    jump[..., -1] -= columns
    turns_y = torch.arange(height, dtype=torch.float64, device=images.device) / height
    turns_x = torch.arange(width // 2 + 1, dtype=torch.float64, device=images.device) / width
    laplacian = 2 * torch.cos(2 * math.pi * turns_y)[:, None] + 2 * torch.cos(2 * math.pi * turns_x)[None, :] - 4
    laplacian[0, 0] = 1  # the smooth component has no mean
    spectra: Tensor = torch.fft.rfft2(jump) / laplacian
    spectra[..., 0, 0] = 0
    return spectra


def _as_images(x: Tensor) -> Tensor:
    if not isinstance(x, Tensor) or x.ndim != 4 or not x.is_floating_point():
        got = f"{x.dtype} {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise InputError(f"expected a floating tensor of images (N, C, H, W), got {got}")
    return x if x.dtype in (torch.float32, torch.float64) else x.to(torch.float32)


def _absence_image(absence: str | Tensor, x: Tensor) -> Tensor:
    if isinstance(absence, str):
        if absence != "zero":
            raise InputError(
                f"expected absence 'zero' or a tensor (C, H, W) or (N, C, H, W), got {absence!r}; "
                "'mean', 'noise' and 'donor' need a data set and belong to decompose"
            )
        return torch.zeros_like(x)
    if absence.shape not in (x.shape, x.shape[1:]):
        raise InputError(
            f"expected an absence image of shape {tuple(x.shape[1:])} or {tuple(x.shape)}, got {tuple(absence.shape)}"
        )
    return absence.to(x.device, x.dtype).expand_as(x)
