"""What a poster will cost: forward passes and seconds of every run that is not done, from a few of them timed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spectrobe.bands import BandPartition
from spectrobe.data.base import ImageData
from spectrobe.engine.batching import noise, seconds_per_batch
from spectrobe.errors import BadImageError, InputError
from spectrobe.game.coalitions import make_design
from spectrobe.models.base import Model
from spectrobe.studies.poster.plan import DECOMPOSE, RESPONSE, SNR
from spectrobe.studies.response.settings import octave_bands
from spectrobe.studies.response.views import all_views
from spectrobe.studies.robustness.conditions import Item
from spectrobe.studies.robustness.sanity import expected_passes
from spectrobe.studies.snr.sanity import N_SANITY
from spectrobe.studies.words import duration
from spectrobe.studies.zoo.budget import BACKWARD

BATCH = 8
"""Images a batch that times are taken with: near the fastest on few cores, and small beside the run."""
_ANSWERING, _TIMED = 1, 2  # forward passes a perturbed image that is classified; images that corruptions are timed on


@dataclass(frozen=True)
class Cost:
    """Of one model. passes: run -> forward passes left to do.   seconds: for all.   size: of its input."""

    name: str
    size: tuple[int, int]
    passes: dict[str, int]
    seconds: float

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return not self.passes


@dataclass(frozen=True)
class Timed:
    """What the work of a model is counted from. items, under: perturbations built for it; gradients: it has some."""

    model: Model
    device: torch.device
    pixels: Tensor
    images: int
    corruptions: Sequence[Item]
    attacks: Sequence[Item]
    under: Sequence[Item]
    gradients: bool


def cost_of(
    name: str,
    work: Timed,
    left: Sequence[str],
    *,
    corrupting: bool,
    bands: BandPartition,
    absence_constant: bool,
    powers: Sequence[float],
) -> Cost:
    """What is left to do for one model. left: runs that are not done.   corrupting: its SNR run has corruptions too."""
    n = work.images
    with work.model.prepared(work.device) as forward:
        one = seconds_per_batch(forward, noise(BATCH, work.pixels.shape[1:], work.device), repeats=2) / BATCH
    corrupted = sum(_seconds(item, work.pixels) for item in work.corruptions)
    passes: dict[str, int] = {}
    seconds = 0.0
    if SNR in left and (corrupting or work.attacks):
        passes[SNR] = n * sum(item.passes for item in work.attacks)
        passes[SNR] += expected_passes(list(work.attacks), min(n, N_SANITY))
        steps = n * sum(item.passes - _ANSWERING for item in work.attacks)
        seconds += one * (passes[SNR] + (BACKWARD - 1) * steps) + n * corrupted * corrupting
    if DECOMPOSE in left:
        passes[DECOMPOSE] = n * (make_design("exact", bands.n_bands).n_coalitions - absence_constant)
        seconds += one * passes[DECOMPOSE]
    if RESPONSE in left:
        views = all_views(
            octave_bands(*work.pixels.shape[-2:]).n_bands,
            powers,
            work.under[0].condition.name if work.under else None,
            [item.condition.name for item in work.corruptions],
        )
        passes[RESPONSE] = n * (len(views) + work.gradients)
        seconds += one * (passes[RESPONSE] + (BACKWARD - 1) * n * work.gradients) + n * corrupted
    return Cost(name, (work.pixels.shape[-2], work.pixels.shape[-1]), passes, seconds)


def summary(costs: Sequence[Cost]) -> str:
    """The whole budget in a line."""
    passes, seconds = sum(sum(cost.passes.values()) for cost in costs), sum(cost.seconds for cost in costs)
    if not any(cost.passes for cost in costs):
        return "nothing is left to measure: all runs of the poster are done"
    pace = "at the pace of the first few; a step of an attack counts as three"
    return f"{passes:,} forward passes, about {duration(seconds)} ({pace})"


def first_pixels(data: ImageData, model: Model) -> Tensor:
    """The first images that can be read, at the model's input size: (N, C, H, W), N at most 2."""
    found: list[Tensor] = []
    for index in range(len(data)):
        try:
            found.append(data.pixels(index, model.geometry))
        except BadImageError:
            continue
        if len(found) == _TIMED:
            break
    alike = [one for one in found if one.shape == found[0].shape]
    if not alike:
        raise InputError(f"none of the images of {data.name} can be read")
    return torch.stack(alike)


def _seconds(item: Item, pixels: Tensor) -> float:
    """An image, of a perturbation without a model; nothing where it fails, which is told when it is measured."""
    ids = [str(i) for i in range(len(pixels))]
    try:
        item.perturbation(pixels[:1], None, ids[:1], 0)  # what is loaded or prepared once
        start = time.perf_counter()
        item.perturbation(pixels, None, ids, 0)
    except Exception:
        return 0.0
    return (time.perf_counter() - start) / len(pixels)
