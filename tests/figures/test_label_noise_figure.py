"""The figure of a label-noise study holds its numbers and says what its shades and bars are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from spectrobe.figures import label_noise
from spectrobe.studies.label_noise.result import LabelNoiseResult
from tests.studies.label_noise.cases import made_by_hand


@pytest.fixture(scope="module")
def result() -> LabelNoiseResult:
    return made_by_hand((0, 0.1, 0.8))


def panels(figure: Figure) -> list[Axes]:
    return [ax for part in figure.subfigs for ax in part.axes]


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if isinstance(text, Text)]


def test_a_panel_a_rate_and_below_shares_information_and_score(result: LabelNoiseResult) -> None:
    *rates, shares, information, score = panels(label_noise(result))
    assert [ax.get_title() or ax.get_title("left") for ax in rates] == ["clean labels", "10 % wrong", "80 % wrong"]
    assert rates[0].get_ylabel() == "Shapley value (nats)" and {ax.get_xlabel() for ax in rates} == {"epoch"}
    assert shares.get_ylabel() == "share of the profile\nat epoch 4"
    assert shares.get_xlabel() == "spatial frequency (cycles/pixel)"
    assert [tick.get_text() for tick in shares.get_xticklabels()] == ["0", "0.167", "0.333", "0.5"]
    assert "v(all) - v(empty) (nats)" in information.get_ylabel() and score.get_ylabel() == "score (1 low, 0 flat)"
    for ax, band in ((information, result.information_band), (score, result.score_band)):
        for line, mean in zip(ax.lines, band[0], strict=False):
            assert np.array_equal(line.get_ydata(), mean)


def test_profiles_with_shades_of_clean_labels_and_of_what_left(result: LabelNoiseResult) -> None:
    left = {rate: {one.band for one in result.departures if one.rate == rate} for rate in result.rates}
    assert left[0.8] == {0, 1, 2} and left[0.1] == set()
    for r, (ax, shaded) in enumerate(zip(panels(label_noise(result))[:3], (3, 0, 3), strict=True)):
        curves = [np.asarray(line.get_ydata()) for line in ax.lines if len(np.asarray(line.get_ydata())) == 4]
        for band in range(3):
            assert any(np.array_equal(curve, result.profile[r, :, band]) for curve in curves)
            assert any(np.array_equal(curve, result.profile[0, :, band]) for curve in curves)
        assert len(ax.collections) == shaded
        assert sum(line.get_marker() == "o" for line in ax.lines) == len(left[result.rates[r]])
        for band, shade in enumerate(ax.collections):
            corners = shade.get_paths()[0].vertices[:, 1]
            assert corners.min() == pytest.approx(result.profile_low[r, :, band].min())
            assert corners.max() == pytest.approx(result.profile_high[r, :, band].max())


def test_shares_with_bars_from_the_lowest_to_the_highest_seed(result: LabelNoiseResult) -> None:
    ax = panels(label_noise(result))[3]
    lines = [line for line in ax.lines if line.get_marker() == "o"]
    assert len(lines) == len(ax.collections) == 3
    for r, (line, bars) in enumerate(zip(lines, ax.collections, strict=True)):
        assert np.allclose(line.get_ydata(), result.shares[r, :, -1].mean(axis=0))
        for band, bar in enumerate(bars.get_segments()):
            assert bar[:, 1].tolist() == [result.shares[r, :, -1, band].min(), result.shares[r, :, -1, band].max()]
            assert round(bar[0, 0]) == band  # in the band's own slot


def test_intervals_are_named(result: LabelNoiseResult) -> None:
    told = words(label_noise(result))
    assert "To which frequency bands do wrong labels move the profile?" in told
    [settings] = [text for text in told if "resnet:8, 3 seeds" in text]
    assert "shades: simultaneous 95% intervals over seeds and images, for all epochs and bands at once" in settings
    assert "panels of wrong labels: shades only of bands that left the clean curve" in settings
    assert "bars of shares: lowest to highest seed" in settings
    assert "leaves the clean curve" in told and "95 % intervals" in told and "band: cycles/pixel" in told
    demo = words(label_noise(replace(result, demo=True)))
    assert "Demo, no evidence: to which frequency bands do wrong labels move the profile?" in demo


def test_one_rate_of_one_seed_names_neither_bars_nor_departures() -> None:
    figure = label_noise(made_by_hand((0,), seeds=1))
    told = " ".join(words(figure))
    assert len(panels(figure)) == 4
    assert "lowest to highest" not in told and "left the clean curve" not in told and "intervals over images" in told


def test_in_axes_of_ones_own(result: LabelNoiseResult) -> None:
    own = Figure().add_subplot()
    assert label_noise(result, own) is own.get_figure()
    assert own.get_ylabel() == "Shapley value (nats)" and own.get_title("left") == "80 % wrong labels"
