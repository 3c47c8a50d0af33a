"""Figures by name for a paper: one of two widths, a vector file, the same bytes for the same results."""

from __future__ import annotations

import inspect
import io
import os
import textwrap
from collections.abc import Sequence
from importlib import import_module
from pathlib import PurePosixPath
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spectrobe.errors import InputError
from spectrobe.figures.style import COLUMN_WIDTH, PNG_DPI, styled
from spectrobe.remote import write_whole
from spectrobe.studies.kinds import kind_of

KINDS = {
    "fourier_heat_map": "response",
    "label_noise": "label_noise",
    "label_noise_shares": "label_noise",
    "prediction": "response",
    "profile": "decompose",
    "response": "response",
    "response_spectra": "response",
    "robustness": "robustness",
    "score_robustness": "relate",
    "scores": "decompose",
    "snr_bias": "snr",
    "snr_training": "feature_snr",
    "track": "track",
}
"""Figure -> the study whose results it draws. A new figure is one row."""
WIDTHS = ("double", "single")
FORMATS: dict[str, dict[str, str | None]] = {
    "pdf": {"CreationDate": None, "ModDate": None, "Creator": "spectrobe", "Producer": None},
    "svg": {"Date": None, "Creator": "spectrobe"},
    "png": {"Software": None},
}
"""Formats by the file's ending, with the metadata that keeps dates out."""
_SINGLE_HEIGHT, _LINE_HEIGHT = 2.3, 0.15  # inches
_LETTERS = 52  # of a line of a legend in one column


def publication(name: str, results: Any, width: str = "double") -> Figure:
    """The figure called `name` of one result or several, as wide as one column ("single") or both ("double").

    A single column holds the main panel alone. Raises InputError for an unknown name or width, results of another kind,
    or what the figure itself refuses.
    """
    check_choices(name, width)
    several = list(results) if isinstance(results, Sequence) else [results]
    for one in several:
        if kind_of(one) != KINDS[name]:
            raise InputError(f"expected results of {KINDS[name]} for the figure {name}, got one of {kind_of(one)}")
    function: Any = getattr(import_module("spectrobe.figures"), name)
    given = several[0] if len(several) == 1 else several
    if width == "double":
        figure: Figure = function(given)
        return figure
    if "ax" not in inspect.signature(function).parameters:
        raise InputError(f"the figure {name} has no single panel: give --width double")
    with styled():
        figure = Figure(figsize=(COLUMN_WIDTH, _SINGLE_HEIGHT), layout="constrained")
        ax = figure.subplots()
    function(given, ax=ax)
    _legend_below(figure, ax)
    return figure


def _legend_below(figure: Figure, ax: Axes) -> None:
    """The axes' legend under them, across the column, its names broken into lines; the figure grows by its height."""
    legend = ax.get_legend()
    if legend is None:
        return
    names = [textwrap.fill(text.get_text(), _LETTERS) for text in legend.get_texts()]
    handles = [handle for handle in legend.legend_handles if handle is not None]
    title = legend.get_title().get_text() or None  # such as the unit of the names
    legend.remove()
    with styled():
        figure.legend(handles, names, loc="outside lower left", borderaxespad=0.2, title=title, alignment="left")
    figure.set_figheight(_SINGLE_HEIGHT + _LINE_HEIGHT * sum(1 + name.count("\n") for name in names))


def check_choices(name: str, width: str) -> None:
    """Raise InputError unless the figure and the width are known."""
    if name not in KINDS:
        raise InputError(f"expected a figure out of {', '.join(KINDS)}, got {name!r}")
    if width not in WIDTHS:
        raise InputError(f"expected the width {' or '.join(WIDTHS)}, got {width!r}")


def format_of(path: str | os.PathLike[str]) -> str:
    """The format that a file's ending says; InputError for others."""
    ending = PurePosixPath(os.fspath(path)).suffix.lower().removeprefix(".")
    if ending not in FORMATS:
        raise InputError(f"expected a file ending in .{', .'.join(FORMATS)}, got {os.fspath(path)!r}")
    return ending


def write(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write the figure in the format of the file's ending; InputError where it cannot be written."""
    kind = format_of(path)
    buffer = io.BytesIO()
    with styled():
        figure.savefig(buffer, format=kind, dpi=PNG_DPI, metadata=FORMATS[kind])
    write_whole(os.fspath(path), buffer.getvalue())
