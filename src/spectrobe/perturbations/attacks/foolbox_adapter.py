"""Foolbox's minimum-norm attacks on a spectrobe model (foolbox 3.3.4, MIT, https://github.com/bethgelab/foolbox)."""

from __future__ import annotations

import warnings
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from spectrobe.errors import MissingExtraError
from spectrobe.perturbations.attacks.base import Target
from spectrobe.perturbations.attacks.norms import per_image
from spectrobe.seeding import stream


def foolbox_attacks(purpose: str) -> ModuleType:
    """The module foolbox.attacks; MissingExtraError when foolbox is not installed."""
    try:
        import foolbox.attacks
    except ImportError as error:
        raise MissingExtraError("foolbox", "attacks", purpose) from error
    attacks: ModuleType = foolbox.attacks
    return attacks


def minimise(attack: Any, x: Tensor, target: Target, seed: int, name: str) -> Tensor:
    """Run a foolbox MinimizationAttack on images (N, C, H, W) in [0, 1]; where it finds nothing, the image unchanged.

    Foolbox draws from torch's global generators (only where a gradient is exactly zero): they are seeded for the run
    and put back afterwards. Whether an image fools the model is decided here, not by foolbox.
    """
    import foolbox

    wrapped = _Module(target)
    devices = [x.device] if x.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.enable_grad(), warnings.catch_warnings():
        torch.manual_seed(stream(seed, name))
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        model = foolbox.PyTorchModel(wrapped, bounds=(0, 1), device=x.device)
        found = attack.run(model, x, foolbox.Misclassification(target.labels))
    found = found.detach()
    # attacks that fail hand back anything: Carlini-Wagner a black image, which may happen to fool the model
    black = (found == 0).flatten(1).all(1)
    fooled = target(torch.where(torch.isfinite(found), found, 0))[1] & ~black
    # NaN goes on, to be refused with the image's id
    return torch.where(per_image(fooled | ~torch.isfinite(found).flatten(1).all(1)), found, x)


class _Module(nn.Module):
    """The nn.Module that foolbox asks for, in eval mode and without parameters."""

    def __init__(self, target: Target) -> None:
        super().__init__()
        self.target = target
        self.eval()

    def forward(self, points: Tensor) -> Tensor:
        if not points.requires_grad:
            return self.target.logits(points)
        logits: Tensor = _PixelGradient.apply(points, self.target)
        return logits


class _PixelGradient(torch.autograd.Function):
    """The model with a gradient for pixels alone: foolbox calls backward(), which would add to parameters' .grad."""

    @staticmethod
    def forward(ctx: Any, points: Tensor, target: Target) -> Tensor:
        with torch.enable_grad():
            ctx.points = points.detach().requires_grad_(True)
            ctx.logits = target.differentiable_logits(ctx.points)
        logits: Tensor = ctx.logits.detach()
        return logits

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = torch.autograd.grad(ctx.logits, ctx.points, gradients[0])
        return gradient, None
