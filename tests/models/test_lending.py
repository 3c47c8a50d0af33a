"""A lent module comes back bit for bit as it was, whatever happens in between."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from spectrobe.errors import InputError
from spectrobe.models import Geometry, Model, open_model
from spectrobe.models.callables import CallableModel
from spectrobe.models.module import ModuleModel
from tests.models.conftest import SmallNet

CPU = torch.device("cpu")


def state_of(module: nn.Module) -> dict[str, object]:
    """All that must come back: flags, tensor objects, storage, strides, bits, gradients."""
    flags = {name: part.training for name, part in module.named_modules()}
    tensors = {
        name: (id(x), x.data_ptr(), x.stride(), x.device, x.requires_grad, x.dtype, id(x.grad))
        for name, x in (*module.named_parameters(), *module.named_buffers())
    }
    return flags | tensors


def bits_of(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: x.detach().clone() for name, x in module.state_dict().items()}


def mixed_up() -> SmallNet:
    """Train mode but for one part, one frozen weight, one gradient in store."""
    net = SmallNet().train()
    net.norm.eval()
    net.head.bias.requires_grad_(False)
    net.conv.weight.grad = torch.ones_like(net.conv.weight)
    return net


def test_everything_comes_back(images):
    net = mixed_up()
    before, bits = state_of(net), bits_of(net)
    with open_model(net).prepared(CPU) as forward:
        assert not any(part.training for part in net.modules())
        assert not any(p.requires_grad for p in net.parameters())
        assert net.conv.weight.is_contiguous(memory_format=torch.channels_last)
        forward(images)
    assert state_of(net) == before
    assert all(torch.equal(x, bits[name]) for name, x in net.state_dict().items())


@pytest.mark.parametrize("where", ["in the forward pass", "between passes"])
def test_everything_comes_back_after_an_exception(images, where):
    net = mixed_up()
    before = state_of(net)
    pixels = images[:, :2] if where == "in the forward pass" else images  # 2 channels: the convolution fails
    with pytest.raises((RuntimeError, KeyError)), open_model(net).prepared(CPU) as forward:
        {}[forward(pixels)]
    assert state_of(net) == before


def test_other_device_and_back(images):
    net = mixed_up()
    before, bits = state_of(net), bits_of(net)
    model = open_model(net)
    with model.prepared(torch.device("meta")) as forward:
        assert model.device.type == "meta"
        assert forward(images).device.type == "meta"
    assert model.device == CPU
    assert state_of(net) == before
    assert all(torch.equal(x, bits[name]) for name, x in net.state_dict().items())


def test_channels_last_module_stays_channels_last(images):
    net = SmallNet().to(memory_format=torch.channels_last)
    before = state_of(net)
    with open_model(net).prepared(torch.device("meta")):
        pass
    with open_model(net).prepared(CPU) as forward:
        forward(images)
    assert state_of(net) == before


def test_buffers_written_in_the_forward_pass_are_forgotten(images):
    class Counting(SmallNet):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x):
            self.calls += 1
            return super().forward(x)

    net = Counting()
    with open_model(net).prepared(CPU) as forward:
        forward(images)
        assert float(net.calls) == 1
    assert float(net.calls) == 0


def test_train_mode_module_gives_eval_logits(images):
    net = SmallNet()
    with torch.no_grad():
        expected = copy.deepcopy(net).eval()(images)
        wrong = copy.deepcopy(net).train()(images)
    model = open_model(net.train())
    with model.prepared(CPU) as forward:
        torch.testing.assert_close(forward(images), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(model.forward(images), expected, atol=1e-6, rtol=0)
    assert (wrong - expected).abs().max() > 0.1
    assert net.training
    assert torch.equal(net.norm.num_batches_tracked, torch.tensor(0))


def test_nested_lending(images):
    net = mixed_up()
    before = state_of(net)
    model = open_model(net)
    with model.prepared(CPU) as outer:
        with model.prepared(CPU) as inner:
            first = inner(images)
        torch.testing.assert_close(outer(images), first)
        assert not net.training
    assert state_of(net) == before


def test_tied_weights_stay_tied_while_lent(images):
    net = SmallNet(classes=8)
    net.extra = nn.Linear(8, 8)
    net.extra.weight = net.head.weight
    net.norm.register_buffer("alias", net.norm.running_mean)
    with open_model(net).prepared(torch.device("meta")):
        assert net.extra.weight is net.head.weight
        assert net.norm.alias is net.norm.running_mean
    assert net.norm.alias is net.norm.running_mean


def test_gradients_reach_the_pixels_and_no_weight(images):
    net = mixed_up()
    kept = net.conv.weight.grad.clone()
    pixels = images.clone().requires_grad_()
    model = open_model(net, mean=0.5, std=0.25)
    with model.prepared(CPU) as forward:
        (gradient,) = torch.autograd.grad(forward(pixels).logsumexp(1).sum(), pixels)
    x = ((images - 0.5) / 0.25).requires_grad_()
    (expected,) = torch.autograd.grad(copy.deepcopy(net).eval()(x).logsumexp(1).sum(), x)
    torch.testing.assert_close(gradient, expected / 0.25, atol=1e-5, rtol=1e-4)
    assert torch.equal(net.conv.weight.grad, kept)
    assert net.norm.weight.grad is None
    assert model.differentiable


def test_bfloat16_is_near_and_returned_as_float32(images):
    model = open_model(SmallNet())
    with model.prepared(CPU) as forward:
        exact = forward(images)
    with model.prepared(CPU, "bfloat16") as forward:
        logits = forward(images)
    assert logits.dtype == torch.float32
    assert 0 < (logits - exact).abs().max() < 0.05 * exact.abs().max()


def test_compiled_and_scripted_modules(images):
    expected = SmallNet().eval()(images)
    for wrapped in (torch.compile(SmallNet(), backend="eager"), torch.jit.trace(SmallNet().eval(), images)):
        with open_model(wrapped).prepared(CPU) as forward:
            torch.testing.assert_close(forward(images), expected, atol=1e-5, rtol=0)


def test_recurrent_layers_see_the_lent_weights(images):
    class Rows(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(16, 4, batch_first=True)

        def forward(self, x):
            return self.lstm(x.mean(1))[0][:, -1]

    net = Rows()
    expected = net(images).detach()
    with open_model(net).prepared(torch.device("meta")) as forward:
        assert forward(images).device.type == "meta"
    with open_model(net).prepared(CPU) as forward:
        torch.testing.assert_close(forward(images), expected)


class Plain(Model):
    """A model that says no more than it has to."""

    name, geometry = "plain", Geometry()

    def forward(self, pixels):
        return pixels.mean((2, 3))

    def identity(self):
        return {"name": self.name}


def test_a_model_promises_float32_alone_unless_it_says_more(images):
    assert Plain().precisions == CallableModel(SmallNet()).precisions == ("float32",)
    assert ModuleModel(SmallNet()).precisions == ("float32", "tf32", "bfloat16")
    with Plain().prepared(CPU) as forward:
        assert forward(images).shape == (len(images), 3)
    with (
        pytest.raises(InputError, match="plain: expected precision float32, got bfloat16"),
        Plain().prepared(CPU, "bfloat16"),
    ):
        pass


def test_callables_have_one_precision(images):
    model = open_model(lambda x: x.mean((2, 3)))
    assert model.precisions == ("float32",)
    with pytest.raises(InputError, match="expected precision float32, got bfloat16"), model.prepared(CPU, "bfloat16"):
        pass
