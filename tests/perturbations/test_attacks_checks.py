"""The checks find faults planted in attacks and models, and find none where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from spectrobe.errors import InputError
from spectrobe.perturbations.attacks import ATTACKS, check_attack, sanity
from spectrobe.perturbations.attacks.base import BoundedAttack, Target
from spectrobe.perturbations.attacks.checks import (
    check_black_box,
    check_control,
    check_gradient,
    check_growth,
    check_outside,
    check_steps,
    check_zero_eps,
    zero_gradients,
)
from tests.perturbations.attack_models import SmallNet, images, linear

X = images(12, (3, 8, 8), low=0.2, high=0.8)


def shifted(by: float) -> Tensor:
    return X + by


def test_distance_range_and_success_are_measured_anew() -> None:
    model = linear((3, 8, 8))
    labels = model(X).argmax(1)
    y = ATTACKS["pgd_linf"](eps=4 / 255, model=model)(X)
    check = check_attack(model, X, y, norm="linf", eps=4 / 255)
    assert check.warnings == ()
    assert check.in_box.all() and check.in_ball.all() and check.right.all()
    np.testing.assert_array_equal(check.success, (model(y).argmax(1) != labels).numpy())
    np.testing.assert_allclose(check.distance, (y - X).abs().flatten(1).amax(1).numpy(), rtol=1e-6)
    assert check.distance.dtype == np.float64 and not check.distance.flags.writeable


@pytest.mark.parametrize("norm, expected", [("linf", 0.1), ("l2", 0.1 * np.sqrt(3 * 64))])
def test_a_norm_beyond_eps_is_reported(norm: Any, expected: float) -> None:
    check = check_attack(linear((3, 8, 8)), X, shifted(0.1), norm=norm, eps=expected * 0.99, name="mine")
    assert not check.in_ball.any()
    np.testing.assert_allclose(check.distance, expected, rtol=1e-5)
    assert len(check.warnings) == 1 and check.warnings[0].startswith(f"mine: expected a {norm} norm at most")
    assert check_attack(linear((3, 8, 8)), X, shifted(0.1), norm=norm, eps=expected).warnings == ()


def test_pixels_outside_the_box_are_reported() -> None:
    y = X.clone()
    y[0, 0, 0, 0], y[1, 0, 0, 0] = 1.01, torch.nan
    check = check_attack(linear((3, 8, 8)), X, y, norm="l2", name="mine")
    assert check.in_box.tolist() == [False, False] + [True] * 10
    assert "mine: 2 of 12 images have pixels outside [0, 1] or not finite" in check.warnings


def test_claims_are_compared_with_what_the_model_says() -> None:
    model = linear((3, 8, 8))
    check = check_attack(model, X, X, norm="l2", claimed=[True] * 2 + [False] * 10)
    assert not check.success.any()
    assert check.warnings == ("the attack: says of 2 of 12 images what the model's class on them does not bear out",)


def test_minimum_distances_of_wrong_and_unfound_images() -> None:
    model = linear((3, 8, 8))
    labels = model(X).argmax(1)
    labels[0] = (labels[0] + 1) % 4
    y = ATTACKS["deepfool_l2"](model=model)(X, labels)
    y[1] = X[1]
    distances = check_attack(model, X, y, labels, norm="l2").minimum_distance
    assert distances[0] == 0 and distances[1] == np.inf
    assert ((distances[2:] > 0) & np.isfinite(distances[2:])).all()


def test_images_of_another_shape_are_refused() -> None:
    with pytest.raises(InputError, match="shape"):
        check_attack(linear((3, 8, 8)), X, X[:, :, :4], norm="l2")


def right(share: float, count: int = 100) -> np.ndarray:
    return np.arange(count) < round(share * count)


@pytest.mark.parametrize(
    "passes, fails",
    [
        (check_zero_eps(right(0.8), right(0.8)), check_zero_eps(right(0.8), right(0.79))),
        (
            check_growth({0.0: right(0.8), 2 / 255: right(0.5), 1 / 255: right(0.6)}),
            check_growth({0.0: right(0.8), 1 / 255: right(0.5), 2 / 255: right(0.6)}),
        ),
        (check_steps(right(0.5), right(0.49)), check_steps(right(0.5), right(0.4))),
        (check_gradient(right(0.05)), check_gradient(right(0.06))),
        (check_control(right(0.5), right(0.5)), check_control(right(0.5), right(0.49))),
        (
            check_outside(np.array([0.2, 0.01, 0.0, np.nan])),
            check_outside(np.array([0.2, 0.011, 0.0, np.nan])),
        ),
        (check_black_box(right(0.5), right(0.49)), check_black_box(right(0.5), right(0.4))),
    ],
)
def test_each_check_passes_and_fails_where_it_should(passes: list[str], fails: list[str]) -> None:
    assert passes == []
    assert len(fails) == 1 and fails[0].startswith("the attack: ")


def test_growth_names_the_eps_where_it_is_stuck() -> None:
    (warning,) = check_growth({4 / 255: right(0.5), 8 / 255: right(0.6)}, "pgd")
    assert warning == "pgd: accuracy rises from 0.500 at eps 4/255 to 0.600 at eps 8/255: the attack is stuck"


class Quantised(torch.nn.Module):
    """Pixels rounded to 16 levels before a linear model: the gradient is zero in every pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = linear((3, 8, 8))

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(torch.round(x * 15) / 15)


