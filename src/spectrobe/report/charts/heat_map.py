"""Error rates over the plane of spatial frequencies, as data and as the rectangles that the SVG template draws."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np

from spectrobe.report.blocks import Table
from spectrobe.report.charts.layout import LINE, SMALL, Label

_STEPS = 5  # swatches of the scale


@dataclass(frozen=True)
class Wave:
    """A wave as drawn: its rectangle, its middle, how dark it is (0 to 1) and what hovering shows."""

    x: float
    y: float
    width: float
    height: float
    shade: float
    says: str

    @property
    def middle(self) -> tuple[float, float]:
        """Where hovering finds it."""
        return round(self.x + self.width / 2, 1), round(self.y + self.height / 2, 1)


@dataclass(frozen=True, eq=False)
class HeatMap:
    """One map. values: (rows of k_y, columns of k_x) from the lowest to the highest, NaN where nothing was measured.

    says: what hovering shows, of the same shape.   step: cycles/image between neighbours.   size: of the images, height
    and width in pixels.   most: the value that is darkest.
    """

    identity: str
    title: str
    description: str
    values: np.ndarray
    says: np.ndarray
    step: int
    size: tuple[int, int]
    most: float

    left: ClassVar[float] = 46.0
    top: ClassVar[float] = 2.5 * LINE
    width: ClassVar[float] = float(SMALL)

    @property
    def side(self) -> float:
        """Of the square that is drawn, in pixels: from -1/2 to 1/2 cycles/pixel, and half a step more at both ends."""
        return self.width - self.left - 16

    @property
    def height(self) -> float:
        """Of the whole."""
        return self.top + self.side + 2.6 * LINE

    def cells(self) -> list[Wave]:
        """Every frequency that was measured."""
        rows, columns = self.values.shape
        width, height = self.side / columns, self.side / rows
        return [
            Wave(
                round(self.left + column * width, 1), round(self.top + row * height, 1), round(width, 1),
                round(height, 1), round(float(self.values[row, column]) / self.most, 3) if self.most else 0.0,
                str(self.says[row, column]),
            )
            for row, column in product(range(rows), range(columns)) if np.isfinite(self.values[row, column])
        ]  # fmt: skip

    def labels(self) -> list[Label]:
        """Ticks at -1/2, 0 and 1/2 cycles/pixel, cycles/image above, and the names of the axes."""
        rows, columns = self.values.shape
        found = [
            Label(self._middle, round(self.height - 4, 1), "horizontal frequency (cycles/pixel)"),
            Label(self._middle, 12, "cycles/image"),
        ]
        for at in (-0.5, 0.0, 0.5):
            text = f"{at:g}".replace("-", "−")
            x = self._place(at * self.size[1], columns, self.left)
            found.append(Label(x, round(self.top + self.side + 1.1 * LINE, 1), text))
            found.append(Label(x, round(self.top - 6, 1), f"{at * self.size[1]:g}".replace("-", "−")))
            y = self._place(at * self.size[0], rows, self.top)
            found.append(Label(self.left - 6, round(y + 4, 1), text, "end"))
        return found

    @property
    def frame(self) -> tuple[float, float, float]:
        """Left, top and side of the square."""
        return self.left, self.top, round(self.side, 1)

    @property
    def upright(self) -> Label:
        """The name of the vertical axis."""
        return Label(11, round(self.top + self.side / 2, 1), "vertical frequency (cycles/pixel)")

    @property
    def _middle(self) -> float:
        return round(self.left + self.side / 2, 1)

    def _place(self, cycles: float, cells: int, start: float) -> float:
        """Where so many cycles/image lie on an axis of so many cells, zero in the middle."""
        return round(start + self.side * (0.5 + cycles / self.step / cells), 1)


@dataclass(frozen=True)
class HeatMaps:
    """Maps of several models on one scale, with one table."""

    block: ClassVar[str] = "heat_maps"

    title: str
    maps: tuple[HeatMap, ...]
    scale: str
    intervals: str
    table: Table

    @property
    def steps(self) -> list[tuple[float, str]]:
        """Swatches of the scale: how dark, and the value."""
        most = self.maps[0].most
        if not most:
            return [(0.0, "0.00")]
        return [(k / (_STEPS - 1), f"{k / (_STEPS - 1) * most:.2f}") for k in range(_STEPS)]
