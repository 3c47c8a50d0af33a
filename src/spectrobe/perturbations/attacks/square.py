"""Square attack: random search over square windows, no gradients (Andriushchenko et al. 2020, arXiv 1912.00049).

Written from the paper's Algorithms 1 to 3; windows may be placed on images of any height and width.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from spectrobe.errors import InputError
from spectrobe.perturbations.attacks.base import BoundedAttack, Target
from spectrobe.perturbations.attacks.gradient import at_least
from spectrobe.perturbations.attacks.losses import negative_margin
from spectrobe.perturbations.attacks.norms import Norm, distance, per_image
from spectrobe.seeding import torch_generator

# The paper's schedule: the share of pixels in a window halves after these numbers of queries out of 10,000.
HALVED_AT = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
TRIES = 4  # colours drawn for a Linf window; the first that changes a pixel is queried
BLOCK = 128  # queries drawn at a time


class Square(BoundedAttack):
    """Score-based black-box attack on the margin; needs logits alone, so any model will do.

    An image stops being queried once it fools the model and is returned as it is then; the others are returned with the
    smallest margin met. Costs at most `queries` forward passes.
    """

    family = "square"
    needs_gradient = False
    loss = staticmethod(negative_margin)

    def __init__(self, norm: Norm, *, eps: float | str, model: Any, queries: int = 1000, p_init: float = 0.8) -> None:
        """queries: forward passes an image (AutoAttack takes 5,000). p_init: share of pixels in the first windows."""
        super().__init__(norm, eps=eps, model=model)
        self.queries = at_least(1, queries=queries)
        self.p_init = float(p_init)
        if not 0 < self.p_init <= 1:
            raise InputError(f"expected p_init above 0 and at most 1, got {p_init!r}")

    @property
    def settings(self) -> dict[str, object]:
        return {"eps": self.eps, "queries": self.queries, "p_init": self.p_init}

    def _attack(self, x: Tensor, target: Target, ids: Sequence[str], seed: int) -> Tensor:
        channels = x.shape[1]
        draws = _Draws(ids, seed, self.name, columns=5 + TRIES * channels, first=channels * max(25, x.shape[3]))
        points = _stripes(x, self.eps, draws) if self.norm == "linf" else _tiles(x, self.eps, draws)
        loss, fooled = target(points)
        propose = _propose_linf if self.norm == "linf" else _propose_l2
        for query in range(1, self.queries):
            rows = torch.nonzero(~fooled)[:, 0]
            if not len(rows):
                break
            side = self._side(query, x.shape)
            candidates = propose(points[rows], x[rows], self.eps, side, draws.next(rows.tolist()).to(x))
            new_loss, new_fooled = target(candidates, rows)
            better = (new_loss > loss[rows]) | new_fooled
            points[rows] = torch.where(per_image(better), candidates, points[rows])
            loss[rows] = torch.where(better, new_loss, loss[rows])
            fooled[rows] = new_fooled
        return points

    def _side(self, query: int, shape: Sequence[int]) -> int:
        """Side of the window at this query: the schedule is stretched to the number of queries."""
        height, width = shape[-2:]
        share = self.p_init / 2 ** bisect.bisect_left(HALVED_AT, query * 10_000 / self.queries)
        side = max(round(math.sqrt(share * height * width)), 1 if self.norm == "linf" else 3)
        if self.norm == "l2" and side % 2 == 0:
            side += 1
        return min(side, height, width)


class _Draws:
    """Uniform numbers in [0, 1), a generator an image: what one image draws does not depend on the others."""

    def __init__(self, ids: Sequence[str], seed: int, name: str, columns: int, first: int) -> None:
        self.generators = [torch_generator(seed, image_id, name) for image_id in ids]
        self.start = torch.stack([torch.rand(first, generator=g) for g in self.generators])
        self.columns = columns
        self.block = torch.empty(len(ids), BLOCK, columns)
        self.used = BLOCK

    def next(self, rows: list[int]) -> Tensor:
        """The next query's numbers for some images: (len(rows), columns)."""
        if self.used == BLOCK:
            for row in rows:
                torch.rand(BLOCK, self.columns, generator=self.generators[row], out=self.block[row])
            self.used = 0
        self.used += 1
        return self.block[rows, self.used - 1]


def _signs(uniform: Tensor) -> Tensor:
    return torch.where(uniform < 0.5, -1.0, 1.0)


def _offset(uniform: Tensor, length: int, side: int) -> Tensor:
    """First index of a window of `side` within `length`, uniform over all places."""
    return (uniform * (length - side + 1)).long().clamp(max=length - side)


def _window(top: Tensor, left: Tensor, side: int, shape: Sequence[int]) -> Tensor:
    """Bool (N, 1, H, W): True inside each image's window."""
    y, x = torch.arange(shape[-2], device=top.device), torch.arange(shape[-1], device=top.device)
    inside_y = (y >= top[:, None]) & (y < top[:, None] + side)
    inside_x = (x >= left[:, None]) & (x < left[:, None] + side)
    return inside_y[:, None, :, None] & inside_x[:, None, None, :]