def test_zero_gradients_are_seen() -> None:
    assert zero_gradients(Quantised(), X).all()
    assert not zero_gradients(linear((3, 8, 8)), X).any()
    p = ATTACKS["pgd_linf"](eps=0.05, model=Quantised(), steps=2)
    p(X)
    assert p.record.zero_gradient.all()


@pytest.mark.parametrize("name", ["pgd_linf", "apgd_dlr_l2", "square_linf"])
def test_an_honest_attack_passes_all_checks(name: str) -> None:
    model = linear((3, 8, 8))
    eps = 0.02 if name.endswith("linf") else 0.15
    budget = {"queries": 400} if name.startswith("square") else {"steps": 20}
    attack = ATTACKS[name](eps=eps, model=model, **budget)
    assert sanity(attack, X) == ()
    assert float((model(attack(X)).argmax(1) != model(X).argmax(1)).float().mean()) > 0.3  # it does something


def test_a_masked_gradient_is_found() -> None:
    warnings = sanity(ATTACKS["pgd_linf"](eps=0.02, model=Quantised()), X)
    assert any("the gradient is zero in every pixel of 100% of the images" in w for w in warnings)


class Backwards(BoundedAttack):
    """An attack with the wrong sign, which ends outside what it promises at eps 0 as well."""

    family = "backwards"

    def _attack(self, x: Tensor, target: Target, ids: Sequence[str], seed: int) -> Tensor:
        return x - self.eps * target.gradient(x)[0].sign()


def test_an_attack_that_is_weaker_than_noise_is_found() -> None:
    noisy = linear((3, 8, 8), classes=30)
    warnings = sanity(Backwards("linf", eps=0.2, model=noisy), X)
    assert any("under random noise of the same norm: the attack does not work" in w for w in warnings)


def test_an_attack_that_has_not_converged_is_found() -> None:
    slow = ATTACKS["pgd_linf"](eps=0.03, model=linear((3, 8, 8)), steps=2, step_size=0.004, random_start=False)
    assert any("more steps lower accuracy" in w for w in sanity(slow, X))


def test_a_model_that_is_never_the_same_is_found() -> None:
    class Dice(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return SmallNet().eval()(x) + 3 * torch.randn(len(x), 10)

    torch.manual_seed(0)
    warnings = sanity(ATTACKS["fgsm_linf"](eps=0.01, model=Dice()), X)
    assert any("at eps = 0" in w for w in warnings)
