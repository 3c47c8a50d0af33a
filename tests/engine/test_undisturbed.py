"""What a measurement changes on purpose is put back to the bit."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spectrobe.engine.undisturbed import Through, undisturbed
from tests.integrations.nets import Net, generators


def test_global_generators_are_as_they_were() -> None:
    random.seed(3), np.random.seed(3), torch.manual_seed(3)  # noqa: NPY002
    np.random.randn()  # noqa: NPY002  # leaves a second number waiting
    before = generators()
    with undisturbed():
        random.random(), np.random.randn(), torch.randn(4)  # noqa: NPY002
        assert generators() != before
    assert generators() == before


def test_also_when_the_measurement_fails() -> None:
    net, before = Net(), generators()

    def measure() -> None:
        with undisturbed(net):
            torch.randn(3)
            net.calls = 7
            net.left_behind = torch.zeros(3)
            raise KeyError

    with pytest.raises(KeyError):
        measure()
    assert generators() == before and net.calls == 0 and not hasattr(net, "left_behind")


def test_autocast_is_off_inside_and_as_it_was_afterwards() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with undisturbed():
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    assert not torch.is_autocast_enabled("cpu")


class KeepsPositions(nn.Module):
    """Makes what it needs on the first call and keeps it, as position tables are kept."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))
        self.kept: dict[str, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        if "positions" not in self.kept:
            self.kept["positions"] = torch.arange(4.0)
        return x.mean((2, 3))[:, :1] * self.scale * self.kept["positions"]


def test_what_a_module_keeps_from_a_call_can_be_trained_with() -> None:
    module = KeepsPositions()
    with torch.inference_mode():
        Through(module)(torch.rand(2, 3, 8, 8))
    module(torch.rand(2, 3, 8, 8)).sum().backward()  # tensors of inference mode would refuse
    assert module.scale.grad is not None


def test_images_take_the_type_of_the_weights() -> None:
    assert Through(nn.Sequential(nn.Flatten(), nn.Linear(192, 2)).bfloat16())(torch.rand(2, 3, 8, 8)).shape == (2, 2)
