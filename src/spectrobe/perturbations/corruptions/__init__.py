"""ImageNet-C's fifteen corruptions and its four extra ones, for images of any size; importing this registers them."""

from __future__ import annotations

from spectrobe.perturbations.corruptions import blur, digital, noise, spatter, weather
from spectrobe.perturbations.corruptions.base import Corruption
from spectrobe.perturbations.corruptions.parameters import SEVERITIES, parameters

IMAGENET_C = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
)
IMAGENET_C_EXTRA = ("speckle_noise", "gaussian_blur", "spatter", "saturate")

__all__ = [
    "IMAGENET_C",
    "IMAGENET_C_EXTRA",
    "SEVERITIES",
    "Corruption",
    "blur",
    "digital",
    "noise",
    "parameters",
    "spatter",
    "weather",
]
