"""Balls and boxes: distances, projections, steepest directions and random starts in Linf and L2."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal, get_args

import torch
from torch import Tensor

from spectrobe.errors import InputError
from spectrobe.perturbations.attacks.losses import double
from spectrobe.seeding import torch_generator

Norm = Literal["linf", "l2"]


def check_norm(norm: str) -> Norm:
    """`norm` as it is when it is "linf" or "l2", else InputError."""
    for known in get_args(Norm):
        if norm == known:
            return known  # type: ignore[no-any-return]  # one of a Literal
    raise InputError(f"expected norm 'linf' or 'l2', got {norm!r}")


def parse_eps(eps: float | str, norm: Norm) -> float:
    """The radius of the ball in pixel units of [0, 1]: a number, or text such as "8/255".

    Linf: 0 to 1. L2: 0 or more here; `check_eps` knows the largest distance once the image size is known.
    Raises InputError on anything else; eps=8 is the usual slip.
    """
    try:
        value = float(Fraction(eps.replace(" ", ""))) if isinstance(eps, str) else float(eps)
    except (ValueError, TypeError, ZeroDivisionError):
        value = math.nan
    hint = "write 8/255 or 0.03" if norm == "linf" else "write 0.5 or 128/255"
    if isinstance(eps, bool) or not math.isfinite(value) or value < 0:
        raise InputError(f"expected eps as a number of 0 or more, in pixels of [0, 1], got {eps!r}: {hint}")
    if norm == "linf" and value > 1:
        raise InputError(f"expected eps in pixels of [0, 1], at most 1 in Linf, got {eps!r}: {hint}")
    return value


def check_eps(eps: float, norm: Norm, shape: Sequence[int]) -> None:
    """InputError when an L2 eps is beyond sqrt(d), the largest distance between two images of d = C H W pixels."""
    largest = math.sqrt(math.prod(shape[1:]))
    if norm == "l2" and eps > largest:
        raise InputError(
            f"expected eps in pixels of [0, 1], at most sqrt(d) = {largest:.4g} in L2 for images of shape "
            f"{tuple(shape[1:])}, got {eps:g}: write 0.5 or 128/255"
        )


def written_eps(eps: float) -> str:
    """eps as people write it: "8/255" where that is exactly the number, else its digits."""
    steps = round(eps * 255)
    if 0 < steps < 255 and steps / 255 == eps:
        return f"{steps}/255"
    return f"{eps:g}" if float(f"{eps:g}") == eps else repr(eps)


def distance(delta: Tensor, norm: Norm) -> Tensor:
    """The norm of each image of a batch: (N, C, H, W) -> (N,)."""
    flat = delta.flatten(1)
    if norm == "linf":
        return flat.abs().amax(1)
    # summed in float64: in float32 the sum of 150,000 squares is off by 1e-6 of itself, and the ball with it
    length: Tensor = torch.linalg.vector_norm(flat, dim=1, dtype=double(flat.device))
    return length.to(flat.dtype)


def per_image(values: Tensor) -> Tensor:
    """(N,) -> (N, 1, 1, 1), to be multiplied with images."""
    return values.view(-1, 1, 1, 1)


def feasible(points: Tensor, x: Tensor, norm: Norm, eps: float) -> Tensor:
    """Points brought back into the box [0, 1] and the ball of radius eps around x (to a float32 rounding of a pixel).

    The box comes first: shrinking toward x, which lies in the box, does not leave it again, and keeps the norm full.
    """
    points = points.clamp(0, 1)
    if norm == "linf":
        return torch.minimum(torch.maximum(points, x - eps), x + eps)
    delta = points - x
    shrink = (eps / distance(delta, norm).clamp_min(torch.finfo(delta.dtype).tiny)).clamp(max=1)
    return (x + delta * per_image(shrink)).clamp(0, 1)


def steepest(gradient: Tensor, norm: Norm) -> Tensor:
    """The direction of norm 1 along which a linear function with this gradient rises most; 0 for a gradient of 0."""
    if norm == "linf":
        return gradient.sign()
    # gradients of confident models are so small that their squares underflow: scale by the largest entry first
    scaled = gradient / per_image(distance(gradient, "linf").clamp_min(torch.finfo(gradient.dtype).tiny))
    return scaled / per_image(distance(scaled, "l2").clamp_min(1e-12))


def random_start(
    x: Tensor, norm: Norm, eps: float, ids: Sequence[str], seed: int, *names: object, surface: bool = False
) -> Tensor:
    """A point drawn around each image, one generator an image: uniform in the ball, or on its surface; then in the box.

    On the surface: uniform signs' box scaled to eps (Linf), a Gaussian direction (L2). Drawn on the CPU.
    """
    rows = []
    for image_id in ids:
        generator = torch_generator(seed, image_id, *names)
        if norm == "linf":
            draw = torch.rand(x.shape[1:], generator=generator) * 2 - 1
            radius = 1 / float(draw.abs().max()) if surface else 1.0
        else:
            draw = torch.randn(x.shape[1:], generator=generator)
            inside = 1.0 if surface else float(torch.rand((), generator=generator)) ** (1 / draw.numel())
            radius = inside / float(torch.linalg.vector_norm(draw))
        rows.append(draw * (eps * radius))
    return feasible(x + torch.stack(rows).to(x), x, norm, eps)
