"""What all attacks share: the model they are lent, the labels they lead it away from, the ball, and a record."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import torch
from torch import Tensor

from spectrobe.errors import InputError, ModelOutputError
from spectrobe.perturbations.attacks.losses import Loss, double, log_odds_against
from spectrobe.perturbations.attacks.norms import (
    Norm,
    check_eps,
    check_norm,
    feasible,
    parse_eps,
    per_image,
    written_eps,
)
from spectrobe.perturbations.base import Perturbation

if TYPE_CHECKING:
    from spectrobe.models.base import Model

Classify = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class AttackRecord:
    """What an attack's last call did; one entry an image, in the order of the batch.

    label_source: "given", or "prediction" when no labels came and the model was turned away from its own prediction.
    attacked: False where the clean prediction already differs from the given label; such images come back unchanged.
    zero_gradient: the first gradient was zero in every pixel (gradient masking); all False for black-box attacks.
    outside_bands: band attacks alone, the share of the perturbation's energy outside the kept bands; NaN where it is 0.
    """

    label_source: Literal["given", "prediction"]
    attacked: np.ndarray
    zero_gradient: np.ndarray
    outside_bands: np.ndarray | None = None


@dataclass
class Target:
    """The model as an attack sees it, for the images under attack: a loss to raise and a label to leave."""

    classify: Classify
    labels: Tensor
    loss: Loss = log_odds_against
    passes: int = 0
    zero_gradient: Tensor | None = field(default=None)

    def __call__(self, points: Tensor, rows: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Points (N, C, H, W) -> loss (N,), fooled (N,) bool; `rows` says which images they are of (default: all)."""
        labels = self.labels if rows is None else self.labels[rows]
        with torch.no_grad():
            logits = self.logits(points)
            return self.loss(logits, labels), logits.argmax(1) != labels

    def gradient(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Points (N, C, H, W) -> gradient (N, C, H, W) of the loss, loss (N,), fooled (N,) bool."""
        points = points.detach().requires_grad_(True)
        with torch.enable_grad():
            logits = self.differentiable_logits(points)
            loss = self.loss(logits, self.labels)
            # with respect to the pixels alone: parameters and their .grad stay as they were
            (gradient,) = torch.autograd.grad(loss.sum(), points)
        if not bool(torch.isfinite(gradient).all()):
            raise ModelOutputError(f"expected finite gradients, got NaN or infinite ones: {BLACK_BOX}")
        if self.zero_gradient is None:
            self.zero_gradient = (gradient == 0).flatten(1).all(1)
        return gradient, loss.detach(), logits.detach().argmax(1) != self.labels

    def differentiable_logits(self, points: Tensor) -> Tensor:
        """Logits with a gradient for the points; InputError when none arrives."""
        try:
            logits = self.logits(points)
        except RuntimeError as error:
            if "requires grad" not in str(error):  # what tensors say when they are to become numpy arrays
                raise
            raise InputError(NO_GRADIENT) from error
        if not logits.requires_grad:
            raise InputError(NO_GRADIENT)
        return logits

    def logits(self, points: Tensor) -> Tensor:
        """Checked logits (N, K), with a gradient where the caller has switched it on; every call is counted."""
        self.passes += 1
        return checked_logits(self.classify(points), len(points))


BLACK_BOX = "use square_linf or square_l2, the black-box attacks"
NO_GRADIENT = f"gradients do not reach the pixels through this model: {BLACK_BOX}"


def checked_logits(logits: Any, count: int) -> Tensor:
    """`logits` when they are finite and (count, K) with K > 1, else ModelOutputError."""
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != count or logits.shape[1] < 2:
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ModelOutputError(f"expected logits of shape ({count}, K) with K > 1, got {got}")
    if not bool(torch.isfinite(logits).all()):
        bad = int((~torch.isfinite(logits)).any(1).sum())
        raise ModelOutputError(f"expected finite logits, got NaN or infinite ones for {bad} of {count} images")
    return logits


class WorstSeen:
    """The worst point met so far for each image: fooling the model comes first, then the higher loss."""

    def __init__(self, x: Tensor) -> None:
        self.points = x
        self.loss = torch.full((len(x),), -torch.inf, dtype=double(x.device), device=x.device)
        self.fooled = torch.zeros(len(x), dtype=torch.bool, device=x.device)

    def update(self, points: Tensor, loss: Tensor, fooled: Tensor) -> None:
        """Take over the points that are worse than those met before."""
        worse = (fooled & ~self.fooled) | ((fooled == self.fooled) & (loss > self.loss))
        self.points = torch.where(per_image(worse), points.detach(), self.points)
        self.loss = torch.where(worse, loss, self.loss)
        self.fooled = self.fooled | fooled


class Attack(Perturbation):
    """An attack on one model. Labels, device, mode and gradients are handled here; a new attack writes `_attack` alone.

    Images whose clean prediction already differs from the given label come back unchanged, as in AutoAttack: they count
    as wrong already. Without labels the model's own prediction is the label, so that every image is attacked.
    Each image's result depends on the image, its id and the seed; what else is in the batch changes it by float
    rounding alone. The model is lent in eval mode by its adapter and comes back as it was; no parameter is touched.
    `record` says what the last call did.
    """

    needs_gradient = True
    loss: Loss = staticmethod(log_odds_against)

    def __init__(self, *, model: Any) -> None:
        """model: whatever `open_model` takes: a Model, a model string, an nn.Module or callable on pixels in [0, 1]."""
        self.model = as_model(model)
        self.record: AttackRecord | None = None
        if self.needs_gradient and not may_have_gradients(self.model):
            raise InputError(f"{self.name} needs gradients, which {self.model.name} does not give: {BLACK_BOX}")

    @abstractmethod
    def _attack(self, x: Tensor, target: Target, ids: Sequence[str], seed: int) -> Tensor:
        """x float32 (N, C, H, W) in [0, 1] on the model's device, all classified as labelled -> perturbed images."""

    def _run(self, x: Tensor, target: Target, ids: Sequence[str], seed: int) -> Tensor:
        return self._attack(x, target, ids, seed)

    def replace(self, **changes: object) -> Self:
        """The same attack with other settings."""
        known = {key: getattr(self, key) for key in self.settings}
        return type(self)(**self._fixed(), **{**known, **changes}, model=self.model)

    def _fixed(self) -> dict[str, Any]:
        """What the constructor takes beside settings and model, because the name says it already."""
        return {}

    def _perturb(self, x: Tensor, labels: Tensor | None, ids: Sequence[str], seed: int) -> Tensor:
        with lent(self.model) as classify:
            pixels = x.detach().clone().to(self.model.device).clamp(0, 1)
            with torch.no_grad():
                predicted = checked_logits(classify(pixels), len(pixels))
            wanted = predicted.argmax(1) if labels is None else _checked_labels(labels, predicted)
            attacked = predicted.argmax(1) == wanted
            rows = torch.nonzero(attacked)[:, 0]
            target = Target(classify, wanted[rows], self.loss)
            if len(rows):
                pixels[rows] = self._run(pixels[rows], target, [ids[i] for i in rows.tolist()], seed)
        self.record = self._recorded(
            x, pixels.to(x.device), "prediction" if labels is None else "given", attacked, target
        )
        return pixels.to(x.device)

    def _recorded(
        self, x: Tensor, y: Tensor, source: Literal["given", "prediction"], attacked: Tensor, target: Target
    ) -> AttackRecord:
        zero = torch.zeros_like(attacked)
        if target.zero_gradient is not None:
            zero[attacked] = target.zero_gradient
        return AttackRecord(source, read_only(attacked), read_only(zero))

    def __str__(self) -> str:
        """The item of the command line: eps, and whatever differs from the defaults."""
        parts = []
        for key, parameter in inspect.signature(type(self).__init__).parameters.items():
            value = self.settings.get(key)
            if key == "eps" and key in self.settings:
                parts.append(f"eps={written_eps(float(str(value)))}")
            elif key in self.settings and value != parameter.default:
                parts.append(f"{key}={value}")
        return f"{self.name}:{';'.join(parts)}" if parts else self.name


class BoundedAttack(Attack):
    """An attack within a ball of radius eps around each image, in Linf or L2, and the box [0, 1].

    The returned images keep norm and box to float32 rounding (1e-6) whatever `_attack` did; for images of half
    precision the bound holds to the precision of their dtype. eps = 0 returns the images unchanged.
    """

    family: str

    def __init__(self, norm: Norm, *, eps: float | str, model: Any) -> None:
        """eps: radius in pixels of [0, 1], a number or "8/255"; at most 1 in Linf and sqrt(C H W) in L2."""
        self.norm = check_norm(norm)
        self.name = f"{self.family}_{self.norm}"
        self.eps = parse_eps(eps, self.norm)
        super().__init__(model=model)

    @property
    def settings(self) -> dict[str, object]:
        return {"eps": self.eps}

    def _fixed(self) -> dict[str, Any]:
        return {"norm": self.norm}

    def _perturb(self, x: Tensor, labels: Tensor | None, ids: Sequence[str], seed: int) -> Tensor:
        check_eps(self.eps, self.norm, x.shape)
        return super()._perturb(x, labels, ids, seed)

    def _run(self, x: Tensor, target: Target, ids: Sequence[str], seed: int) -> Tensor:
        return x if self.eps == 0 else feasible(self._attack(x, target, ids, seed), x, self.norm, self.eps)


def as_model(model: Any) -> Model:
    """`model` as a spectrobe Model: whatever `spectrobe.models.open_model` takes."""
    # imported here: the core works, and attacks are listed, without the model adapters
    from spectrobe.models import open_model

    return open_model(model)


def may_have_gradients(model: Model) -> bool:
    """Whether to try: a plain callable promises none, but may well be made of torch operations."""
    from spectrobe.models.callables import CallableModel

    return model.differentiable or isinstance(model, CallableModel)


@contextmanager
def lent(model: Model) -> Iterator[Classify]:
    """The model's forward function, in eval mode and float32; autograd can be used even in inference mode."""
    off = torch.autocast(model.device.type, enabled=False)
    with torch.inference_mode(False), torch.no_grad(), off, model.prepared(model.device) as forward:
        yield forward


def read_only(values: Tensor) -> np.ndarray:
    """A numpy copy that cannot be written to."""
    array: np.ndarray = values.detach().cpu().numpy().copy()
    array.setflags(write=False)
    return array


def _checked_labels(labels: Tensor, logits: Tensor) -> Tensor:
    classes = logits.shape[1]
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise InputError(f"expected labels as whole numbers 0..{classes - 1}, got {labels.dtype}")
    if int(labels.min()) < 0 or int(labels.max()) >= classes:
        raise InputError(f"expected labels 0..{classes - 1}, got {int(labels.min())}..{int(labels.max())}")
    return labels.to(logits.device, torch.int64)
