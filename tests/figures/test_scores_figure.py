"""The figure of scores holds the numbers, a row a model."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure

from spectrobe.bands import BandPartition
from spectrobe.errors import InputError
from spectrobe.figures import scores
from tests.figures.lookalike import fake_result

FINE = SimpleNamespace(value=-0.2, stderr=0.05, low=-0.3, high=-0.1)
NONE = SimpleNamespace(value=np.nan, stderr=np.nan, low=np.nan, high=np.nan, reason="too few")


def test_points_and_intervals_are_the_scores() -> None:
    figure = scores([fake_result(), fake_result(model_name="fine", score=FINE)])
    [ax] = figure.axes
    points = [line for line in ax.lines if line.get_marker() != "None"]
    assert [(float(p.get_xdata()[0]), float(p.get_ydata()[0])) for p in points] == [(0.31, 0), (-0.2, 1)]
    ends = [bars.get_segments()[0][:, 0].tolist() for bars in ax.collections]
    assert ends == [[0.21, 0.41], [-0.3, -0.1]]
    low, high = ax.get_xlim()
    assert low < -0.3 and high > 1  # the whole axis on which scores can lie


def test_a_score_that_is_not_defined_has_a_row_and_no_point() -> None:
    [ax] = scores([fake_result(), fake_result(model_name="empty", score=NONE)]).axes
    assert len(ax.collections) == 1
    assert [text.get_text().partition(":")[0] for text in ax.texts] == ["EfficientNet-Lite0", "empty"]


def test_in_axes_of_ones_own() -> None:
    own = Figure().add_subplot()
    assert scores(fake_result(), own) is own.get_figure()
    assert "0, all bands alike" in own.get_xlabel()


def test_scores_of_other_bands_do_not_share_a_figure() -> None:
    with pytest.raises(InputError, match="expected results with the same bands in one figure"):
        scores([fake_result(), fake_result(bands=BandPartition.square(4))])
