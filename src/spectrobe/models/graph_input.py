"""What a frozen graph (ONNX, torch.export) takes: layout, dtype, batch and size, and how pixels are brought to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spectrobe.errors import InputError
from spectrobe.models.base import Geometry
from spectrobe.models.options import ModelOptions, Preprocessing, crop_geometry

_DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.uint8)


@dataclass(frozen=True)
class GraphInput:
    """The one image input of a graph. batch and size are None where the graph leaves them open."""

    channels: int
    size: tuple[int, int] | None
    batch: int | None
    channels_first: bool
    dtype: torch.dtype

    @staticmethod
    def read(name: str, shape: Sequence[int | None], dtype: torch.dtype) -> GraphInput:
        """From the input's shape (None: open); NHWC has 1 or 3 last and not second. Raises InputError."""
        described = "(" + ", ".join("?" if side is None else str(side) for side in shape) + ")"
        if len(shape) != 4:
            raise InputError(
                f"{name}: expected a graph that takes images (N, C, H, W), got an input of shape {described}"
            )
        if dtype not in _DTYPES:
            raise InputError(f"{name}: expected a graph that takes floats or uint8, got an input of {dtype}")
        channels_first = shape[1] in (1, 3) or shape[3] not in (1, 3)
        batch, *rest = shape
        channels, height, width = rest if channels_first else (rest[2], *rest[:2])
        if channels not in (1, 3, None):
            raise InputError(
                f"{name}: expected a graph that takes images of 1 or 3 channels, got an input of shape {described}"
            )
        size = None if height is None or width is None else (height, width)
        return GraphInput(channels or 3, size, batch, channels_first, dtype)

    def preprocessing(self, name: str, options: ModelOptions) -> Preprocessing:
        """No normalisation and the graph's input size, unless the options say otherwise; raises InputError."""
        default = (
            Geometry(channels=self.channels) if self.size is None else crop_geometry(self.size, channels=self.channels)
        )
        preprocessing = Preprocessing(default).overridden(options)
        size = preprocessing.geometry.size
        if self.size is not None and size != self.size:
            raise InputError(
                f"{name}: expected size {self.size[0]}x{self.size[1]}, fixed in the graph, got {options.size}"
            )
        if self.dtype == torch.uint8 and preprocessing.mean is not None:
            raise InputError(f"{name}: expected no mean and std: the graph takes uint8 pixels and normalises itself")
        return preprocessing

    def note(self) -> tuple[str, ...]:
        """What happens to pixels on the way into the graph, for the run's record; empty where nothing does."""
        notes = []
        if self.dtype == torch.uint8:
            notes.append("uint8 graph input: pixels are clipped to [0, 1], scaled to 255 and rounded")
        elif self.dtype != torch.float32:
            notes.append(f"{str(self.dtype).removeprefix('torch.')} graph input: pixels are cast")
        if not self.channels_first:
            notes.append("NHWC graph input: pixels are transposed")
        if self.batch is not None:
            notes.append(f"graph of fixed batch {self.batch}: batches are cut, the last one is filled up")
        return tuple(notes)

    def encode(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) float32 in the graph's layout and dtype."""
        if self.dtype == torch.uint8:
            x = x.mul(255).round().clamp(0, 255)
        x = x.to(self.dtype)
        return x if self.channels_first else x.permute(0, 2, 3, 1).contiguous()

    def in_batches(self, x: Tensor, run: Callable[[Tensor], Tensor]) -> Tensor:
        """run(x), cut into the graph's fixed batches where it has them; the last one is filled with its last image."""
        if self.batch is None or len(x) == self.batch:
            return run(x)
        rows = []
        for part in torch.split(x, self.batch):
            filled = torch.cat([part, part[-1:].expand(self.batch - len(part), *part.shape[1:])])
            rows.append(run(filled)[: len(part)])
        return torch.cat(rows)
