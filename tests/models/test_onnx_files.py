"""ONNX files that keep weights elsewhere: all of them count in the identity, wherever in the graph they are used."""

from __future__ import annotations

import hashlib
import os

import numpy as np
import pytest
import torch

from spectrobe.errors import InputError
from spectrobe.models import open_model

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
WEIGHTS = np.random.default_rng(0).normal(size=(2, 3, 2)).astype(np.float32)


def kept_in(location: str, folder, name: str, values: np.ndarray):
    """A tensor whose values are in the file `location`."""
    from onnx.external_data_helper import set_external_data

    tensor = onnx.numpy_helper.from_array(values, name)
    if not os.path.isabs(location) and ".." not in location:
        (folder / location).write_bytes(tensor.raw_data)
    set_external_data(tensor, location=location)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    return tensor


def branching(folder, initializer: str = "one.bin", constant: str = "two.bin") -> str:
    """A classifier whose weights are in the branches of an If: one an initializer, the other a Constant node."""
    node, value_info = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    floats = onnx.TensorProto.FLOAT
    one = onnx.helper.make_graph(
        [node("MatMul", ["p", "w"], ["y1"])], "one", [], [value_info("y1", floats, None)],
        [kept_in(initializer, folder, "w", WEIGHTS[0])],
    )  # fmt: skip
    two = onnx.helper.make_graph(
        [node("Constant", [], ["k"], value=kept_in(constant, folder, "k", WEIGHTS[1])),
         node("MatMul", ["p", "k"], ["y2"])],
        "two", [], [value_info("y2", floats, None)],
    )  # fmt: skip
    graph = onnx.helper.make_graph(
        [node("ReduceMean", ["x"], ["p"], axes=[2, 3], keepdims=0),
         node("If", ["c"], ["y"], then_branch=one, else_branch=two)],
        "net", [value_info("x", floats, ["n", 3, 8, 8])], [value_info("y", floats, ["n", 2])],
        [onnx.numpy_helper.from_array(np.array(True), "c")],
    )  # fmt: skip
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    (folder / "net.onnx").write_bytes(model.SerializeToString())
    return f"onnx:{folder}/net.onnx"


def test_weights_in_branches_count(tmp_path):
    model = open_model(branching(tmp_path))
    content = b"".join((tmp_path / name).read_bytes() for name in ("net.onnx", "one.bin", "two.bin"))
    digest = model.identity()["weights_sha256"]
    assert digest == hashlib.sha256(content).hexdigest()
    x = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(model.forward(x), x.mean((2, 3)) @ torch.from_numpy(WEIGHTS[0]), atol=1e-5, rtol=0)
    (tmp_path / "two.bin").write_bytes(WEIGHTS[0].tobytes())
    assert open_model(f"onnx:{tmp_path}/net.onnx").identity()["weights_sha256"] != digest
    (tmp_path / "one.bin").unlink()
    with pytest.raises(InputError, match=r"keeps its weights in one\.bin, which is not beside it: copy both files"):
        open_model(f"onnx:{tmp_path}/net.onnx")


@pytest.mark.parametrize("location", ["/dev/zero", "../one.bin", "a/../../one.bin"])
def test_weights_elsewhere_are_not_opened(tmp_path, location):
    with pytest.raises(InputError, match=r"expected a file in the folder of the graph$") as caught:
        open_model(branching(tmp_path, constant=location))
    assert repr(location) in str(caught.value)


def test_a_device_under_a_files_name_is_not_opened(tmp_path):
    text = branching(tmp_path)
    (tmp_path / "two.bin").unlink()
    (tmp_path / "two.bin").symlink_to("/dev/zero")
    with pytest.raises(InputError, match=r"two\.bin, which is not beside it"):
        open_model(text)


@pytest.mark.parametrize("content, message", [
    (b"", "got one without a graph that has an output"),
    (b"<html>Sign in", "got a web page saved as .*: the download failed"),
    (b"version https://git-lfs.github.com/spec/v1", "got a Git LFS pointer in .*: run git lfs pull"),
    (b"\x00garbage", "got one that onnx cannot read"),
])  # fmt: skip
def test_files_that_are_no_graph(tmp_path, content, message):
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        open_model(f"onnx:{tmp_path}/net.onnx")
    assert "\n" not in str(caught.value)
