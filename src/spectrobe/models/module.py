"""Adapter for any torch.nn.Module: the base of all adapters that end in one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from spectrobe.models.adapter import Adapter
from spectrobe.models.base import Precision
from spectrobe.models.identity import weights_sha256
from spectrobe.models.lending import lent
from spectrobe.models.options import Preprocessing
from spectrobe.models.tensor_cores import float32_products


class ModuleModel(Adapter):
    """A torch module, lent, never taken: mode, device, memory format, gradients and buffers come back as they were.

    `forward` alone lends the module for one batch, where it is; for many batches use `prepared`.
    """

    precisions: tuple[Precision, ...] = ("float32", "tf32", "bfloat16")

    def __init__(
        self,
        module: nn.Module,
        name: str | None = None,
        preprocessing: Preprocessing | None = None,
        n_classes: int | None = None,
        class_names: tuple[str, ...] = (),
        notes: tuple[str, ...] = (),
        libraries: tuple[str, ...] = ("torch",),
    ) -> None:
        super().__init__(name or type(module).__name__, preprocessing or Preprocessing(), n_classes, class_names, notes)
        self.module = module
        self.libraries = libraries
        self.device = next((tensor.device for tensor in _tensors(module)), torch.device("cpu"))
        self._lent = self._channels_last = False

    def forward(self, pixels: Tensor) -> Tensor:
        if self._lent:
            return self._logits(pixels)
        with lent(self.module):
            return self._logits(pixels)

    @contextmanager
    def prepared(self, device: torch.device, precision: Precision = "float32") -> Iterator[Callable[[Tensor], Tensor]]:
        self.require(precision, device)
        before = self.device, self._lent, self._channels_last
        channels_last = device.type in ("cpu", "cuda")  # where its kernels are the faster ones
        # float32 means float32: torch itself would round convolutions on CUDA to TF32
        products = float32_products(precision == "tf32") if device.type == "cuda" else nullcontext()
        with products, lent(self.module, device, channels_last):
            self.device, self._lent, self._channels_last = device, True, channels_last
            try:
                yield self._logits_bfloat16 if precision == "bfloat16" else self._logits
            finally:
                self.device, self._lent, self._channels_last = before

    def _logits_bfloat16(self, pixels: Tensor) -> Tensor:
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            return self._logits(pixels)

    def _outputs(self, x: Tensor) -> Any:
        return self.module(x.contiguous(memory_format=torch.channels_last) if self._channels_last else x)

    def _weights(self) -> Mapping[str, Any]:
        kind = type(self.module)
        return {"weights_sha256": weights_sha256(self.module), "class": f"{kind.__module__}.{kind.__qualname__}"}


def module_channels(module: nn.Module) -> int:
    """1 where the first convolution takes grey images, else 3."""
    first = next((part for part in module.modules() if isinstance(part, nn.Conv2d)), None)
    return 1 if first is not None and first.in_channels == 1 else 3


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters()
    yield from module.buffers()
