"""The zoo: its networks, and `demo:zoo/NAME` with weights held by their hash."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from torch import Tensor, nn

from spectrobe.errors import InputError
from spectrobe.models import open_model
from spectrobe.models import zoo as zoo_models
from spectrobe.models.zoo_networks import MEAN, NETWORKS, STD, SmallResNet

WEIGHTS = {"resnet": 174_274, "cnn": 162_994, "vit": 424_138}


def images(n: int = 4) -> Tensor:
    return torch.rand(n, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """A zoo of three untrained networks."""
    folder, entries = tmp_path / "zoo", {}
    folder.mkdir()
    for seed, (name, make) in enumerate(NETWORKS.items()):
        torch.manual_seed(seed)
        state = {k: v.half() if v.is_floating_point() else v for k, v in make().state_dict().items()}
        content = save({k: v.contiguous() for k, v in state.items()})
        (folder / f"{name}-plain.safetensors").write_bytes(content)
        entries[f"{name}-plain"] = {
            "file": f"{name}-plain.safetensors",
            "architecture": name,
            "sha256": hashlib.sha256(content).hexdigest(),
        }
    (folder / "manifest.json").write_text(json.dumps({"models": entries}))
    return folder


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_are_small_and_normalise_inside(name: str) -> None:
    torch.manual_seed(0)
    net = NETWORKS[name]().eval()
    assert sum(p.numel() for p in net.parameters()) == WEIGHTS[name]
    assert sum(p.numel() for p in net.parameters()) * 2 < 1e6  # bytes as float16: a megabyte each
    seen: list[Tensor] = []
    first = next(module for module in net.modules() if isinstance(module, nn.Conv2d))
    first.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    assert net(images()).shape == (4, 10)
    expected = (images() - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    torch.testing.assert_close(seen[0], expected)
    assert not any(key.startswith(("mean", "std")) for key in net.state_dict())


@pytest.mark.parametrize("name", NETWORKS)
def test_every_image_is_answered_by_itself_and_gradients_reach_it(name: str) -> None:
    torch.manual_seed(0)
    net, x = NETWORKS[name]().eval(), images().requires_grad_(True)
    logits = net(x)
    torch.testing.assert_close(net(x[1:2]), logits[1:2], atol=1e-5, rtol=1e-4)
    (gradient,) = torch.autograd.grad(logits[1].sum(), x)
    assert gradient[1].abs().max() > 1e-6 and not gradient[[0, 2, 3]].any()


def test_opens_by_name_with_the_weights_of_the_file(zoo: Path) -> None:
    model = open_model(f"demo:zoo/resnet-plain?folder={zoo}")
    torch.manual_seed(0)
    own = SmallResNet().half().float().eval()
    torch.testing.assert_close(model.forward(images()), own(images()).detach(), atol=2e-3, rtol=1e-3)
    assert (model.name, model.n_classes, model.geometry.size) == ("demo:zoo/resnet-plain", 10, (32, 32))
    assert model.class_names is not None and model.class_names[3] == "cat"
    assert model.mean is None and model.differentiable
    assert (
        model.identity()["weights_sha256"]
        != open_model(f"demo:zoo/cnn-plain?folder={zoo}").identity()["weights_sha256"]
    )


def test_the_folder_comes_from_the_environment(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECTROBE_ZOO", str(zoo))
    assert open_model("demo:zoo/vit-plain").forward(images(2)).shape == (2, 10)


def test_no_zoo_says_where_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPECTROBE_ZOO", raising=False)
    monkeypatch.setattr(zoo_models, "__file__", str(tmp_path / "lib/site-packages/spectrobe/models/zoo.py"))
    with pytest.raises(
        InputError, match=r"this installation has none: it comes with spectrobe's repository.*\?folder="
    ):
        open_model("demo:zoo/resnet-plain")
    with pytest.raises(InputError, match=r"there is none in .*elsewhere"):
        open_model(f"demo:zoo/resnet-plain?folder={tmp_path / 'elsewhere'}")


def test_an_unknown_name_and_options_that_do_not_fit(zoo: Path) -> None:
    with pytest.raises(InputError, match=r"unknown model 'resnet-plane' .* known are resnet-plain, .*nearest name"):
        open_model(f"demo:zoo/resnet-plane?folder={zoo}")
    with pytest.raises(InputError, match="expected num_classes=100 as asked, got a model of 10 classes"):
        open_model(f"demo:zoo/resnet-plain?folder={zoo}&num_classes=100")
    with pytest.raises(InputError, match="expected folder with demo:zoo/NAME alone"):
        open_model(f"demo:efficientnet-lite0?folder={zoo}")


def test_changed_or_missing_weights_are_refused(zoo: Path) -> None:
    path = zoo / "cnn-plain.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="is not the file of the manifest: its SHA-256 is "):
        open_model(f"demo:zoo/cnn-plain?folder={zoo}")
    path.unlink()
    with pytest.raises(InputError, match=r"there is no such file"):
        open_model(f"demo:zoo/cnn-plain?folder={zoo}")


@pytest.mark.parametrize(
    "content",
    ["", "{}", '{"models": {"a": {"architecture": "resnet"}}}',
     '{"models": {"a": {"architecture": "mlp", "sha256": "0", "file": "a"}}}',
     '{"models": {"a": {"architecture": "resnet", "sha256": "0", "file": "../a"}}}'],
)  # fmt: skip
def test_a_damaged_manifest_is_refused(content: str, zoo: Path) -> None:
    (zoo / "manifest.json").write_text(content)
    with pytest.raises(InputError, match=r"manifest.json is damaged"):
        open_model(f"demo:zoo/a?folder={zoo}")
