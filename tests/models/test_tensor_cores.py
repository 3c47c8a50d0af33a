"""TF32 is said for a while, and only where it means something."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import spectrobe as sb
from spectrobe.errors import InputError
from spectrobe.models.tensor_cores import _settings, float32_products
from tests.pretended_device import pretended_device
from tests.toys import PLAIN, planted

CPU = torch.device("cpu")


def now() -> list[object]:
    return [getattr(holder, name) for holder, name, _, _ in _settings()]


def test_it_holds_inside_and_goes_again() -> None:
    before = now()
    tf32, whole = ([setting[i] for setting in _settings()] for i in (2, 3))
    with float32_products(True):
        assert now() == tf32
        with float32_products(False):
            assert now() == whole
        assert now() == tf32
    assert now() == before
    with pytest.raises(KeyError), float32_products(True):
        raise KeyError
    assert now() == before


def test_a_model_on_cuda_is_lent_in_what_was_asked_for() -> None:
    seen = []

    class Net(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(now())
            return x.mean((2, 3))

    model, before = sb.open_model(Net()), now()
    with pretended_device() as cuda:
        x = torch.rand(2, 3, 4, 4).to(cuda)
        for precision in ("float32", "tf32"):
            with model.prepared(cuda, precision) as forward:
                forward(x)
    assert seen == [[setting[i] for setting in _settings()] for i in (3, 2)]
    assert now() == before


def test_elsewhere_it_is_refused() -> None:
    net, data = planted(6)
    with pytest.raises(InputError, match="precision 'tf32' needs a CUDA device, got cpu"):
        sb.decompose(net, data, **PLAIN | {"precision": "tf32"})
    with (
        pytest.raises(InputError, match="expected precision float32, got tf32"),
        sb.open_model(lambda x: x).prepared(CPU, "tf32"),
    ):
        pass
