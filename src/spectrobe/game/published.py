"""The published procedure, for parity and comparison only.

Reproduces number for number what the authors' script computes for Luo, McDermott and O'Riordan, "Interpreting Global
Perturbation Robustness of Image Models using Axiomatic Spectral Importance Decomposition", TMLR 2024, arXiv
2408.01139. Its known faults are kept: the magnitude and the min-max over the batch carry energy out of the band and
make an image depend on the others in its batch; on non-square images the squares lie in the top left of the spectrum;
the score folds the sign. Nothing is shared with the default (`spectrobe.decompose`), so that each checks the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from spectrobe.errors import InputError, ModelOutputError

MAX_BANDS = 12
BETA = 0.75
FLAT = 1e-6  # of the brightest pixel: below it a difference is rounding of the float32 transform, not content


@dataclass(frozen=True)
class PublishedResult:
    """What the published procedure returns; arrays are float64 and read-only.

    mean_log_probability: (2**M,) nats, mean log softmax probability of the label for each coalition; index = sum of
        2**i over the bands present, band 0 is the lowest, index 0 (no band) is a zero image.
    profile: (M,) Shapley values of that table, shifted by their minimum and divided by their sum.
    score: the published scalar in [0, 1]: how far the profile is from a flat one, the sign folded.
    """

    mean_log_probability: NDArray[np.float64]
    profile: NDArray[np.float64]
    score: float


def decompose(
    model: Any, images: Tensor, labels: Tensor | ArrayLike, bands: int = 8, batch_size: int = 40
) -> PublishedResult:
    """Decompose a classifier over square frequency bands exactly as the published script does.

    Args:
        model: any callable (N, C, H, W) -> logits (N, K), or a `spectrobe.models.base.Model`.
        images: (N, C, H, W) float in [0, 1], before normalisation.
        labels: (N,) integers in 0 .. K-1, tensor or array.
        bands: M, the number of bands, 2 to 12; 2**M forward passes an image.
        batch_size: images a batch. It changes the result, because images are rescaled by the minimum and maximum of
            their batch; a trailing batch that is not full is dropped.

    Raises:
        InputError: an argument is not as above, no batch is full, a batch turns flat, or the profile is undefined.
        ModelOutputError: the model does not return finite logits (N, K), or gives a label probability 0 in float32.
    """
    _check(images, bands, batch_size)
    pixels = images.detach().to(torch.float32)
    labels = _label_indices(labels, len(pixels)).to(pixels.device)
    masks = _coalition_masks(bands, *pixels.shape[-2:]).to(pixels.device)
    n_batches = len(pixels) // batch_size
    total = np.zeros(2**bands)
    with _lent(model, pixels.device) as forward, torch.inference_mode():
        for batch in range(n_batches):
            rows = slice(batch * batch_size, (batch + 1) * batch_size)
            for coalition, x_s in enumerate(_coalition_images(pixels[rows], masks, first_row=rows.start)):
                log_p = _log_probability(forward(x_s), labels[rows], coalition, first_row=rows.start)
                total[coalition] += float(log_p.double().mean())
    table = total / n_batches
    profile = normalised_profile(_shapley(table))
    table.setflags(write=False)
    return PublishedResult(mean_log_probability=table, profile=profile, score=score(profile))


def normalised_profile(shapley: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shapley values (M,) -> (phi - min phi) / sum (M,), read-only. Raises InputError when all are equal."""
    shifted = np.asarray(shapley, dtype=np.float64) - np.min(shapley)
    if not shifted.sum() > 0:
        raise InputError(
            "expected bands that differ, got the same Shapley value for each: the published profile divides by 0; "
            "check that the model looks at its input, or use spectrobe.decompose"
        )
    profile: NDArray[np.float64] = shifted / shifted.sum()
    profile.setflags(write=False)
    return profile


def score(profile: NDArray[np.float64]) -> float:
    """Normalised profile (M,) -> S = |<beta/|beta|_2, profile> - eta| / (1 - eta), beta_i = 0.75^i, in [0, 1]."""
    beta = BETA ** np.arange(len(profile))
    norm = np.sqrt(np.sum(beta**2))
    eta = np.sum(beta) / (len(profile) * norm)
    return float(abs(np.sum(beta / norm * profile) - eta) / (1 - eta))


