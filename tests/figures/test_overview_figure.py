from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from spectrobe.bands import BandPartition
from spectrobe.errors import InputError
from spectrobe.figures import overview
from tests.figures.lookalike import fake_result

IMAGE = torch.rand(3, 96, 128, generator=torch.Generator().manual_seed(0))
BOTH = [fake_result(), fake_result(value="log-likelihood", shapley=[-0.3, 0.3, -0.6, -0.2, 0.7, 0.9, 0.9, 0.8])]


def texts(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.texts)


def test_holds_the_photo_a_panel_for_each_value_the_power_and_a_picture_for_each_band() -> None:
    figure = overview(BOTH, IMAGE)
    photo, information, likelihood, power, *pictures = figure.axes
    assert len(photo.images) == 1
    assert len(pictures) == 8
    for ax, result in ((information, BOTH[0]), (likelihood, BOTH[1])):
        drawn = next(np.asarray(line.get_ydata()) for line in ax.lines if line.get_marker() == "o")
        np.testing.assert_allclose(drawn, result.shapley, rtol=0, atol=1e-12)
        assert ax.get_ylabel() == "Shapley value (nats)"
    np.testing.assert_allclose(np.asarray(power.lines[-1].get_ydata()), BOTH[0].power_db, rtol=0, atol=1e-12)
    assert len(overview(BOTH[0], IMAGE).axes) == 11
    assert len(overview(fake_result(power_db=None), IMAGE).axes) == 10


@pytest.mark.parametrize(
    "bands", [BandPartition.square(8), BandPartition.radial(12), BandPartition.octaves(4, dc="own")]
)
def test_every_picture_stands_under_its_band(bands: BandPartition) -> None:
    figure = overview(fake_result(bands=bands), IMAGE)
    panel, pictures = figure.axes[1], figure.axes[3:]
    for band, picture in enumerate(pictures):
        center = figure.transFigure.inverted().transform(panel.transData.transform((band, 0)))[0]
        box = picture.get_position(original=True)
        assert (box.x0 + box.x1) / 2 == pytest.approx(center, abs=1e-6)
        assert box.y1 < panel.get_position().y0


def test_texts_say_the_question_the_answer_the_totals_and_how_to_read_it() -> None:
    answer = "These 20 images cannot tell whether the model leans on low or on high frequencies."
    said = texts(overview(BOTH, IMAGE, answer=answer))
    for expected in (
        "Which spatial frequencies does EfficientNet-Lite0 rely on?",
        answer,
        "20 images (demo); 8 frequency bands",
        "absent bands are those of the mean image; exact design",
        "Usable information",
        "the paper's value",
        "all bands 1.74 [1.54, 1.94] nats   score 0.31 [0.21, 0.41]",
        "the framed part of the photo",
    ):
        assert expected in said
    assert "the framed part" not in texts(overview(BOTH, IMAGE[:, :32, :32]))


def test_nothing_runs_off_the_page() -> None:
    answer = "word " * 60
    figure = overview([*BOTH, fake_result(value="accuracy", unit="fraction of images")], IMAGE, answer=answer)
    figure.draw_without_rendering()
    width, height = figure.get_size_inches()
    box = figure.get_tightbbox()
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= width
    assert box.y1 <= height


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_name": "resnet18"}, "same model_name in one overview, got EfficientNet-Lite0 and resnet18"),
        ({"bands": BandPartition.radial(8)}, "same bands in one overview, got square:8 and radial:8"),
        ({"confidence": 0.9}, "same confidence"),
    ],
)
def test_results_that_do_not_belong_together_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        overview([fake_result(), fake_result(**change)], IMAGE)


def test_no_result_and_no_image_are_refused() -> None:
    with pytest.raises(InputError, match="at least one result"):
        overview([], IMAGE)
    with pytest.raises(InputError, match="one image"):
        overview(fake_result(), IMAGE[None])
