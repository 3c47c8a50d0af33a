"""Figures for a paper: exact widths, legends inside the page, the same bytes every time."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib.text import Text

import spectrobe as sb
import spectrobe.figures
from spectrobe.errors import InputError
from spectrobe.figures.publication import FORMATS, KINDS, publication, write
from spectrobe.report import sections
from spectrobe.report.sections import SECTIONS
from tests.studies.label_noise.cases import made_by_hand
from tests.studies.response.cases import measure, one_band, ripples
from tests.studies.robustness.cases import condition, hand_made
from tests.toys import PLAIN, pixels, planted


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    """A result for figures of four studies, the model's name long and with a path."""
    found = sb.decompose(*planted(), **PLAIN)
    name = (
        "timm:efficientnet_b0.ra_in1k?checkpoint=/home/somebody/weights/a-rather-long-name-of-a-checkpoint.safetensors"
    )
    conditions = [condition(f"{name}:{level}") for name in ("fog", "snow") for level in (1, 2)]
    net, data = one_band(20)
    responded = measure(net, data, ripples(), heat_map=2.0, heat_map_step=4)
    responded = replace(responded, settings=replace(responded.settings, model_name=name))
    noisy = made_by_hand()
    return {
        "fourier_heat_map": responded,
        "label_noise": noisy,
        "label_noise_shares": noisy,
        "prediction": responded,
        "response": responded,
        "response_spectra": responded,
        "profile": replace(found, settings=replace(found.settings, model_name=name)),
        "robustness": hand_made({c.name: [1, 0, 1, 0] for c in conditions}, conditions, name=name),
        "scores": replace(found, settings=replace(found.settings, model_name=name)),
        "snr_bias": sb.snr_study(pixels(8), "gaussian_noise:1-2,contrast:3", bands=3),
        "track": sb.TrackResult(name, ("1", "2"), ("1", "2"), ("1", "2"), (found, found), None),
    }


NAMES = (
    "fourier_heat_map", "label_noise", "label_noise_shares", "prediction", "profile", "response", "response_spectra",
    "robustness", "scores", "snr_bias", "track",
)  # fmt: skip
"""Those of other studies have tests of their own: snr_training, score_robustness."""
DRAWN = {
    "answer": "scores", "profiles": "profile", "snr": "snr_bias", "response": "response",
    "heat_map": "fourier_heat_map",
    "prediction": "prediction", "spectra": "response_spectra", "robustness": "robustness",
    "score_robustness": "score_robustness", "relate": "score_robustness", "track": "track",
    "label_noise": "label_noise_shares", "feature_snr": "snr_training",
}  # fmt: skip
"""Section of the report -> the figure that has its last chart."""
WITHOUT_CHARTS = {"surviving", "unfinished", "photographs", "classes", "unusual", "provenance"}


def test_every_section_with_charts_has_a_figure() -> None:
    assert set(DRAWN) | WITHOUT_CHARTS == set(SECTIONS) and set(DRAWN.values()) | {"label_noise"} == set(KINDS)
    for name in SECTIONS:
        source = Path(sections.__path__[0], f"{name}.py").read_text()
        assert ("Chart" in source or "HeatMaps" in source) == (name in DRAWN), name


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width, inches", [("double", 6.75), ("single", 3.25)])
def test_a_figure_has_the_width_of_its_columns_and_nothing_sticks_out(
    name: str, width: str, inches: float, results: dict[str, Any]
) -> None:
    figure = publication(name, results[name], width)
    assert figure.get_figwidth() == inches
    figure.draw_without_rendering()
    edges = [part.get_window_extent() for part in (*figure.legends, *figure.texts)]
    edges += [ax.get_tightbbox() for ax in figure.axes]
    right = inches * figure.dpi
    outside = [box for box in edges if box is not None and box.width and not (box.x0 > -1 and box.x1 < right + 1)]
    assert not outside
    panels = [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]
    assert all(ax.get_position().width * inches > 0.55 * min(inches, 1.2) for ax in panels)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", ["double", "single"])
def test_intervals_are_named_and_folders_are_not(name: str, width: str, results: dict[str, Any]) -> None:
    figure = publication(name, results[name], width)
    told = " ".join(text.get_text() for text in figure.findobj(Text) if isinstance(text, Text))
    assert re.search(r"95 %|no interval", told), told
    assert "somebody" not in told


@pytest.mark.parametrize("name", ["profile", "snr_bias"])
@pytest.mark.parametrize("width", ["double", "single"])
def test_frequencies_are_in_both_units(name: str, width: str, results: dict[str, Any]) -> None:
    figure = publication(name, results[name], width)
    labels = [axis.get_xlabel() for ax in figure.axes for axis in (ax, *ax.child_axes)]
    assert any("cycles/pixel" in label for label in labels) and any("cycles/image" in label for label in labels)


@pytest.mark.slow
@pytest.mark.parametrize("ending", FORMATS)
def test_files_are_the_same_every_time(ending: str, results: dict[str, Any], tmp_path: Path) -> None:
    contents = []
    for name in "ab":
        path = tmp_path / f"{name}.{ending}"
        write(publication("profile", results["profile"]), path)
        contents.append(path.read_bytes())
    assert contents[0] == contents[1] and len(contents[0]) > 4000


def test_a_pdf_holds_letters_as_outlines_of_one_font_and_no_date(results: dict[str, Any], tmp_path: Path) -> None:
    write(publication("profile", results["profile"]), tmp_path / "fig.pdf")
    content = (tmp_path / "fig.pdf").read_bytes()
    assert b"CreationDate" not in content and b"/FontFile2" in content


def test_results_of_another_study_are_refused(results: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="expected results of decompose for the figure profile, got one of snr"):
        publication("profile", [results["profile"], results["snr_bias"]])
    with pytest.raises(InputError, match="got list"):
        publication("profile", [[1]])


def test_every_figure_of_the_list_is_there_and_takes_axes() -> None:
    import inspect

    for name in KINDS:
        assert "ax" in inspect.signature(getattr(spectrobe.figures, name)).parameters
