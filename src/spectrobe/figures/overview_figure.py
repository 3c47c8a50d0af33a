"""One model at a glance: its profile under each value, the data's power, and one photograph, band under band."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from spectrobe.errors import InputError
from spectrobe.figures.band_strip_figure import Window, band_strip
from spectrobe.figures.profile_figure import draw_power, draw_profile, interval_entries, question, score_text
from spectrobe.figures.style import MUTED, PAGE_WIDTH, looks, styled

if TYPE_CHECKING:
    from spectrobe.studies.decomposition import DecomposeResult

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
LEFT, RIGHT, EDGE = 0.66, 0.1, 0.1  # inches: beside the columns of bands, and left of texts
PHOTO = 1.12  # inches: longer side of the intact photograph


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
    power = next((row for row in rows if row.power_db is not None), None)
    answer_lines = textwrap.wrap(answer, 88)
    slot = (PAGE_WIDTH - LEFT - RIGHT) / rows[0].bands.n_bands
    with styled():
        sheet = _Sheet(1.36 + 0.15 * len(answer_lines) + 1.87 * len(rows) + 0.6 * (power is not None) + slot + 0.72)
        photo = sheet.header(rows, answer_lines)
        for k, row in enumerate(rows):
            sheet.heading(row)
            draw_profile(sheet.panel(before=0.36 if k == 0 else 0.06, height=1.3), [row], above=k == 0)
        if power is not None:
            draw_power(sheet.panel(before=0.12, height=0.48), power)
        sheet.strip(rows[0], image, photo, slot, window)
        return sheet.figure


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

    def header(self, rows: Sequence[DecomposeResult], answer_lines: Sequence[str]) -> Axes:
        """Question, answer, how to read it; returns the axes for the photograph on the right."""
        first = rows[0]
        self.text(EDGE, 0.1, question(rows), size=11.5, weight="bold")
        self.text(EDGE, 0.37, "\n".join(answer_lines), size=7.5, linespacing=1.4)
        top = 0.37 + 0.15 * len(answer_lines)
        self.text(
            EDGE,
            top,
            f"{first.n_images} images ({first.data_name}), {first.bands.n_bands} frequency bands from coarse to fine, "
            "one a column\n"
            "Shapley value: mean gain from adding the band, over all orders of adding bands\n"
            f"absent bands are {ABSENCES.get(first.absence, first.absence)}; {first.design} design",
            size=7.5,
            color=MUTED,
            linespacing=1.4,
        )
        color = looks([first.model_name])[first.model_name].color
        self.figure.legend(
            handles=interval_entries(first.confidence, color),
            loc="upper left",
            bbox_to_anchor=(0.04 / PAGE_WIDTH, 1 - (top + 0.48) / self.height),
            borderaxespad=0,
            handlelength=1.6,
        )
        self.y = top + 0.99
        return self.axes(PAGE_WIDTH - RIGHT - PHOTO, 0.12, PHOTO, PHOTO)

    def heading(self, row: DecomposeResult) -> None:
        """What the next panel shows, and its totals."""
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

    def strip(
        self, row: DecomposeResult, image: Tensor, photo: Axes, slot: float, window: Window | None
    ) -> None:
        """The band images under their columns, and what they are."""
        top, gap = self.y + 0.25, 0.02
        panels = [
            self.axes(LEFT + i * slot + gap, top + gap, slot - 2 * gap, slot - 2 * gap) for i in range(row.bands.n_bands)
        ]
        band_strip(image, row.bands, axes=[photo, *panels], window=window)
        photo.set_title("", loc="center")
        photo.set_anchor("NE")
        self.text(EDGE, top - 0.09, "cycles/\npixel", size=6.5, va="center")
        self.text(
            EDGE,
            top + slot + 0.18,
            "Bottom row: what each band holds of the framed part of the photo, around mid-grey where the band does not "
            "hold the mean.\nScore: 1 = all in the lowest band, 0 = the same from every band, negative = more from "
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
