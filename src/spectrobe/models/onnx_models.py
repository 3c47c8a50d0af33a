"""Adapter for ONNX files, run by ONNX Runtime: `onnx:PATH`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path, PurePath
from typing import Any

import torch
from torch import Tensor

from spectrobe.errors import InputError, MissingExtraError
from spectrobe.models.adapter import Adapter, agreed_classes
from spectrobe.models.base import Model, Precision
from spectrobe.models.graph_input import GraphInput
from spectrobe.models.identity import files_sha256
from spectrobe.models.options import ModelOptions
from spectrobe.models.output import graph_classes, to_logits
from spectrobe.models.registry import Scheme
from spectrobe.models.weight_files import refuse_stand_in
from spectrobe.remote import local_path
from spectrobe.texts import first_line

_DTYPES = {
    "tensor(float)": torch.float32,
    "tensor(float16)": torch.float16,
    "tensor(double)": torch.float64,
    "tensor(uint8)": torch.uint8,
}
_PROVIDERS = {
    "cpu": ("CPUExecutionProvider", "onnxruntime"),
    "cuda": ("CUDAExecutionProvider", "onnxruntime-gpu"),
    "mps": ("CoreMLExecutionProvider", "onnxruntime on macOS"),
}


class OnnxModel(Adapter):
    """A graph of one image input. Batches pass through host memory, whatever the device; there are no gradients."""

    differentiable = False
    libraries: tuple[str, ...] = ("onnxruntime", "onnx")

    def __init__(self, name: str, path: Path, options: ModelOptions) -> None:
        self.files = _files(path)
        self.device = options.device or torch.device("cpu")
        self.session = _session(path, self.device)
        self.path = path
        inputs, output = self.session.get_inputs(), self.session.get_outputs()[0]
        if len(inputs) != 1:
            named = ", ".join(item.name for item in inputs)
            raise InputError(f"{name}: expected a graph of one input, the images, got {len(inputs)}: {named}")
        if inputs[0].type not in _DTYPES:
            raise InputError(f"{name}: expected a graph that takes floats or uint8, got an input of {inputs[0].type}")
        self.graph_input = GraphInput.read(name, _sides(inputs[0].shape), _DTYPES[inputs[0].type])
        last = output.shape[1] if len(output.shape) == 2 else None
        super().__init__(
            name,
            self.graph_input.preprocessing(name, options),
            agreed_classes(name, options.num_classes, graph_classes(last, options.num_classes, name)),
            options.class_names,
            self.graph_input.note(),
        )

    @contextmanager
    def prepared(self, device: torch.device, precision: Precision = "float32") -> Iterator[Callable[[Tensor], Tensor]]:
        self.require(precision, device)
        before = self.device, self.session
        if device != self.device:
            self.session = _session(self.path, device)
        self.device = device
        try:
            yield self._logits
        finally:
            self.device, self.session = before

    def _outputs(self, x: Tensor) -> Tensor:
        return self.graph_input.in_batches(self.graph_input.encode(x), self._run)

    def _run(self, x: Tensor) -> Tensor:
        names = [item.name for item in self.session.get_outputs()]
        arrays = self.session.run(None, {self.session.get_inputs()[0].name: x.detach().cpu().numpy()})
        return to_logits(dict(zip(names, arrays, strict=True)), len(x), self.n_classes, self.name).to(self.device)

    def _weights(self) -> Mapping[str, Any]:
        return {"weights_sha256": files_sha256(self.files)}


def _open(target: str, options: ModelOptions) -> Model:
    path = local_path(target)
    if not path.is_file():
        raise InputError(f"expected an ONNX file, there is none at {path}")
    return OnnxModel(f"onnx:{target}", path, options)


def _files(path: Path) -> list[Path]:
    """The graph's file and those that it keeps weights in; raises InputError for a head that is no classifier's."""
    try:
        import onnx
    except ImportError:
        raise MissingExtraError("onnx", "onnx", "an ONNX model") from None
    refuse_stand_in(path, "an ONNX file")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's DecodeError has no public base
        raise InputError(
            f"expected an ONNX file, got one that onnx cannot read, {path}: {first_line(error)}"
        ) from error
    if not model.graph.output:
        raise InputError(f"expected an ONNX file, got one without a graph that has an output, {path}")
    last = next((node.op_type for node in model.graph.node if model.graph.output[0].name in node.output), "")
    if last == "Sigmoid":
        raise InputError(f"onnx:{path} ends in a Sigmoid, a multi-label head: expected logits of exclusive classes")
    return [path, *(_beside(path, name) for name in sorted(external_files(model)))]


def external_files(model: Any) -> set[str]:
    """Locations of the files in which an ONNX model keeps tensors, those of subgraphs and functions among them."""
    from onnx.external_data_helper import ExternalDataInfo, uses_external_data

    nodes = (node for function in model.functions for node in function.node)
    tensors = chain(_graph_tensors(model.graph), _node_tensors(nodes))
    return {ExternalDataInfo(tensor).location for tensor in tensors if uses_external_data(tensor)}


def _graph_tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _node_tensors(graph.node)


def _node_tensors(nodes: Iterable[Any]) -> Iterator[Any]:
    """Tensors in the attributes of nodes: constants, and those of the graphs that If, Loop and Scan hold."""
    for attribute in (attribute for node in nodes for attribute in node.attribute):
        yield from (attribute.t, *attribute.tensors)
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)
        for graph in (attribute.g, *attribute.graphs):
            yield from _graph_tensors(graph)


def _beside(path: Path, location: str) -> Path:
    """The file of external data; its name comes from the graph, which must not lead anywhere else."""
    parts = PurePath(location).parts
    if not parts or PurePath(location).is_absolute() or ".." in parts:
        raise InputError(f"onnx:{path} keeps its weights in {location!r}: expected a file in the folder of the graph")
    file = path.parent / location
    if not file.is_file():
        raise InputError(f"onnx:{path} keeps its weights in {location}, which is not beside it: copy both files")
    return file


def _session(path: Path, device: torch.device) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtraError("onnxruntime", "onnx", "an ONNX model") from None
    provider, package = _PROVIDERS.get(device.type, (None, None))
    if provider not in onnxruntime.get_available_providers():
        raise InputError(
            f"onnx:{path}: ONNX Runtime here cannot run on {device}: install {package or 'another build'} or take cpu"
        )
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    settings.use_deterministic_compute = True
    settings.log_severity_level = 3
    choice = (provider, {"device_id": device.index or 0}) if device.type == "cuda" else provider
    try:
        return onnxruntime.InferenceSession(
            str(path), settings, providers=[choice, "CPUExecutionProvider"][: 1 + (device.type != "cpu")]
        )
    except Exception as error:  # ONNX Runtime's errors have no public base
        raise InputError(f"onnx:{path} could not be opened by ONNX Runtime: {first_line(error)}") from error


def _sides(shape: list[int | str | None]) -> list[int | None]:
    return [side if isinstance(side, int) and side > 0 else None for side in shape]


SCHEME = Scheme(_open, example="onnx:model.onnx")
