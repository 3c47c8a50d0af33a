"""Our corruptions against `imagecorruptions` (imagecorruptions-imaug 1.1.5) at 224 px, where the numbers are the same.

It returns 8-bit images and cuts instead of rounding, so it is half a level darker: half a level is added back.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from spectrobe.perturbations import perturbation
from spectrobe.perturbations.corruptions import filters
from spectrobe.perturbations.corruptions.weather import _plasma
from tests.perturbations.fractals import fractal_images

pytestmark = pytest.mark.slow

reference = pytest.importorskip("imagecorruptions", reason="needs imagecorruptions-imaug")

DETERMINISTIC = (
    "defocus_blur",
    "brightness",
    "contrast",
    "pixelate",
    "jpeg_compression",
    "saturate",
    "gaussian_blur",
    "zoom_blur",
)
# Largest difference of the power of p(x) - x in any of eight square rings over 48 images, in dB: chance, doubled.
RINGS_DB = {
    "gaussian_noise": 0.1,
    "shot_noise": 0.2,
    "impulse_noise": 0.1,
    "speckle_noise": 0.1,
    "glass_blur": 0.1,
    "snow": 0.6,
    "fog": 0.7,
    "elastic_transform": 0.3,
    "spatter": 0.7,
}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def theirs(x: Tensor, name: str, severity: int) -> Tensor:
    """`imagecorruptions` on images of 8-bit values (N, 3, H, W) in [0, 1], as whole levels from 0 to 255."""
    images = (x * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    seeded = name in ("impulse_noise", "glass_blur")  # these two do not follow numpy's global seed
    np.random.seed(severity)  # noqa: NPY002  # the only seed that the others know
    made = [
        reference.corrupt(image, severity, name, **({"seed": 100 * severity + i} if seeded else {}))
        for i, image in enumerate(images)
    ]
    return torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2).double()


def ring_power(delta: Tensor) -> np.ndarray:
    """Mean |FFT|^2 in eight square rings (8,)."""
    height, width = delta.shape[-2:]
    r = 2 * np.maximum(np.abs(np.fft.fftfreq(height))[:, None], np.abs(np.fft.fftfreq(width)))
    ring = np.minimum((8 * r).astype(int), 7)
    power = np.abs(np.fft.fft2(delta.double().numpy())) ** 2
    return np.array([power[..., ring == k].mean() for k in range(8)])


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", DETERMINISTIC)
def test_equal_up_to_rounding(name: str, severity: int) -> None:
    x = fractal_images(2, 3, 224, 224, seed=severity)
    x[:, :, :40, :40] = 0.0  # black, white and grey have no hue
    x[:, :, :40, 40:80] = 1.0
    x[:, :, :40, 80:120] = x[:, :1, :40, 80:120]
    y = perturbation(name, severity=severity)(x).double() * 255
    assert float((y - theirs(x, name, severity)).abs().max()) <= 1.001
    assert float((y - 255 * x).abs().max()) > 5  # and not because nothing happens


def test_equal_up_to_rounding_when_not_square() -> None:
    x = fractal_images(1, 3, 231, 290, seed=1)
    for name in DETERMINISTIC:
        y = perturbation(name, severity=4)(x).double() * 255
        assert float((y - theirs(x, name, 4)).abs().max()) <= 1.001, name


@pytest.mark.parametrize("degrees", [-45.0, -17.3, 0.0, 30.0, 45.0, -90.0, -120.0])
def test_motion_blur_at_a_given_angle_is_equal(degrees: float) -> None:
    x = fractal_images(1, 3, 64, 90)[0]
    ours = filters.motion_blur(x, 10, 3.0, degrees).permute(1, 2, 0).numpy()
    wanted = reference.corruptions._motion_blur(x.permute(1, 2, 0).numpy(), radius=10, sigma=3, angle=degrees)
    assert np.allclose(ours, wanted, atol=1e-6)


def test_motion_blur_angles_are_uniform(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[float] = []
    monkeypatch.setattr(filters, "motion_blur", lambda x, radius, sigma, degrees: drawn.append(degrees) or x)
    perturbation("motion_blur", severity=1)(torch.zeros(2000, 1, 8, 8))
    assert np.mean(drawn) == pytest.approx(0, abs=2.5)
    assert np.std(drawn) == pytest.approx(90 / 12**0.5, rel=0.05)
    assert -45 <= min(drawn) <= max(drawn) <= 45


def compare_statistics(name: str, severity: int, count: int, tolerance_db: float) -> None:
    x = fractal_images(count, 3, 224, 224, seed=severity)
    ours, wanted = perturbation(name, severity=severity)(x).double(), theirs(x, name, severity)
    # Half a level back, except where cutting took nothing: black, white, and pixels left as they were.
    whole = (wanted == 0) | (wanted == 255) | (wanted == (255 * x).round())
    wanted = torch.where(whole, wanted, wanted + 0.5) / 255
    assert float(ours.mean()) == pytest.approx(float(wanted.mean()), abs=0.05 if name == "fog" else 0.005)
    assert float(ours.var()) == pytest.approx(float(wanted.var()), rel=0.15 if name == "fog" else 0.03)
    rings = 10 * np.log10(ring_power(ours - x) / ring_power(wanted - x))
    assert np.abs(rings).max() < tolerance_db, rings


@pytest.mark.parametrize("name", [name for name in RINGS_DB if name != "fog"])
def test_equal_in_mean_variance_and_power_per_ring(name: str) -> None:
    count = 4 if name == "glass_blur" else 8  # the reference swaps its pixels one by one
    compare_statistics(name, severity=3, count=count, tolerance_db=2 * RINGS_DB[name])


@pytest.mark.parametrize("decay", [3.0, 1.4])
def test_clouds_of_fog_are_alike(decay: float) -> None:
    np.random.seed(0)  # noqa: NPY002  # the only seed that the others know
    wanted = np.array([reference.corruptions.plasma_fractal(64, decay) for _ in range(600)])
    ours = np.array([_plasma(np.random.default_rng(i), 64, decay) for i in range(600)])
    assert float(ours.mean()) == pytest.approx(float(wanted.mean()), abs=0.03)
    assert float(ours.var((1, 2)).mean()) == pytest.approx(float(wanted.var((1, 2)).mean()), rel=0.08)
    centred = [torch.from_numpy(f - f.mean((1, 2), keepdims=True)) for f in (ours, wanted)]
    assert np.abs(10 * np.log10(ring_power(centred[0]) / ring_power(centred[1]))).max() < 0.4


@pytest.mark.long
@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", RINGS_DB)
def test_equal_in_mean_variance_and_power_per_ring_on_more_images(name: str, severity: int) -> None:
    compare_statistics(name, severity, count=48, tolerance_db=RINGS_DB[name])


@pytest.mark.long
@pytest.mark.parametrize("severity", [1, 3, 5])
def test_frost_is_alike_in_mean_and_variance(severity: int) -> None:
    """Only these: the textures are made, not ImageNet-C's photographs."""
    x = fractal_images(96, 3, 224, 224)
    ours = perturbation("frost", severity=severity)(x)
    wanted = theirs(x, "frost", severity) / 255
    assert float(ours.mean()) == pytest.approx(float(wanted.mean()), abs=0.03)
    assert float(ours.var()) == pytest.approx(float(wanted.var()), rel=0.15)
