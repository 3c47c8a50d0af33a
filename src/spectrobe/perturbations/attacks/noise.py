"""Random noise of the norm of an attack: the control that every attack must beat."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from spectrobe.perturbations.attacks.norms import (
    Norm,
    check_eps,
    check_norm,
    distance,
    parse_eps,
    per_image,
    written_eps,
)
from spectrobe.perturbations.base import Perturbation
from spectrobe.seeding import torch_generator


class NormNoise(Perturbation):
    """Noise of norm exactly eps in every image before clipping to [0, 1]: signs in Linf, a Gaussian direction in L2.

    Drawn per (seed, image id); needs no model and no labels, and perturbs every image.
    """

    def __init__(self, norm: Norm, *, eps: float | str) -> None:
        """eps: radius in pixels of [0, 1], a number or "8/255"; at most 1 in Linf and sqrt(C H W) in L2."""
        self.norm = check_norm(norm)
        self.name = f"noise_{self.norm}"
        self.eps = parse_eps(eps, self.norm)

    @property
    def settings(self) -> dict[str, object]:
        return {"eps": self.eps}

    def noise(self, shape: Sequence[int], ids: Sequence[str], seed: int) -> Tensor:
        """The noise before clipping: float32 (N, C, H, W), each image of norm eps."""
        draw = torch.stack([torch.randn(tuple(shape[1:]), generator=torch_generator(seed, i, self.name)) for i in ids])
        if self.norm == "linf":
            return torch.where(draw < 0, -self.eps, self.eps)
        return draw * per_image(self.eps / distance(draw, "l2"))

    def _perturb(self, x: Tensor, labels: Tensor | None, ids: Sequence[str], seed: int) -> Tensor:
        check_eps(self.eps, self.norm, x.shape)
        return x + self.noise(x.shape, ids, seed).to(x.device)

    def __str__(self) -> str:
        return f"{self.name}:eps={written_eps(self.eps)}"
