"""The axis of a panel over octaves: cycles/pixel below, cycles/image above."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from spectrobe.figures.style import FAINT

if TYPE_CHECKING:
    from spectrobe.studies.response.result import ResponseResult

CROWDED = 5  # octaves that have room for a label each


def finish_octaves(
    ax: Axes, result: ResponseResult, title: str, label: str = "spatial frequency (cycles/pixel)"
) -> None:
    """The frequencies of a panel whose x is log2 cycles/pixel, its grid and its title."""
    lowest, side = np.log2(result.frequency[0]), min(result.image_size)
    octaves = 2.0 ** np.arange(np.ceil(lowest - 0.3), 0)
    if len(octaves) > CROWDED:
        octaves = octaves[::-1][::2][::-1]  # Nyquist stays
    ax.set_xlim(lowest - 0.35, -0.65)
    ax.set_xticks(np.log2(octaves), [f"{octave:.3g}" for octave in octaves])
    ax.set_xlabel(label)
    above = ax.secondary_xaxis("top")
    above.set_xticks(np.log2(octaves), [f"{octave * side:.3g}" for octave in octaves])
    above.tick_params(length=2.5, pad=1)
    above.set_xlabel(f"cycles/image ({side} pixels)", labelpad=2)
    ax.grid(axis="y", color=FAINT, linewidth=0.5)
    ax.set_title(title, size=8, weight="normal", pad=6)
