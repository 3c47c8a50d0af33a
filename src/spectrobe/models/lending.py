"""Borrow nothing silently: a caller's module is lent in eval mode and comes back bit for bit as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def lent(module: nn.Module, device: torch.device | None = None, channels_last: bool = False) -> Iterator[None]:
    """Lend `module` in eval mode, its weights frozen, on `device` (None: where it is), in channels_last if asked.

    On leaving, also by an exception, every submodule's training flag, every parameter (the very tensor: values,
    device, strides, requires_grad, grad) and every buffer are what they were. Buffers are lent as copies, so that
    what a forward pass writes into them is forgotten. Flags are set one by one rather than by `eval()`, whose
    overrides may change weights and which exported modules do not have.
    """
    with ExitStack() as undo:
        for part in module.modules():
            undo.callback(setattr, part, "training", part.training)
            part.training = False
        for parameter in module.parameters():
            undo.callback(parameter.requires_grad_, parameter.requires_grad)
            parameter.requires_grad_(False)
            original = parameter.data
            converted = _converted(original, device, channels_last)
            if converted is not original:
                undo.callback(setattr, parameter, "data", original)
                parameter.data = converted
        copies: dict[int, Tensor] = {}  # tied buffers stay tied
        for part in module.modules():
            for name, buffer in list(part.named_buffers(recurse=False, remove_duplicate=False)):
                undo.callback(setattr, part, name, buffer)
                if id(buffer) not in copies:
                    copies[id(buffer)] = _converted(buffer.detach().clone(), device, channels_last)
                setattr(part, name, copies[id(buffer)])
        yield


def _converted(tensor: Tensor, device: torch.device | None, channels_last: bool) -> Tensor:
    if channels_last and tensor.ndim == 4 and tensor.is_floating_point():
        return tensor.to(device=device or tensor.device, memory_format=torch.channels_last)
    return tensor.to(device=device or tensor.device)
