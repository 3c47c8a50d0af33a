"""What a model answers to one photograph: intact, through each band, coarse to fine, fine to coarse, perturbed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from markupsafe import Markup
from torch import Tensor

from spectrobe.bands import BandPartition
from spectrobe.data.base import ImageData
from spectrobe.figures.band_strip_figure import Window, largest_gain, most_detail
from spectrobe.models.base import Model
from spectrobe.perturbations import Perturbation
from spectrobe.report.photographs.encode import LOSSLESS, data_uri
from spectrobe.report.photographs.names import class_words
from spectrobe.spectrum import band_images, coalition_images


@dataclass(frozen=True)
class Tile:
    """One picture and the answer to it.

    answer: top class; empty without a model.   share: its probability.   right: whether it is the label, None without.
    note: what to know about the picture.
    """

    picture: Markup
    answer: str = ""
    share: str = ""
    right: bool | None = None
    note: str = ""

    @property
    def told(self) -> str:
        """The answer in words, for those who cannot see the picture."""
        verdict = {True: ", right", False: ", wrong", None: ""}[self.right]
        return f"{self.answer} {self.share}{verdict}" if self.answer else "no answer"


@dataclass(frozen=True)
class Strip:
    """One photograph. columns: a place a band.   rows: (what stays, a tile a band).   perturbed: (name, tile)."""

    name: str
    label: str
    intact: Tile
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, tuple[Tile, ...]], ...] = ()
    perturbed: tuple[tuple[str, Tile], ...] = ()
    side: int = 0


class Answers:
    """A model's answers to pictures of one photograph; without a model there are none."""

    def __init__(self, model: Model | None, data: ImageData, label: int | None) -> None:
        self.model, self.label = model, label
        self.names = (model.class_names if model else None) or data.class_names

    def __call__(self, pixels: Tensor) -> list[tuple[str, str, bool | None]]:
        """(K, C, H, W) -> top class, its probability, whether it is right, for each."""
        if self.model is None:
            return [("", "", None)] * len(pixels)
        with torch.no_grad(), self.model.prepared(self.model.device) as forward:
            shares = forward(pixels.float().to(self.model.device)).float().softmax(1).cpu()
        top = shares.max(1)
        return [
            (
                self.name(int(index)),
                f"{100 * float(share):.0f}%",
                None if self.label is None else int(index) == self.label,
            )
            for share, index in zip(top.values, top.indices, strict=True)
        ]

    def name(self, index: int) -> str:
        """A class in words."""
        return class_words(self.names, index)


def detail(x: Tensor, bands: BandPartition) -> Window | None:
    """The part of a large photograph that is enlarged to show single bands; None where all of it can be shown."""
    if max(x.shape[1:]) <= LOSSLESS:
        return None
    return most_detail(x, band_images(x[None], bands)[0])


def band_rows(
    x: Tensor, bands: BandPartition, absence: Tensor, answers: Answers, window: Window | None
) -> tuple[tuple[str, tuple[Tile, ...]], ...]:
    """Each band alone, all bands up to it, all bands from it up: x (C, H, W), the absence image alike.

    window: the part of which single bands are shown, None for all of it; the model is always given the whole.
    """
    m = bands.n_bands
    order = torch.arange(m)
    sets = (order[:, None] == order, order[:, None] >= order, order[:, None] <= order)
    seen = coalition_images(x[None], bands, torch.cat(sets), absence=absence)[0]
    parts = band_images(x[None], bands)[0]
    if window is not None:
        top, left, height, width = window
        parts = parts[:, :, top : top + height, left : left + width]
    shown = [*map(_amplified, parts, range(m)), *((picture, "") for picture in seen[m:])]
    tiles = [Tile(data_uri(picture), *told, note) for (picture, note), told in zip(shown, answers(seen), strict=True)]
    part = " (the framed part)" if window is not None else ""
    names = (f"this band alone{part}", "this band and all coarser ones", "this band and all finer ones")
    return tuple((name, tuple(tiles[k * m : (k + 1) * m])) for k, name in enumerate(names))


def perturbed_tiles(
    x: Tensor, perturbations: Sequence[tuple[str, Perturbation]], name: str, seed: int, answers: Answers
) -> tuple[tuple[str, Tile], ...]:
    """The photograph under each perturbation, drawn as the runs drew it: by (seed, image id)."""
    labels = None if answers.label is None else torch.tensor([answers.label])
    tiles = []
    for item, perturb in perturbations:
        y = perturb(x[None], labels, [name], seed)
        tiles.append((item, Tile(data_uri(y[0]), *answers(y)[0])))
    return tuple(tiles)


def _amplified(part: Tensor, band: int) -> tuple[Tensor, str]:
    """The band's image as it can be seen: around mid-grey with its contrast raised, unless it holds the mean."""
    if band == 0:
        return part, ""
    gain = largest_gain(part.double().numpy())
    return 0.5 + gain * part, f"contrast × {gain}" if gain > 1 else ""
