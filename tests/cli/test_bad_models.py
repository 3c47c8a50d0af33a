"""Models that cannot be used: the call, the one line that is printed, exit code 2, and nothing written."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.cli.calls import Cli, assert_refused

NET = "decompose python:toys:Net {data}"
TOY = "decompose python:toys:{name} {data} --num-classes 3"

# (what is wrong, the call, parts of the line that is printed); {shelf} holds model files, {data} images
CASES = [
    # the user's own checkpoint
    ("missing keys", f"{NET} --checkpoint {{shelf}}/missing.pt", ["missing.pt does not fit", "1 missing (head.bias)"]),
    ("extra keys", f"{NET} --checkpoint {{shelf}}/extra.pt", ["5 extra (a.0, a.1, a.2, ...)"]),
    ("mis-shaped keys", f"{NET} --checkpoint {{shelf}}/shape.pt", ["1 mis-shaped (head.weight (3, 5) for (3, 3))"]),
    ("all three", f"{NET} --checkpoint {{shelf}}/all.pt", ["1 missing (head.bias); 1 extra (b); 1 mis-shaped (head."]),
    ("a head of seven", f"{NET} --checkpoint {{shelf}}/seven.pt", ["seven.pt has 7: give --num-classes 7"]),
    ("a pickle", f"{NET} --checkpoint {{shelf}}/pickle.pt", ["can run any code", "if you trust it, --allow-pickle"]),
    ("a web page", f"{NET} --checkpoint {{shelf}}/page.pt", ["got a web page saved as", "the download failed"]),
    ("an LFS pointer", f"{NET} --checkpoint {{shelf}}/pointer.pt", ["a Git LFS pointer", "git lfs pull"]),
    ("TorchScript", f"{NET} --checkpoint {{shelf}}/script.pt", ["TorchScript archive", "state_dict"]),
    ("damaged weights", f"{NET} --checkpoint {{shelf}}/torn.safetensors", ["cannot read", "torn.safetensors"]),
    ("a folder of weights", f"{NET} --checkpoint {{shelf}}", ["expected a checkpoint file, there is none at"]),
    ("weights for a function", f"{TOY} --checkpoint {{shelf}}/shape.pt", ["expected an nn.Module to load"]),
    ("weights without s3fs", f"{NET} --checkpoint s3://bucket/a.pt", ["needs s3fs", "pip install 'spectrobe[s3]'"]),
    ("the flag in the string", "decompose python:toys:Net?allow_pickle=1 {data}", ["--allow-pickle beside the"]),
    # files that hold a model
    (".pt2 that pickles", "decompose export:{shelf}/evil.pt2 {data}", ["any code", "trust it, --allow-pickle"]),
    (".pt2 of torch.save", "decompose export:{shelf}/weights.pt2 {data}", ["saved by torch.save", "?checkpoint="]),
    (".pt2 of torch.jit", "decompose export:{shelf}/script.pt2 {data}", ["a TorchScript archive: expected"]),
    (".pt2 of nobody", "decompose export:{shelf}/page.pt {data}", ["a program saved by torch.export, got a web"]),
    ("no ONNX file", "decompose onnx:{shelf}/missing.pt {data}", ["onnx cannot read"]),
    ("an empty ONNX file", "decompose onnx:{shelf}/empty.onnx {data}", ["without a graph that has an output"]),
    ("multi-label ONNX", "decompose onnx:{shelf}/multi.onnx {data}", ["ends in a Sigmoid, a multi-label head"]),
    ("K = 1 in ONNX", "decompose onnx:{shelf}/one.onnx {data}", ["got 1 (K = 1): give --num-classes 2"]),
    ("another class count", "decompose onnx:{shelf}/ok.onnx {data} --num-classes 9", ["--num-classes 9", "of 3"]),
    ("another fixed size", "decompose onnx:{shelf}/ok.onnx {data} --size 8", ["16x16, fixed in the graph", "8"]),
    ("uint8 and mean", "decompose onnx:{shelf}/uint8.onnx {data} --mean .5 --std .5", ["takes uint8 pixels"]),
    ("multi-label transformer", "decompose hf:{shelf}/multi {data}", ["is a multi-label classifier"]),
    ("a transformer without config", "decompose hf:{shelf} {data}", ["folder with config.json", "without one"]),
    ("no transformer there", "decompose hf:./none {data}", ["folder with config.json", "got ./none"]),
    ("CLIP without classes", "decompose clip:{shelf}/multi {data}", ["class names, which zero-shot models need"]),
    ("CLIP, no such file", "decompose clip:x?class_names=a.txt {data}", ["'a.txt' of class_names does not exist"]),
    # what comes out of a model
    ("boxes in a list", TOY.replace("{name}", "detections"), ["got boxes: a detection head is no classifier"]),
    ("a dense head", TOY.replace("{name}", "dense"), ["(12, 3, 16, 16)", "segmentation or dense head"]),
    ("class indices", TOY.replace("{name}", "indices"), ["got torch.int64", "not class indices"]),
    ("no output", TOY.replace("{name}", "nothing"), ["expected logits (N, K), got NoneType"]),
    ("batch statistics", TOY.replace("{name}", "batch_statistics"), ["batch statistics", "call module.eval()"]),
    # names of models
    ("weights alone", "decompose w.safetensors {data}", ["weights alone", "resnet50?checkpoint=w.safetensors"]),
    ("MODEL and DATA swapped", "decompose {data} timm:resnet50", ["a folder: MODEL comes first, DATA second"]),
    ("a file of ONNX without scheme", "decompose a.onnx {data}", ["did you mean onnx:a.onnx?"]),
    ("a detector of torchvision", "decompose torchvision:ssd300_vgg16 {data}", ["is a detection model"]),
    ("other weights of the demo", "decompose demo:efficientnet-lite0?num_classes=3 {data}", ["of 1000 classes"]),
    ("a script", "decompose python:{shelf}/script.py:model {data}", ["ends the process", "__name__ =="]),
    ("a broken script", "decompose python:{shelf}/broken.py:model {data}", ["could not be imported: SyntaxError"]),
    ("half a size", f"{NET} --size 16x", ["a size such as 224", "'16x'"]),
    ("an option twice", "decompose python:toys:Net?size=8 {data} --size 9", ["expected size once, got '8' in"]),
]  # fmt: skip


class Hostile:
    """Runs code where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("unpickled",)


