"""What makes measuring the zoo on a processor two to three times faster and moves no number that is read.

Forward passes by ONNX Runtime, which needs half of torch's time where there is no AVX-512, and gradients through
convolutions that hold their batch norms, a quarter faster (both checked: their logits are torch's to float rounding,
else torch it is); PGD that leaves an image alone once it is fooled, as AutoAttack does; and corrupted images kept for
the next model.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse

from spectrobe.models.base import Model, Precision
from spectrobe.models.module import ModuleModel
from spectrobe.models.options import Preprocessing
from spectrobe.perturbations import Perturbation
from spectrobe.perturbations.attacks import PGD
from spectrobe.perturbations.attacks.base import Target
from spectrobe.perturbations.attacks.norms import feasible, random_start, steepest

MOST_APART = 1e-4
"""Between logits of the two libraries, as a share of the largest."""

CHUNK = 32
"""Images that ONNX Runtime takes at a time: their activations stay in the cache."""

Forward = Callable[[Tensor], Tensor]


class FastModel(ModuleModel):
    """A module whose passes on a processor are the fastest that answer as it does. Its name is the model's."""

    def __init__(self, model: ModuleModel) -> None:
        own = Preprocessing(model.geometry, model.mean, model.std)
        super().__init__(model.module, model.name, own, model.n_classes, model.class_names or ())

    @contextmanager
    def prepared(self, device: torch.device, precision: Precision = "float32") -> Iterator[Forward]:
        with super().prepared(device, precision) as forward:
            if device.type == "cpu" and precision == "float32":
                compiled, fused = self._faster
                yield partial(_quickest, compiled or forward, fused or forward)
            else:
                yield forward

    @cached_property
    def _faster(self) -> tuple[Forward | None, Forward | None]:
        """Its passes without gradients, and with them."""
        return compiled(self.module), fused(self.module)


def _quickest(without: Forward, differentiable: Forward, pixels: Tensor) -> Tensor:
    return differentiable(pixels) if pixels.requires_grad and torch.is_grad_enabled() else without(pixels)


def fast(model: Model) -> Model:
    """The model, its passes faster where they can be."""
    return FastModel(model) if isinstance(model, ModuleModel) else model


def compiled(module: nn.Module) -> Forward | None:
    """Pixels (N, 3, 32, 32) -> logits (N, K) by ONNX Runtime; None where it is missing or answers otherwise.

    module: in eval mode.
    """
    try:
        import onnxruntime
    except ImportError:
        return None
    try:
        graph = _graph(module, _probe()[:2])
    except Exception:  # no exporter, or it cannot export this network
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    forward = partial(_answer, session)
    return forward if _agrees(forward, module) else None


def fused(module: nn.Module) -> Forward | None:
    """The same with gradients: each convolution holds its batch norm; None where that cannot be or answers otherwise.

    module: in eval mode.
    """

    def forward(pixels: Tensor) -> Tensor:
        return net(pixels.contiguous(memory_format=torch.channels_last))

    try:
        net = fuse(module).to(memory_format=torch.channels_last)
        return forward if _agrees(forward, module) else None
    except Exception:  # a network that cannot be traced, or takes other images
        return None


def _probe() -> Tensor:
    return torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def _agrees(forward: Forward, module: nn.Module) -> bool:
    """On other images than a graph was made of, and another number of them."""
    x = _probe()[2:]
    with torch.no_grad():
        expected, found = module(x), forward(x)
    return found.shape == expected.shape and bool((found - expected).abs().max() <= MOST_APART * expected.abs().max())


def _answer(session: Any, pixels: Tensor) -> Tensor:
    chunks = [chunk.contiguous().numpy() for chunk in pixels.detach().split(CHUNK)]
    return torch.cat([torch.from_numpy(session.run(None, {"pixels": chunk})[0]) for chunk in chunks])


def _graph(module: nn.Module, x: Tensor) -> bytes:
    target = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # its own replacement needs three times as long for the same graph
        torch.onnx.export(
            module, (x,), target, dynamo=False, input_names=["pixels"], output_names=["logits"],
            dynamic_axes={"pixels": {0: "n"}, "logits": {0: "n"}}, verbose=False,
        )  # fmt: skip
    return target.getvalue()


class StoppingPGD(PGD):
    """PGD from one random start that leaves an image alone at the first point that fools the model.

    The same images are fooled as by PGD, whose steps it takes; losses and norms are those of the first fooling point.
    """

    def _attack(self, x: Tensor, target: Target, ids: Sequence[str], seed: int) -> Tensor:
        step = 2.5 * self.eps / self.steps if self.step_size is None else self.step_size
        points = random_start(x, self.norm, self.eps, ids, seed, self.name, 0) if self.random_start else x.clone()
        left = torch.arange(len(x), device=x.device)
        for _ in range(self.steps):
            some = Target(target.classify, target.labels[left], target.loss)
            gradient, _, fooled = some.gradient(points[left])
            if target.zero_gradient is None:
                target.zero_gradient = some.zero_gradient
            left, gradient = left[~fooled], gradient[~fooled]
            if not len(left):
                break
            moved = points[left] + step * steepest(gradient, self.norm)
            points[left] = feasible(moved, x[left], self.norm, self.eps)
        return points


def stopping(attack: Perturbation) -> Perturbation:
    """A PGD attack of one restart as one that stops; anything else as it is."""
    if type(attack) is not PGD or attack.restarts != 1:
        return attack
    return StoppingPGD(
        attack.norm, eps=attack.eps, model=attack.model, steps=attack.steps, step_size=attack.step_size,
        random_start=attack.random_start,
    )  # fmt: skip


@dataclass(eq=False)
class Kept(Perturbation):
    """A perturbation whose images are made once and kept in memory for models that see the same ones; of one seed."""

    made: Perturbation
    images: dict[str, Tensor] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:  # type: ignore[override]  # a class attribute elsewhere
        """The perturbation's."""
        return self.made.name

    @property
    def settings(self) -> dict[str, object]:
        return self.made.settings

    def _perturb(self, x: Tensor, labels: Tensor | None, ids: Sequence[str], seed: int) -> Tensor:
        if not all(image_id in self.images for image_id in ids):
            self.images.update(zip(ids, self.made(x, labels, ids, seed).cpu(), strict=True))
        return torch.stack([self.images[image_id] for image_id in ids]).to(x.device)

    def __str__(self) -> str:
        return str(self.made)
