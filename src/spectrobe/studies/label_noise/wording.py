"""A label-noise study in words."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from spectrobe.studies.words import percent

if TYPE_CHECKING:
    from spectrobe.studies.label_noise.result import Departure, LabelNoiseResult

RULE = (
    "A band leaves the clean curve at the first epoch from which to the last the interval of its difference, taken "
    "seed by seed, excludes zero on one side."
)


def sentence(result: LabelNoiseResult) -> str:
    """Which bands leave the clean curve, from which epoch on, and to which bands the profile moves, at each rate."""
    start = "Demo, no evidence: " if result.demo else ""
    if len(result.rates) == 1:
        return f"{start}No rate but 0: there is nothing to compare the clean curve with."
    if result.settings.seeds == 1:
        return f"{start}One training at each rate: what noise does cannot be told from the luck of a training."
    return (
        f"{start}Bands that leave the clean curve (with the difference at the last epoch, {result.unit}): "
        f"{_told(result, result.departures)}. Bands whose share of the profile does: {_told(result, result.moves)}."
    )


def intervals(result: LabelNoiseResult) -> str:
    """What the intervals hold."""
    level = percent(result.settings.confidence)
    return f"All intervals are simultaneous {level} intervals over {over(result)}, each rate by itself."


def drawn(result: LabelNoiseResult) -> str:
    """What intervals take as random."""
    return "seeds and images" if result.settings.seeds > 1 else "images"


def over(result: LabelNoiseResult) -> str:
    """What is random, and what is held at once."""
    return f"{drawn(result)}, for all epochs and bands at once"


def _told(result: LabelNoiseResult, found: Sequence[Departure]) -> str:
    """With 40% of labels wrong from epoch 6 on band 2 (-0.20); ..."""
    told = []
    for rate, ones in groupby(found, key=lambda one: one.rate):
        parts = []
        for epoch, some in groupby(sorted(ones, key=lambda one: one.epoch), key=lambda one: one.epoch):
            bands = [f"{one.band} ({one.difference:+.2f})" for one in some]
            parts.append(f"from epoch {epoch} on band{'s' * (len(bands) > 1)} {', '.join(bands)}")
        told.append(f"with {percent(rate)} of labels wrong {', '.join(parts)}")
    silent = [percent(rate) for rate in result.rates[1:] if rate not in {one.rate for one in found}]
    if silent:
        told.append(f"with {', '.join(silent)} of labels wrong none, as far as these trainings can tell")
    return "; ".join(told)


def summary(result: LabelNoiseResult) -> str:
    """The settings, a line a rate, shares of the profile by rate, the sentence."""
    settings = result.settings
    height, width = result.image_size
    lines = [
        f"{result.model_name} on {result.n_train:,} images of {result.data_name} ({height} x {width}), "
        f"{settings.recipe.epochs} epochs, {settings.seeds} seeds, {settings.kind} label noise; profiles on "
        f"{_images(result)} of {result.held_out_name}, {settings.value} ({result.unit}), "
        f"absence {settings.absence}, {result.design} design"
    ]
    for r, rate in enumerate(result.rates):
        share = np.mean([one["share"] for one in result.noise[r]])
        score, accuracy = result.score[r, :, -1], result.accuracy[r, :, -1].mean()
        lines.append(
            f"rate {rate:g} (labels wrong: {share:.3f}): accuracy on these images {accuracy:.3f}, "
            f"information {result.information[r, :, -1].mean():.3f}, score "
            f"{'not defined' if np.isnan(score).any() else f'{score.mean():.3f}'}"
            + ("" if rate == 0 else f", wrong labels fitted {result.fitted[r, :, -1].mean():.3f}")
        )
    return "\n".join([*lines, *_shares(result), sentence(result), RULE, intervals(result)])


def _images(result: LabelNoiseResult) -> str:
    """The images that profiles are read on, and of how many."""
    few = result.n_images < result.n_held_out
    return f"{result.n_images:,} {f'of {result.n_held_out:,} ' if few else ''}clean held-out images"


def _shares(result: LabelNoiseResult) -> list[str]:
    """What part of the profile each band is at the last epoch, a line a rate."""
    several = result.settings.seeds > 1
    last = result.bands.n_bands - 1
    lines = [
        f"shares of the profile at the last epoch, bands 0 to {last}"
        f"{' (mean over seeds, lowest to highest seed)' if several else ''}:"
    ]
    for rate, shares in zip(result.rates, result.shares[:, :, -1], strict=True):  # (S, M)
        ends = zip(shares.mean(axis=0), shares.min(axis=0), shares.max(axis=0), strict=True)
        told = [f"{mean:.2f}" + (f" ({low:.2f} to {high:.2f})" if several else "") for mean, low, high in ends]
        lines.append(f"rate {rate:g}: {'not defined' if np.isnan(shares).any() else ', '.join(told)}")
    return lines
