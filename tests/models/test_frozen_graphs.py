"""ONNX and torch.export graphs of every make: open and fixed batch, NHWC, uint8, float16, and what is no classifier."""

from __future__ import annotations

import hashlib
import io
import os
import sys
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from spectrobe.errors import InputError, MissingExtraError, ModelOutputError
from spectrobe.models import check_model, open_model
from spectrobe.models.graph_input import GraphInput
from tests.models.conftest import SmallNet

CPU = torch.device("cpu")


class Cast(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = SmallNet()

    def forward(self, x):
        return self.net(x.float())


class NHWC(Cast):
    def forward(self, x):
        return self.net(x.permute(0, 3, 1, 2))


class Bytes(Cast):
    def forward(self, x):
        return self.net((x.float() / 255).permute(0, 3, 1, 2))


def save_onnx(path, module: nn.Module, example: torch.Tensor, open_batch: bool) -> None:
    """SmallNet, NHWC, Bytes or Cast written node by node: torch's own exporter takes seconds for each."""
    onnx = pytest.importorskip("onnx")
    node, constant = onnx.helper.make_node, onnx.numpy_helper.from_array
    net = module if isinstance(module, SmallNet) else module.net
    tensors = {key: value.detach().numpy() for key, value in net.state_dict().items() if value.ndim}
    nodes = []
    at = "x"
    if example.dtype != torch.float32:
        nodes.append(node("Cast", [at], ["floats"], to=onnx.TensorProto.FLOAT))
        at = "floats"
    if isinstance(module, Bytes):
        tensors["scale"] = np.array(255, np.float32)
        nodes.append(node("Div", [at, "scale"], ["scaled"]))
        at = "scaled"
    if isinstance(module, (NHWC, Bytes)):
        nodes.append(node("Transpose", [at], ["nchw"], perm=[0, 3, 1, 2]))
        at = "nchw"
    norm = [f"norm.{key}" for key in ("weight", "bias", "running_mean", "running_var")]
    nodes += [
        node("Conv", [at, "conv.weight", "conv.bias"], ["c"], pads=[1] * 4),
        node("BatchNormalization", ["c", *norm], ["n"]),
        node("Relu", ["n"], ["r"]),
        node("GlobalAveragePool", ["r"], ["p"]),
        node("Flatten", ["p"], ["f"]),
        node("Gemm", ["f", "head.weight", "head.bias"], ["scores"], transB=1),
    ]
    batch = "n" if open_batch else len(example)
    kind = onnx.helper.np_dtype_to_tensor_dtype(example[:0].numpy().dtype)
    floats = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes,
        "net",
        [onnx.helper.make_tensor_value_info("x", kind, [batch, *example.shape[1:]])],
        [onnx.helper.make_tensor_value_info("scores", floats, [batch, net.head.out_features])],
        [constant(value, key) for key, value in tensors.items()],
    )
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), str(path))


def save(kind: str, folder, module: nn.Module, example: torch.Tensor, open_batch: bool = False) -> str:
    """A model string for `module`, saved as an ONNX or a .pt2 file."""
    if kind == "onnx":
        pytest.importorskip("onnxruntime")
        save_onnx(folder / "net.onnx", module, example, open_batch)
        return f"onnx:{folder}/net.onnx"
    shapes = ({0: torch.export.Dim("n", min=1, max=64)},) if open_batch else None
    torch.export.save(torch.export.export(module.eval(), (example,), dynamic_shapes=shapes), folder / "net.pt2")
    return f"export:{folder}/net.pt2"


def expected(images):
    with torch.no_grad():
        return SmallNet().eval()(images)


both = pytest.mark.parametrize("kind", ["onnx", "export"])


@both
def test_open_batch(tmp_path, kind, images):
    model = open_model(save(kind, tmp_path, SmallNet(), images[:2], open_batch=True))
    assert (model.geometry.size, model.geometry.resize, model.mean) == ((16, 16), 16, None)
    assert model.n_classes == SmallNet().head.out_features  # known before the first pass
    assert model.identity()["notes"] == []
    with model.prepared(CPU) as forward:
        torch.testing.assert_close(forward(images), expected(images), atol=1e-4, rtol=0)
    assert check_model(model, images) == []


@both
@pytest.mark.parametrize("batch", [1, 4])
def test_fixed_batch_is_looped(tmp_path, kind, images, batch):
    model = open_model(save(kind, tmp_path, SmallNet(), images[:batch]))
    assert model.identity()["notes"] == [f"graph of fixed batch {batch}: batches are cut, the last one is filled up"]
    with model.prepared(CPU) as forward:
        for n in (1, 4, 6):
            torch.testing.assert_close(forward(images[:n]), expected(images[:n]), atol=1e-4, rtol=0)


