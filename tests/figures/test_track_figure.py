"""The figure of a tracked training run holds its numbers."""

from __future__ import annotations

import dataclasses
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from safetensors.torch import save_file

import spectrobe as sb
from spectrobe.figures import track
from spectrobe.figures.over_training import _without_what_is_shared
from tests.toys import labels_of, linear, pixels


@cache
def tracked() -> sb.TrackResult:
    x, nets = pixels(16), [linear(seed=seed) for seed in (1, 2, 3)]
    with tempfile.TemporaryDirectory() as folder:
        for epoch, net in enumerate(nets):
            save_file(net.state_dict(), Path(folder) / f"epoch={epoch}.safetensors")
        return sb.track(linear(), (x, labels_of(nets[2], x)), folder, bands=3, precision="float32", batch_size=32)


def test_lines_and_shades_are_the_numbers() -> None:
    found = tracked()
    figure = track(found)
    profile, information, score = figure.axes
    lines = [line for line in profile.lines if len(line.get_xdata()) == 3]
    for band, line in enumerate(lines):
        np.testing.assert_allclose(line.get_ydata(), found.shapley[:, band])
        corners = profile.collections[band].get_paths()[0].vertices[:, 1]
        assert corners.min() == pytest.approx(found.interval[:, band, 0].min())
        assert corners.max() == pytest.approx(found.interval[:, band, 1].max())
    np.testing.assert_allclose(information.lines[0].get_ydata(), [e.value for e in found.information])
    np.testing.assert_allclose(score.lines[0].get_ydata(), [e.value for e in found.scores])
    legend = profile.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["2: 0.333-0.5", "1: 0.167-0.333", "0: 0-0.167"]
    assert [tick.get_text() for tick in score.get_xticklabels()] == ["0", "1", "2"]


def test_in_axes_of_ones_own() -> None:
    own = Figure().add_subplot()
    assert track(tracked(), own) is own.get_figure()
    assert own.get_ylabel() == "Shapley value (nats)"


def test_many_checkpoints_keep_room_between_their_names() -> None:
    found = tracked()
    names = tuple(f"epoch={epoch}-step={500 * epoch}" for epoch in range(60))
    many = dataclasses.replace(found, names=names, results=found.results * 20)
    shown = [tick.get_text() for tick in track(many).axes[-1].get_xticklabels()]
    assert 5 < len(shown) <= 32 and shown[-1] == "59-step=29500"


@pytest.mark.parametrize("names, short", [
    (["epoch=1", "epoch=2", "epoch=10"], ["1", "2", "10"]),
    (["epoch=10", "epoch=12"], ["10", "12"]),  # a number stays whole
    (["net-1-final", "net-20-final"], ["1", "20"]),
    (["v1.5", "v1.25"], ["1.5", "1.25"]),
    (["last", "best"], ["la", "be"]),
    (["last"], ["last"]),
    (["a", "ab"], ["a", "ab"]),  # nothing would be left
])  # fmt: skip
def test_what_names_share_is_left_out(names: list[str], short: list[str]) -> None:
    assert _without_what_is_shared(names) == short
