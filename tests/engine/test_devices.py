"""Which device a run uses, and that the caller's model is back where it was."""

from __future__ import annotations

import pytest
import torch

import spectrobe as sb
from spectrobe.engine.devices import resolve_device
from spectrobe.errors import InputError
from spectrobe.models import open_model
from tests.toys import PLAIN, linear, planted


@pytest.fixture
def two_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def test_auto_leaves_the_callers_model_where_it_is(two_cards: None) -> None:
    assert resolve_device("auto", open_model(linear()), given_by_name=False) == torch.device("cpu")
    assert resolve_device("auto", open_model(lambda x: x), given_by_name=False) == torch.device("cpu")


def test_auto_takes_the_accelerator_for_a_name(two_cards: None) -> None:
    assert resolve_device("auto", open_model(linear()), given_by_name=True) == torch.device("cuda")
    frozen = open_model(lambda x: x)  # as a graph of another runtime: it runs where it was opened
    assert resolve_device("auto", frozen, given_by_name=True) == torch.device("cpu")


def test_auto_without_an_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert resolve_device("auto", open_model(linear()), given_by_name=True) == torch.device("cpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert resolve_device("auto", open_model(linear()), given_by_name=True) == torch.device("mps")


def test_what_is_asked_for(two_cards: None) -> None:
    model = open_model(linear())
    assert resolve_device("cpu", model, given_by_name=True) == torch.device("cpu")
    assert resolve_device("cuda:1", model, given_by_name=False) == torch.device("cuda:1")
    with pytest.raises(InputError, match=r"device 'cuda:2' is not available here \(2 CUDA devices are\)"):
        resolve_device("cuda:2", model, given_by_name=False)


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "mps", "meta", "xpu"])
def test_devices_that_are_not_here(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InputError, match=rf"device '{device}' is not available here \(available: cpu\)"):
        sb.decompose(*planted(4), device=device, **PLAIN)


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "", None])
def test_devices_that_do_not_exist(device: object) -> None:
    with pytest.raises(InputError, match=r"expected device auto, cpu, cuda, cuda:0, \.\.\. or mps, got"):
        sb.decompose(*planted(4), device=device, **PLAIN)  # type: ignore[arg-type]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("absence", ["mean", "donor"])
def test_cuda_gives_the_same_numbers(absence: str) -> None:
    net, data = planted(30)
    settings = PLAIN | {"absence": absence}
    one, other = (sb.decompose(net, data, device=device, **settings) for device in ("cpu", "cuda"))
    assert one.payoffs == pytest.approx(other.payoffs, abs=1e-4)
    assert one.shapley == pytest.approx(other.shapley, abs=1e-5)
    assert next(net.parameters()).device.type == "cpu"