@both
def test_nhwc_is_transposed(tmp_path, kind, images):
    model = open_model(save(kind, tmp_path, NHWC(), images[:2].permute(0, 2, 3, 1).contiguous(), open_batch=True))
    assert model.geometry.size == (16, 16)
    assert model.identity()["notes"] == ["NHWC graph input: pixels are transposed"]
    torch.testing.assert_close(model.forward(images), expected(images), atol=1e-4, rtol=0)


@both
def test_uint8_pixels_are_scaled_and_rounded(tmp_path, kind, images):
    example = images[:1].mul(255).byte().permute(0, 2, 3, 1).contiguous()
    model = open_model(save(kind, tmp_path, Bytes(), example))
    assert not model.differentiable
    assert model.precisions == ("float32",)
    assert "uint8 graph input" in model.identity()["notes"][0]
    rounded = images.mul(255).round().div(255)
    torch.testing.assert_close(model.forward(images), expected(rounded), atol=1e-4, rtol=0)
    beyond = images * 1.5 - 0.25  # coalition images may leave [0, 1]: clipped, not wrapped
    torch.testing.assert_close(
        model.forward(beyond), expected(beyond.clamp(0, 1).mul(255).round().div(255)), atol=1e-4, rtol=0
    )
    with pytest.raises(InputError, match="expected no mean and std: the graph takes uint8"):
        open_model(model.name, mean=0.5, std=0.5)


@both
@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_other_floats_are_cast(tmp_path, kind, images, dtype):
    model = open_model(save(kind, tmp_path, Cast(), images[:1].to(dtype)))
    assert model.precisions == ("float32",)
    torch.testing.assert_close(model.forward(images), expected(images), atol=0.02, rtol=0)


@both
def test_overrides(tmp_path, kind, images):
    text = save(kind, tmp_path, SmallNet(), images[:1])
    model = open_model(f"{text}?mean=0.5&std=0.25&crop=0.8&interpolation=bilinear")
    assert (model.geometry.resize, model.geometry.interpolation) == (20, "bilinear")
    torch.testing.assert_close(model.forward(images), expected((images - 0.5) / 0.25), atol=1e-3, rtol=0)
    with pytest.raises(InputError, match=r"expected size 16x16, fixed in the graph, got \(32, 32\)"):
        open_model(text, size=32)
    for option in ("checkpoint", "pretrained"):
        with pytest.raises(InputError, match=f"unknown option {option} of {kind}: models"):
            open_model(text, **{option: "no"})


@both
def test_identity_is_the_files_hash(tmp_path, kind, images):
    model = open_model(save(kind, tmp_path, SmallNet(), images[:1]))
    files = sorted(tmp_path.iterdir())
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    assert model.identity()["weights_sha256"] == digest
    assert model.identity()["n_classes"] in (5, None)


@both
def test_two_classes_from_one_logit(tmp_path, kind, images):
    text = save(kind, tmp_path, SmallNet(classes=1), images[:2], open_batch=True)
    with pytest.raises(ModelOutputError, match=r"K = 1.*num_classes=2"):
        check_model(open_model(text), images)
    logits = open_model(f"{text}?num_classes=2").forward(images)
    torch.testing.assert_close(logits[:, 1:], SmallNet(classes=1).eval()(images).detach(), atol=1e-4, rtol=0)
    assert torch.equal(logits[:, 0], torch.zeros(6))


@both
def test_class_count_that_differs(tmp_path, kind, images):
    text = save(kind, tmp_path, SmallNet(), images[:1])
    with pytest.raises((InputError, ModelOutputError), match=r"expected .*7.* 5"):
        check_model(open_model(text, num_classes=7), images)


@both
def test_no_file_and_no_graph(tmp_path, kind):
    with pytest.raises(InputError, match="there is none at"):
        open_model(f"{kind}:{tmp_path}/none")
    (tmp_path / "bad").write_bytes(b"\x00garbage")
    with pytest.raises(InputError, match=r"onnx cannot read|is no file that torch\.export saved") as caught:
        open_model(f"{kind}:{tmp_path}/bad")
    assert "\n" not in str(caught.value)


def test_gradients_pass_an_exported_program_and_not_onnx(tmp_path, images):
    model = open_model(save("export", tmp_path, SmallNet(), images, open_batch=True), mean=0.5, std=0.5)
    pixels = images.clone().requires_grad_()
    with model.prepared(CPU) as forward:
        (gradient,) = torch.autograd.grad(forward(pixels).logsumexp(1).sum(), pixels)
    x = images.clone().requires_grad_()
    (wanted,) = torch.autograd.grad(SmallNet().eval()((x - 0.5) / 0.5).logsumexp(1).sum(), x)
    torch.testing.assert_close(gradient, wanted, atol=1e-5, rtol=1e-4)
    assert model.differentiable
    assert not open_model(save("onnx", tmp_path, SmallNet(), images)).differentiable


