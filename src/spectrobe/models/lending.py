"""Borrow nothing silently: a caller's module is lent in eval mode and comes back bit for bit as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def lent(module: nn.Module, device: torch.device | None = None, channels_last: bool = False) -> Iterator[None]:
    """Lend `module` in eval mode, on `device` (None: where it is), in channels_last if asked.

    While lent, its parameters are frozen stand-ins and its buffers copies, so that what a forward pass writes into
    buffers is forgotten and no gradient is kept. On leaving, also by an exception, the caller's own tensors are put
    back, untouched, and every submodule's training flag. Flags are set one by one rather than by `eval()`, whose
    overrides may change weights and which exported modules do not have.
    """
    with ExitStack() as undo:
        stand_ins: dict[int, Tensor] = {}  # by the original's id: tied tensors stay tied
        for part in module.modules():
            undo.callback(setattr, part, "training", part.training)
            part.training = False
            for name, parameter in list(part.named_parameters(recurse=False, remove_duplicate=False)):
                undo.callback(setattr, part, name, parameter)
                if id(parameter) not in stand_ins:
                    converted = _converted(parameter.detach(), device, channels_last)
                    stand_ins[id(parameter)] = nn.Parameter(converted, requires_grad=False)
                setattr(part, name, stand_ins[id(parameter)])
            for name, buffer in list(part.named_buffers(recurse=False, remove_duplicate=False)):
                undo.callback(setattr, part, name, buffer)
                if id(buffer) not in stand_ins:
                    stand_ins[id(buffer)] = _converted(buffer.detach().clone(), device, channels_last)
                setattr(part, name, stand_ins[id(buffer)])
        yield


def _converted(tensor: Tensor, device: torch.device | None, channels_last: bool) -> Tensor:
    if channels_last and tensor.ndim == 4 and tensor.is_floating_point():
        return tensor.to(device=device or tensor.device, memory_format=torch.channels_last)
    return tensor.to(device=device or tensor.device)
