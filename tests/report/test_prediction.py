"""Response beside spectra, predicted and measured cost: the numbers of the study, a negative finding said plainly."""

from __future__ import annotations

from dataclasses import replace
from math import log2
from pathlib import Path

import numpy as np
import pytest

import spectrobe as sb
from spectrobe.game.intervals import Estimate
from spectrobe.report.blocks import Table, Text
from spectrobe.report.charts.chart import Chart, Panels
from spectrobe.report.material import Material
from spectrobe.report.runs import open_runs
from spectrobe.report.sections import prediction, response, spectra
from spectrobe.studies.response.predictors import MASKING
from spectrobe.studies.response.spectra import perturbation_spectra
from spectrobe.studies.response.wording import claim_sentence
from tests.report.cases import reported
from tests.report.test_later_sections import of, section_of
from tests.studies.response.cases import RIPPLES, measure, one_band, ripples


@pytest.fixture(scope="module")
def tested() -> sb.ResponseResult:
    """A model that reads band 2, under waves in bands 0, 2 and 3."""
    model, data = one_band(40)
    return measure(model, data, ripples())


def verdict(result: sb.ResponseResult, low: float, high: float) -> sb.ResponseResult:
    """The result with another difference between the response and the best baseline."""
    claim = result.claim
    assert claim is not None
    alone = Estimate((low + high) / 2, 0.01, low, high, 0.95)
    verdicts = {**claim.verdicts, MASKING: replace(claim.verdicts[MASKING], alone=alone)}
    return replace(result, claim=replace(claim, verdicts=verdicts))


class TestPrediction:
    def test_points_are_the_perturbations_where_they_were_predicted_and_measured(
        self, tested: sb.ResponseResult
    ) -> None:
        claim = tested.claim
        assert claim is not None
        panels: Panels = of(section_of(prediction, tested), Panels)
        best = claim.verdicts[MASKING].best_baseline
        assert [chart.title for chart in panels.charts] == ["response × spectrum", f"best baseline: {best}"]
        for chart, name in zip(panels.charts, (MASKING, best), strict=True):
            points = {point.says.partition(" ")[0]: point for series in chart.series for point in series.points}
            assert list(points) == list(claim.names)
            np.testing.assert_array_equal([point.x for point in points.values()], claim.predictions[name].predicted)
            np.testing.assert_array_equal([point.y for point in points.values()], claim.drop)
            np.testing.assert_array_equal([point.y_interval for point in points.values()], claim.drop_interval)
            assert [series.name for series in chart.series] == ["swell", "ripple", "grain"]
            assert f"predicted by {name}, held out: off by" in chart.description
            assert (chart.x.low, chart.x.high) == (chart.y.low, chart.y.high)  # the line of no error is the diagonal
            assert chart.guides[0].slope == 1
        assert "95% intervals over 40 images" in panels.intervals and panels.legend

    def test_errors_of_all_predictors_with_their_intervals(self, tested: sb.ResponseResult) -> None:
        claim = tested.claim
        assert claim is not None
        chart: Chart = of(section_of(prediction, tested), Chart)
        known = {name: one.error for name, one in claim.predictions.items() if np.isfinite(one.error.value)}
        [series] = chart.series
        assert [row.name for row in chart.rows] == list(known) and chart.x.low == 0
        assert [(point.x, point.x_interval) for point in series.points] == [
            (error.value, (error.low, error.high)) for error in known.values()
        ]
        assert "over images and perturbations" in chart.intervals

    @pytest.mark.parametrize(
        "ends, said",
        [((0.01, 0.03), "it predicts better"), ((-0.03, -0.01), "it predicts worse"),
         ((-0.01, 0.03), "which of the two predicts better cannot be told")],
    )  # fmt: skip
    def test_plain_words_follow_the_interval(
        self, tested: sb.ResponseResult, ends: tuple[float, float], said: str, tmp_path: Path
    ) -> None:
        changed = verdict(tested, *ends)
        assert claim_sentence(changed).endswith(f": {said}.")
        told: Text = of(section_of(prediction, changed), Text)
        assert told.paragraphs[0] == claim_sentence(changed)
        assert claim_sentence(changed) in reported(changed, tmp_path).text

    def test_an_untested_claim_has_no_section_and_its_reason_stands_beside_the_curves(
        self, tested: sb.ResponseResult
    ) -> None:
        untested = replace(tested, claim=None, untested="too few perturbations")
        material = Material(open_runs([untested]))
        assert prediction.section(material) is None and spectra.section(material) is None
        assert "too few perturbations" in str(section_of(response, untested))
        assert claim_sentence(untested) == ""
        assert "was not tested" not in str(section_of(response, tested))

    def test_two_models_have_panels_of_their_own_and_share_the_rows(self, tested: sb.ResponseResult) -> None:
        other = replace(tested, settings=replace(tested.settings, model_name="other"))
        section = section_of(prediction, tested, other)
        assert len(of(section, Panels).charts) == 4
        chart: Chart = of(section, Chart)
        assert len(chart.series) == 2 and chart.legend == "Models"
        assert all(a.y < b.y < a.y + 0.5 for a, b in zip(*(one.points for one in chart.series), strict=True))


class TestSpectra:
    def test_response_and_power_are_shares_over_the_bands(self, tested: sb.ResponseResult) -> None:
        panels: Panels = of(section_of(spectra, tested), Panels)
        assert [chart.title for chart in panels.charts] == ["swell:4", "ripple:4", "grain:4"]  # the strongest
        sensitivity = tested.masking.sensitivity
        for chart, band in zip(panels.charts, (0, 2, 3), strict=True):
            model, own = chart.series
            np.testing.assert_allclose(
                [point.y for point in model.points], sensitivity.value / sensitivity.value.sum(), rtol=1e-12
            )
            np.testing.assert_allclose(
                [point.y_interval for point in model.points], sensitivity.interval / sensitivity.value.sum(), rtol=1e-12
            )
            assert [point.x for point in own.points] == [log2(f) for f in tested.frequency]
            np.testing.assert_allclose([point.y for point in own.points], np.eye(4)[band], atol=1e-9)
            assert (model.line, own.line, own.key) == ("solid", "dashed", "power")
        assert "most of its power at 0.25–0.375 cycles/pixel (100%)" in panels.charts[1].description

    def test_the_table_holds_response_times_spectrum(self, tested: sb.ResponseResult) -> None:
        table: Table = of(section_of(spectra, tested), Panels).table
        powers = perturbation_spectra(tested)
        assert [row[0].text for row in table.rows] == [name for name, _, _ in RIPPLES]
        for row, (name, band, _) in zip(table.rows, RIPPLES, strict=True):
            dose = float(tested.masking.sensitivity.value @ powers[name].value)
            assert row[1].value == pytest.approx(dose, rel=1e-12)
            np.testing.assert_allclose([cell.value for cell in row[2:]], np.eye(4)[band], atol=1e-9)

    def test_without_rows_it_is_said_why_there_is_no_chart(self, tested: sb.ResponseResult) -> None:
        bare = sb.ResponseResult.from_dict(tested.to_dict())
        section = section_of(spectra, bare)
        assert "cannot be drawn: this result has no rows" in of(section, Text).paragraphs[0]
        assert not any(isinstance(block, Panels) for block in section.blocks)
