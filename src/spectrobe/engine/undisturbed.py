"""A measurement in the middle of training that leaves no trace: what it could change is put back afterwards."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


@contextmanager
def undisturbed(module: nn.Module | None = None) -> Iterator[None]:
    """Inside, draw random numbers and use `module` at will; afterwards all is as it was, also after an exception.

    Put back: the states of Python's, numpy's and torch's global generators (CPU, every CUDA device in use, MPS), and
    the plain attributes of every submodule, which hooks and counters write to. Inside, autocast is off. Parameters,
    buffers and the training mode are `spectrobe.models.lending.lent`'s affair.
    """
    with ExitStack() as undo:
        undo.callback(random.setstate, random.getstate())
        undo.callback(np.random.set_state, np.random.get_state())  # noqa: NPY002  # the one that others draw from
        undo.callback(torch.set_rng_state, torch.get_rng_state())
        if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # as torch has it
            undo.callback(torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all())
        if torch.backends.mps.is_available():
            undo.callback(torch.mps.set_rng_state, torch.mps.get_rng_state())
        for part in module.modules() if module is not None else ():
            undo.callback(_put_back, part.__dict__, dict(part.__dict__))
        for kind in ("cpu", *(["cuda"] if torch.cuda.is_available() else [])):
            undo.enter_context(torch.autocast(kind, enabled=False))
        yield


def _put_back(attributes: dict[str, Any], before: dict[str, Any]) -> None:
    for name in [name for name in attributes if name not in before]:
        del attributes[name]
    attributes.update(before)


class Through(nn.Module):
    """A module as the classifier (N, C, H, W) -> logits that it is in training, on pixels and outside inference mode.

    function: (module, images) -> what holds the logits; by default the module's own call. Images take the floating
    type of the weights. What modules keep from a call (positions, masks) can be used with gradients afterwards, which
    tensors made in inference mode cannot.
    """

    def __init__(self, module: nn.Module, function: Callable[[nn.Module, Tensor], Any] | None = None) -> None:
        super().__init__()
        self.module, self.function = module, function
        first = next((p for p in module.parameters() if p.is_floating_point()), None)
        self.dtype = torch.float32 if first is None else first.dtype

    def forward(self, x: Tensor) -> Any:
        with torch.inference_mode(False), torch.no_grad():
            images = x.clone().to(self.dtype)
            return self.module(images) if self.function is None else self.function(self.module, images)
