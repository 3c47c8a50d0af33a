"""Sections of response, relate and track: the studies' own numbers and sentences."""

from __future__ import annotations

from dataclasses import replace
from math import log2, log10
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spectrobe as sb
from spectrobe.report.blocks import Remarks, Section, Table
from spectrobe.report.charts.chart import Panels
from spectrobe.report.material import Material
from spectrobe.report.runs import open_runs
from spectrobe.report.sections import relate, response, track
from spectrobe.studies.relate.result import RelateResult
from spectrobe.studies.track.result import Change, TrackResult
from tests.report.cases import PLAIN, coarse, fine, labelled, mixed, reported
from tests.studies.response.cases import measure, one_band


def section_of(part: Any, *results: Any) -> Section:
    found = part.section(Material(open_runs(list(results))))
    assert isinstance(found, Section)
    return found


def of(section: Section, kind: type) -> Any:
    """The first block of a kind."""
    return next(block for block in section.blocks if isinstance(block, kind))


@pytest.fixture(scope="module")
def responded() -> sb.ResponseResult:
    net, (x, y) = one_band(60)
    return measure(net, (x, y))


@pytest.fixture(scope="module")
def related() -> RelateResult:
    """Three models on the same images: too few to claim anything."""
    x, y = labelled(mixed, 30)
    runs: list[Any] = []
    for model in (coarse, fine, mixed):
        runs.append(sb.decompose(model, (x, y), **PLAIN))
        runs.append(sb.robustness(model, (x, y), "gaussian_noise:1-2,contrast:3", batch_size=64))
    return sb.relate(runs, n_resamples=100, n_permutations=100)


@pytest.fixture(scope="module")
def tracked(unclear: sb.DecomposeResult) -> TrackResult:
    """Two checkpoints of one model, the second with half the profile."""
    later = replace(unclear, shapley=unclear.shapley / 2)
    change = Change(later.shapley - unclear.shapley, unclear.simultaneous, unclear.n_images)
    return TrackResult("net", ("epoch 1", "epoch 2"), ("a", "b"), ("", ""), (unclear, later), change)


class TestResponse:
    def test_curves_hold_the_results_numbers(self, responded: sb.ResponseResult) -> None:
        panels: Panels = of(section_of(response, responded), Panels)
        cut, noise, gradient = panels.charts
        low, high = cut.series
        assert (low.line, high.line) == ("solid", "dashed")
        for series, curve in ((low, responded.cutoffs.low_pass), (high, responded.cutoffs.high_pass)):
            np.testing.assert_array_equal([point.y for point in series.points], curve.value)
            np.testing.assert_array_equal([point.y_interval for point in series.points], curve.interval)
            assert [point.x for point in series.points] == [log2(f) for f in responded.cutoffs.frequency]
        sensitivity = responded.masking.sensitivity.value
        known = np.isfinite(sensitivity)
        assert [point.y for point in noise.series[0].points] == [log10(value) for value in sensitivity[known]]
        assert responded.gradient is not None
        np.testing.assert_array_equal([point.y for point in gradient.series[0].points], responded.gradient.share.value)
        assert (cut.y.low, cut.y.high) == (0, 1) and gradient.y.low == 0

    def test_single_numbers_and_what_they_say(self, responded: sb.ResponseResult) -> None:
        section = section_of(response, responded)
        table: Table = of(section, Table)
        shown = {row[0].text: row[1].value for row in table.rows}
        assert shown["low-pass accuracy"] == responded.low_pass_accuracy.value
        said: Remarks = of(section, Remarks)
        assert any("Cut-offs:" in item for item in said.items)
        assert not any("forward passes" in item for item in said.items)

    def test_a_model_without_gradients_has_two_panels(self, responded: sb.ResponseResult) -> None:
        without = replace(responded, gradient=None, failed={"gradient": "it has none"})
        assert len(of(section_of(response, without), Panels).charts) == 2

    def test_two_models_share_the_charts(self, responded: sb.ResponseResult) -> None:
        other = replace(responded, settings=replace(responded.settings, model_name="other"))
        panels: Panels = of(section_of(response, responded, other), Panels)
        assert len(panels.charts[0].series) == 4 and panels.legend == "Models"
        assert len({series.key for series in panels.charts[0].series}) == 2


class TestRelate:
    def test_a_panel_a_measure_with_a_point_a_model(self, related: RelateResult) -> None:
        panels: Panels = of(section_of(relate, related), Panels)
        chart = panels.charts[0]
        best = related.best(chart.title)
        assert best is not None and chart.x.label == best.score
        [series] = chart.series
        measured = related.measures[chart.title].values
        assert [point.y for point in series.points] == [value for value in measured.tolist() if np.isfinite(value)]
        assert series.key == ""  # what is drawn for all models together is never switched off

    def test_every_correlation_is_in_the_table(self, related: RelateResult) -> None:
        tables = [block for block in section_of(relate, related).blocks if isinstance(block, Table)]
        whole = [one for one in related.relations if not one.subset]
        assert len(tables[-1].rows) == len(whole)
        values = [row[3].value for row in tables[-1].rows]
        assert values == [one.spearman.value if np.isfinite(one.spearman.value) else float("-inf") for one in whole]

    def test_the_studys_own_words_come_first(self, related: RelateResult, tmp_path: Path) -> None:
        page = reported(related, tmp_path)
        assert "3 models of 3 recipes" in page.text and "nothing is claimed" in page.text


def test_a_report_of_one_study_alone_answers_with_its_words(
    responded: sb.ResponseResult, related: RelateResult, tracked: TrackResult, tmp_path: Path
) -> None:
    for result, question, said in (
        (responded, "respond to spatial frequencies?", "Cut-offs: what lies below"),
        (related, "Which score goes with robustness?", "3 models of 3 recipes"),
        (tracked, "How does net change in training?", tracked.sentence()),
    ):
        page = reported(result, tmp_path)
        assert question in page.text and said in page.text
        assert "None of these runs" not in page.text


class TestTrack:
    def test_a_panel_a_band_with_a_point_a_checkpoint(self, tracked: TrackResult) -> None:
        panels: Panels = of(section_of(track, tracked), Panels)
        assert len(panels.charts) == 4
        for band, chart in enumerate(panels.charts):
            [series] = chart.series
            assert [point.y for point in series.points] == tracked.shapley[:, band].tolist()
            assert [tick.text for tick in chart.x.ticks] == ["epoch 1", "epoch 2"]

    def test_the_scores_of_every_checkpoint(self, tracked: TrackResult, tmp_path: Path) -> None:
        table: Table = of(section_of(track, tracked), Table)
        assert [row[1].value for row in table.rows] == [score.value for score in tracked.scores]
        assert tracked.sentence() in reported(tracked, tmp_path).text
