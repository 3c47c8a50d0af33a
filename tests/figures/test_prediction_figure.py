"""Predicted and measured cost of perturbations, as a figure."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

import spectrobe as sb
from spectrobe.errors import InputError
from spectrobe.figures.prediction_figure import prediction
from spectrobe.figures.publication import publication
from spectrobe.studies.response.predictors import MASKING
from tests.studies.response.cases import measure, one_band, ripples


@pytest.fixture(scope="module")
def tested() -> sb.ResponseResult:
    model, data = one_band(20)
    return measure(model, data, ripples())


def test_drops_lie_where_they_were_predicted_and_measured(tested: sb.ResponseResult) -> None:
    claim = tested.claim
    assert claim is not None
    figure = prediction(tested)
    best = claim.verdicts[MASKING].best_baseline
    for ax, name in zip(figure.axes[:2], (MASKING, best), strict=True):
        _, *kinds = ax.get_lines()
        assert [line.get_label() for line in kinds] == ["swell", "ripple", "grain"]
        drawn = {(float(x), float(y)) for line in kinds for x, y in zip(*line.get_data(), strict=True)}
        assert drawn == set(zip(claim.predictions[name].predicted.tolist(), claim.drop.tolist(), strict=True))
        low, high = ax.get_xlim()
        assert low <= claim.predictions[name].predicted.min() and claim.predictions[name].predicted.max() <= high
    assert best in figure.axes[1].get_title("left")


def test_every_predictor_that_has_an_error_has_a_row_with_its_interval(tested: sb.ResponseResult) -> None:
    assert tested.claim is not None
    errors = {name: one.error for name, one in tested.claim.predictions.items() if isfinite(one.error.value)}
    ax = Figure().subplots()
    prediction(tested, ax)
    assert [text.get_text() for text in ax.get_yticklabels()] == list(errors)
    assert [line.get_data()[0][0] for line in ax.get_lines()] == [error.value for error in errors.values()]
    bars = [line.get_segments()[0][:, 0] for line in ax.collections if isinstance(line, LineCollection)]
    np.testing.assert_array_equal(bars, [(error.low, error.high) for error in errors.values()])
    assert "95 % intervals over 20 images" in ax.get_xlabel()


@pytest.mark.parametrize("width, inches", [("double", 6.75), ("single", 3.25)])
def test_nothing_sticks_out(width: str, inches: float, tested: sb.ResponseResult) -> None:
    figure = publication("prediction", tested, width)
    figure.draw_without_rendering()
    assert figure.get_figwidth() == inches
    edges = [box for ax in figure.axes if (box := ax.get_tightbbox()) is not None]
    assert all(box.x0 > -1 and box.x1 < inches * figure.dpi + 1 for box in edges if box.width)


def test_what_cannot_be_drawn_is_refused(tested: sb.ResponseResult) -> None:
    with pytest.raises(InputError, match="a figure shows one model"):
        prediction([tested, tested])  # type: ignore[arg-type]
    with pytest.raises(InputError, match="got one that tested none"):
        prediction(replace(tested, claim=None))
    with pytest.raises(InputError, match="out of response, baseline, errors, got 'claim'"):
        prediction(tested, Figure().subplots(), panel="claim")
