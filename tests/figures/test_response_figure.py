from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import spectrobe as sb
from spectrobe.errors import InputError
from spectrobe.figures import response
from tests.studies.response.cases import measure, one_band
from tests.studies.response.runs import run
from tests.toys import planted


@pytest.fixture(scope="module")
def result() -> sb.ResponseResult:
    return run(None)


def titles(figure: Figure) -> list[str]:
    return [ax.get_title(loc="left") for ax in figure.axes if ax.get_title(loc="left")]


def curves(ax: Axes) -> list[np.ndarray]:
    return [np.asarray(line.get_xydata()) for line in ax.lines if line.get_marker() not in ("None", "")]


def test_every_part_has_its_panel(result: sb.ResponseResult) -> None:
    found = titles(response(result))
    assert len(found) == 6
    for part, title in zip(
        ("Gradient", "noise in one band", "Channel", "cut off", "one wave of L2 norm 2", "best baseline ("),
        found,
        strict=True,
    ):
        assert part in title
    plain = measure(*one_band(40))
    assert len(titles(response(plain))) == 4


def test_the_panels_hold_the_numbers(result: sb.ResponseResult) -> None:
    gradient, noise, _, cutoffs = response(result).axes[:4]
    assert result.gradient is not None and result.cutoffs.high_pass_under is not None
    np.testing.assert_allclose(curves(gradient)[0][:, 1], result.gradient.per_bin.value)
    np.testing.assert_allclose(curves(gradient)[0][:, 0], np.log2(result.frequency))
    for k, curve in enumerate(curves(noise)):
        np.testing.assert_allclose(curve[:, 1], result.masking.accuracy.value[k::3])
    drawn = [curve[:, 1] for curve in curves(cutoffs)]
    np.testing.assert_allclose(drawn[0], result.cutoffs.low_pass.value)
    np.testing.assert_allclose(drawn[3], result.cutoffs.high_pass_under.value)
    segments = np.asarray(gradient.collections[0].get_segments())  # type: ignore[attr-defined]
    np.testing.assert_allclose(segments[:, :, 1], result.gradient.per_bin.interval)


def test_the_heat_map_shows_both_halves(result: sb.ResponseResult) -> None:
    (panel,) = [ax for ax in response(result).axes if ax.images and ax.get_title(loc="left")]
    shown = np.asarray(panel.images[0].get_array())
    assert result.heat_map is not None
    np.testing.assert_array_equal(shown, result.heat_map.plane((16, 16), 4))
    assert panel.images[0].get_extent() == pytest.approx([-0.625, 0.625, 0.625, -0.625])  # +-1/2 and half a cell


def test_axes_are_in_cycles_per_pixel_and_per_image(result: sb.ResponseResult) -> None:
    gradient = response(result).axes[0]
    below = [label.get_text() for label in gradient.get_xticklabels()]
    (above,) = gradient.child_axes
    assert below[-1] == "0.5" and "cycles/pixel" in gradient.get_xlabel()
    assert [label.get_text() for label in above.get_xticklabels()][-1] == "8" and "16 pixels" in above.get_xlabel()


def test_points_beyond_the_noise_tried_are_explained(result: sb.ResponseResult) -> None:
    legend = response(result).axes[2].get_legend()
    told = [] if legend is None else [text.get_text() for text in legend.get_texts()]
    assert ("beyond the noise tried" in told) == bool(result.masking.extrapolated.any())
    assert "measured" in told or "beyond the noise tried" in told


def test_a_profile_stands_beside(result: sb.ResponseResult) -> None:
    net, data = planted(20)
    profile = sb.decompose(
        net, data, bands=3, design="exact", absence="mean", value="usable-information", batch_size=20
    )
    assert titles(response(result, profile=profile))[-1] == "Shapley profile"


def test_one_panel_into_axes_of_ones_own(result: sb.ResponseResult) -> None:
    figure = Figure()
    ax = figure.subplots()
    assert response(result, ax=ax, panel="noise") is figure
    np.testing.assert_allclose(curves(ax)[0][:, 1], result.masking.accuracy.value[::3])
    with pytest.raises(InputError, match="panel out of gradient, noise, channel, cut-offs, heat map, claim"):
        response(result, ax=ax, panel="noises")


def test_by_its_name_in_both_widths(result: sb.ResponseResult) -> None:
    from spectrobe.figures.publication import publication

    assert len(titles(publication("response", result))) == 6
    single = publication("response", result, "single")
    assert titles(single) == ["Accuracy when frequencies are cut off"]
    with pytest.raises(InputError, match="expected one result of response, got 2"):
        publication("response", [result, result])
