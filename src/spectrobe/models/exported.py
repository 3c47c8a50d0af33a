"""Adapter for programs saved by torch.export: `export:PATH.pt2`."""

from __future__ import annotations

import os
import pickle
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
from spectrobe.models.output import graph_classes, to_logits
from spectrobe.models.registry import Scheme
from spectrobe.models.weight_files import archive_members, refuse_stand_in
from spectrobe.remote import local_path, unlogged
from spectrobe.texts import first_line

_TRAINING_ARGUMENT = {"batch_norm": 5, "dropout": 2, "dropout_": 2, "native_dropout": 2}  # position of `training`


class ExportedModel(ModuleModel):
    """An exported program of one image input. Gradients reach the pixels unless the program takes uint8."""

    def __init__(self, name: str, path: Path, options: ModelOptions) -> None:
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
            agreed_classes(name, options.num_classes, graph_classes(_last(program), options.num_classes, name)),
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
    path = local_path(target)
    if not path.is_file():
        raise InputError(f"expected a file saved by torch.export, there is none at {path}")
    return ExportedModel(f"export:{target}", path, options)


def _load(path: Path, allow_pickle: bool) -> torch.export.ExportedProgram:
    """The program; without allow_pickle nothing in the file is unpickled beyond tensors and plain containers."""
    _refuse_other_files(path)
    try:
        with _weights_only(not allow_pickle), unlogged("torch.export", "torch._export"):
            return torch.export.load(path)
    except pickle.UnpicklingError as error:
        if allow_pickle:
            raise InputError(f"export:{path} could not be unpickled: {first_line(error)}") from error
        raise InputError(
            f"export:{path} holds more than tensors, or is damaged, and opening it can run any code; export the module "
            f"again without such constants, or, if you trust it, allow_pickle=True (--allow-pickle)"
        ) from error
    except Exception as error:  # zip, JSON, schema and dispatcher errors alike
        raise InputError(f"export:{path} could not be opened by torch.export: {first_line(error)}") from error


@contextmanager
def _weights_only(forced: bool) -> Iterator[None]:
    # torch.export.load falls back to full unpickling by itself; this variable is torch's own way to forbid it.
    variable = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(variable)
    if forced:
        os.environ[variable] = "1"
    try:
        yield
    finally:
        if forced:
            os.environ.pop(variable)
            os.environ.update({} if before is None else {variable: before})


def _refuse_other_files(path: Path) -> None:
    """Other things end in .pt2 as well, and torch.export does not say what they are."""
    refuse_stand_in(path, "a program saved by torch.export")
    names = archive_members(path)
    if "archive_format" in names or "serialized_exported_program.json" in names:
        return
    if "constants.pkl" in names:
        raise InputError(f"export:{path} is a TorchScript archive: expected a program saved by torch.export.save")
    if "data.pkl" in names:
        raise InputError(
            f"export:{path} was saved by torch.save: give it as the checkpoint of a model (?checkpoint={path.name}), "
            f"or save a program with torch.export.save"
        )
    raise InputError(f"export:{path} is no file that torch.export saved, or a damaged one")


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


def _last(program: torch.export.ExportedProgram) -> object:
    """K of a single output (N, K): a number, or what stands for one that the graph leaves open."""
    outputs = program.graph_signature.user_outputs
    values = (node.meta.get("val") for node in program.graph.nodes if len(outputs) == 1 and node.name == outputs[0])
    value = next(values, None)
    return value.shape[1] if isinstance(value, Tensor) and value.ndim == 2 else None


def _refuse_training(name: str, program: torch.export.ExportedProgram) -> None:
    for node in program.graph.nodes:
        operation = getattr(node.target, "_opname", "")
        place = _TRAINING_ARGUMENT.get(operation)
        if place is not None and len(node.args) > place and node.args[place] is True:
            raise InputError(
                f"{name} was exported in training mode ({operation}): call model.eval() before torch.export.export"
            )


SCHEME = Scheme(_open, example="export:model.pt2")
