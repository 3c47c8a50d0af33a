"""Models whose response over frequency is known, and images on which it can be worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import spectrobe as sb
from spectrobe.perturbations import as_perturbation
from spectrobe.studies.response.predictors import Evidence
from tests.perturbations.attack_models import two_classes

SIDE = 16
BANDS = sb.BandPartition.square(4)  # at 16 px: 0-1, 2-3, 4-5 and 6-8 cycles/image
CYCLES, BAND = 5, 2
AMPLITUDE = 0.02
POWERS = (0.0025, 0.01, 0.04, 0.16)


def wave(cycles: int = CYCLES, phase: float = 0.0, side: int = SIDE) -> Tensor:
    """cos(2 pi cycles x / side + phase) along the rows: (1, side, side)."""
    return torch.cos(2 * torch.pi * cycles * torch.arange(side) / side + phase).expand(1, side, side).contiguous()


def one_band(n: int = 400, seed: int = 0) -> tuple[nn.Module, tuple[Tensor, Tensor]]:
    """A model that reads the sign of one wave in band 2, and images which hold it: it is right on all of them.

    Each image is mid-grey, plus or minus the wave (labels 1 and 0, half of each), plus noise in all other bands.
    """
    draws = torch.Generator().manual_seed(seed)
    spectrum = torch.fft.rfft2(torch.randn(n, 1, SIDE, SIDE, generator=draws))
    spectrum[..., (BANDS.labels(SIDE, SIDE) == BAND) | (torch.arange(SIDE * (SIDE // 2 + 1)).view(SIDE, -1) == 0)] = 0
    others = torch.fft.irfft2(spectrum, s=(SIDE, SIDE))
    labels = torch.arange(n) % 2
    sign = (2.0 * labels - 1).view(-1, 1, 1, 1)
    x = 0.5 + 0.03 * others / others.std() + AMPLITUDE * sign * wave()
    return two_classes(wave()), (x.clamp(0, 1), labels)


def masked_accuracy(power: np.ndarray) -> np.ndarray:
    """Accuracy of that model under noise of a power in its own band, not clipped.

    The noise's energy, power x pixels, is spread over the band's bins, of which the model reads one direction; the
    image holds the wave's norm in it.
    """
    from scipy.stats import norm

    bins = float(BANDS.bins(SIDE, SIDE)[BAND])
    return np.asarray(norm.cdf(AMPLITUDE * np.sqrt(bins / (2 * power))))


def measure(model: Any, data: Any, perturbations: Any = (), **settings: Any) -> sb.ResponseResult:
    plain: dict[str, Any] = {"bands": BANDS, "powers": POWERS, "under": None, "batch_size": 100}
    return sb.response(model, data, perturbations, **{**plain, **settings})


def evidence(p: int = 24, replicates: int = 200, seed: int = 0) -> tuple[Evidence, np.ndarray]:
    """Perturbations of four kinds with spectra drawn at random, and the dose that a known response gives each.

    No two of them have a band's power in common, so that total power says little of the dose. The drop is left at 0.
    """
    draws = np.random.default_rng(seed)
    sensitivity = np.asarray([0.1, 1.0, 30.0, 3.0])
    power = 10 ** draws.uniform(-4, -1, (p, 4))
    names = [f"{name}:{severity}" for name in ("fog", "snow", "pixelate", "gaussian_blur", "shot_noise", "own")
             for severity in range(1, 5)]  # fmt: skip
    r = 1 + replicates
    found = Evidence(
        names=tuple(names[:p]),
        bases=tuple(name.partition(":")[0] for name in names[:p]),
        severity=np.asarray([float(name.partition(":")[2]) for name in names[:p]]),
        drop=np.zeros((r, p)),
        clean=np.full(r, 0.9),
        power=np.broadcast_to(power, (r, p, 4)),
        mean_power=np.broadcast_to(10 ** draws.uniform(-4, -1, p), (r, p)),
        masking=np.broadcast_to(sensitivity, (r, 4)),
        slope=np.full(r, 1.0),
        gradient=np.broadcast_to(np.append(sensitivity[::-1], 0.0), (r, 5)),
        chance=0.1,
    )
    return found, power @ sensitivity


RIPPLES = tuple(
    (f"{kind}:{k}", band, amplitude)
    for kind, band in (("swell", 0), ("ripple", 2), ("grain", 3))
    for k, amplitude in enumerate((0.01, 0.03, 0.06, 0.09), start=1)
)
"""Name, band and amplitude of waves that are perturbations, in three kinds."""


def ripples(broken_at: int | None = None) -> list[Any]:
    """The perturbations of RIPPLES: a wave is added, of power amplitude^2 / 2 in one band; one may fail beside them."""
    cycles = {0: 1, 2: CYCLES, 3: 7}

    def of(name: str, band: int, amplitude: float) -> Any:
        return as_perturbation(lambda x: x + amplitude * wave(cycles[band]), name)

    found = [of(*one) for one in RIPPLES]
    if broken_at is not None:
        found.insert(broken_at, as_perturbation(_broken, "broken"))
    return found


def _broken(x: Tensor) -> Tensor:
    raise RuntimeError("no such lens")
