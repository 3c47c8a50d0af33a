"""The numbers of all 19 corruptions, at the two sizes where they are published, and the rule for every other size.

`imagenet`: ImageNet-C, for images of 224 px.    `cifar`: CIFAR-10-C, for images of 32 px.    Both from Hendrycks &
Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations", ICLR 2019,
arXiv 1903.12261, as in its code (github.com/hendrycks/robustness, Apache-2.0). Five numbers: severities 1 to 5.

The rule: with s the shorter side in px and t = log(s / 32) / log(224 / 32) cut to [0, 1], a number is
cifar^(1 - t) * imagenet^t, a power law of the side through both published points (cifar * (1 - t) + imagenet * t where
one of the two is 0). So it is exactly the published one at 32 and 224 px and stays constant outside; lengths are in
pixels unless said otherwise. Numbers marked `whole` are rounded to the nearest integer. Tiny-ImageNet-C, made for
64 px and not used here, is a check on the rule: twelve parameters at five severities differ from it by a factor of 1.23
in the median and 2.03 at most.

One exception: `elastic_transform` at 224 px is that of `imagecorruptions` (Michaelis et al. 2019, arXiv 1907.07484),
which grows with severity; ImageNet-C's own severities 1 and 2 are mostly a random affine map and 3 to 5 another thing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

SEVERITIES = (1, 2, 3, 4, 5)
CIFAR_SIDE, IMAGENET_SIDE = 32, 224


@dataclass(frozen=True)
class Points:
    """One parameter: its value for each severity at 224 px and at 32 px."""

    imagenet: tuple[float, float, float, float, float]
    cifar: tuple[float, float, float, float, float]
    whole: bool = False

    def at(self, severity: int, side: int) -> float:
        """The value for a severity from 1 to 5 at a shorter side in px."""
        large, small = self.imagenet[severity - 1], self.cifar[severity - 1]
        t = math.log(max(side, 1) / CIFAR_SIDE) / math.log(IMAGENET_SIDE / CIFAR_SIDE)
        if t <= 0 or t >= 1:
            return small if t <= 0 else large
        value = small ** (1 - t) * large**t if small > 0 and large > 0 else small * (1 - t) + large * t
        return round(value) if self.whole else value


def parameters(name: str, severity: int, side: int) -> dict[str, float]:
    """The numbers of corruption `name` at a severity from 1 to 5 and a shorter side in px, by their names in TABLE."""
    return {key: points.at(severity, side) for key, points in TABLE[name].items()}


TABLE: dict[str, dict[str, Points]] = {
    # noise ------------------------------------------------------------------------------------------------------------
    "gaussian_noise": {"std": Points((0.08, 0.12, 0.18, 0.26, 0.38), (0.04, 0.06, 0.08, 0.09, 0.10))},
    "shot_noise": {"photons": Points((60, 25, 12, 5, 3), (500, 250, 100, 75, 50))},  # at a pixel value of 1
    "impulse_noise": {"share": Points((0.03, 0.06, 0.09, 0.17, 0.27), (0.01, 0.02, 0.03, 0.05, 0.07))},
    "speckle_noise": {"std": Points((0.15, 0.2, 0.35, 0.45, 0.6), (0.06, 0.1, 0.12, 0.16, 0.2))},
    # blur -------------------------------------------------------------------------------------------------------------
    "defocus_blur": {
        "radius": Points((3, 4, 6, 8, 10), (0.3, 0.4, 0.5, 1, 1.5)),
        "soften": Points((0.1, 0.5, 0.5, 0.5, 0.5), (0.4, 0.5, 0.6, 0.2, 0.1)),
    },
    "glass_blur": {
        "sigma": Points((0.7, 0.9, 1, 1.1, 1.5), (0.05, 0.25, 0.4, 0.25, 0.4)),
        "reach": Points((1, 2, 2, 3, 4), (1, 1, 1, 1, 1), whole=True),
        "rounds": Points((2, 1, 3, 2, 2), (1, 1, 1, 2, 2), whole=True),
    },
    "motion_blur": {
        "radius": Points((10, 15, 15, 15, 20), (6, 6, 6, 8, 9), whole=True),
        "sigma": Points((3, 5, 8, 12, 15), (1, 1.5, 2, 2, 2.5)),
    },
    "zoom_blur": {  # zoom factors 1, 1 + step, ... below stop
        "stop": Points((1.11, 1.16, 1.21, 1.26, 1.31), (1.06, 1.11, 1.16, 1.21, 1.26)),
        "step": Points((0.01, 0.01, 0.02, 0.02, 0.03), (0.01, 0.01, 0.01, 0.01, 0.01)),
    },
    "gaussian_blur": {"sigma": Points((1, 2, 3, 4, 6), (0.4, 0.6, 0.7, 0.8, 1))},
    # weather ----------------------------------------------------------------------------------------------------------
    "snow": {
        "mean": Points((0.1, 0.2, 0.55, 0.55, 0.55), (0.1, 0.1, 0.15, 0.25, 0.3)),
        "std": Points((0.3, 0.3, 0.3, 0.3, 0.3), (0.2, 0.2, 0.3, 0.3, 0.3)),
        "zoom": Points((3, 2, 4, 4.5, 2.5), (1, 1, 1.75, 2.25, 1.25)),
        "threshold": Points((0.5, 0.5, 0.9, 0.85, 0.85), (0.6, 0.5, 0.55, 0.6, 0.65)),
        "radius": Points((10, 12, 12, 12, 12), (8, 10, 10, 12, 14), whole=True),
        "sigma": Points((4, 4, 8, 8, 12), (3, 4, 4, 6, 12)),
        "keep": Points((0.8, 0.7, 0.7, 0.65, 0.55), (0.95, 0.9, 0.9, 0.85, 0.8)),
    },
    "frost": {
        "keep": Points((1, 0.8, 0.7, 0.65, 0.6), (1, 1, 0.9, 0.85, 0.75)),
        "amount": Points((0.4, 0.6, 0.7, 0.7, 0.75), (0.2, 0.3, 0.4, 0.4, 0.45)),
        "scale": Points((1, 1, 1, 1, 1), (0.2, 0.2, 0.2, 0.2, 0.2)),  # size of the crystals
    },
    "fog": {
        "amount": Points((1.5, 2, 2.5, 2.5, 3), (0.2, 0.5, 0.75, 1, 1.5)),
        "decay": Points((2, 2, 1.7, 1.5, 1.4), (3, 3, 2.5, 2, 1.75)),
    },
    "brightness": {"shift": Points((0.1, 0.2, 0.3, 0.4, 0.5), (0.05, 0.1, 0.15, 0.2, 0.3))},
    "spatter": {
        "mean": Points((0.65, 0.65, 0.65, 0.65, 0.67), (0.62, 0.65, 0.65, 0.65, 0.65)),
        "std": Points((0.3, 0.3, 0.3, 0.3, 0.4), (0.1, 0.1, 0.3, 0.1, 0.1)),
        "sigma": Points((4, 3, 2, 1, 1), (0.7, 0.8, 1, 0.7, 0.5)),
        "threshold": Points((0.69, 0.68, 0.68, 0.65, 0.65), (0.7, 0.7, 0.69, 0.69, 0.68)),
        "strength": Points((0.6, 0.6, 0.5, 1.5, 1.5), (0.5, 0.5, 0.5, 0.6, 0.6)),
        "mud": Points((0, 0, 0, 1, 1), (0, 0, 0, 1, 1), whole=True),  # 0 water, 1 mud
    },
    # digital ----------------------------------------------------------------------------------------------------------
    "contrast": {"factor": Points((0.4, 0.3, 0.2, 0.1, 0.05), (0.75, 0.5, 0.4, 0.3, 0.15))},
    "elastic_transform": {  # all three as shares of the shorter side
        "amplitude": Points((0.0625, 0.08125, 0.10625, 0.125, 0.15), (0, 0.05, 0.08, 0.1, 0.1)),
        "sigma": Points((0.01, 0.01, 0.01, 0.01, 0.01), (0, 0.2, 0.06, 0.04, 0.03)),
        "affine": Points((0, 0, 0, 0, 0), (0.08, 0.07, 0.06, 0.05, 0.03)),
    },
    "pixelate": {"factor": Points((0.6, 0.5, 0.4, 0.3, 0.25), (0.95, 0.9, 0.85, 0.75, 0.65))},
    "jpeg_compression": {"quality": Points((25, 18, 15, 10, 7), (80, 65, 58, 50, 40), whole=True)},
    "saturate": {
        "factor": Points((0.3, 0.1, 2, 5, 20), (0.3, 0.1, 1.5, 2, 2.5)),
        "shift": Points((0, 0, 0, 0.1, 0.2), (0, 0, 0, 0.1, 0.2)),
    },
}
