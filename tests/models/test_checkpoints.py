"""The user's own weights: wrappers opened, prefixes stripped, and every misfit said in one line."""

from __future__ import annotations

import argparse
import zipfile

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from spectrobe.errors import InputError
from spectrobe.models import open_model
from spectrobe.models.checkpoints import load_checkpoint
from tests.models.conftest import SmallNet


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    net = SmallNet()
    with torch.no_grad():
        net.head.weight.mul_(2)
    return net.state_dict()


def prefixed(state, prefix):
    return {prefix + key: value for key, value in state.items()}


@pytest.mark.parametrize(
    "wrap, said",
    [
        (lambda s: s, ()),
        (lambda s: {"state_dict": s, "epoch": 3}, ("took 'state_dict' of w.pt",)),
        (lambda s: {"model": s, "optimizer": {}}, ("took 'model' of w.pt",)),
        (lambda s: {"model_ema": s}, ("took 'model_ema' of w.pt",)),
        (
            lambda s: {"model": s, "model_ema": prefixed(s, "module.")},
            ("took 'model' of w.pt; model_ema is there too and was not used",),
        ),
        (lambda s: prefixed(s, "module."), ("stripped module. from the keys of w.pt",)),
        (lambda s: prefixed(s, "_orig_mod."), ("stripped _orig_mod. from the keys of w.pt",)),
        (
            lambda s: {"state_dict": prefixed(s, "model._orig_mod.")},
            ("took 'state_dict' of w.pt", "stripped model. _orig_mod. from the keys of w.pt"),
        ),
        (lambda s: prefixed(s, "module.module.model."), ("stripped module. module. model. from the keys of w.pt",)),
        (lambda s: {key: value for key, value in s.items() if "num_batches" not in key}, ()),
        (lambda s: {key: value.half() for key, value in s.items()}, ()),
    ],
)
def test_torch_files(tmp_path, weights, wrap, said):
    torch.save(wrap(weights), tmp_path / "w.pt")
    net = SmallNet()
    notes = load_checkpoint(net, tmp_path / "w.pt", "net")
    assert notes[0] == "weights from w.pt"
    assert notes[1:] == said
    torch.testing.assert_close(net.head.weight, weights["head.weight"], atol=2e-3, rtol=0)


def test_safetensors(tmp_path, weights):
    save_file(prefixed(weights, "module."), tmp_path / "w.safetensors")
    net = SmallNet()
    notes = load_checkpoint(net, tmp_path / "w.safetensors", "net")
    assert notes == ("weights from w.safetensors", "stripped module. from the keys of w.safetensors")
    assert torch.equal(net.head.weight, weights["head.weight"])


def test_a_prefix_of_the_models_own_is_kept(tmp_path):
    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = SmallNet()

    torch.save(Wrapped().state_dict(), tmp_path / "w.pt")
    assert load_checkpoint(Wrapped(), tmp_path / "w.pt", "net") == ("weights from w.pt",)


def changed(change):
    state = SmallNet().state_dict()
    change(state)
    return state


@pytest.mark.parametrize(
    "state, num_classes, message",
    [
        (
            changed(lambda s: [s.pop(key) for key in ("conv.bias", "conv.weight", "head.bias", "norm.bias")]),
            None,
            r"w.pt does not fit the model: 4 missing \(conv.weight, conv.bias, norm.bias, ...\)$",
        ),
        (changed(lambda s: s.update(a=torch.zeros(1), b=torch.zeros(1))), None, r"2 extra \(a, b\)$"),
        (
            changed(lambda s: s.update({"conv.weight": torch.zeros(8, 1, 3, 3)})),
            None,
            r"1 mis-shaped \(conv.weight \(8, 1, 3, 3\) for \(8, 3, 3, 3\)\)$",
        ),
        (
            changed(lambda s: (s.pop("conv.bias"), s.update(c=torch.zeros(1)))),
            None,
            r"1 missing \(conv.bias\); 1 extra \(c\)$",
        ),
        (
            SmallNet(classes=7).state_dict(),
            None,
            r"expected a checkpoint of 5 classes \(no num_classes given\), w.pt has 7: give num_classes=7$",
        ),
        (
            SmallNet(classes=7).state_dict(),
            5,
            r"expected a checkpoint of 5 classes \(num_classes=5\), w.pt has 7: give num_classes=7$",
        ),
        (
            nn.Conv1d(1, 1, 1).state_dict(),
            None,
            r": 8 missing \(conv.weight, conv.bias, norm.weight, ...\); 2 extra",
        ),
        ({"epoch": 3}, None, r"expected a state dict of tensors in .*w.pt, got epoch$"),
        ([1, 2], None, r"expected a state dict in .*w.pt, got list$"),
    ],
)
def test_misfits_in_one_line(tmp_path, state, num_classes, message):
    torch.save(state, tmp_path / "w.pt")
    net = SmallNet()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    with pytest.raises(InputError, match=message) as caught:
        load_checkpoint(net, tmp_path / "w.pt", "net", num_classes)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


@pytest.mark.parametrize(
    "content, suffix, message",
    [
        (None, ".pt", "there is none at"),
        (b"\n<!DOCTYPE html><html>Sign in</html>", ".pt", "got a web page saved as .*: the download failed"),
        (b"version https://git-lfs.github.com/spec/v1\noid", ".pt", "got a Git LFS pointer in .*: run git lfs pull"),
        (b"", ".pt", "cannot read"),
        (b"garbage", ".pt", "opening it can run any code|cannot read"),
        (b"garbage", ".safetensors", "cannot read .*w.safetensors"),
    ],
)
def test_unreadable_files_in_one_line(tmp_path, content, suffix, message):
    path = tmp_path / f"w{suffix}"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        load_checkpoint(SmallNet(), path, "net")
    assert "\n" not in str(caught.value)


def test_a_pickle_is_refused_with_the_flag_that_allows_it(tmp_path, weights):
    path = tmp_path / "w.pt"
    torch.save({"state_dict": weights, "args": argparse.Namespace(lr=0.1)}, path)
    with pytest.raises(InputError, match=r"allow_pickle=True \(--allow-pickle\)$"):
        load_checkpoint(SmallNet(), path, "net")
    assert load_checkpoint(SmallNet(), path, "net", allow_pickle=True)[1] == "took 'state_dict' of w.pt"
    torch.save(nn.Sequential(nn.Linear(2, 2)), path)
    assert load_checkpoint(nn.Sequential(nn.Linear(2, 2)), path, "net", allow_pickle=True) == ("weights from w.pt",)


def test_garbage_is_refused_with_the_flag_too(tmp_path):
    (tmp_path / "w.pt").write_bytes(b"garbage")
    with pytest.raises(InputError, match="cannot read"):
        load_checkpoint(SmallNet(), tmp_path / "w.pt", "net", allow_pickle=True)


def test_a_torchscript_archive_is_no_checkpoint(tmp_path, recwarn):
    with zipfile.ZipFile(tmp_path / "w.pt", "w") as archive:
        archive.writestr("net/constants.pkl", b"")
    with pytest.raises(InputError, match=r"got the TorchScript archive .*: save the module's state_dict"):
        load_checkpoint(SmallNet(), tmp_path / "w.pt", "net", allow_pickle=True)
    assert not recwarn.list


def test_what_was_stripped_is_in_the_identity(tmp_path, weights):
    torch.save(prefixed(weights, "module."), tmp_path / "w.pt")
    model = open_model(f"python:tests.models.conftest:SmallNet?checkpoint={tmp_path}/w.pt")
    assert model.identity()["notes"] == ["weights from w.pt", "stripped module. from the keys of w.pt"]