def _shapley(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Table (2**M,) -> Shapley values (M,), by the definition."""
    n_bands = len(table).bit_length() - 1
    phi = np.zeros(n_bands)
    for band in range(n_bands):
        for coalition in range(len(table)):
            if not coalition >> band & 1:
                orders = n_bands * comb(n_bands - 1, coalition.bit_count())
                phi[band] += (table[coalition | 1 << band] - table[coalition]) / orders
    return phi


def _coalition_masks(bands: int, height: int, width: int) -> Tensor:
    """Bool (2**M, H, W): the bins of the *unshifted* full plane that each coalition keeps; row 0 keeps none."""
    side = min(height, width)
    ring = torch.full((height, width), bands)  # outside the largest square: in no band, as in the source
    sides = [int(side * ((i + 1) / bands)) for i in range(bands)]
    for band in reversed(range(bands)):
        first = (side - sides[band]) // 2
        ring[first : first + sides[band], first : first + sides[band]] = band
    # The source shifts the spectrum to the centred mask and back; moving the mask once is the same.
    ring = torch.fft.ifftshift(ring)
    if torch.bincount(ring.flatten(), minlength=bands)[:bands].min() == 0:
        raise InputError(f"expected at most {side} bands for images of {height} x {width}, got {bands}: one is empty")
    member = torch.arange(2**bands)[:, None] >> torch.arange(bands) & 1
    member = torch.cat([member, torch.zeros(2**bands, 1, dtype=member.dtype)], dim=1).bool()
    return member[:, ring]


def _coalition_images(batch: Tensor, masks: Tensor, first_row: int) -> Iterator[Tensor]:
    """(N, C, H, W), (2**M, H, W) -> one rescaled (N, C, H, W) in [0, 1] a coalition, in the order of the masks."""
    yield torch.zeros_like(batch)
    spectrum, largest = torch.fft.fft2(batch), batch.max()
    for coalition in range(1, len(masks)):
        magnitude = torch.fft.ifft2(spectrum * masks[coalition]).abs()
        low, high = magnitude.aminmax()
        if not high - low > FLAT * largest:
            raise InputError(
                f"expected images with some contrast, got the same value everywhere in the batch of images {first_row} "
                f"to {first_row + len(batch) - 1} for coalition {coalition}: the published min-max divides by 0; "
                "leave flat images out, or use spectrobe.decompose"
            )
        yield ((magnitude - low) / (high - low)).clamp(0, 1)


def _log_probability(logits: Tensor, labels: Tensor, coalition: int, first_row: int) -> Tensor:
    """Logits (N, K), labels (N,) -> log of the softmax probability of the label (N,), in float32 as in the source."""
    where = f"coalition {coalition}"
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(labels) or logits.shape[1] < 2:
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ModelOutputError(f"expected logits ({len(labels)}, K) with K > 1, got {got} ({where})")
    if int(labels.max()) >= logits.shape[1]:
        raise InputError(
            f"expected labels in 0 .. {logits.shape[1] - 1}, got {int(labels.max())}: map them to the model's"
        )
    finite = logits.isfinite().all(dim=1)
    if not finite.all():
        row = first_row + int((~finite).nonzero()[0])
        raise ModelOutputError(f"expected finite logits, got NaN or infinity for image {row} ({where})")
    log_p = torch.softmax(logits.float(), dim=1).gather(1, labels[:, None]).squeeze(1).log()
    if not log_p.isfinite().all():
        row = first_row + int((~log_p.isfinite()).nonzero()[0])
        raise ModelOutputError(
            f"expected a label probability above 0, got 0 in float32 for image {row} ({where}): the published "
            "procedure takes its logarithm; use spectrobe.decompose(..., value='log-likelihood'), which stays finite"
        )
    return log_p


def _check(images: Tensor, bands: int, batch_size: int) -> None:
    if not isinstance(images, Tensor) or images.ndim != 4 or not images.is_floating_point():
        got = f"{images.dtype} {tuple(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
        raise InputError(f"expected images as a float tensor (N, C, H, W) in [0, 1], got {got}")
    if not 2 <= bands <= MAX_BANDS:
        raise InputError(f"expected 2 to {MAX_BANDS} bands, got {bands}")
    if batch_size < 1:
        raise InputError(f"expected a batch size of at least 1, got {batch_size}")
    if len(images) < batch_size:
        raise InputError(
            f"expected at least one full batch, got {len(images)} images for batch_size={batch_size}: "
            f"pass batch_size={max(len(images), 1)} or less, or more images"
        )
    if not (images.min() >= 0 and images.max() <= 1):  # written so that NaN fails too
        raise InputError(f"expected pixels in [0, 1], got {float(images.min()):.3g} to {float(images.max()):.3g}")


def _label_indices(labels: Tensor | ArrayLike, n_images: int) -> Tensor:
    indices = labels if isinstance(labels, Tensor) else torch.from_numpy(np.array(labels))
    if indices.shape != (n_images,) or indices.is_floating_point() or indices.dtype == torch.bool:
        raise InputError(f"expected integer labels ({n_images},), got {indices.dtype} {tuple(indices.shape)}")
    if int(indices.min()) < 0:
        raise InputError(f"expected labels from 0 up, got {int(indices.min())}")
    return indices.to(torch.int64)


@contextmanager
def _lent(model: Any, device: torch.device) -> Iterator[Callable[[Tensor], Tensor]]:
    """Lend the model's forward function in eval mode; afterwards the model is as it was."""
    if hasattr(model, "prepared"):  # spectrobe.models.base.Model, which lies in a layer above this one
        with model.prepared(device) as forward:
            yield forward
    elif isinstance(model, nn.Module):
        training = [(module, module.training) for module in model.modules()]
        model.eval()
        try:
            yield model
        finally:
            for module, mode in training:
                module.training = mode
    elif callable(model):
        yield model
    else:
        raise InputError(f"expected a callable (N, C, H, W) -> (N, K), got {type(model).__name__}")