def test_exported_bfloat16_and_device(tmp_path, images):
    model = open_model(save("export", tmp_path, SmallNet(), images, open_batch=True))
    with model.prepared(CPU, "bfloat16") as forward:
        logits = forward(images)
    assert logits.dtype == torch.float32
    assert 0 < (logits - expected(images)).abs().max() < 0.05 * expected(images).abs().max()
    before = model.module
    with model.prepared(torch.device("meta")) as forward:
        assert forward(images).device.type == "meta"
    assert model.module is before
    assert model.device == CPU


@pytest.mark.parametrize("net", [nn.Sequential(nn.BatchNorm2d(3), SmallNet()), nn.Sequential(nn.Dropout(), SmallNet())])
def test_exported_in_training_mode_is_refused(tmp_path, images, net):
    net.eval()
    net[0].train()
    torch.export.save(torch.export.export(net, (images,)), tmp_path / "net.pt2")
    with pytest.raises(InputError, match=r"was exported in training mode .*model\.eval\(\)"):
        open_model(f"export:{tmp_path}/net.pt2")


class TwoInputs(nn.Module):
    def forward(self, x, y):
        return (x * y).mean((2, 3))


class Scripted(nn.Module):
    def forward(self, x):
        return x.sigmoid().mean(2)


def test_programs_that_take_no_images(tmp_path):
    x = torch.rand(2, 3, 8, 8)
    torch.export.save(torch.export.export(TwoInputs(), (x, x)), tmp_path / "two.pt2")
    with pytest.raises(InputError, match="expected a program of one input, the images, got 2: x, y"):
        open_model(f"export:{tmp_path}/two.pt2")
    torch.export.save(torch.export.export(Scripted(), (x[0],)), tmp_path / "flat.pt2")
    with pytest.raises(InputError, match=r"images \(N, C, H, W\), got an input of shape \(3, 8, 8\)"):
        open_model(f"export:{tmp_path}/flat.pt2")


def changed_onnx(tmp_path, images, change) -> str:
    onnx = pytest.importorskip("onnx")
    text = save("onnx", tmp_path, SmallNet(), images)
    model = onnx.load(str(tmp_path / "net.onnx"))
    change(onnx, model.graph)
    onnx.save(model, str(tmp_path / "net.onnx"))
    return text


def test_onnx_of_two_inputs(tmp_path, images):
    def another(onnx, graph):
        graph.input.append(onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1]))

    with pytest.raises(InputError, match="expected a graph of one input, the images, got 2: x, y"):
        open_model(changed_onnx(tmp_path, images, another))


def test_onnx_sigmoid_head_is_refused_by_name(tmp_path, images):
    def sigmoid(onnx, graph):
        graph.node.append(onnx.helper.make_node("Sigmoid", ["scores"], ["squashed"]))
        graph.output[0].name = "squashed"

    with pytest.raises(InputError, match="ends in a Sigmoid, a multi-label head"):
        open_model(changed_onnx(tmp_path, images, sigmoid))


def test_onnx_weights_in_a_file_of_their_own(tmp_path, images):
    onnx = pytest.importorskip("onnx")
    save("onnx", tmp_path, SmallNet(), images)
    graph = onnx.load(str(tmp_path / "net.onnx"))
    onnx.save(graph, str(tmp_path / "out.onnx"), save_as_external_data=True, location="out.bin", size_threshold=0)
    model = open_model(f"onnx:{tmp_path}/out.onnx")
    digest = hashlib.sha256((tmp_path / "out.onnx").read_bytes() + (tmp_path / "out.bin").read_bytes()).hexdigest()
    assert model.identity()["weights_sha256"] == digest
    torch.testing.assert_close(model.forward(images), expected(images), atol=1e-4, rtol=0)
    (tmp_path / "out.bin").unlink()
    with pytest.raises(InputError, match=r"keeps its weights in out\.bin, which is not beside it"):
        open_model(f"onnx:{tmp_path}/out.onnx")


def test_what_torchs_own_exporter_writes(tmp_path, images):
    pytest.importorskip("onnxscript")
    shapes = ({0: torch.export.Dim("n", min=1, max=64)},)
    torch.onnx.export(
        SmallNet().eval(), (images,), tmp_path / "net.onnx", dynamo=True, dynamic_shapes=shapes, verbose=False
    )
    model = open_model(f"onnx:{tmp_path}/net.onnx")
    assert model.geometry.size == (16, 16)
    torch.testing.assert_close(model.forward(images), expected(images), atol=1e-4, rtol=0)


