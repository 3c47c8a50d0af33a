"""python: whatever the name stands for, and every way in which the user's code can fail."""

from __future__ import annotations

import functools
import importlib
import sys

import pytest
import torch

from spectrobe.errors import InputError
from spectrobe.models import open_model
from spectrobe.models.callables import CallableModel
from spectrobe.models.module import ModuleModel
from tests.models.conftest import SmallNet

HERE = "python:tests.models.test_python_models:"

INSTANCE = SmallNet()
MODEL = open_model(SmallNet(), mean=0.5, std=0.5)
PARTIAL = functools.partial(SmallNet, classes=7)
NUMBER = 3


def make(num_classes: int = 5):
    return SmallNet(num_classes)


def make_function():
    return logits


def logits(x):
    return x.mean((2, 3))


def make_nothing():
    return None


def fail():
    raise KeyError("weights")


class Needs(SmallNet):
    def __init__(self, path):
        super().__init__()


class Holder:
    net = INSTANCE


@pytest.mark.parametrize(
    "name, kind, classes",
    [
        ("INSTANCE", ModuleModel, 5),
        ("SmallNet", ModuleModel, 5),
        ("PARTIAL", ModuleModel, 7),
        ("make", ModuleModel, 5),
        ("make?num_classes=4", ModuleModel, 4),
        ("make_function", CallableModel, 3),
        ("logits", CallableModel, 3),
        ("Holder.net", ModuleModel, 5),
    ],
)
def test_what_the_name_stands_for(images, name, kind, classes):
    model = open_model(HERE + name)
    assert type(model) is kind
    assert model.name == HERE + name.partition("?")[0]
    assert model.forward(images).shape == (6, classes)
    assert (model.geometry.size, model.mean) == (None, None)


def test_instances_are_used_as_they_are():
    here = importlib.import_module("tests.models.test_python_models")
    assert open_model(HERE + "MODEL") is here.MODEL
    assert open_model(HERE + "INSTANCE").module is here.INSTANCE


def test_a_file_and_the_working_directory(tmp_path, monkeypatch, images):
    (tmp_path / "my_nets.py").write_text("def net():\n    return lambda x: x.mean((2, 3))\n")
    assert open_model(f"python:{tmp_path}/my_nets.py:net").forward(images).shape == (6, 3)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(tmp_path))])
    before = list(sys.path)
    assert open_model("python:my_nets:net").forward(images).shape == (6, 3)
    assert sys.path == before


def test_options(tmp_path, images):
    net = SmallNet()
    with torch.no_grad():
        net.head.bias.add_(1)
    torch.save(net.state_dict(), tmp_path / "w.pt")
    model = open_model(f"{HERE}SmallNet?checkpoint={tmp_path}/w.pt&mean=0.5&std=0.25&size=16&crop=0.5")
    with torch.no_grad():
        torch.testing.assert_close(model.forward(images), net.eval()((images - 0.5) / 0.25), atol=1e-5, rtol=0)
    assert (model.geometry.size, model.geometry.resize) == ((16, 16), 32)


@pytest.mark.parametrize(
    "text, message",
    [
        ("python:nets", "expected python:package.module:NAME or python:file.py:NAME, got python:nets"),
        ("python:no_such_module:net", "could not be imported: ModuleNotFoundError: No module named 'no_such_module'"),
        ("python:no/such.py:net", "expected a Python file, there is none at no/such.py"),
        (HERE + "mak", "there is no mak in .*; the nearest name.* make"),
        (HERE + "NUMBER", "expected a model: .* got int"),
        (HERE + "make_nothing", "expected it to return an nn.Module or a callable, got NoneType"),
        (HERE + "fail", "fail failed: KeyError: 'weights'"),
        (HERE + "Needs", r"expected a class that is made without arguments, got Needs\(path\)"),
        (HERE + "logits?checkpoint=x.pt", "expected an nn.Module to load a checkpoint into, got function"),
        (HERE + "make?pretrained=false", "unknown option pretrained of python: models"),
    ],
)
def test_refused_in_one_line(text, message):
    with pytest.raises(InputError, match=message) as caught:
        open_model(text)
    assert "\n" not in str(caught.value)


def test_a_broken_file(tmp_path):
    (tmp_path / "broken.py").write_text("def net(:\n")
    with pytest.raises(InputError, match="could not be imported: SyntaxError"):
        open_model(f"python:{tmp_path}/broken.py:net")
