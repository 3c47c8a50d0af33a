"""What is sent to a worker: what was opened by name is opened again by name there, everything else goes by value.

Ray's own pickle carries it, between a user's driver and that user's workers; no file and no stranger's bytes are read.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from spectrobe.engine.identity import differing
from spectrobe.errors import InputError
from spectrobe.models import open_model
from spectrobe.models.base import Model


def packed(thing: Any) -> bytes:
    """`thing` for `pickle.loads` in a worker.

    Models that were opened from a string travel as that string, and arrive as the same model or not at all; tensors
    and devices of an accelerator arrive on the worker's own. Raises InputError for what cannot be sent.
    """
    from ray import cloudpickle

    class Packer(cloudpickle.CloudPickler):  # type: ignore[misc]  # Ray's has no types
        def reducer_override(self, obj: Any) -> Any:
            if isinstance(obj, Model) and obj.opened_from is not None:
                text, options = obj.opened_from
                return _open_again, (text, dict(options), dict(obj.identity()))
            if isinstance(obj, torch.device):
                return torch.device, (obj.type,)
            if isinstance(obj, Tensor) and obj.device.type != "cpu":
                return _on_device, (obj.detach().cpu(), obj.device.type, isinstance(obj, nn.Parameter))
            return super().reducer_override(obj)

    file = io.BytesIO()
    try:
        Packer(file).dump(thing)
    except Exception as error:  # whatever the user's own objects raise
        raise InputError(
            f"the model or the data cannot be sent to Ray workers ({type(error).__name__}: {error}): give them by name "
            "(a model string, a data string), or use engine 'local'"
        ) from error
    return file.getvalue()


def _open_again(text: str, options: Mapping[str, Any], identity: Mapping[str, Any]) -> Model:
    model = open_model(text, **options)
    if model.n_classes is None:  # found out by the first forward pass
        model.n_classes = identity.get("n_classes")
    found = differing(dict(model.identity()), identity)
    if found:
        path, here, there = found[0]
        raise InputError(
            f"{text} is another model here than where the run was started ({'.'.join(path)}: {there!r} there, {here!r} "
            "here): give all nodes the same files and the same versions"
        )
    return model


def _on_device(tensor: Tensor, kind: str, parameter: bool) -> Tensor:
    moved = tensor.to(kind)
    return nn.Parameter(moved, requires_grad=False) if parameter else moved
