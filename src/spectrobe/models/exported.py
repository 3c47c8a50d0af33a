"""Adapter for programs saved by torch.export: `export:PATH.pt2`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spectrobe.errors import InputError
from spectrobe.models.adapter import agreed_classes
from spectrobe.models.base import Model, Precision
from spectrobe.models.graph_input import GraphInput
from spectrobe.models.identity import files_sha256
from spectrobe.models.module import ModuleModel
from spectrobe.models.options import ModelOptions
from spectrobe.models.output import to_logits
from spectrobe.models.registry import Scheme
from spectrobe.texts import first_line

_TRAINING_ARGUMENT = {"batch_norm": 5, "dropout": 2, "dropout_": 2, "native_dropout": 2}  # position of `training`


class ExportedModel(ModuleModel):
    """An exported program of one image input. Gradients reach the pixels unless the program takes uint8."""

    def __init__(self, path: Path, options: ModelOptions) -> None:
        name = f"export:{path}"
        self.path, self.allow_pickle = path, options.allow_pickle
        program = _load(path, options.allow_pickle)
        _refuse_training(name, program)
        self.graph_input = _graph_input(name, program)
        self.differentiable = self.graph_input.dtype != torch.uint8
        if self.graph_input.dtype != torch.float32:
            self.precisions = ("float32",)
        super().__init__(
            program.module(),
            name,
            self.graph_input.preprocessing(name, options),
            agreed_classes(name, options.num_classes, None),
            options.class_names,
            self.graph_input.note(),
        )
        if options.device is not None and options.device != self.device:
            self.module, self.device = self._moved(options.device), options.device

    @contextmanager
    def prepared(self, device: torch.device, precision: Precision = "float32") -> Iterator[Callable[[Tensor], Tensor]]:
        before = self.module
        if device != self.device:  # devices are written into the graph: moving the weights alone would not do
            self.module = self._moved(device)
        try:
            with super().prepared(device, precision) as logits:
                yield logits
        finally:
            self.module = before

    def _outputs(self, x: Tensor) -> Tensor:
        return self.graph_input.in_batches(self.graph_input.encode(x), self._run)

    def _run(self, x: Tensor) -> Tensor:
        return to_logits(super()._outputs(x), len(x), self.n_classes, self.name)

    def _weights(self) -> Mapping[str, Any]:
        return {"weights_sha256": files_sha256([self.path])}

    def _moved(self, device: torch.device) -> torch.nn.Module:
        from torch.export.passes import move_to_device_pass

        return move_to_device_pass(_load(self.path, self.allow_pickle), str(device)).module()


def _open(target: str, options: ModelOptions) -> Model:
    path = Path(target).expanduser()
    if not path.is_file():
        raise InputError(f"expected a file saved by torch.export, there is none at {path}")
    return ExportedModel(path, options)


def _load(path: Path, allow_pickle: bool) -> torch.export.ExportedProgram:
    """The program; without allow_pickle nothing in the file is unpickled beyond tensors and plain containers."""
    # torch.export.load falls back to full unpickling by itself; this variable is torch's own way to forbid it.
    variable = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(variable)
    if not allow_pickle:
        os.environ[variable] = "1"
    try:
        return torch.export.load(path)
    except Exception as error:  # zip, json, schema and pickle errors alike
        hint = (
            ""
            if allow_pickle
            else "; where it needs full unpickling and you trust it: allow_pickle=True or --allow-pickle"
        )
        raise InputError(f"export:{path} could not be opened by torch.export: {first_line(error)}{hint}") from error
    finally:
        if not allow_pickle:
            os.environ.pop(variable)
            os.environ.update({} if before is None else {variable: before})


def _graph_input(name: str, program: torch.export.ExportedProgram) -> GraphInput:
    inputs = program.graph_signature.user_inputs
    if len(inputs) != 1:
        raise InputError(
            f"{name}: expected a program of one input, the images, got {len(inputs)}: {', '.join(map(str, inputs))}"
        )
    example = next(node.meta["val"] for node in program.graph.nodes if node.name == inputs[0])
    if not isinstance(example, Tensor):
        raise InputError(f"{name}: expected a program that takes a tensor of images, got {type(example).__name__}")
    return GraphInput.read(name, [side if isinstance(side, int) else None for side in example.shape], example.dtype)


def _refuse_training(name: str, program: torch.export.ExportedProgram) -> None:
    for node in program.graph.nodes:
        operation = getattr(node.target, "_opname", "")
        place = _TRAINING_ARGUMENT.get(operation)
        if place is not None and len(node.args) > place and node.args[place] is True:
            raise InputError(
                f"{name} was exported in training mode ({operation}): call model.eval() before torch.export.export"
            )


SCHEME = Scheme(_open, example="export:model.pt2")
