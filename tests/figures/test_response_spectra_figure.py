"""Response beside the spectra of perturbations, as a figure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

import spectrobe as sb
from spectrobe.errors import InputError
from spectrobe.figures.publication import publication
from spectrobe.figures.response_spectra_figure import response_spectra
from spectrobe.studies.response.spectra import perturbation_spectra
from tests.studies.response.cases import measure, one_band, ripples


@pytest.fixture(scope="module")
def tested() -> sb.ResponseResult:
    model, data = one_band(20)
    return measure(model, data, ripples())


def test_a_panel_a_perturbation_with_both_factors_as_shares(tested: sb.ResponseResult) -> None:
    figure = response_spectra(tested)
    assert [ax.get_title("left") for ax in figure.axes] == ["swell:4", "ripple:4", "grain:4"]
    sensitivity, powers = tested.masking.sensitivity.value, perturbation_spectra(tested)
    for ax in figure.axes:
        response, power = ax.get_lines()
        np.testing.assert_allclose(response.get_ydata(), sensitivity / sensitivity.sum(), rtol=1e-12)
        own = powers[ax.get_title("left")].value
        np.testing.assert_allclose(power.get_ydata(), own / own.sum(), rtol=1e-12)
        np.testing.assert_allclose(response.get_xdata(), np.log2(tested.frequency))
        assert "cycles/pixel" in ax.get_xlabel() and "cycles/image" in ax.child_axes[0].get_xlabel()
    assert "20 images, 95 % intervals" in figure._suptitle.get_text()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["response", "response_spectra"])
@pytest.mark.parametrize("width, inches", [("double", 6.75), ("single", 3.25)])
def test_it_is_as_wide_as_its_columns_names_its_intervals_and_nothing_sticks_out(
    width: str, inches: float, name: str, tested: sb.ResponseResult
) -> None:
    figure = publication(name, tested, width)
    texts = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    texts += [figure._suptitle.get_text() if figure._suptitle else ""]  # type: ignore[attr-defined]
    assert "95 % interval" in " ".join(texts)
    figure.draw_without_rendering()
    assert figure.get_figwidth() == inches
    edges = [part.get_window_extent() for part in (*figure.legends, *figure.texts)]
    edges += [box for ax in figure.axes if (box := ax.get_tightbbox()) is not None]
    assert all(box.x0 > -1 and box.x1 < inches * figure.dpi + 1 for box in edges if box.width)


def test_what_cannot_be_drawn_is_refused(tested: sb.ResponseResult) -> None:
    axes = Figure().subplots()
    with pytest.raises(InputError, match="out of swell:4, ripple:4, grain:4, got 'fog:1'"):
        response_spectra(tested, ax=axes, perturbation="fog:1")
    with pytest.raises(InputError, match="a figure shows one model"):
        response_spectra([tested, tested])  # type: ignore[arg-type]
    with pytest.raises(InputError, match="with a test of perturbations: too few"):
        response_spectra(replace(tested, claim=None, untested="too few"))
