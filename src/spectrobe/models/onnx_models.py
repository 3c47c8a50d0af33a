"""Adapter for ONNX files, run by ONNX Runtime: `onnx:PATH`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spectrobe.errors import InputError, MissingExtraError
from spectrobe.models.adapter import Adapter, agreed_classes
from spectrobe.models.base import Model, Precision
from spectrobe.models.graph_input import GraphInput
from spectrobe.models.identity import files_sha256
from spectrobe.models.options import ModelOptions
from spectrobe.models.output import to_logits
from spectrobe.models.registry import Scheme
from spectrobe.models.weight_files import refuse_stand_in
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
    precisions: tuple[Precision, ...] = ("float32",)
    libraries: tuple[str, ...] = ("onnxruntime", "onnx")

    def __init__(self, path: Path, options: ModelOptions) -> None:
        name = f"onnx:{path}"
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
        found = last if isinstance(last, int) and last > 1 else None
        super().__init__(
            name,
            self.graph_input.preprocessing(name, options),
            agreed_classes(name, options.num_classes, found),
            options.class_names,
            self.graph_input.note(),
        )

    @contextmanager
    def prepared(self, device: torch.device, precision: Precision = "float32") -> Iterator[Callable[[Tensor], Tensor]]:
        self._require(precision)
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
    path = Path(target).expanduser()
    if not path.is_file():
        raise InputError(f"expected an ONNX file, there is none at {path}")
    return OnnxModel(path, options)


def _files(path: Path) -> list[Path]:
    """The graph's file and those that it keeps weights in; raises InputError for a head that is no classifier's."""
    try:
        import onnx
        from onnx.external_data_helper import ExternalDataInfo, uses_external_data
    except ImportError:
        raise MissingExtraError("onnx", "onnx", "an ONNX model") from None
    refuse_stand_in(path, "an ONNX file")
    try:
        graph = onnx.load(str(path), load_external_data=False).graph
    except Exception as error:  # protobuf's DecodeError has no public base
        raise InputError(
            f"expected an ONNX file, got one that onnx cannot read, {path}: {first_line(error)}"
        ) from error
    last = next((node.op_type for node in graph.node if graph.output[0].name in node.output), "")
    if last == "Sigmoid":
        raise InputError(f"onnx:{path} ends in a Sigmoid, a multi-label head: expected logits of exclusive classes")
    names = {ExternalDataInfo(tensor).location for tensor in graph.initializer if uses_external_data(tensor)}
    files = [path, *(path.parent / name for name in sorted(names))]
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise InputError(f"onnx:{path} keeps its weights in {missing[0].name}, which is not beside it: copy both files")
    return files


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