def weights(*shape: int) -> torch.Tensor:
    return torch.zeros(shape)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that are given as models and weights."""
    folder = tmp_path_factory.mktemp("shelf")
    right = {"head.weight": weights(3, 3), "head.bias": weights(3)}
    for name, content in {
        "missing.pt": {"head.weight": weights(3, 3)},
        "extra.pt": right | {f"a.{i}": weights(2) for i in range(5)},
        "shape.pt": right | {"head.weight": weights(3, 5)},
        "all.pt": {"head.weight": weights(3, 5), "b": weights(1)},
        "seven.pt": {"head.weight": weights(7, 3), "head.bias": weights(7)},
        "pickle.pt": {"model": right, "args": argparse.Namespace(lr=0.1)},
        "weights.pt2": right,
    }.items():
        torch.save(content, folder / name)
    (folder / "page.pt").write_text("<!DOCTYPE html>Sign in")
    (folder / "pointer.pt").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\n")
    (folder / "torn.safetensors").write_bytes(b"torn")
    (folder / "empty.onnx").write_bytes(b"")
    for name in ("script.pt", "script.pt2"):
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr("net/constants.pkl", b"")
    (folder / "script.py").write_text("import sys\nsys.exit(3)\n")
    (folder / "broken.py").write_text("def model(:\n")
    (folder / "multi").mkdir()
    config = {"model_type": "vit", "problem_type": "multi_label_classification"}
    (folder / "multi" / "config.json").write_text(json.dumps(config))
    write_program(folder / "evil.pt2")
    write_graphs(folder)
    return folder


def write_program(path: Path) -> None:
    """An exported program whose example inputs run code where they are unpickled."""
    program = torch.export.export(torch.nn.Flatten(), (torch.rand(2, 3, 4, 4),))
    torch.export.save(program, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    (inputs,) = [name for name in members if "sample_inputs" in name or "example_inputs" in name]
    buffer = io.BytesIO()
    torch.save(Hostile(), buffer)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (members | {inputs: buffer.getvalue()}).items():
            archive.writestr(name, content)


def write_graphs(folder: Path) -> None:
    """ONNX graphs that tell three classes apart by mean colour, or do something else at the end."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    make, floats = onnx.helper, onnx.TensorProto.FLOAT
    for name, dtype, classes, tail in (
        ("ok", floats, 3, None),
        ("multi", floats, 3, "Sigmoid"),
        ("one", floats, 1, None),
        ("uint8", onnx.TensorProto.UINT8, 3, None),
    ):
        nodes = [
            make.make_node("Cast", ["x"], ["f"], to=floats),
            make.make_node("ReduceMean", ["f"], ["m"], axes=[2, 3], keepdims=0),
            make.make_node("MatMul", ["m", "w"], ["y"]),
            make.make_node(tail or "Identity", ["y"], ["out"]),
        ]
        graph = make.make_graph(
            nodes,
            name,
            [make.make_tensor_value_info("x", dtype, ["n", 3, 16, 16])],
            [make.make_tensor_value_info("out", floats, ["n", classes])],
            [onnx.numpy_helper.from_array(np.eye(3, classes, dtype=np.float32), "w")],
        )
        onnx.save(
            make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8),
            str(folder / f"{name}.onnx"),
        )


@pytest.mark.parametrize("call, line", [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_model_that_cannot_be_used_is_one_line(
    call: str, line: list[str], cli: Cli, world: Path, shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "hf:" in call or "clip:" in call:
        pytest.importorskip("transformers")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    assert_refused(cli(*call.format(data=world / "images", shelf=shelf, name="colour").split()), line, tmp_path)
    assert not (tmp_path / "unpickled").exists()