def test_onnx_device_without_a_provider(tmp_path, images):
    import onnxruntime

    text = save("onnx", tmp_path, SmallNet(), images)
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("ONNX Runtime runs on CUDA here")
    model = open_model(text)
    cuda = torch.device("cuda")
    with pytest.raises(InputError, match=r"run on cuda: install onnxruntime-gpu or take cpu"), model.prepared(cuda):
        pass
    assert model.device == CPU


def test_onnx_without_the_library(tmp_path, monkeypatch):
    (tmp_path / "net.onnx").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"an ONNX model needs onnx.*pip install 'spectrobe\[onnx\]'"):
        open_model(f"onnx:{tmp_path}/net.onnx")


class Hostile:
    """Runs code where it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def hostile_program(path, proof) -> None:
    """The program at `path` with example inputs that make the folder `proof` where they are unpickled."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    (inputs,) = [name for name in members if "sample_inputs" in name or "example_inputs" in name]
    buffer = io.BytesIO()
    torch.save(Hostile(proof), buffer)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (members | {inputs: buffer.getvalue()}).items():
            archive.writestr(name, content)


def test_pickles_inside_a_program_need_the_flag(tmp_path, capfd, images):
    text = save("export", tmp_path, SmallNet(), images)
    hostile_program(tmp_path / "net.pt2", tmp_path / "proof")
    with pytest.raises(InputError, match=r"can run any code; .* allow_pickle=True \(--allow-pickle\)$"):
        open_model(text)
    assert not (tmp_path / "proof").exists()
    with pytest.raises(InputError, match=r"could not be opened by torch\.export: ") as caught:
        open_model(text, allow_pickle=True)
    assert (tmp_path / "proof").exists()
    assert "--allow-pickle" not in str(caught.value)
    assert capfd.readouterr() == ("", "")  # torch logs tracebacks of these


def test_other_files_named_pt2_are_told_apart(tmp_path, capfd):
    path = tmp_path / "net.pt2"
    with zipfile.ZipFile(tmp_path / "script", "w") as archive:
        archive.writestr("net/constants.pkl", b"")
    with zipfile.ZipFile(tmp_path / "photos", "w") as archive:
        archive.writestr("a.png", b"")
    torch.save({"a": torch.zeros(2)}, tmp_path / "weights")
    (tmp_path / "page").write_bytes(b"<!doctype html>")
    (tmp_path / "nothing").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "torn", "w") as archive:
        archive.writestr("net/archive_format", b"pt2")
    for name, message in {
        "script": r"net\.pt2 is a TorchScript archive: expected a program saved by torch\.export\.save$",
        "photos": r"net\.pt2 is no file that torch\.export saved, or a damaged one$",
        "weights": r"was saved by torch\.save: give it as the checkpoint of a model \(\?checkpoint=net\.pt2\)",
        "page": r"expected a program saved by torch\.export, got a web page saved as .*net\.pt2: the download failed",
        "nothing": r"net\.pt2 is no file that torch\.export saved, or a damaged one$",
        "torn": r"net\.pt2 could not be opened by torch\.export: ",
    }.items():
        path.write_bytes((tmp_path / name).read_bytes())
        with pytest.raises(InputError, match=message) as caught:
            open_model(f"export:{path}")
        assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "shape, channels, size, batch, channels_first",
    [
        ((None, 3, 224, 192), 3, (224, 192), None, True),
        ((8, 1, 28, 28), 1, (28, 28), 8, True),
        ((None, 224, 192, 3), 3, (224, 192), None, False),
        ((1, None, None, 3), 3, None, 1, False),
        ((1, 3, 224, 3), 3, (224, 3), 1, True),
        ((None, None, None, None), 3, None, None, True),
        ((None, 3, None, 224), 3, None, None, True),
    ],
)
def test_layout_from_the_shape(shape, channels, size, batch, channels_first):
    read = GraphInput.read("net", shape, torch.float32)
    assert read == GraphInput(channels, size, batch, channels_first, torch.float32)


@pytest.mark.parametrize(
    "shape, dtype, message",
    [
        ((None, 3, 224), torch.float32, r"got an input of shape \(\?, 3, 224\)"),
        ((None, 4, 32, 32), torch.float32, "images of 1 or 3 channels"),
        ((None, 3, 32, 32), torch.int64, "takes floats or uint8, got an input of torch.int64"),
    ],
)
def test_inputs_that_are_no_images(shape, dtype, message):
    with pytest.raises(InputError, match=message):
        GraphInput.read("net", shape, dtype)
