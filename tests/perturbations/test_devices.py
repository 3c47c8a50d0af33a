"""Perturbations on a GPU: no tensor left on the CPU, the same draws; on a pretended GPU, and a real one if any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from spectrobe.models.base import Geometry, Model
from spectrobe.perturbations import perturbation
from spectrobe.perturbations.attacks import ATTACKS, CONTROLS, check_attack, sanity
from spectrobe.perturbations.corruptions import IMAGENET_C, IMAGENET_C_EXTRA
from tests.perturbations.fractals import fractal_images
from tests.perturbations.test_attacks import quick
from tests.pretended_device import is_there, pretended_device

CORRUPTIONS = IMAGENET_C + IMAGENET_C_EXTRA
WEIGHT = torch.randn(6, 3 * 12 * 12, generator=torch.Generator().manual_seed(0))
SMALL = fractal_images(3, 3, 12, 12)
WIDE = fractal_images(2, 3, 65, 80)


class Placed(Model):
    """A model of six classes that takes pixels on its device alone."""

    name, geometry, n_classes = "placed", Geometry(), 6

    def __init__(self, device: torch.device | str) -> None:
        self.device = torch.device(device)

    def forward(self, pixels: Tensor) -> Tensor:
        return 5 * torch.tanh(0.3 * pixels.flatten(1) @ WEIGHT.to(self.device).T)

    def identity(self) -> Mapping[str, Any]:
        return {"name": self.name}


class TestPretence:
    def test_it_refuses_what_a_gpu_refuses(self) -> None:
        with pretended_device() as device:
            x = SMALL.to(device)
            assert is_there(x) and x.device == device and is_there(x + 1) and is_there(torch.arange(3, device=device))
            assert not is_there(x.cpu()) and x.cpu().device.type == "cpu" and not is_there(x.to("cpu"))
            with pytest.raises(RuntimeError, match="same device, but add got some on the CPU"):
                x + SMALL
            with pytest.raises(RuntimeError, match="same device"):
                torch.where(x > 0.5, x, SMALL)
            with pytest.raises(TypeError, match="numpy"):
                x.numpy()
            with pytest.raises(RuntimeError, match="indices"):
                SMALL[torch.arange(2, device=device)]

    def test_it_finds_a_tensor_left_on_the_cpu(self) -> None:
        class Careless(Placed):
            def forward(self, pixels: Tensor) -> Tensor:
                return pixels.flatten(1) @ WEIGHT.T

        with pretended_device() as device, pytest.raises(RuntimeError, match="same device"):
            perturbation("pgd_linf", eps=0.1, model=Careless(device))(SMALL)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_corruptions_stay_on_the_device(name: str) -> None:
    for severity in (1, 4):
        p = perturbation(name, severity=severity)
        expected = p(WIDE, ids=["a", "b"])
        with pretended_device() as device:
            y = p(WIDE.to(device), ids=["a", "b"])
            assert is_there(y)
            assert torch.equal(y.cpu(), expected)


@pytest.mark.parametrize("name", [*ATTACKS, *CONTROLS])
def test_attacks_go_to_the_model_and_come_back_to_the_images(name: str) -> None:
    expected = quick(name, Placed("cpu"))(SMALL)
    with pretended_device() as device:
        attack = quick(name, Placed(device))
        for images in (SMALL, SMALL.to(device)):
            y = attack(images)
            assert is_there(y) == is_there(images)
            assert torch.equal(y.cpu(), expected)
            if name in ATTACKS:
                assert check_attack(Placed(device), images, y, norm=attack.norm).in_box.all()


def test_sanity_checks_on_the_device() -> None:
    with pretended_device() as device:
        for images in (SMALL, SMALL.to(device)):
            assert sanity(quick("pgd_linf", Placed(device)), images) == ()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", [*ATTACKS, *CONTROLS])
def test_attacks_on_a_real_device(name: str) -> None:
    y = quick(name, Placed("cuda"))(SMALL.cuda())
    assert y.device.type == "cuda"
    # float rounding may turn a step: draws agree where there are any, results nearly
    if name in CONTROLS:
        assert torch.allclose(y.cpu(), quick(name, None)(SMALL), atol=1e-6)
    else:
        check = check_attack(Placed("cuda"), SMALL.cuda(), y, norm=quick(name, Placed("cpu")).norm)
        assert check.in_box.all() and check.warnings == ()
