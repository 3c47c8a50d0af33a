"""Images that hold one group of bands alone, rescaled to the same energy: linear, so that SNR stays what it is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spectrobe.bands import BandPartition
from spectrobe.errors import InputError
from spectrobe.spectrum import band_images

CONTRAST = 0.2
"""Root mean square of all images that networks are given, about a grey of .5, whatever their bands."""
_BLOCK = 512


@dataclass(frozen=True)
class View:
    """What a network is given of an image: group `band` of `groups` (None: all), its mean taken out, times `gain`.

    One gain for all images of a group, not one an image: an image keeps its contrast among the others, and noise on it
    is scaled as it is.
    """

    groups: BandPartition
    band: int | None
    gain: float

    @classmethod
    def of(cls, pixels: Tensor, groups: BandPartition, band: int | None) -> View:
        """The view in which these images, uint8 or in [0, 1], have the contrast that all groups are given."""
        total, plain = 0.0, cls(groups, band, 1.0)
        for chunk in torch.split(pixels, _BLOCK):
            total += float((plain.apply(_floats(chunk)) - 0.5).square().sum(dtype=torch.float64))
        rms = (total / pixels.numel()) ** 0.5
        if rms < 1e-6:
            raise InputError(f"group {band} of {groups} holds nothing in these images: name other groups of bands")
        return cls(groups, band, CONTRAST / rms)

    def apply(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) in [0, 1] -> what the network is given, about .5 and not clipped."""
        kept = x if self.band is None else band_images(x, self.groups)[:, self.band]
        return 0.5 + self.gain * (kept - kept.mean((2, 3), keepdim=True))

    def all(self, pixels: Tensor) -> Tensor:
        """The same of many, uint8 or float, in float32."""
        return torch.cat([self.apply(_floats(chunk)).to(torch.float32) for chunk in torch.split(pixels, _BLOCK)])


def _floats(pixels: Tensor) -> Tensor:
    return pixels.to(torch.float32) / 255 if pixels.dtype == torch.uint8 else pixels
