"""A device that is none: CPU tensors that say they are on a GPU and refuse to meet others, as tensors on a GPU do.

For tests of device handling on machines without one. Inside `pretended_device()`, tensors that are made on or moved to
"cuda" are computed on the CPU, but an operation between them and a CPU tensor (other than a scalar) raises, and so does
turning one into a numpy array. Not imitated: streams, rounding and speed of a real GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

CUDA = torch.device("cuda:0")
MAY_MIX = ("__getitem__", "__setitem__", "copy_", "to")  # a GPU's tensor may be indexed by, and filled from, the CPU's


class OnDevice(Tensor):
    """A tensor that is on the pretended device."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


OnDevice.__module__ = "torch"  # foolbox's eagerpy knows torch's tensors by their module


class _Pretence(TorchFunctionMode):
    """Sees calls without tensors too, such as torch.arange(3, device="cuda")."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


@contextmanager
def pretended_device() -> Iterator[torch.device]:
    """Within, the device given is there."""
    fork_rng = torch.random.fork_rng
    torch.random.fork_rng = lambda devices=(), **options: fork_rng(devices=[], **options)  # no GPU generator to keep
    try:
        with _Pretence():
            yield CUDA
    finally:
        torch.random.fork_rng = fork_rng


def is_there(tensor: Tensor) -> bool:
    """Whether a tensor is on the pretended device."""
    return isinstance(tensor, OnDevice)


def _run(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    name = getattr(func, "__name__", "")
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    with torch._C.DisableTorchFunctionSubclass():
        there = any(map(is_there, tensors))
        if there and name == "__get__" and getattr(func, "__self__", None) is Tensor.device:
            return CUDA
        _refuse(name, tensors, there)
        there, args, kwargs = _placed(name, args, kwargs, there)
        found = func(*args, **kwargs)
    if name.endswith("_") and not name.startswith("__"):  # in place: what comes back went in
        return found
    return tree_map(lambda leaf: _marked(leaf, there), found)


def _marked(leaf: Any, there: bool) -> Any:
    return leaf.as_subclass(OnDevice if there else Tensor) if isinstance(leaf, Tensor) else leaf


def _refuse(name: str, tensors: Sequence[Tensor], there: bool) -> None:
    if there and name in ("numpy", "__array__"):
        raise TypeError("can't convert cuda:0 device type tensor to numpy")
    if there and name not in MAY_MIX and any(not is_there(one) and one.dim() > 0 for one in tensors):
        raise RuntimeError(f"Expected all tensors to be on the same device, but {name} got some on the CPU")
    if name == "__getitem__" and there and not is_there(tensors[0]):
        raise RuntimeError("indices should be on the CPU, as the indexed tensor is")


def _placed(
    name: str, args: Sequence[Any], kwargs: Mapping[str, Any], there: bool
) -> tuple[bool, Sequence[Any], Mapping[str, Any]]:
    """Where the result is, and the arguments without a mention of the pretended device."""
    if name == "cpu":
        return False, args, kwargs
    if kwargs.get("device") is not None:
        return torch.device(kwargs["device"]).type == "cuda", args, {**kwargs, "device": "cpu"}
    if name != "to":
        return there, args, kwargs
    wanted = [args[0]]
    for one in args[1:]:
        if isinstance(one, (str, torch.device)):
            there, one = torch.device(one).type == "cuda", torch.device("cpu")
        elif isinstance(one, Tensor):
            there = is_there(one)
        wanted.append(one)
    return there, wanted, kwargs
