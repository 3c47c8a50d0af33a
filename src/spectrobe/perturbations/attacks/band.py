"""Attacks whose perturbation lies in chosen frequency bands: what can be done with, say, low frequencies alone?

The set of allowed perturbations is the intersection of a subspace (the bands), a ball and the box. Every step ends with
alternating projections onto subspace and ball with box, the latter last: norm and box hold exactly, the band nearly,
and the share of energy left outside it is recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spectrobe.bands import BandPartition
from spectrobe.errors import InputError
from spectrobe.perturbations.attacks.base import AttackRecord, BoundedAttack, Target, WorstSeen
from spectrobe.perturbations.attacks.gradient import at_least
from spectrobe.perturbations.attacks.norms import Norm, feasible, random_start, steepest
from spectrobe.spectrum import band_energy

RELAXATION = (
    1.8  # a pixel outside [0, 1] is moved in by 1.8 times its excess (anything below 2 converges): fewer rounds
)


class BandPGD(BoundedAttack):
    """PGD on the cross-entropy within a set of frequency bands.

    After a call, `record.outside_bands` is the share of each perturbation's energy outside the kept bands, NaN where
    there is no perturbation. It stays small (median well below 1 % on photographs at 8/255) unless large parts of an
    image are black or white, where the box leaves few band-limited perturbations. Costs as PGD, and two FFTs a round.
    """

    family = "band_pgd"

    def __init__(
        self,
        norm: Norm,
        *,
        eps: float | str,
        model: Any,
        keep: int | str | Sequence[int],
        bands: int | str | BandPartition = 8,
        steps: int = 20,
        restarts: int = 1,
        rounds: int = 20,
    ) -> None:
        """keep: the bands the perturbation may use: 0, [0, 1], "0-2" or "0+3". bands: as BandPartition.of takes them.

        rounds: alternating projections after each step; more leave less energy outside the bands.
        """
        super().__init__(norm, eps=eps, model=model)
        self.bands = BandPartition.of(bands)
        self.keep = parse_keep(keep, self.bands.n_bands)
        self.steps = at_least(1, steps=steps)
        self.restarts = at_least(1, restarts=restarts)
        self.rounds = at_least(1, rounds=rounds)

    @property
    def settings(self) -> dict[str, object]:
        return {
            "eps": self.eps,
            "keep": "+".join(map(str, self.keep)),
            "bands": written_bands(self.bands),
            "steps": self.steps,
            "restarts": self.restarts,
            "rounds": self.rounds,
        }

    def _attack(self, x: Tensor, target: Target, ids: Sequence[str], seed: int) -> Tensor:
        mask = self._mask(x)
        step = 2.5 * self.eps / self.steps
        worst = WorstSeen(x)
        for restart in range(self.restarts):
            start = random_start(x, self.norm, self.eps, ids, seed, self.name, restart)
            points = self._allowed(start, x, mask)
            for _ in range(self.steps):
                gradient, loss, fooled = target.gradient(points)
                worst.update(points, loss, fooled)
                rise = steepest(_in_bands(gradient, mask), self.norm)
                points = self._allowed(points + step * rise, x, mask)
            worst.update(points, *target(points))
        return worst.points

    def _allowed(self, points: Tensor, x: Tensor, mask: Tensor) -> Tensor:
        """Alternating projections (POCS); 0 is in both sets, so that they always meet."""
        for _ in range(self.rounds):
            inside = x + _in_bands(points - x, mask)
            beyond = inside + RELAXATION * (inside.clamp(0, 1) - inside)
            points = feasible(beyond, x, self.norm, self.eps)
        return points

    def _mask(self, x: Tensor) -> Tensor:
        labels = self.bands.labels(x.shape[-2], x.shape[-1])
        return torch.isin(labels, torch.tensor(self.keep)).to(x)

    def _recorded(self, x: Tensor, y: Tensor, source: Any, attacked: Tensor, target: Target) -> AttackRecord:
        record = super()._recorded(x, y, source, attacked, target)
        outside = outside_bands(y - x, self.bands, self.keep)
        return AttackRecord(record.label_source, record.attacked, record.zero_gradient, outside)


def outside_bands(delta: Tensor, bands: BandPartition | int, keep: Sequence[int]) -> np.ndarray:
    """Share of each perturbation's energy outside the kept bands: (N, C, H, W) -> float64 (N,), NaN where it is 0."""
    energy = band_energy(delta, bands).cpu().numpy()
    total = energy.sum(1)
    inside = energy[:, list(keep)].sum(1)
    share = np.full(len(total), np.nan)
    np.divide(total - inside, total, out=share, where=total > 0)
    share.setflags(write=False)
    return share


def parse_keep(keep: int | str | Sequence[int], n_bands: int) -> tuple[int, ...]:
    """Indices of bands, ascending: 0, [0, 1], "2", "0-2" or "0+3-5"; InputError unless some of 0..n_bands-1."""
    try:
        if isinstance(keep, str):
            ranges = [[int(end) for end in part.split("-")] for part in keep.split("+")]
            wanted = {band for ends in ranges for band in range(ends[0], ends[-1] + 1)}
        else:
            wanted = {int(band) for band in ([keep] if isinstance(keep, int) else keep)}
    except (TypeError, ValueError):
        wanted = set()
    if not wanted or min(wanted) < 0 or max(wanted) >= n_bands:
        raise InputError(
            f"expected keep as bands among 0..{n_bands - 1}, such as 0, [0, 1], '0-2' or '0+3', got {keep!r}"
        )
    return tuple(sorted(wanted))


def written_bands(bands: BandPartition) -> int | str:
    """8 for square:8, which is what 8 means; else the partition's name."""
    return bands.n_bands if bands == BandPartition.square(bands.n_bands) else str(bands)


def _in_bands(delta: Tensor, mask: Tensor) -> Tensor:
    """The part of (N, C, H, W) in the bands of a half-plane mask (H, W // 2 + 1)."""
    inside: Tensor = torch.fft.irfft2(torch.fft.rfft2(delta) * mask, s=delta.shape[-2:])
    return inside
