"""Model strings and the table of schemes, with one that another package brings."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest
import torch

from spectrobe.errors import InputError
from spectrobe.models import Model, ModelOptions, Scheme, model_schemes, open_model, registry
from spectrobe.models.module import ModuleModel
from tests.models.conftest import SmallNet

BUILT_IN = {"timm", "torchvision", "hf", "onnx", "export", "python", "demo", "clip", "planted"}


def opened(target: str, options: ModelOptions) -> Model:
    net = ModuleModel(SmallNet(), f"theirs:{target}", n_classes=options.num_classes)
    net.said = options
    return net


THEIRS = Scheme(opened, options=("checkpoint", "flavour"), example="theirs:x")


@pytest.fixture
def plugin(monkeypatch):
    def install(**points: str) -> None:
        made = tuple(EntryPoint(name, value, registry.ENTRY_POINTS) for name, value in points.items())
        monkeypatch.setattr(registry, "_points", lambda: made)

    return install


def test_built_in_schemes_and_examples():
    schemes = model_schemes()
    assert set(schemes) == BUILT_IN
    assert all(example.startswith(f"{name}:") for name, example in schemes.items())


def test_another_packages_scheme(plugin):
    plugin(theirs=f"{__name__}:THEIRS", plain=f"{__name__}:opened")
    model = open_model(
        "theirs:deep/name?flavour=a+b%20c&num_classes=5&checkpoint=x.pt", mean=0.5, std=0.5, device="cpu"
    )
    assert model.name == "theirs:deep/name"
    assert model.said.extra == {"flavour": "a+b c"}
    assert (model.said.num_classes, str(model.said.checkpoint), model.said.mean) == (5, "x.pt", (0.5,))
    assert model.forward(torch.zeros(1, 3, 4, 4)).shape == (1, 5)
    assert open_model("plain:x?size=32").said.size == (32, 32)
    assert model_schemes()["theirs"] == "theirs:NAME"


def test_no_library_is_imported_before_it_is_used():
    libraries = {"timm", "torchvision", "transformers", "onnx", "onnxruntime", "PIL", "safetensors", "matplotlib"}
    code = (
        "import sys, spectrobe.models as m; m.model_schemes(); m.open_model(lambda x: x)\n"
        f"print(sorted({libraries} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_real_entry_points_group():
    assert registry.ENTRY_POINTS == "spectrobe.models"
    assert isinstance(registry._points(), tuple)


@pytest.mark.parametrize(
    "text, kwargs, message",
    [
        ("resnet50", {}, "expected a model such as timm:resnet50, got 'resnet50'; a model string starts with timm:, "),
        ("net.onnx", {}, "did you mean onnx:net.onnx"),
        ("net.pt2", {}, "did you mean export:net.pt2"),
        ("net.py", {}, "did you mean python:net.py:NAME"),
        ("timm:", {}, "expected a model such as"),
        ("tim:resnet50", {}, "unknown model scheme tim:, known are timm, .*; the nearest name is timm"),
        (
            "theirs:x?flavor=1",
            {},
            "unknown option flavor of theirs: models; known are checkpoint, flavour, mean, ",
        ),
        ("theirs:x", {"pretrained": False}, "unknown option pretrained of theirs: models"),
        ("theirs:x?size", {}, r"expected options such as \?checkpoint=FILE&num_classes=10"),
        ("theirs:x?size=3&size=4", {}, "expected each option once"),
        ("theirs:x?num_classes=5", {"num_classes": 6}, "expected num_classes once, got '5' .* and 6 beside it"),
        ("theirs:x?allow_pickle=true", {}, "expected allow_pickle beside the model string .*--allow-pickle"),
        ("theirs:x?num_classes=x", {}, "expected a number for num_classes"),
        ("broken:x", {}, r"the model scheme broken: \(no_such_package:thing\) could not be imported"),
        ("nothing:x", {}, "to be a Scheme or a function, got set"),
        ("timm:x", {}, "the model scheme timm: is offered more than once"),
    ],
)
def test_refused_in_one_line(plugin, text, kwargs, message):
    clash = {"timm": f"{__name__}:THEIRS"} if text == "timm:x" else {}
    plugin(theirs=f"{__name__}:THEIRS", broken="no_such_package:thing", nothing=f"{__name__}:BUILT_IN", **clash)
    with pytest.raises(InputError, match=message) as caught:
        open_model(text, **kwargs)
    assert "\n" not in str(caught.value)


def test_same_option_twice_with_one_value_is_fine(plugin):
    plugin(theirs=f"{__name__}:THEIRS")
    assert open_model("theirs:x?num_classes=5", num_classes=5).n_classes == 5


def test_models_and_modules_pass_through():
    model = open_model(SmallNet(), mean=0.5, std=0.5, size=32, class_names=list("abcde"))
    assert open_model(model) is model
    assert open_model(model, device="cpu", allow_pickle=False) is model
    assert (model.mean, model.geometry.size, model.class_names) == ((0.5,) * 3, (32, 32), tuple("abcde"))
    with pytest.raises(InputError, match="expected mean, std only with a model that is not a Model yet"):
        open_model(model, mean=0.5, std=0.5)
    for name in ("checkpoint", "prompts"):
        with pytest.raises(InputError, match=f"expected {name} only with a model string"):
            open_model(SmallNet(), **{name: "x"})


def test_callables_and_what_is_none():
    model = open_model(lambda x: x.mean((2, 3)).numpy(), mean=0.5, std=0.5)
    torch.testing.assert_close(model.forward(torch.full((2, 3, 4, 4), 0.75)), torch.full((2, 3), 0.5))
    assert not model.differentiable
    assert model.identity()["weights_sha256"] == "unhashed"
    assert "test_callables_and_what_is_none" in model.identity()["class"]
    for wrong, got in ((SmallNet, "the class SmallNet: give an instance"), (3, "int"), (None, "NoneType")):
        with pytest.raises(InputError, match=f"expected a model: .* got {got}"):
            open_model(wrong)


def test_grey_networks_take_grey_images():
    assert open_model(SmallNet(channels=1)).geometry.channels == 1
    assert open_model(SmallNet()).geometry.channels == 3


def test_class_names_must_be_as_many_as_classes():
    with pytest.raises(InputError, match="expected 3 class names, one a class, got 2"):
        open_model(SmallNet(), num_classes=3, class_names=["a", "b"])