def _stripes(x: Tensor, eps: float, draws: _Draws) -> Tensor:
    """Linf start: vertical stripes one pixel wide of +- eps in each channel."""
    count, channels, _, width = x.shape
    signs = _signs(draws.start[:, : channels * width].reshape(count, channels, 1, width).to(x))
    return (x + eps * signs).clamp(0, 1)


def _propose_linf(points: Tensor, x: Tensor, eps: float, side: int, uniform: Tensor) -> Tensor:
    """One window of +- eps a channel; a draw that changes no pixel is drawn again."""
    height, width = x.shape[-2:]
    window = _window(_offset(uniform[:, 0], height, side), _offset(uniform[:, 1], width, side), side, x.shape)
    colours = _signs(uniform[:, 5:]).reshape(len(x), TRIES, x.shape[1], 1, 1)
    candidates = points
    for colour in colours.unbind(1):
        drawn = torch.where(window, (x + eps * colour).clamp(0, 1), points)
        changed = ((candidates - points).abs() > 1e-7).flatten(1).any(1)
        candidates = torch.where(per_image(changed), candidates, drawn)
    return candidates


def _tiles(x: Tensor, eps: float, draws: _Draws) -> Tensor:
    """L2 start: a grid of 5 x 5 pyramids with random signs in each channel, scaled to eps."""
    count, channels, height, width = x.shape
    side = max(min(height, width) // 5, 1)
    signs = _signs(draws.start[:, : channels * 25].reshape(count, channels, 5, 5).to(x))
    down = (torch.arange(height, device=x.device) // side) % 5
    right = (torch.arange(width, device=x.device) // side) % 5
    pyramid = _pyramids(side).to(x).repeat(-(-height // side), -(-width // side))[:height, :width]
    delta = pyramid * signs[:, :, down][..., right]
    return (x + eps * delta / per_image(distance(delta, "l2"))).clamp(0, 1)


@lru_cache(maxsize=64)
def _pyramids(side: int) -> Tensor:
    """The paper's eta (eq. 2): two stacked pyramids of opposite sign, norm 1, (side, side); one when side is 1."""
    halves = [_pyramid(side // 2, side), -_pyramid(side - side // 2, side)]
    return _unit(torch.cat([half for half in halves if len(half)]))


def _pyramid(height: int, width: int) -> Tensor:
    """Norm 1, (height, width): each pixel the sum of 1 / (j + 1)^2 over j from its distance to the centre on."""
    if height == 0:
        return torch.zeros(0, width)
    y = (torch.arange(height) - height // 2).abs()
    x = (torch.arange(width) - width // 2).abs()
    ring = torch.maximum(y[:, None], x[None, :])
    terms = 1 / torch.arange(1, int(ring.max()) + 2, dtype=torch.float32) ** 2
    tail = terms.flip(0).cumsum(0).flip(0)
    return _unit(tail[ring])


def _unit(values: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(values)
    return values / norm


def _propose_l2(points: Tensor, x: Tensor, eps: float, side: int, uniform: Tensor) -> Tensor:
    """Move the perturbation's energy of one window into another one, shaped there by a pyramid (Algorithm 3)."""
    count, channels, height, width = x.shape
    tops, lefts = (_offset(uniform[:, [i, i + 1]], length, side) for i, length in ((0, height), (2, width)))
    filled, emptied = (_window(tops[:, i], lefts[:, i], side, x.shape) for i in (0, 1))
    delta = points - x
    unused = (eps**2 - distance(delta, "l2") ** 2).clamp_min(0) / channels
    available = ((delta**2 * (filled | emptied)).sum((2, 3), keepdim=True) + per_image(unused)).sqrt()

    pyramids = _pyramids(side).to(x)
    eta = torch.where(per_image(uniform[:, 4] < 0.5), pyramids, pyramids.T)
    signs = _signs(uniform[:, 5 : 5 + channels]).reshape(count, channels, 1, 1)
    old = torch.where(filled, delta, 0)
    old = old / torch.linalg.vector_norm(old, dim=(2, 3), keepdim=True).clamp_min(1e-9)
    new = old + _placed(eta * signs, tops[:, 0], lefts[:, 0], x.shape)
    new = new / torch.linalg.vector_norm(new, dim=(2, 3), keepdim=True).clamp_min(1e-9)

    delta = torch.where(filled | emptied, new * available, delta)
    return (x + delta * per_image(eps / distance(delta, "l2").clamp_min(1e-9))).clamp(0, 1)


def _placed(patches: Tensor, top: Tensor, left: Tensor, shape: Sequence[int]) -> Tensor:
    """Patches (N, C, S, S) at their places in images of zeros (N, C, H, W)."""
    side = patches.shape[-1]
    count, channels, height, width = len(patches), shape[1], shape[2], shape[3]
    steps = torch.arange(side, device=patches.device)
    flat = ((top[:, None] + steps)[:, :, None] * width + (left[:, None] + steps)[:, None, :]).reshape(count, 1, -1)
    images = torch.zeros(count, channels, height * width, dtype=patches.dtype, device=patches.device)
    return images.scatter(2, flat.expand(-1, channels, -1), patches.flatten(2)).reshape(count, channels, height, width)
