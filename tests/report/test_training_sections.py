"""Sections and figures of the studies that train, from results made by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spectrobe as sb
from spectrobe.figures.publication import publication
from spectrobe.report.blocks import Section, Table, Text
from spectrobe.report.charts.chart import Panels
from spectrobe.report.material import Material
from spectrobe.report.runs import open_runs
from spectrobe.report.sections import feature_snr, label_noise
from spectrobe.studies.feature_snr.relation import relate
from spectrobe.studies.feature_snr.result import VIEWS, FeatureSnrResult
from spectrobe.studies.feature_snr.settings import Settings as SnrSettings
from spectrobe.studies.label_noise.result import LabelNoiseResult
from tests.report.cases import reported
from tests.studies.label_noise.cases import NAME, made_by_hand


@pytest.fixture(scope="module")
def noisy() -> LabelNoiseResult:
    return made_by_hand()


@pytest.fixture(scope="module")
def trained() -> FeatureSnrResult:
    settings = SnrSettings.of(8, None, "resnet:8", 4, 64, 0.1, seeds=2)
    modulus = np.linspace(0.1, 0.9, 12).reshape(3, 4)
    accuracy = np.stack([[modulus * 0.8, modulus * 0.7], [modulus * 0.5, modulus * 0.4]])
    clean = np.full((2, 2, 3), 0.8) + np.arange(3) / 50
    relations = {view: relate(modulus, accuracy[v], clean[v]) for v, view in enumerate(VIEWS)}
    return FeatureSnrResult(
        settings, NAME, NAME, False, 100, 40, 10, (32, 32), tuple(settings.called()), modulus,
        np.stack([modulus - 0.05, modulus + 0.05], axis=-1), modulus * 10, clean, accuracy, relations, clean, accuracy,
        tuple({"median_db": 10.0, "unreachable": 0.0, "leaked": 0.1} for _ in range(3)),
    )  # fmt: skip


def section_of(part: Any, result: Any) -> Section:
    found = part.section(Material(open_runs([result])))
    assert isinstance(found, Section)
    return found


def all_of(section: Section, kind: type) -> list[Any]:
    return [block for block in section.blocks if isinstance(block, kind)]


def test_label_noise_panels_show_the_profile(noisy: LabelNoiseResult) -> None:
    panels, shares, outcomes = all_of(section_of(label_noise, noisy), Panels)
    for band, chart in enumerate(shares.charts):
        for r, series in enumerate(chart.series):
            of_seeds = noisy.shares[r, :, :, band]
            assert [point.y for point in series.points] == of_seeds.mean(axis=0).tolist()
            assert [point.y_interval for point in series.points] == list(
                zip(of_seeds.min(axis=0).tolist(), of_seeds.max(axis=0).tolist(), strict=True)
            )
    assert shares.intervals == "Bars: the range of 3 seeds, which is no interval; points: means over seeds."
    assert len(panels.charts) == 3 and panels.legend
    assert [chart.title[:8] for chart in panels.charts] == ["band 0: ", "band 1: ", "band 2: "]
    for band, chart in enumerate(panels.charts):
        for r, series in enumerate(chart.series):
            assert [point.y for point in series.points] == noisy.profile[r, :, band].tolist()
            assert [point.y_interval[0] for point in series.points] == noisy.profile_low[r, :, band].tolist()
    for chart, band in zip(outcomes.charts, (noisy.information_band, noisy.score_band), strict=True):
        for r, series in enumerate(chart.series):
            assert [(point.y, *point.y_interval) for point in series.points] == [tuple(one) for one in band[:, r].T]


def test_a_score_that_is_not_defined_is_left_out(noisy: LabelNoiseResult) -> None:
    band = np.array(noisy.score_band)
    band[:, 1, 0] = np.nan
    band[1:, 1, 1] = np.nan  # one seed: a mean and no interval
    *_, outcomes = all_of(section_of(label_noise, replace(noisy, score_band=band)), Panels)
    points = outcomes.charts[1].series[1].points
    assert [point.x for point in points] == [2, 3, 4] and points[0].y_interval is None
    assert outcomes.table.rows[4][3].text == "not defined"


def test_one_seed_has_shares_without_bars() -> None:
    panels, shares, _ = all_of(section_of(label_noise, made_by_hand(seeds=1)), Panels)
    assert shares.intervals == "One seed: no bars." and "1 seed a rate" in shares.title
    assert all(point.y_interval is None for chart in shares.charts for one in chart.series for point in one.points)
    assert all(cell.detail == "" for row in shares.table.rows for cell in row)
    assert all(point.y_interval is not None for chart in panels.charts for one in chart.series for point in one.points)


def test_a_share_that_is_not_defined_is_left_out(noisy: LabelNoiseResult) -> None:
    shapley = np.array(noisy.shapley)
    shapley[1, 2, 0] = -1  # one seed of the second rate has nothing above 0 after its first epoch
    _, shares, _ = all_of(section_of(label_noise, replace(noisy, shapley=shapley)), Panels)
    assert [point.x for point in shares.charts[0].series[1].points] == [2, 3, 4]
    assert shares.table.rows[4][2].text == "not defined"


def test_label_noise_table_names_departures(noisy: LabelNoiseResult) -> None:
    assert noisy.departures and {one.rate for one in noisy.departures} == {0.8}
    [table] = all_of(section_of(label_noise, noisy), Table)
    assert table.rows[0][-2].text == table.rows[0][-1].text == ""
    for cell, found in zip(table.rows[1][-2:], (noisy.departures, noisy.moves), strict=True):
        assert cell.text == "; ".join(f"band {one.band} from epoch {one.epoch}" for one in found)


def test_feature_snr_keeps_the_injected_condition_apart(trained: FeatureSnrResult) -> None:
    section = section_of(feature_snr, trained)
    first, apart = all_of(section, Panels)
    assert "no test of the claim" in apart.title and "Apart" not in first.title
    assert {point.fill for chart in apart.charts for series in chart.series for point in series.points} == {"open"}
    assert [point.x for point in first.charts[0].series[1].points] == trained.modulus[1].tolist()
    assert any("neither confirms nor refutes" in one for text in all_of(section, Text) for one in text.paragraphs)
    without = replace(trained, injected_accuracy=None, injected_clean=None, injected=())
    assert len(all_of(section_of(feature_snr, without), Panels)) == 1


def test_both_studies_answer_in_their_own_words(
    noisy: LabelNoiseResult, trained: FeatureSnrResult, tmp_path: Path
) -> None:
    for result, question in (
        (noisy, "What do wrong labels do to the profile?"),
        (trained, "Does training on features of higher SNR give robustness?"),
    ):
        page = reported(result, tmp_path)
        assert question in page.text and result.sentence() in page.text
        assert "<b>of</b>" not in page.source


def test_the_figure_of_feature_snr_keeps_the_injected_condition_apart(trained: FeatureSnrResult) -> None:
    axes = sb.figures.snr_training(trained).axes
    assert [ax.get_title(loc="left") for ax in axes[2:]] == ["apart: noise of 10 dB injected in training"] * 2
    assert "partial rank correlation" in axes[0].get_title(loc="left")


def test_figures_name_their_intervals_bands_and_units(noisy: LabelNoiseResult, trained: FeatureSnrResult) -> None:
    """Alone in a column too, where the legend is all there is."""
    for name, result, wanted in (
        ("label_noise", noisy, ["95 % intervals", "2: 0.333-0.5", "clean labels"]),
        ("snr_training", trained, ["bar: lowest to highest seed", "line: chance", "low (0-0.125)"]),
    ):
        figure = publication(name, result, "single")
        [legend] = figure.legends
        texts = [text.get_text() for text in legend.get_texts()]
        assert not [text for text in wanted if text not in texts], texts
        assert "cycles/pixel" in legend.get_title().get_text()
    assert figure.axes[0].get_xlabel().count("\n") == 1  # in one line it would leave the column
