"""Properties that every corruption has, at every size."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import Tensor

import spectrobe.perturbations as perturbations
from spectrobe.errors import InputError, SpectrobeError
from spectrobe.perturbations import perturbation
from spectrobe.perturbations.corruptions import IMAGENET_C, IMAGENET_C_EXTRA, Corruption, parameters
from spectrobe.perturbations.corruptions.blur import _shuffle
from spectrobe.seeding import numpy_generator
from tests.perturbations.fractals import fractal_images

ALL = IMAGENET_C + IMAGENET_C_EXTRA
RANDOM = tuple(
    name
    for name in ALL
    if name
    not in {"defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate", "jpeg_compression", "gaussian_blur"}
    | {"saturate"}
)
# Severities whose distance from the clean image does not rise by the published numbers, or by more than chance.
NOT_MONOTONE = {"glass_blur", "motion_blur", "snow", "frost", "fog", "elastic_transform", "spatter", "saturate"}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Small images gain nothing from threads, which wait for one another on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def rms(delta: Tensor) -> float:
    return float(delta.double().pow(2).mean().sqrt())


def test_the_sets_are_those_of_imagenet_c() -> None:
    assert len(IMAGENET_C) == 15
    assert len(IMAGENET_C_EXTRA) == 4
    assert set(ALL) <= set(perturbations.names())


@given(
    name=st.sampled_from(ALL),
    severity=st.integers(1, 5),
    channels=st.sampled_from([1, 3]),
    height=st.integers(32, 90),
    width=st.integers(32, 90),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.float16]),
)
@hypothesis_settings(max_examples=60)
def test_shape_dtype_range_and_repeat(
    name: str, severity: int, channels: int, height: int, width: int, dtype: torch.dtype
) -> None:
    x = fractal_images(2, channels, height, width, seed=height).to(dtype)
    before = x.clone()
    p = perturbation(name, severity=severity)
    y = p(x, ids=["a", "b"], seed=3)
    assert y.shape == x.shape
    assert y.dtype == dtype
    assert torch.isfinite(y).all()
    assert float(y.min()) >= 0
    assert float(y.max()) <= 1
    assert torch.equal(x, before)  # the input is left alone
    assert torch.equal(y, p(x, ids=["a", "b"], seed=3))
    if not (name == "saturate" and channels == 1):
        assert not torch.equal(y, x)


@pytest.mark.parametrize("name", ALL)
def test_batch_order_and_threads_never_change_a_pixel(name: str) -> None:
    p = perturbation(name, severity=3)
    x = fractal_images(3, 3, 75, 101)  # big enough for torch to use two threads
    ids = ["n01/a.jpg", "n01/b.jpg", "n02/c.jpg"]
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        whole = p(x, ids=ids, seed=7)
        alone = torch.cat([p(x[i : i + 1], ids=ids[i : i + 1], seed=7) for i in (2, 0, 1)])
        torch.set_num_threads(2)
        in_two_threads = p(x, ids=ids, seed=7)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(alone, whole[[2, 0, 1]])
    assert torch.equal(in_two_threads, whole)


@pytest.mark.parametrize("name", RANDOM)
def test_draws_depend_on_id_seed_and_severity(name: str) -> None:
    x = fractal_images(1, 3, 48, 48).repeat(2, 1, 1, 1)
    p = perturbation(name, severity=2)
    y = p(x, ids=["a", "b"], seed=0)
    assert rms(y[0] - y[1]) > 1e-3
    assert rms(y[0] - p(x, ids=["a", "b"], seed=1)[0]) > 1e-3
    assert torch.equal(y[0], p(x, ids=["z", "a"], seed=0)[1])


@pytest.mark.parametrize("name", ALL)
def test_the_caller_s_global_generators_and_autocast_do_not_matter(name: str) -> None:
    x, p = fractal_images(1, 3, 48, 40), perturbation(name, severity=3)
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002  the caller's
    plain = p(x, ids=["a"], seed=0)
    torch.manual_seed(2)
    np.random.seed(2)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    with torch.autocast("cpu", dtype=torch.bfloat16):
        again = p(x, ids=["a"], seed=0)
    assert torch.equal(again, plain)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002


@pytest.mark.parametrize("name", sorted(set(ALL) - set(RANDOM)))
def test_the_others_draw_nothing(name: str) -> None:
    x = fractal_images(1, 3, 48, 48).repeat(2, 1, 1, 1)
    y = perturbation(name, severity=2)(x, ids=["a", "b"], seed=0)
    assert torch.equal(y[0], y[1])


def test_gaussian_noise_is_the_formula_with_the_documented_generator() -> None:
    x = torch.full((1, 1, 224, 224), 0.5)
    y = perturbation("gaussian_noise", severity=1)(x, ids=["image 1"], seed=5)
    noise = numpy_generator(5, "image 1", "gaussian_noise", 1).standard_normal((1, 224, 224), dtype=np.float32)
    assert np.allclose(y[0].numpy(), np.clip(0.5 + 0.08 * noise, 0, 1), atol=1e-6)
    assert float(y.std()) == pytest.approx(0.08, rel=0.01)


@pytest.mark.parametrize("side", [32, 64, 224])
@pytest.mark.parametrize("name", sorted(set(ALL) - NOT_MONOTONE))
def test_higher_severity_is_farther_away(name: str, side: int) -> None:
    x = fractal_images(4 if side < 224 else 1, 3, side, side)
    distances = [rms(perturbation(name, severity=s)(x) - x) for s in (1, 2, 3, 4, 5)]
    assert all(b > 1.005 * a for a, b in itertools.pairwise(distances)), distances


@pytest.mark.parametrize("name", sorted(NOT_MONOTONE - {"frost"}))
def test_the_highest_severity_is_farther_away_than_the_lowest(name: str) -> None:
    x = fractal_images(3, 3, 224, 224)
    assert rms(perturbation(name, severity=5)(x) - x) > 1.1 * rms(perturbation(name, severity=1)(x) - x)


def test_glass_blur_copies_as_the_published_walk_does() -> None:
    height, width, reach = 23, 31, 2
    pixels = np.arange(height * width).reshape(height, width)
    down, right = np.random.default_rng(4).integers(
        -reach, reach, size=(2, height - 2 * reach, width - 2 * reach)
    )  # the draws of `_shuffle`, in its order
    for h in range(height - reach, reach, -1):
        for w in range(width - reach, reach, -1):
            pixels[h, w] = pixels[h + down[h - reach - 1, w - reach - 1], w + right[h - reach - 1, w - reach - 1]]
    source = _shuffle(np.random.default_rng(4), height, width, reach)
    assert np.array_equal(source.reshape(height, width), pixels)


def test_grey_images_are_changed_as_their_rgb_copies() -> None:
    grey = fractal_images(2, 1, 40, 40)
    for name in ("gaussian_blur", "defocus_blur", "zoom_blur", "contrast", "pixelate", "brightness"):
        p = perturbation(name, severity=3)
        assert torch.allclose(p(grey), p(grey.expand(-1, 3, -1, -1))[:, :1], atol=1e-6), name
    assert torch.equal(perturbation("saturate", severity=5)(grey), grey)


def test_saturate_to_zero_leaves_no_colour_and_brightness_adds_to_the_value() -> None:
    x = fractal_images(1, 3, 32, 32)
    paler = perturbation("saturate", severity=2)(x)  # CIFAR-10-C: a tenth of the saturation
    assert torch.allclose(paler.amax(1), x.amax(1), atol=1e-6)
    assert torch.allclose(paler.amax(1) - paler.amin(1), 0.1 * (x.amax(1) - x.amin(1)), atol=1e-5)
    lighter = perturbation("brightness", severity=1)(x)
    assert torch.allclose(lighter.amax(1), (x.amax(1) + 0.05).clamp(max=1), atol=1e-6)
    black = perturbation("brightness", severity=1)(torch.zeros(1, 3, 32, 32))
    assert torch.allclose(black, torch.full_like(black, 0.05), atol=1e-6)


@pytest.mark.parametrize("name", ["spatter", "fog", "snow", "impulse_noise", "shot_noise", "contrast"])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_flat_images_stay_finite(name: str, value: float) -> None:
    for severity in (1, 5):
        y = perturbation(name, severity=severity)(torch.full((2, 3, 33, 40), value))
        assert torch.isfinite(y).all()


def test_impulse_noise_hits_the_stated_share_half_black_half_white() -> None:
    y = perturbation("impulse_noise", severity=5)(torch.full((1, 3, 224, 224), 0.5))
    assert float((y == 0).double().mean()) == pytest.approx(0.135, abs=0.003)
    assert float((y == 1).double().mean()) == pytest.approx(0.135, abs=0.003)


def test_shot_noise_has_the_variance_of_counted_photons() -> None:
    y = perturbation("shot_noise", severity=1)(torch.full((1, 3, 224, 224), 0.25))
    assert float(y.mean()) == pytest.approx(0.25, abs=0.001)
    assert float(y.var()) == pytest.approx(0.25 / 60, rel=0.02)


def test_pixelate_makes_blocks() -> None:
    x = fractal_images(1, 3, 224, 224)
    y = perturbation("pixelate", severity=5)(x)  # a quarter of the resolution: blocks of 4 x 4
    means = torch.nn.functional.avg_pool2d(x, 4)
    assert torch.allclose(y, means.repeat_interleave(4, -1).repeat_interleave(4, -2), atol=1e-6)


def test_quantize_gives_multiples_of_1_255() -> None:
    x = fractal_images(2, 3, 40, 40)
    exact = perturbation("gaussian_noise", severity=3)(x)
    levels = 255 * perturbation("gaussian_noise", severity=3, quantize=True)(x)
    assert torch.allclose(levels, levels.round(), atol=1e-4)
    assert float((levels / 255 - exact).abs().max()) <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize("shape", [(1, 3, 8, 9), (1, 1, 28, 28), (1, 3, 40, 333), (1, 3, 500, 375)])
@pytest.mark.parametrize("name", ALL)
def test_other_sizes_work(name: str, shape: tuple[int, ...]) -> None:
    x = fractal_images(*shape)
    y = perturbation(name, severity=5)(x)
    assert y.shape == x.shape
    assert 0 <= float(y.min()) <= float(y.max()) <= 1


@pytest.mark.long
@pytest.mark.parametrize("name", ALL)
def test_1000_px_work(name: str) -> None:
    x = fractal_images(1, 3, 1000, 999)
    for severity in (1, 5):
        y = perturbation(name, severity=severity)(x)
        assert y.shape == x.shape
        assert rms(y - x) > 0.005  # rare drops of water are the least


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ALL)
def test_devices_agree(name: str) -> None:
    x = fractal_images(2, 3, 65, 80)
    p = perturbation(name, severity=4)
    on_device = p(x.cuda(), ids=["a", "b"])
    assert on_device.device.type == "cuda"
    assert torch.allclose(on_device.cpu(), p(x, ids=["a", "b"]), atol=1e-5)


@pytest.mark.parametrize("severity", [0, 6, -1, 2.5, True, "3", None])
def test_a_severity_outside_1_to_5_is_named(severity: object) -> None:
    with pytest.raises(InputError, match="severity of fog from 1 to 5") as error:
        perturbation("fog", severity=severity)
    assert repr(severity) in str(error.value)


def test_a_corruption_needs_its_severity() -> None:
    with pytest.raises(InputError, match="fog needs severity: give severity="):
        perturbation("fog")


def test_other_bad_input_is_named() -> None:
    with pytest.raises(InputError, match="unknown corruption 'smog'"):
        Corruption("smog", 1)
    fog = perturbation("fog", severity=1)
    with pytest.raises(InputError, match=r"1 or 3 channels.*got 4"):
        fog(torch.zeros(1, 4, 32, 32))
    with pytest.raises(InputError, match="8 px or more, got 7 x 32"):
        fog(torch.zeros(1, 3, 7, 32))
    with pytest.raises(InputError, match="pixels in"):
        fog(torch.full((1, 3, 32, 32), 255.0))
    with pytest.raises(InputError, match="floating tensor"):
        fog(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    with pytest.raises(InputError, match="expected 1 ids"):
        fog(torch.zeros(1, 3, 32, 32), ids=["a", "b"])


def test_jpeg_without_pillow_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(SpectrobeError, match="pip install pillow"):
        perturbation("jpeg_compression", severity=1)(torch.zeros(1, 3, 32, 32))


def test_parameters_are_published_ones_at_both_sizes() -> None:
    assert parameters("gaussian_noise", 1, 32) == {"std": 0.04}
    assert parameters("gaussian_noise", 1, 224) == parameters("gaussian_noise", 1, 1000) == {"std": 0.08}
    assert parameters("gaussian_noise", 1, 16) == {"std": 0.04}
    assert parameters("glass_blur", 5, 224) == {"sigma": 1.5, "reach": 4, "rounds": 2}
    assert parameters("jpeg_compression", 3, 32) == {"quality": 58}


def test_parameters_between_follow_the_power_law() -> None:
    between = round((32 * 224) ** 0.5)  # 85 px, half way in the logarithm
    assert parameters("gaussian_noise", 5, between)["std"] == pytest.approx((0.10 * 0.38) ** 0.5, rel=0.01)
    assert parameters("elastic_transform", 1, between)["affine"] == pytest.approx(0.04, rel=0.01)  # 0 at 224: linear
    assert isinstance(parameters("motion_blur", 2, between)["radius"], int)
    sides = [parameters("defocus_blur", 3, side)["radius"] for side in range(32, 230, 8)]
    assert all(b > a for a, b in itertools.pairwise(sides) if a < 6)


def test_parameters_meet_tiny_imagenet_c_half_way() -> None:
    """The rule against numbers that it does not use: Tiny-ImageNet-C's, made for 64 px."""
    tiny = {
        ("gaussian_noise", "std"): (0.04, 0.08, 0.12, 0.15, 0.18),
        ("shot_noise", "photons"): (250, 100, 50, 30, 15),
        ("impulse_noise", "share"): (0.01, 0.02, 0.05, 0.08, 0.14),
        ("speckle_noise", "std"): (0.15, 0.2, 0.25, 0.3, 0.35),
        ("gaussian_blur", "sigma"): (0.5, 0.75, 1, 1.25, 1.5),
        ("defocus_blur", "radius"): (0.5, 1, 1.5, 2.5, 3),
        ("motion_blur", "sigma"): (1, 1.5, 2, 2.5, 3),
        ("fog", "amount"): (0.4, 0.7, 1, 1.5, 2),
        ("frost", "amount"): (0.3, 0.4, 0.45, 0.5, 0.55),
        ("contrast", "factor"): (0.4, 0.3, 0.2, 0.1, 0.05),
        ("brightness", "shift"): (0.1, 0.2, 0.3, 0.4, 0.5),
        ("jpeg_compression", "quality"): (65, 58, 50, 40, 25),
    }
    off = [
        abs(np.log(parameters(name, s, 64)[key] / values[s - 1]))
        for (name, key), values in tiny.items()
        for s in (1, 2, 3, 4, 5)
    ]
    assert float(np.exp(np.median(off))) == pytest.approx(1.23, abs=0.01)
    assert float(np.exp(np.max(off))) == pytest.approx(2.03, abs=0.01)
