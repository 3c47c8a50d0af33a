"""Spectral SNR by the book: the full frequency plane, numpy, float64, nothing of spectrobe's."""

from __future__ import annotations

import numpy as np
from torch import Tensor


def square_labels(height: int, width: int, n_bands: int) -> np.ndarray:
    """Square ring of every bin of the full plane: (H, W)."""
    k_y, k_x = (np.abs(np.rint(np.fft.fftfreq(n) * n).astype(int)) for n in (height, width))
    rings = np.maximum((2 * k_y * n_bands // height)[:, None], (2 * k_x * n_bands // width)[None, :])
    return np.minimum(rings, n_bands - 1)


def terms(x: Tensor, y: Tensor, n_bands: int, dc: str = "apart") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """|X|^2, |Delta|^2 and Re<X, Y> per image and band: (N, M) each."""
    clean, perturbed = (np.fft.fft2(images.double().numpy()) for images in (x, y))
    labels, out = square_labels(*x.shape[-2:], n_bands), []
    delta = np.fft.fft2(y.double().numpy() - x.double().numpy())
    for part in (np.abs(clean) ** 2, np.abs(delta) ** 2, (clean * perturbed.conj()).real):
        if dc == "apart":
            part[..., 0, 0] = 0
        out.append(np.stack([part[..., labels == band].sum((1, 2)) for band in range(n_bands)], axis=1))
    return out[0], out[1], out[2]


def snr_db(x: Tensor, y: Tensor, n_bands: int, dc: str = "apart") -> np.ndarray:
    """Per image and band: (N, M)."""
    signal, noise, _ = terms(x, y, n_bands, dc)
    with np.errstate(divide="ignore"):
        return 10 * np.log10(signal / noise)


def modulus(x: Tensor, y: Tensor, n_bands: int, dc: str = "apart") -> np.ndarray:
    """max(Re<X, Y>, 0)^2 / (|X|^2 max(|X|^2, |Y|^2)) per image and band: (N, M)."""
    signal, _, cross = terms(x, y, n_bands, dc)
    perturbed, _, _ = terms(y, y, n_bands, dc)
    return np.maximum(cross, 0) ** 2 / (signal * np.maximum(signal, perturbed))


def periodic(x: Tensor) -> np.ndarray:
    """Moisan's periodic component of each channel, by solving for the smooth one on the full plane: (N, C, H, W)."""
    u = x.double().numpy()
    height, width = u.shape[-2:]
    jump = np.zeros_like(u)
    jump[..., 0, :] += u[..., -1, :] - u[..., 0, :]
    jump[..., -1, :] += u[..., 0, :] - u[..., -1, :]
    jump[..., :, 0] += u[..., :, -1] - u[..., :, 0]
    jump[..., :, -1] += u[..., :, 0] - u[..., :, -1]
    wave = 2 * np.cos(2 * np.pi * np.arange(height) / height)[:, None] + 2 * np.cos(
        2 * np.pi * np.arange(width) / width
    )
    wave[0, 0] = 5.0  # anything: the jump has no mean
    smooth = np.fft.ifft2(np.fft.fft2(jump) / (wave - 4)).real
    return u - smooth
