"""One model at a glance: its profile under each value, the data's power, and one photograph, band under band."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from spectrobe.errors import InputError
from spectrobe.figures.band_strip_figure import Window, band_strip, check_image
from spectrobe.figures.profile_figure import (
    draw_power,
    draw_profile,
    headline_size,
    interval_entries,
    question,
    score_text,
)
from spectrobe.figures.style import MUTED, PAGE_WIDTH, looks, styled

if TYPE_CHECKING:
    from spectrobe.studies.decompose.result import DecomposeResult

MEANINGS = {
    "usable-information": (
        "Usable information",
        "what a band adds to what a calibrated reading of the model tells about the label",
    ),
    "log-likelihood": (
        "Log-likelihood",
        "the paper's value: what a band adds to the log-probability of the label, so that overconfidence counts",
    ),
    "accuracy": ("Accuracy", "what a band adds to the share of images that are classified correctly"),
    "margin": ("Margin", "what a band adds to the lead of the label's logit over the next"),
    "agreement": ("Agreement", "what a band adds to agreeing with the model's own answer on the intact image"),
}
ABSENCES = {
    "zero": "zeros",
    "mean": "those of the mean image",
    "noise": "noise with the data's spectrum",
    "donor": "those of another image",
}
LEFT, RIGHT, EDGE = 0.66, 0.15, 0.1  # inches: beside the columns of bands, and left of texts
HEADLINE = 0.42  # inches: height of the question
PHOTO = 1.3  # inches: longer side of the intact photograph


def overview(
    results: DecomposeResult | Sequence[DecomposeResult], image: Tensor, answer: str = "", window: Window | None = None
) -> Figure:
    """The profiles of one model, a panel for each value, over what each band holds of one photograph.

    Every column is a frequency band: the Shapley values on top, the data's own power below them where a result
    holds it, and the photograph's band images at the bottom, as in `band_strip`.

    results: of one model, one band partition and one confidence, such as usable-information and log-likelihood.
    image: (C, H, W) in [0, 1], C = 1 or 3.    answer: a sentence to print below the question.
    window: (top, left, height, width) of the photograph to show; by default as in `band_strip`.
    Raises InputError when the results do not belong together, or what `band_strip` raises.
    """
    rows = list(results) if isinstance(results, Sequence) else [results]
    _check(rows)
    check_image(image)
    power = next((row for row in rows if row.power_db is not None), None)
    answer_lines = textwrap.wrap(answer, 96)
    aspect = image.shape[-2] / image.shape[-1]
    photo_size = (PHOTO / max(aspect, 1), PHOTO * min(aspect, 1))  # width, height
    header = HEADLINE + max(photo_size[1], 0.82 + 0.15 * len(answer_lines) + 0.06 * bool(answer_lines)) + 0.04
    with styled():
        sheet = _Sheet(header + 0.3 + 1.8 * len(rows) + 0.6 * (power is not None) + _slot(rows[0]) + 0.8)
        photo = sheet.axes(PAGE_WIDTH - RIGHT - photo_size[0], HEADLINE, *photo_size)
        sheet.header(rows, answer_lines)
        sheet.y = header
        for k, row in enumerate(rows):
            sheet.heading(row)
            panel = sheet.panel(before=0.36 if k == 0 else 0.06, height=1.3)
            draw_profile(panel, [row], above=k == 0)
            panel.yaxis.set_label_coords(-0.075, 0.5)
        if power is not None:
            panel = sheet.panel(before=0.12, height=0.48)
            draw_power(panel, power)
            panel.yaxis.set_label_coords(-0.075, 0.5)
        sheet.strip(rows[0], image, photo, window)
        return sheet.figure


def _slot(row: DecomposeResult) -> float:
    """Width of a band's column in inches."""
    return (PAGE_WIDTH - LEFT - RIGHT) / row.bands.n_bands


