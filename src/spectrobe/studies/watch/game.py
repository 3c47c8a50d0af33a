"""The game that is played again and again on a model that changes: settled once, so that readings can be compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from spectrobe.bands import BandPartition
from spectrobe.data.checks import content_digest
from spectrobe.engine.absence import Absence, Surroundings
from spectrobe.engine.batching import check_batch_size
from spectrobe.engine.evaluate import Evaluator, Shard
from spectrobe.engine.local import play_within_memory
from spectrobe.engine.progress import Silent
from spectrobe.engine.undisturbed import Through, undisturbed
from spectrobe.errors import InputError
from spectrobe.game.coalitions import Design, make_design
from spectrobe.game.intervals import check_confidence
from spectrobe.game.table import PayoffTable
from spectrobe.game.values import DEFAULT_VALUE, make_value
from spectrobe.models.base import Geometry, Model
from spectrobe.models.callables import CallableModel
from spectrobe.models.check import check_model
from spectrobe.models.module import ModuleModel
from spectrobe.models.options import ModelOptions, Preprocessing
from spectrobe.models.output import check_finite
from spectrobe.perturbations.base import check_pixels

LogitsOf = Callable[[nn.Module, Tensor], Any]
"""(module, images) -> logits (N, K), for a module whose own call does not give them."""


@dataclass(frozen=True, eq=False)
class Game:
    """What is measured of a model while it trains; plain tensors in, a payoff table out, and no trace in the model.

    bands: the partition.   value, design: see `spectrobe list`.   absence: the image (C, H, W) that gives the absent
    bands; None is zero.   mean, std: of the model's normalisation; images are given before it, in [0, 1].
    forward: (module, images) -> logits, where the module's own call does not give them.
    """

    bands: BandPartition
    value: str = DEFAULT_VALUE
    design: str = "exact"
    absence: Tensor | None = None
    mean: float | Sequence[float] | None = None
    std: float | Sequence[float] | None = None
    num_classes: int | None = None
    forward: LogitsOf | None = None
    confidence: float = 0.95
    batch_size: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        make_value(self.value)
        self.make_design()
        check_confidence(self.confidence)
        if isinstance(self.batch_size, str):
            raise InputError("expected a number as batch_size: a search would cost forward passes every time")
        check_batch_size(self.batch_size)
        if self.absence is not None and (not isinstance(self.absence, Tensor) or self.absence.ndim != 3):
            raise InputError("expected absence as 'zero' or one image (C, H, W), such as the mean of the images")

    def make_design(self) -> Design:
        """The design of the game."""
        return make_design(self.design, self.bands.n_bands, self.seed)

    def opened(self, model: Any, channels: int = 3) -> Model:
        """The model as the game sees it, given images of so many channels; a Model is used as it is."""
        said = {"mean": self.mean, "std": self.std, "num_classes": self.num_classes}
        if isinstance(model, Model):
            if any(value is not None for value in (*said.values(), self.forward)):
                raise InputError("expected mean, std, num_classes and forward with a module: a Model has its own")
            return model
        options = ModelOptions.parse({name: value for name, value in said.items() if value is not None})
        preprocessing = Preprocessing(Geometry(channels=channels)).overridden(options)
        if isinstance(model, nn.Module):
            through, name = Through(model, self.forward), type(model).__name__
            return ModuleModel(through, name, preprocessing, options.num_classes)
        if self.forward is not None or not callable(model):
            wanted = "an nn.Module, which forward=... is called with" if self.forward else "a model"
            raise InputError(f"expected {wanted}, got {type(model).__name__}")
        return CallableModel(model, None, preprocessing, options.num_classes)

    def check(self, model: Any, images: Tensor) -> list[str]:
        """What `check_model` warns of on a few images; raises for a model without finite logits of each image alone."""
        opened = self.opened(model, images.shape[1])
        with undisturbed(model if isinstance(model, nn.Module) else None):
            return check_model(opened, images[:16].detach().to(torch.float32))

    def forward_passes(self, n_images: int) -> int:
        """Forward passes of one game on so many images; the absence image is played once for all."""
        return self.make_design().passes(n_images, shared_empty=True)

    def names(self, images: Tensor) -> tuple[str, ...]:
        """What images (N, C, H, W) are called: the digests of their pixels."""
        return tuple(content_digest(image) for image in _pixels(images))

    def table(self, model: Any, images: Tensor, labels: Tensor) -> PayoffTable:
        """Play on images (N, C, H, W) in [0, 1] with labels (N,): one row an image, called by the digest of its pixels.

        The model may be on any device and in any mode, and comes back bit for bit as it was.
        """
        pixels, numbers = _checked(images, labels)
        digests = self.names(pixels)
        shard = Shard(tuple(range(len(pixels))), digests, numbers.numpy(), pixels)
        opened = self.opened(model, pixels.shape[1])
        with undisturbed(model if isinstance(model, nn.Module) else None), opened.prepared(opened.device) as forward:
            player, highest = self._player(opened, forward, pixels.shape[1:]), int(numbers.max())
            if highest >= player.n_classes:
                raise InputError(f"expected labels below {player.n_classes}, the model's classes, got {highest}")
            _, columns = play_within_memory(player, shard, Silent())
        return PayoffTable.from_columns(columns)

    def _player(self, opened: Model, forward: Callable[[Tensor], Tensor], shape: torch.Size) -> _Player:
        """The evaluator, told by the logits of the absence image how many classes there are."""
        given = _Given(self.absence)
        image = given.images([], shape)[None].to(opened.device)
        with torch.inference_mode():
            empty = forward(image.clone(memory_format=torch.channels_last)).clone()
        check_finite(empty, opened.name, ["the absence image"])
        return _Player(
            forward, empty.shape[1], self.bands, self.make_design(), given, opened.device, self.batch_size, empty=empty
        )  # fmt: skip


@dataclass(frozen=True)
class _Player(Evaluator):
    """An evaluator that has seen the absence image already. empty: its logits (1, K)."""

    empty: Tensor = field(default_factory=lambda: torch.zeros(1, 0))

    def empty_logits(self, shape: torch.Size) -> Tensor:
        return self.empty


class _Given(Absence):
    """One image for all, or zero."""

    name, constant = "given", True

    def __init__(self, image: Tensor | None) -> None:
        super().__init__({}, Surroundings((), lambda positions: (), 0))
        self.image = image

    def images(self, positions: Sequence[int], shape: torch.Size) -> Tensor:
        if self.image is None:
            return torch.zeros(shape)
        if self.image.shape != shape:
            raise InputError(f"expected an absence image of shape {tuple(shape)}, got {tuple(self.image.shape)}")
        return self.image.detach().to("cpu", torch.float32)


def _pixels(images: Tensor) -> Tensor:
    """Float32 pixels on the CPU; InputError unless they are in [0, 1] or uint8."""
    if isinstance(images, Tensor) and images.dtype == torch.uint8 and images.ndim == 4:
        images = images.to(torch.float32) / 255
    check_pixels(images)
    return images.detach().to("cpu", torch.float32)


def _checked(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels, and int64 labels on the CPU; InputError for what cannot be scored."""
    pixels = _pixels(images)
    numbers = torch.as_tensor(labels).detach().cpu()
    if numbers.shape != (len(pixels),) or numbers.is_floating_point() or numbers.dtype == torch.bool:
        raise InputError(f"expected class indices ({len(pixels)},), got {numbers.dtype} {tuple(numbers.shape)}")
    if int(numbers.min()) < 0:
        raise InputError(f"expected labels from 0 up, got {int(numbers.min())}")
    return pixels, numbers.to(torch.int64)
