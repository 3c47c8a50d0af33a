"""Each section shows the numbers of its results, and says what cannot be shown together."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spectrobe as sb
from spectrobe.figures.style import looks
from spectrobe.report.blocks import Section, Table, Text
from spectrobe.report.charts.chart import Chart, Panels
from spectrobe.report.commands import command_of
from spectrobe.report.material import Material
from spectrobe.report.runs import open_runs
from spectrobe.report.sections import (
    SECTIONS,
    answer,
    classes,
    profiles,
    provenance,
    robustness,
    score_robustness,
    snr,
    surviving,
    unusual,
    written,
)
from spectrobe.studies.decompose.breakdown import class_profiles, unusual_images
from tests.report.cases import coarse, decomposed, labelled
from tests.studies.robustness.cases import condition, hand_made


def material(*results: Any) -> Material:
    return Material(open_runs(list(results)))


def of(section: Section | None, kind: type) -> Any:
    """The first block of a kind."""
    assert section is not None
    return next(block for block in section.blocks if isinstance(block, kind))


def column(table: Table, name: str) -> list[Any]:
    """The sort values of a column."""
    place = table.columns.index(name)
    return [row[place].value for row in table.rows]


def perturbed(n: int = 20, **settings: Any) -> sb.SnrStudy:
    return sb.snr_study(labelled(coarse, n)[0], "gaussian_noise:1-3,contrast:3", **{"bands": 4, **settings})


def under(name: str, right: Sequence[int], clean: Sequence[int] = (1, 1, 1, 1)) -> sb.RobustnessResult:
    """A robustness result of four images: a corruption at two severities, an attack."""
    conditions = [condition("fog:1"), condition("fog:2"), condition("pgd_linf:eps=4/255", eps=4 / 255)]
    return hand_made({c.name: right for c in conditions}, conditions, clean=clean, name=name)


class TestProfiles:
    def test_points_and_intervals_are_the_results(self, low: sb.DecomposeResult, high: sb.DecomposeResult) -> None:
        chart: Chart = of(profiles.section(material(low, high)), Chart)
        for series, result in zip(chart.series, (low, high), strict=True):
            np.testing.assert_array_equal([point.y for point in series.points], result.shapley)
            np.testing.assert_array_equal([point.y_interval for point in series.points], result.interval)
            np.testing.assert_array_equal([point.y_outer for point in series.points], result.simultaneous)
            assert chart.y.low <= result.simultaneous.min() and result.simultaneous.max() <= chart.y.high
        assert column(chart.table, "coarse") == low.shapley.tolist()
        assert chart.y.low <= 0 <= chart.y.high

    def test_models_stand_side_by_side_in_their_bands_slot(
        self, low: sb.DecomposeResult, high: sb.DecomposeResult
    ) -> None:
        chart: Chart = of(profiles.section(material(low, high)), Chart)
        for band in range(4):
            places = [series.points[band].x for series in chart.series]
            assert band - 0.5 < places[0] < places[1] < band + 0.5

    def test_a_model_has_its_colour_in_every_chart_and_figure(self, runs: Path) -> None:
        found = written(material(runs))
        expected = looks(["coarse", "fine"])
        seen = [
            series
            for section in found
            for block in section.blocks
            for chart in (block.charts if isinstance(block, Panels) else [block] if isinstance(block, Chart) else [])
            for series in chart.series
            if series.key
        ]
        assert len(seen) > 8
        assert {(series.name, series.look.color) for series in seen} == {
            (name, look.color) for name, look in expected.items()
        }
        assert len({series.key for series in seen}) == 2

    @pytest.mark.parametrize(
        "changes, why", [({"bands": 5}, "band partitions (square:4, square:5)"), ({"confidence": 0.9}, "confidences")]
    )
    def test_runs_that_cannot_share_a_chart_have_their_own_and_it_is_said_why(
        self, changes: dict[str, Any], why: str, low: sb.DecomposeResult
    ) -> None:
        section = profiles.section(material(low, decomposed(coarse, 20, **changes)))
        assert section is not None
        charts = [block for block in section.blocks if isinstance(block, Chart)]
        assert len(charts) == 2 and len({chart.identity for chart in charts}) == 2
        assert why in section.blocks[0].paragraphs[0]

    def test_two_runs_of_a_model_differ_in_the_marker_and_in_the_label(self, low: sb.DecomposeResult) -> None:
        chart: Chart = of(profiles.section(material(low, decomposed(coarse, 20))), Chart)
        assert [series.name for series in chart.series] == ["coarse, 60", "coarse, 20"]
        assert len({series.look.color for series in chart.series}) == 1
        assert len({series.look.marker for series in chart.series}) == 2

    def test_models_on_the_same_images_are_compared_pair_by_pair(self, low: sb.DecomposeResult) -> None:
        x, y = labelled(coarse, 60)
        other = sb.decompose(lambda z: coarse(z) / 3, (x, y), bands=4, precision="float32", batch_size=64)
        table: Table = of(profiles.section(material(low, other)), Table)
        assert column(table, "difference")[0] == sb.compare(low, other).scores["signed"].value
        assert table.rows[0][3].text == "these images cannot tell them apart"

    @pytest.mark.parametrize(
        "low_end, high_end, said",
        [(0.1, 0.2, "B leans more"), (-0.2, -0.1, "A leans more"), (-0.1, 0.2, "cannot tell")],
    )
    def test_the_verdict_on_a_pair(self, low_end: float, high_end: float, said: str) -> None:
        assert said in profiles._verdict(low_end, high_end, "A", "B")


class TestAnswer:
    def test_a_row_a_model_with_its_score(self, low: sb.DecomposeResult, unclear: sb.DecomposeResult) -> None:
        chart: Chart = of(answer.section(material(low, unclear)), Chart)
        assert [row.name for row in chart.rows] == ["coarse", "mixed"]
        point = chart.series[1].points[0]
        assert (point.x, point.x_interval) == (
            unclear.score.value, (unclear.score.low, unclear.score.high)
        )  # fmt: skip
        assert chart.x.low < unclear.score.low and chart.x.high > 1
        assert column(chart.table, "signed") == [low.score.value, unclear.score.value]

    def test_what_to_know_is_said(self, low: sb.DecomposeResult, nothing: sb.DecomposeResult) -> None:
        warned = replace(low, warnings=("look out",), skipped={"a.png": "torn"})
        remarks = list(answer.remarks(material(warned).runs))
        assert remarks == ["coarse: look out", "coarse: 1 image(s) left out, the first: torn"]
        assert answer.section(material(nothing)).blocks


class TestSnr:
    def test_a_panel_a_perturbation_with_the_results_numbers(self) -> None:
        study = perturbed()
        panels: Panels = of(snr.section(material(study)), Panels)
        assert [chart.title for chart in panels.charts] == ["gaussian_noise, 1 to 3", "contrast:3"]
        first = panels.charts[0].series[0]
        result = study.results["gaussian_noise:1"]
        assert [point.y for point in first.points] == result.db.tolist()
        assert [point.y_interval for point in first.points] == [tuple(ends) for ends in result.interval.tolist()]
        assert [point.fill for point in first.points] == [
            {"robust": "full", "undecided": "pale", "non-robust": "open"}[kind] for kind in result.category
        ]
        shades = [series.shade for series in panels.charts[0].series]
        assert shades == sorted(shades) and shades[-1] == 1

    def test_shading_holds_the_bands_that_every_severity_leaves(self) -> None:
        study = perturbed()
        panels: Panels = of(snr.section(material(study)), Panels)
        noise = [result for name, result in study.results.items() if name.startswith("gaussian")]
        frequency = np.log2(noise[0].frequency)
        for band in range(4):
            kinds = {result.category[band] for result in noise}
            covering = [r.kind for r in panels.charts[0].regions if r.low < frequency[band] < r.high]
            assert covering == (list(kinds) if len(kinds) == 1 and kinds != {"undecided"} else [])
        [whole] = panels.charts[1].regions
        assert whole.kind == "non-robust"  # a change of contrast leaves no band above one half here

    def test_the_table_of_what_is_left(self) -> None:
        study = perturbed()
        section = snr.section(material(study))
        table: Table = of(section, Table)
        for row, result in zip(table.rows, study.results.values(), strict=True):
            assert [cell.value for cell in row[1:]] == result.modulus.tolist()
            assert [cell.kind for cell in row[1:]] == list(result.category)

    def test_other_images_have_panels_of_their_own(self) -> None:
        section = snr.section(material(perturbed(), perturbed(bands=3)))
        assert section is not None
        assert sum(isinstance(block, Panels) for block in section.blocks) == 2
        assert "they differ in bands" in section.blocks[0].paragraphs[0]

    def test_an_untouched_band_is_drawn_beyond_and_said_to_be_untouched(self) -> None:
        result = sb.spectral_snr(labelled(coarse, 8)[0], lambda x: x, bands=4)
        panels: Panels = of(snr.section(material(result)), Panels)
        assert all(point.beyond for point in panels.charts[0].series[0].points)
        assert "not touched" in panels.table.rows[0][1].text and "does not touch" in panels.intervals


class TestSurviving:
    def test_the_scores_under_each_perturbation(self, low: sb.DecomposeResult) -> None:
        study = perturbed()
        table: Table = of(surviving.section(material(low, study)), Table)
        expected = [score.perturbation_aware.value for score in sb.score_under(low, study).values()]
        assert column(table, "share that survives") == expected

    def test_other_bands_have_no_common_table(self, low: sb.DecomposeResult) -> None:
        assert surviving.section(material(low, perturbed(bands=3))) is None
        assert surviving.section(material(low)) is None


class TestRobustness:
    def test_curves_begin_at_the_clean_accuracy(self) -> None:
        result = under("a", [1, 1, 0, 0], clean=[1, 1, 1, 0])
        panels: Panels = of(robustness.section(material(result)), Panels)
        [fog] = panels.charts
        assert fog.title == "fog"
        assert [point.y for point in fog.series[0].points] == [0.75, 0.5, 0.5]
        accuracy = result.accuracy["fog:2"]
        assert fog.series[0].points[2].y_interval == (accuracy.low, accuracy.high)
        assert (fog.y.low, fog.y.high) == (0, 1)  # never cut off

    def test_a_sortable_row_a_condition_and_a_column_a_model(self) -> None:
        table: Table = of(robustness.section(material(under("a", [1, 1, 0, 0]), under("b", [1, 1, 1, 0]))), Table)
        assert table.sortable and table.columns == ("under", "kind", "a", "b")
        assert [row[0].text for row in table.rows] == ["clean", "fog:1", "fog:2", "pgd_linf:eps=4/255"]
        assert column(table, "a") == [1, 0.5, 0.5, 0.5] and column(table, "b") == [1, 0.75, 0.75, 0.75]

    def test_what_failed_is_in_the_table_with_the_reason(self) -> None:
        conditions = [condition("fog:1"), condition("snow:1")]
        result = hand_made({c.name: [1, 0] for c in conditions}, conditions, failed={"snow:1": "no gradients"})
        table: Table = of(robustness.section(material(result)), Table)
        cell = table.rows[2][2]
        assert (cell.text, cell.detail) == ("not defined", "no gradients")

    def test_models_under_other_corruptions_have_means_of_their_own(self) -> None:
        def mean_of(model: str, *names: str) -> sb.RobustnessResult:
            conditions = [condition(name) for name in names]
            return hand_made({name: [1, 0] for name in names}, conditions, name=model)

        both, other = mean_of("a", "fog:1", "fog:2", "snow:1", "snow:2"), mean_of("b", "fog:1", "fog:2", "frost:2")
        panels: Panels = of(robustness.section(material(both, other)), Panels)
        means = {chart.title: chart for chart in panels.charts if chart.title.startswith("mean")}
        assert list(means) == ["mean of 2 corruptions (fog, snow)", "mean of 2 corruptions (fog, frost)"]
        drawn = [[series.name for series in chart.series if series.points] for chart in means.values()]
        assert drawn == [["a"], ["b"]]
        alike: Panels = of(robustness.section(material(both, replace(both, settings=other.settings))), Panels)
        assert alike.charts[0].title == "mean of 2 corruptions" and len(alike.charts[0].series) == 2

    def test_runs_on_other_images_have_charts_of_their_own_and_it_is_said_why(self) -> None:
        one = under("a", [1, 1, 0, 0])
        other = replace(under("b", [1, 1, 1, 0]), settings=replace(one.settings, model_name="b", data_name="others"))
        section = robustness.section(material(one, other))
        assert section is not None
        charts = [block for block in section.blocks if isinstance(block, Panels)]
        assert [[series.name for series in panels.charts[0].series] for panels in charts] == [["a"], ["b"]]
        assert f"they differ in images ({one.data_name}, others)" in of(section, Text).paragraphs[0]


class TestScoreAgainstRobustness:
    def test_a_point_a_model_with_both_intervals(self, runs: Path) -> None:
        panels: Panels = of(score_robustness.section(material(runs)), Panels)
        decomposed_, robust = sb.load(runs / "fine"), sb.load(runs / "fine-robustness")
        chart = next(chart for chart in panels.charts if chart.title == "mean accuracy under corruptions")
        [point] = next(series.points for series in chart.series if series.name == "fine")
        error = robust.mean_corruption_error
        assert (point.x, point.y) == (decomposed_.score.value, 1 - error.value)
        assert point.x_interval == (decomposed_.score.low, decomposed_.score.high)
        assert point.y_interval == (1 - error.high, 1 - error.low)

    def test_one_model_is_no_relation(self, low: sb.DecomposeResult) -> None:
        assert score_robustness.section(material(low, under("coarse", [1, 0, 0, 1]))) is None


class TestWhereItComesFrom:
    def test_classes_have_the_profiles_of_the_study(self, low: sb.DecomposeResult) -> None:
        table: Table = of(classes.section(material(low)), Table)
        found = class_profiles(low)
        order = np.argsort(-found.n_images, kind="stable")
        assert [row[0].text for row in table.rows] == [f"class {found.classes[i]}" for i in order]
        np.testing.assert_array_equal([[cell.value for cell in row[2:]] for row in table.rows], found.shapley[order])

    def test_unusual_images_are_those_of_the_study(self, low: sb.DecomposeResult) -> None:
        table: Table = of(unusual.section(material(low)), Table)
        assert column(table, "distance") == [image.distance for image in unusual_images(low, 5)]

    def test_a_result_without_its_table_says_so(self, low: sb.DecomposeResult) -> None:
        bare = sb.DecomposeResult.from_dict(low.to_dict())
        for part in (classes, unusual):
            section = part.section(material(bare))
            assert section is not None and "has no payoff table" in section.blocks[0].paragraphs[0]


class TestProvenance:
    def test_the_command_repeats_the_run(self, runs: Path) -> None:
        commands = {run.kind: shlex.split(command_of(run)) for run in material(runs).runs}
        assert commands["decompose"][:4] == ["spectrobe", "decompose", "fine", "tensors"]
        settings = "--value usable-information --absence mean --design exact --confidence 0.95 --seed 0"
        assert commands["decompose"][4:] == f"--bands square:4 {settings} --precision float32 --batch-size 64".split()
        assert "--perturb gaussian_noise:1,gaussian_noise:2,gaussian_noise:3,contrast:3" in " ".join(commands["snr"])
        assert commands["robustness"][:4] == ["spectrobe", "robustness", "fine", "tensors"]

    def test_settings_versions_and_how_to_cite(self, runs: Path) -> None:
        section = provenance.section(material(runs / "coarse"))
        facts = dict(section.blocks[0].pairs)
        assert facts["bands"] == "square:4" and facts["absence"] == "mean" and facts["state"] == "finished"
        assert f"spectrobe {sb.__version__}" in facts["versions"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", facts["finished"])
        assert "Luo" in section.blocks[-1].code[0][1] and sb.__version__ in section.blocks[-1].code[1][1]


def test_every_section_module_is_listed_once() -> None:
    import spectrobe.report.sections as package

    modules = {path.stem for path in Path(package.__path__[0]).glob("*.py")} - {"__init__"}
    assert set(SECTIONS) == modules and len(SECTIONS) == len(set(SECTIONS))
