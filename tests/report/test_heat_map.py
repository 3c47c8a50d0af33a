"""The heat map of a response run: every wave in its place, one scale for all models, intervals told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import spectrobe as sb
from spectrobe.report.charts.heat_map import HeatMap, HeatMaps
from spectrobe.report.material import Material
from spectrobe.report.numbers import number
from spectrobe.report.runs import open_runs
from spectrobe.report.sections import heat_map
from tests.report.cases import reported
from tests.report.test_later_sections import of, section_of
from tests.studies.response.cases import SIDE, measure, one_band
from tests.toys import labels_of, linear, pixels


def images(n: int = 20) -> tuple[torch.Tensor, torch.Tensor]:
    x = pixels(n)
    return x, labels_of(linear(), x)


def mapped(norm: float = 2.0) -> sb.ResponseResult:
    """A linear model under waves that fool it on some of its images, each wave on others."""
    return measure(linear(), images(), heat_map=norm, heat_map_step=1)


@pytest.fixture(scope="module")
def measured() -> sb.ResponseResult:
    return mapped()


def test_every_wave_lies_where_it_belongs_with_its_error_and_interval(measured: sb.ResponseResult) -> None:
    found = measured.heat_map
    assert found is not None
    block: HeatMaps = of(section_of(heat_map, measured), HeatMaps)
    [drawn] = block.maps
    cells = drawn.cells()
    for v, (ky, kx) in enumerate(found.frequencies.tolist()):
        low, high = found.error.interval[v]
        place = f"{number(kx, 0)} across, {number(ky, 0)} down (cycles/image)"
        told = f"{place}\nerror rate {found.error.value[v]:.3f}, 95% {low:.3f} to {high:.3f}"
        [cell] = [cell for cell in cells if cell.says == f"{measured.model_name}\n{told}"]
        middle = drawn.left + drawn.side * (0.5 + kx / drawn.values.shape[1])
        assert cell.middle[0] == pytest.approx(middle, abs=0.2)
        assert cell.middle[1] == pytest.approx(drawn.top + drawn.side * (0.5 + ky / drawn.values.shape[0]), abs=0.2)
        assert cell.shade == pytest.approx(found.error.value[v] / found.error.value.max(), abs=1e-3)
        row = block.table.rows[v]
        assert (row[0].value, row[1].value, row[3].value) == (kx, ky, found.error.value[v])
        assert row[2].value == pytest.approx(np.hypot(kx, ky) / SIDE)
    assert "95% intervals over 20 images" in block.intervals


def test_ticks_stand_at_their_frequencies(measured: sb.ResponseResult) -> None:
    drawn: HeatMap = of(section_of(heat_map, measured), HeatMaps).maps[0]
    fastest = max((cell for cell in drawn.cells()), key=lambda cell: cell.middle[0])
    tick = next(label for label in drawn.labels() if label.text == "0.5" and label.anchor == "middle")
    assert tick.x == pytest.approx(fastest.middle[0], abs=0.2)  # 8 cycles in 16 pixels, the last column
    assert [label.text for label in drawn.labels() if label.y < drawn.top][-3:] == ["−8", "0", "8"]


def test_models_share_a_scale_and_other_strengths_do_not(measured: sb.ResponseResult) -> None:
    class Always(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean((1, 2, 3))[:, None] + torch.arange(4)

    other = measure(Always(), images(), heat_map=2.0, heat_map_step=1)
    section = section_of(heat_map, measured, other, mapped(3.0))
    why, both, alone = section.blocks
    assert why.paragraphs == (
        "These runs cannot share charts: they differ in norm of the waves (2.0, 3.0). Each has charts of its own.",
    )
    assert [one.title for one in both.maps] == [measured.model_name, "Always"] and len(alone.maps) == 1
    assert len({one.most for one in both.maps}) == 1
    assert len({cell.shade for cell in both.maps[1].cells()}) == 1  # the same answer under any wave
    assert len({cell.shade for cell in both.maps[0].cells()}) > 4
    assert both.steps[0] == (0.0, "0.00") and both.steps[-1] == (1.0, f"{both.maps[0].most:.2f}")
    assert len(both.table.columns) == 5


def test_a_model_that_never_errs_and_runs_without_a_map(tmp_path: Path, measured: sb.ResponseResult) -> None:
    model, data = one_band(20)
    calm = measure(model, data, heat_map=0.001, heat_map_step=4)
    [drawn] = of(section_of(heat_map, calm), HeatMaps).maps
    assert {cell.shade for cell in drawn.cells()} == {0.0}
    assert heat_map.section(Material(open_runs([measure(model, data)]))) is None
    page = reported(calm, tmp_path)
    assert 'id="heat-map"' in page.source and "Error rate under one wave of L2 norm 0.001" in page.text
