"""Attacks against models whose worst case is known in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from spectrobe.bands import BandPartition
from spectrobe.perturbations.attacks import ATTACKS, CONTROLS
from tests.perturbations.attack_models import images, linear, two_classes

SHAPE = (3, 8, 8)
EPS = {"linf": 8 / 255, "l2": 0.5}


def margin(w: Tensor, x: Tensor) -> Tensor:
    return torch.einsum("nchw,chw->n", x.double(), w.double())


def random_direction(seed: int = 0) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed)) / 10


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize(
    "family, settings, tolerance",
    [
        ("fgsm", {}, 1e-5),
        ("pgd", {"steps": 10, "random_start": False}, 1e-5),
        ("pgd", {"steps": 20}, 0.03),  # in L2, steps of 2.5 eps in all leave a tenth of a start at right angles
        ("apgd_ce", {"steps": 30}, 1e-3),
    ],
)
def test_the_linear_worst_case_is_reached(norm: str, family: str, settings: dict[str, Any], tolerance: float) -> None:
    # far from the box the margin can fall by eps times the dual norm of w, and no further
    w, x, eps = random_direction(), images(6, SHAPE, low=0.3, high=0.7), EPS[norm]
    bias = 20 - float(margin(w, x).min())  # every image is right before and after: the margin itself is compared
    attack = ATTACKS[f"{family}_{norm}"](eps=eps, model=two_classes(w, bias), **settings)
    if norm == "l2":
        eps = 0.25  # 0.5 would touch the box in single pixels
        attack = attack.replace(eps=eps)
    dual = float(w.double().abs().sum()) if norm == "linf" else float(w.double().norm())
    fall = margin(w, x) - margin(w, attack(x))
    np.testing.assert_allclose(fall.numpy(), eps * dual, rtol=tolerance)


def test_the_linf_worst_case_in_the_box_is_reached() -> None:
    # with the box active, each pixel goes as far against w as ball and box let it
    w, x, eps = random_direction(), images(6, SHAPE).round(), EPS["linf"]
    bias = 20 - float(margin(w, x).min())
    worst = torch.where(w > 0, (x - eps).clamp_min(0), (x + eps).clamp_max(1))
    for family in ("fgsm", "pgd", "apgd_ce"):
        y = ATTACKS[f"{family}_linf"](eps=eps, model=two_classes(w, bias))(x)
        np.testing.assert_allclose(margin(w, y).numpy(), margin(w, worst).numpy(), atol=2e-4, err_msg=family)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("bias", [45.0, 500.0])
def test_confident_models_still_have_gradients(norm: str, bias: float) -> None:
    # q_y is 1 to rounding and the other class's share 1e-20 or 1e-217: the cross-entropy's gradient is lost
    w, x = random_direction(), images(4, SHAPE, low=0.3, high=0.7)
    model = two_classes(w, bias - float(margin(w, x).min()))
    y = ATTACKS[f"pgd_{norm}"](eps=0.05, model=model, random_start=False)(x)
    dual = float(w.double().abs().sum()) if norm == "linf" else float(w.double().norm())
    np.testing.assert_allclose((margin(w, x) - margin(w, y)).numpy(), 0.05 * dual, rtol=1e-3)


def boundary(norm: str, seed: int) -> tuple[Any, Tensor, np.ndarray]:
    """A linear model of 5 classes, images, and how far each is from the nearest other class (0.3 or so in L2)."""
    model, x = linear(SHAPE, classes=5, seed=seed, scale=0.1).eval(), images(10, SHAPE, seed=seed, low=0.35, high=0.65)
    with torch.no_grad():
        model.bias[2] += 0.8
        for parameter in model.parameters():  # a sharp softmax: the cross-entropy's gradient is the nearest class's
            parameter.mul_(50)
    logits = model(x).double()
    best = logits.argmax(1)
    gaps = logits.gather(1, best[:, None]) - logits
    steps = (model.weight[best][:, None] - model.weight[None]).double().flatten(2)
    dual = steps.abs().sum(2) if norm == "linf" else steps.norm(dim=2)
    distances = torch.where(dual > 0, gaps / dual, torch.inf)
    return model, x, distances.amin(1).detach().numpy()


@pytest.mark.parametrize(
    "name, settings, low, high",
    [
        ("deepfool_linf", {"overshoot": 0.0}, 1.0, 1.005),
        ("deepfool_l2", {"overshoot": 0.0}, 1.0, 1.005),
        ("deepfool_linf", {}, 1.015, 1.025),  # the usual overshoot of 2 %
        ("deepfool_l2", {}, 1.015, 1.025),
        ("cw_l2", {"steps": 100, "binary_search_steps": 6}, 1.0, 1.1),
        ("ddn_l2", {}, 1.0, 1.05),
        ("fmn_linf", {}, 1.0, 1.05),
    ],
)
def test_the_nearest_boundary_is_found(name: str, settings: dict[str, Any], low: float, high: float) -> None:
    norm = name.rpartition("_")[2]
    model, x, exact = boundary(norm, seed=1)
    delta = (ATTACKS[name](model=model, **settings)(x) - x).double().flatten(1)
    found = (delta.abs().amax(1) if norm == "linf" else delta.norm(dim=1)).detach().numpy()
    ratio = found / exact
    # foolbox's DeepFool adds 1e-4 to each step so that it crosses: that much of a small distance is let pass
    assert ratio.min() >= low - 1e-4, ratio
    assert np.median(ratio) <= high + 1e-4 / np.median(exact), ratio


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_square_beats_noise(norm: str) -> None:
    # smooth weights, as images have: windows find them
    w = torch.zeros(SHAPE)
    w[:, :4, :4], w[:, 4:, 4:], w[1, :4, 4:] = 0.2, -0.2, 0.2
    x, eps = images(20, SHAPE, low=0.3, high=0.7), EPS[norm]
    model = two_classes(w, 20 - float(margin(w, x).min()))
    attack, noise = ATTACKS[f"square_{norm}"](eps=eps, model=model, queries=300), CONTROLS[f"noise_{norm}"](eps=eps)
    dual = float(w.abs().sum()) if norm == "linf" else float(w.norm())
    by_attack = (margin(w, x) - margin(w, attack(x))).numpy() / (eps * dual)
    by_noise = (margin(w, x) - margin(w, noise(x))).numpy() / (eps * dual)
    # as shares of what is possible: noise is near 0 on average, the attack a good part of the way
    assert by_attack.min() > by_noise.max()
    assert 0.4 < np.median(by_attack) <= 1 + 1e-5
    assert abs(np.median(by_noise)) < 0.2


def test_square_stops_asking_once_an_image_fools_the_model() -> None:
    passes: list[int] = []
    w = random_direction()

    def near_the_boundary(x: Tensor) -> Tensor:
        passes.append(len(x))
        return two_classes(w, 0.05 - float(margin(w, base)))(x)

    base = images(1, SHAPE, low=0.4, high=0.6)
    ATTACKS["square_linf"](eps=8 / 255, model=near_the_boundary, queries=500)(base)
    assert 2 <= len(passes) < 100


@pytest.mark.parametrize("queries", [1, 7])
def test_square_keeps_its_budget(queries: int) -> None:
    passes: list[int] = []

    def counting(x: Tensor) -> Tensor:
        passes.append(len(x))
        return torch.tensor([[100.0, 0.0]]).repeat(len(x), 1) + 0 * x.sum((1, 2, 3))[:, None]

    ATTACKS["square_l2"](eps=0.5, model=counting, queries=queries)(images(3, SHAPE))
    assert passes == [3] * (queries + 1)  # one more: the clean prediction


@pytest.mark.parametrize("keep", [(0,), (1, 2), (3,)])
def test_the_band_worst_case_is_reached(keep: tuple[int, ...]) -> None:
    # within a subspace the L2 worst case is eps times the norm of w's part in it
    w, x, eps = random_direction(), images(5, SHAPE, low=0.3, high=0.7), 0.25
    model = two_classes(w, 20 - float(margin(w, x).min()))
    bands = BandPartition.square(4)
    labels = bands.labels(8, 8)
    inside = torch.fft.irfft2(torch.fft.rfft2(w.double()) * torch.isin(labels, torch.tensor(keep)), s=(8, 8))
    attack = ATTACKS["band_pgd_l2"](eps=eps, model=model, keep=keep, bands=4, restarts=3)
    y = attack(x)
    share = (margin(w, x) - margin(w, y)).numpy() / (eps * float(inside.norm()))
    assert share.min() > 0.97 and share.max() <= 1 + 1e-5
    assert attack.record.outside_bands.max() < 1e-6


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("keep", ["0", "2", "3", "0-1", "0+3"])
def test_little_energy_leaves_the_bands(norm: str, keep: str) -> None:
    # smooth images stretched beyond the range, so that the box is active; energies by a full-plane numpy FFT
    coarse = images(12, (3, 4, 4), low=-0.5, high=1.5)
    x = torch.nn.functional.interpolate(coarse, size=16, mode="bicubic").clamp(0, 1)
    assert 0.3 < float(((x == 0) | (x == 1)).float().mean()) < 0.7
    attack = ATTACKS[f"band_pgd_{norm}"](
        eps=EPS[norm], model=linear((3, 16, 16)), keep=keep, bands=BandPartition.square(4, dc="in-band"), steps=5
    )
    delta = (attack(x) - x).double().numpy()
    radius = np.maximum(*(np.abs(np.fft.fftfreq(16))[axis] for axis in (np.s_[:, None], np.s_[None, :])))
    band = np.minimum((radius * 8).astype(int), 3)
    power = (np.abs(np.fft.fft2(delta)) ** 2).sum(1)
    share = 1 - power[:, np.isin(band, attack.keep)].sum(1) / power.sum((1, 2))
    np.testing.assert_allclose(attack.record.outside_bands, share, atol=1e-6)
    assert np.median(share) <= 0.01
    assert (power.sum((1, 2)) > 0).all()
