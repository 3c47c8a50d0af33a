"""Small networks that the adapters are tried on."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from torch import Tensor, nn

from tests.shared import SHARED

MODELS = SHARED / "models"


class SmallNet(nn.Module):
    """A convolution, batch norm with statistics of its own, dropout, and a linear head."""

    def __init__(self, classes: int = 5, channels: int = 3) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.conv = nn.Conv2d(channels, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(8, classes)
        with torch.no_grad():
            for tensor in (*self.parameters(), self.norm.running_mean):
                tensor.copy_(torch.randn(tensor.shape, generator=generator))
            self.norm.running_var.uniform_(0.5, 1.5, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.drop(torch.relu(self.norm(self.conv(x)))).mean((2, 3)))


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def small_net() -> SmallNet:
    return SmallNet()


@pytest.fixture
def images() -> Tensor:
    """(6, 3, 16, 16), seeded, in [0, 1]."""
    return torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="session")
def resnet8_class() -> type[nn.Module]:
    path = MODELS / "cifar_resnet8.py"
    if not path.is_file():
        pytest.skip("needs ../shared/models")
    spec = importlib.util.spec_from_file_location("cifar_resnet8", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.CifarResNet8


@pytest.fixture
def resnet8(resnet8_class) -> nn.Module:
    """The small CIFAR-10 network with its weights, in eval mode; normalises by itself."""
    from safetensors.torch import load_file

    model = resnet8_class()
    model.load_state_dict(load_file(MODELS / "cifar-resnet8.safetensors"))
    return model.eval()


@pytest.fixture
def no_hub(monkeypatch) -> None:
    """Hugging Face's own offline switch, so that what cannot be had is refused at once."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
