"""One style for all figures: sizes, fonts, colours, and how a figure is written to disk."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from spectrobe.engine.store import write_whole
from spectrobe.errors import InputError
from spectrobe.remote import filesystem_of
from spectrobe.texts import printable

COLUMN_WIDTH = 3.25  # inches: one column of a two-column page
PAGE_WIDTH = 6.75  # inches: both columns
PNG_DPI = 200

# Okabe and Ito, "Color universal design", 2008: told apart with every common colour vision. Their yellow is too pale
# for thin lines on white, and black is the colour of text; both are left out. Sky blue and orange, the palest of the
# rest, are taken only when a figure needs more than four colours.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
FIRST_CHOICE = 4
MARKERS = ("o", "s", "D", "^", "v", "P")
INK = "#222222"
MUTED = "#666666"
FAINT = "#DDDDDD"
LABEL_SIZE, TICK_SIZE = 7.5, 7  # points
THIN, TICK_LENGTH = 0.6, 2.5  # points

_RC: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # ships with matplotlib: the same everywhere
    "font.size": LABEL_SIZE,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": LABEL_SIZE,
    "xtick.labelsize": TICK_SIZE,
    "ytick.labelsize": TICK_SIZE,
    "legend.fontsize": TICK_SIZE,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.linewidth": THIN,
    "xtick.major.width": THIN,
    "ytick.major.width": THIN,
    "xtick.major.size": TICK_LENGTH,
    "ytick.major.size": TICK_LENGTH,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    # glyphs as outlines in SVG and as TrueType in PDF: sharp at any size, no font needed where the file is shown
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.hashsalt": "spectrobe",
    "text.parse_math": False,  # names of models and folders may hold dollar signs
}
_NO_GLYPH = r"Glyph \d+ .*missing from font"  # names in any script: a box in the figure is no reason for a warning


@contextmanager
def styled() -> Iterator[None]:
    """Within this context matplotlib draws in spectrobe's style; afterwards its settings are the caller's again."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_RC)
        warnings.filterwarnings("ignore", _NO_GLYPH, UserWarning)
        yield


def restyle(ax: Axes) -> None:
    """Give axes that were made outside `styled` its sizes and colours; call it inside."""
    ax.tick_params(axis="both", labelsize=TICK_SIZE, color=MUTED, labelcolor=INK, width=THIN, length=TICK_LENGTH)
    for spine in ax.spines.values():
        spine.set(edgecolor=MUTED, linewidth=THIN)
    ax.spines[["top", "right"]].set_visible(False)
    for label in (ax.xaxis.label, ax.yaxis.label):
        label.set(size=LABEL_SIZE, color=INK)


def figure_of(ax: Axes) -> Figure:
    """The figure that axes belong to. Raises InputError when they were removed from it."""
    figure = ax.get_figure(root=True)
    if figure is None:
        raise InputError("expected axes that belong to a figure, got axes that were removed from theirs")
    return figure


def name_intervals(ax: Axes, confidence: float, n_images: int) -> None:
    """Add to the axes' legend what its bars are; call it last, inside `styled`."""
    ax.plot([], [], color=MUTED, linewidth=1.2, label=f"bars: {100 * confidence:g} % interval over {n_images} images")
    before = ax.get_legend()
    ax.legend(loc="best", title=None if before is None else before.get_title().get_text())


def shortened(text: str, most: int) -> str:
    """The text, its middle left out where it is longer than `most` letters."""
    half = most // 2 - 1
    return text if len(text) <= most else f"{text[:half]}…{text[-half:]}"


def width_inches(ax: Axes) -> float:
    """Width of axes as placed now; a layout that runs later may still change it a little."""
    return float(ax.get_position().width * figure_of(ax).get_figwidth())


@dataclass(frozen=True)
class Look:
    """How one model is drawn."""

    color: str
    marker: str


def nth_look(k: int) -> Look:
    """Colour and marker of the k-th of several things that are no models: rates, groups, kinds, families."""
    return Look(PALETTE[k % len(PALETTE)], MARKERS[k % len(MARKERS)])


def looks(names: Iterable[str]) -> dict[str, Look]:
    """A colour and a marker for each model name, always the same for a name, whatever the order or the figure.

    Only where two names of one figure claim the same colour, the alphabetically later one takes the next free colour;
    beyond six names colours repeat with another marker.
    """
    found: dict[str, Look] = {}
    for name in sorted(set(names)):
        first = hashlib.blake2b(name.encode(), digest_size=8).digest()[0] % FIRST_CHOICE
        taken = [look.color for look in found.values()]
        turns = (*PALETTE[first:FIRST_CHOICE], *PALETTE[:first], *PALETTE[FIRST_CHOICE:])
        color = min(turns, key=taken.count)
        found[name] = Look(color, MARKERS[min(taken.count(color), len(MARKERS) - 1)])
    return found


def save_figure(figure: Figure, folder: str | PathLike[str], name: str) -> tuple[str, str]:
    """Write FOLDER/NAME.svg and FOLDER/NAME.png (200 dpi), byte for byte the same for the same figure: no dates.

    `folder` may be any path that fsspec knows (`s3://...`) and is made if it is missing. Returns both paths. A file is
    written whole or not at all; OSError when it cannot be.
    """
    filesystem, root = filesystem_of(str(folder))
    for text in figure.findobj(Text):
        if isinstance(text, Text):  # a control character in a name would make the SVG unreadable
            text.set_text(printable(text.get_text()))
    metadata: dict[str, dict[str, str | None]] = {
        "svg": {"Date": None, "Creator": "spectrobe"},
        "png": {"Software": None},
    }
    for kind in metadata:
        buffer = io.BytesIO()
        with styled():
            figure.savefig(buffer, format=kind, dpi=PNG_DPI, metadata=metadata[kind])
        write_whole(filesystem, f"{root}/{name}.{kind}", buffer.getvalue())
    return f"{folder}/{name}.svg", f"{folder}/{name}.png"