class _Sheet:
    """A page filled from the top downwards, in inches, so that all columns line up."""

    def __init__(self, height: float) -> None:
        self.figure, self.height, self.y = Figure(figsize=(PAGE_WIDTH, height)), height, 0.0

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes `top` inches below the top of the page."""
        box = (left / PAGE_WIDTH, 1 - (top + height) / self.height, width / PAGE_WIDTH, height / self.height)
        return self.figure.add_axes(box)

    def panel(self, before: float, height: float) -> Axes:
        """The next panel across all columns."""
        ax = self.axes(LEFT, self.y + before, PAGE_WIDTH - LEFT - RIGHT, height)
        self.y += before + height
        return ax

    def text(self, left: float, top: float, text: str, **style: Any) -> None:
        self.figure.text(left / PAGE_WIDTH, 1 - top / self.height, text, **{"va": "top", **style})

    def header(self, rows: Sequence[DecomposeResult], answer_lines: Sequence[str]) -> None:
        """Question, answer, how to read it."""
        first = rows[0]
        self.text(EDGE, 0.1, question(rows), size=headline_size(rows, 11.5), weight="bold")
        top = HEADLINE
        if answer_lines:
            self.text(EDGE, top, "\n".join(answer_lines), size=7.5, linespacing=1.4)
            top += 0.15 * len(answer_lines) + 0.06
        reading = [
            f"{first.n_images} images ({first.data_name}); {first.bands.n_bands} frequency bands, from coarse to fine",
            "Shapley value: mean gain from adding the band, over all orders of adding bands",
            f"absent bands are {ABSENCES.get(first.absence, first.absence)}; {first.design} design",
        ]
        self.text(EDGE, top, "\n".join(reading), size=7.5, color=MUTED, linespacing=1.4)
        top += 0.15 * len(reading) + 0.05
        self.figure.legend(
            handles=interval_entries(first.confidence, looks([first.model_name])[first.model_name].color),
            loc="upper left",
            bbox_to_anchor=((EDGE + 0.02) / PAGE_WIDTH, 1 - top / self.height),
            borderaxespad=0,
            borderpad=0,
            handlelength=1.6,
        )

    def heading(self, row: DecomposeResult) -> None:
        """What the next panel shows, and its totals."""
        self.y += 0.08
        name, meaning = MEANINGS.get(row.value, (row.value, ""))
        total = row.information
        self.text(LEFT, self.y + 0.16, name, size=8.5, weight="bold", va="baseline")
        self.text(
            PAGE_WIDTH - RIGHT,
            self.y + 0.16,
            f"all bands {total.value:.2f} [{total.low:.2f}, {total.high:.2f}] {row.unit}   {score_text(row)}",
            size=7,
            ha="right",
            va="baseline",
        )
        self.text(LEFT, self.y + 0.22, meaning, size=7, color=MUTED)
        self.y += 0.36

    def strip(self, row: DecomposeResult, image: Tensor, photo: Axes, window: Window | None) -> None:
        """The band images under their columns, and what they are."""
        slot, gap = _slot(row), 0.02
        top = self.y + 0.3
        panels = [
            self.axes(LEFT + i * slot + gap, top + gap, slot - 2 * gap, slot - 2 * gap)
            for i in range(row.bands.n_bands)
        ]
        band_strip(image, row.bands, axes=[photo, *panels], window=window)
        photo.set_title("", loc="center")
        piece = "the framed part of the photo" if photo.patches else "the photo"
        self.text(EDGE, top + gap - 0.04, "cycles/pixel", size=6.5, va="baseline")
        self.text(
            EDGE,
            top + slot + 0.18,
            f"Bottom row: what each band holds of {piece}, around mid-grey where the band does not hold the mean.\n"
            "Score: 1 = all in the lowest band, 0 = the same from every band, negative = more from "
            "high bands.",
            size=6.5,
            color=MUTED,
            linespacing=1.4,
        )


def _check(rows: Sequence[DecomposeResult]) -> None:
    if not rows:
        raise InputError("expected at least one result to draw, got none")
    for what in ("model_name", "bands", "confidence"):
        kinds = list(dict.fromkeys(str(getattr(row, what)) for row in rows))
        if len(kinds) > 1:
            raise InputError(f"expected results with the same {what} in one overview, got {' and '.join(kinds)}")
