"""Noise of a set SNR in named bands: checked by a Fourier transform of its own, clipped images and all."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import spectrobe as sb
from spectrobe.errors import InputError
from spectrobe.perturbations import parse_perturbations
from spectrobe.perturbations.band_snr import BandSnr, set_band_snr
from tests.shared import SHARED
from tests.toys import pixels


def snr_by_numpy(x: Tensor, y: Tensor, n_bands: int) -> np.ndarray:
    """SNR in dB of every square ring, the mean left out: (N, M)."""
    k = [np.abs(np.rint(np.fft.fftfreq(n) * n)).astype(int) for n in x.shape[-2:]]
    ring = np.maximum(*np.meshgrid(*(2 * k * n_bands // len(k) for k in k), indexing="ij"))
    energy = []
    for part in (x.numpy().astype(float), y.numpy().astype(float) - x.numpy().astype(float)):
        power = (np.abs(np.fft.fft2(part)) ** 2).sum(1)
        power[:, 0, 0] = 0
        energy.append([power[:, np.minimum(ring, n_bands - 1) == band].sum(1) for band in range(n_bands)])
    with np.errstate(divide="ignore"):
        return 10 * np.log10(np.array(energy[0]) / np.array(energy[1])).T


def harsh(n: int = 64, size: int = 24) -> Tensor:
    """Images with much black and white, which clip what is added."""
    return ((pixels(n, (3, size, size)) - 0.5) * 2.2 + 0.6).clamp(0, 1)


@pytest.mark.parametrize("targets", [{3: 10.0}, {0: 0.0}, {7: -10.0}, {2: 30.0}, {1: 5.0, 6: -5.0}])
def test_the_snr_is_the_target_after_clipping(targets: dict[int, float]) -> None:
    x = harsh()
    y, record = set_band_snr(x, targets)
    assert y.min() >= 0 and y.max() <= 1 and y.dtype == x.dtype
    assert float(((y == 0) | (y == 1)).float().mean()) > 0.02, "expected images that clip"
    measured = snr_by_numpy(x, y, 8)
    assert np.allclose(measured, record.snr_db, atol=1e-3)
    off = np.abs(measured[:, list(targets)] - list(targets.values()))
    assert np.median(off) < 0.1 and np.quantile(off, 0.95) < 0.5
    assert record.unreachable == 0 and off.max() < 0.1


def test_open_loop_noise_would_miss_the_target() -> None:
    """What the loop is for: noise of the right strength before clipping is several dB too weak after it."""
    x = harsh()
    y, _ = set_band_snr(x * 0.2 + 0.4, {3: -15.0})  # nothing clips: the noise as it was added
    delta = 5 * (y - (x * 0.2 + 0.4))
    off = snr_by_numpy(x, (x + delta).clamp(0, 1), 8)[:, 3] + 15
    assert np.median(off) > 1


def test_other_bands_are_touched_by_clipping_alone() -> None:
    calm = pixels(16, (3, 24, 24)) * 0.4 + 0.3
    y, record = set_band_snr(calm, {3: 20.0})
    assert record.outside_bands.max() < 1e-9
    others = np.delete(snr_by_numpy(calm, y, 8), 3, axis=1)
    assert others.min() > 60  # rounding to float32
    x = harsh()
    y, record = set_band_snr(x, {3: 0.0})
    delta = np.fft.fft2((y.double() - x.double()).numpy())
    k = np.abs(np.rint(np.fft.fftfreq(24) * 24)).astype(int)
    inside = np.maximum(k[:, None], k[None, :]) * 16 // 24 == 3
    power = np.abs(delta) ** 2
    assert np.allclose(record.outside_bands, 1 - power[..., inside].sum((1, 2)) / power.sum((1, 2, 3)), atol=1e-6)
    assert 0.01 < np.median(record.outside_bands) < 0.4


def test_what_clipping_makes_unreachable_is_counted_and_its_range_told() -> None:
    x = harsh()
    y, record = set_band_snr(x, {3: -40.0})
    assert record.unreachable == len(x) and not record.reachable.any()
    measured = snr_by_numpy(x, y, 8)[:, 3]
    assert np.allclose(measured, record.lowest_db[:, 0], atol=0.1)
    assert -30 < measured.min() < measured.max() < -5
    with pytest.raises(InputError, match=r"-40 dB in band 3 is out of reach of 64 of 64 images, such as 0,") as told:
        sb.perturbation("band_snr", band=3, db=-40)(x)
    everyone = float(str(told.value).split("all of them ")[1].split(" dB")[0])
    assert everyone == pytest.approx(measured.max(), abs=0.1)
    nearest = sb.perturbation("band_snr", band=3, db=-40, unreachable="nearest")
    assert torch.equal(nearest(x), y) and nearest.record.unreachable == 64
    # and the range is true: a little above it every image arrives
    assert set_band_snr(x, {3: everyone + 0.5})[1].unreachable == 0


def test_a_band_that_holds_nothing_cannot_have_an_snr() -> None:
    x = pixels(3, (3, 24, 24))
    x[1] = 0.5
    y, record = set_band_snr(x, {3: 10.0})
    assert record.reachable.tolist() == [True, False, True]
    assert torch.equal(y[1], x[1]) and np.isnan(record.snr_db[1]).all()
    with pytest.raises(InputError, match="cannot be set on 1 of 3 images, such as b, which hold nothing there"):
        sb.perturbation("band_snr", band=3, db=10)(x, ids=["a", "b", "c"])


def test_an_image_is_noised_by_seed_and_id_alone() -> None:
    x = harsh(12)
    ids = [f"image {i}" for i in range(12)]
    p = sb.perturbation("band_snr", band=[2, 5], db=[0, 5])
    whole = p(x, ids=ids, seed=3)
    some = p(x[[7, 2]], ids=["image 7", "image 2"], seed=3)
    assert torch.equal(some, whole[[7, 2]])
    assert float((p(x, ids=ids, seed=4) - whole).abs().max()) > 0.05


@pytest.mark.parametrize("shape", [(1, 17, 23), (3, 16, 40)])
def test_odd_and_oblong_images_and_other_partitions(shape: tuple[int, int, int]) -> None:
    x = (pixels(8, shape) * 1.4 - 0.2).clamp(0, 1)
    bands = sb.BandPartition.radial(4)
    y, record = set_band_snr(x, {1: 6.0}, bands)
    assert np.allclose(sb.spectral_snr(x, perturbed=y, bands=bands).db[1], 6, atol=0.02)
    assert record.unreachable == 0


def test_as_text() -> None:
    [spec] = parse_perturbations("band_snr:band=3;db=10")
    p = spec.build()
    assert isinstance(p, BandSnr) and p.targets == {3: 10.0}
    assert str(p) == "band_snr:band=3;db=10"
    several = sb.perturbation("band_snr", band="1+4-5", db="0+-3+2.5", bands=6, unreachable="nearest")
    assert several.targets == {1: 0.0, 4: -3.0, 5: 2.5}
    assert str(several) == "band_snr:band=1+4+5;db=0+-3+2.5;bands=6;unreachable=nearest"
    [again] = parse_perturbations(str(several))
    assert again.build().targets == several.targets
    assert sb.perturbation("band_snr", band=[1, 4], db=7).targets == {1: 7.0, 4: 7.0}


@pytest.mark.parametrize("settings, message", [
    ({"band": 8, "db": 10}, r"band among 0..7 of square:8, such as 3, \[2, 3\], '2-4' or '2\+3', got 8"),
    ({"band": -1, "db": 10}, "got -1"),
    ({"band": "x", "db": 10}, "got 'x'"),
    ({"band": 3, "db": 120}, "at most 90"),
    ({"band": 3, "db": float("nan")}, "at most 90"),
    ({"band": 3, "db": "loud"}, "SNR in dB, such as 10 or '10\\+5', got 'loud'"),
    ({"band": "2+3", "db": "1+2+3"}, "one for each of 2 bands, got 3"),
    ({"band": 3, "db": 10, "unreachable": "skip"}, "'error' or 'nearest'"),
    ({"band": 3, "db": 10, "bands": sb.BandPartition.square(4, dc="own")}, "without one for the mean"),
    ({"band": 3}, "band_snr needs db"),
])  # fmt: skip
def test_bad_input(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        sb.perturbation("band_snr", **settings)


def test_bands_that_do_not_exist_are_refused_in_the_function_too() -> None:
    with pytest.raises(InputError, match="bands from 0 to 7 of square:8, got 8"):
        set_band_snr(pixels(2), {8: 10.0})
    with pytest.raises(InputError, match="at least one band"):
        set_band_snr(pixels(2), {})


@pytest.mark.skipif(not SHARED.exists(), reason=f"needs the CIFAR-10 images of {SHARED}, which are not there")
def test_on_photographs() -> None:
    from spectrobe.models import Geometry

    data = sb.open_data(f"parquet:{SHARED}/data/cifar10/test.parquet")
    x = torch.stack([data.pixels(i, Geometry()) for i in range(100)])
    y, record = set_band_snr(x, {4: -5.0})
    off = np.abs(snr_by_numpy(x, y, 8)[:, 4] + 5)
    assert np.median(off) < 0.1 and np.quantile(off, 0.95) < 0.5 and record.unreachable <= 5
