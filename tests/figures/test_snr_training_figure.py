"""Native SNR against robustness: points where the numbers are, one y axis, both intervals, a condition apart."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spectrobe.bands import BandPartition
from spectrobe.figures import save_figure, snr_training
from spectrobe.figures.style import MARKERS

GROUPS, SEEDS, PERTURBATIONS = 3, 2, 4
MODULUS = np.array([[0.984, 0.82, 0.9818, 0.9818], [0.88, 0.982, 0.56, 0.979], [0.4, 0.982, 0.972, 0.2]])


def fake(injected: bool = True, **changes: Any) -> Any:
    """A look-alike of a feature-snr result whose views differ in accuracy."""
    draws = np.random.default_rng(0)
    scale = np.array([1.0, 0.4])[:, None, None]
    clean = (0.6 + 0.02 * draws.random((2, SEEDS, GROUPS))) * scale
    accuracy = clean[..., None] * (0.2 + 0.8 * MODULUS) + 0.02 * draws.random((2, SEEDS, GROUPS, PERTURBATIONS))
    relation = SimpleNamespace(partial=0.74, p=0.022)
    content: dict[str, Any] = {
        "settings": SimpleNamespace(seeds=SEEDS, inject_db=10.0, confidence=0.95), "model_name": "resnet:8",
        "data_name": "photos", "demo": False, "n_train": 25_000, "n_images": 2_000, "n_classes": 10,
        "bands": BandPartition.from_edges([0, 0.25, 0.625, 1]), "groups": ("low", "middle", "high"),
        "perturbations": ("gaussian_noise:2", "noise in low", "noise in middle", "noise in high"), "modulus": MODULUS,
        "modulus_interval": MODULUS[..., None] + np.array([-0.01, 0.005]), "clean": clean, "accuracy": accuracy,
        "relations": {"same-band": relation, "full-band": SimpleNamespace(partial=np.nan, p=np.nan)},
        "injected_clean": clean if injected else None, "injected_accuracy": accuracy - 0.01 if injected else None,
    }  # fmt: skip
    return SimpleNamespace(**(content | changes))


def points(ax: Axes) -> np.ndarray:
    """(n, 2), sorted, of all markers."""
    found = [line.get_xydata()[0] for line in ax.lines if line.get_marker() in MARKERS]
    return np.array(sorted(map(tuple, found)))


def across(ax: Axes) -> np.ndarray:
    """(n, 3): y and ends of the bars that lie, but for the line of chance, sorted."""
    drawn = [np.asarray(line.get_xydata()) for line in ax.lines if len(line.get_xydata()) == 2]
    found = [(bar[0, 1], *bar[:, 0]) for bar in drawn if bar[0, 1] == bar[1, 1] and bar[:, 0].tolist() != [0, 1]]
    return np.array(sorted(found))


def legend_texts(figure: Figure) -> list[str]:
    [legend] = [ax.get_legend() for ax in figure.axes if ax.get_legend()]
    return [text.get_text() for text in legend.get_texts()]


@pytest.mark.parametrize("row", [0, 1])
@pytest.mark.parametrize("view", [0, 1])
def test_points_and_both_bars_are_where_the_numbers_are(row: int, view: int) -> None:
    result = fake()
    ax = snr_training(result).axes[2 * row + view]
    means = (result.injected_accuracy if row else result.accuracy)[view].mean(axis=0)
    wanted = sorted(zip(MODULUS.ravel(), means.ravel(), strict=True))
    np.testing.assert_array_equal(points(ax), wanted)
    intervals = np.concatenate([means[..., None], result.modulus_interval], axis=2).reshape(-1, 3)
    np.testing.assert_array_equal(across(ax), sorted(map(tuple, intervals)))
    seeds = [
        np.asarray(line.get_ydata()) for line in ax.lines if len(set(line.get_xdata())) == 1 < len(line.get_ydata())
    ]
    low_high = (result.injected_accuracy if row else result.accuracy)[view]
    np.testing.assert_array_equal(
        sorted(map(tuple, seeds)), sorted(zip(low_high.min(0).ravel(), low_high.max(0).ravel(), strict=True))
    )


def test_all_panels_have_one_y_axis() -> None:
    axes = snr_training(fake()).axes
    assert len(axes) == 4 and len({ax.get_ylim() for ax in axes}) == 1 and len({ax.get_xlim() for ax in axes}) == 1
    assert len(snr_training(fake(injected=False)).axes) == 2


def test_moduli_that_crowd_near_one_are_told_apart() -> None:
    """The scale is of the modulus itself, with ticks at true values, and wide where moduli are near 1."""
    figure = snr_training(fake())
    figure.draw_without_rendering()
    ax = figure.axes[0]
    place = ax.transAxes.inverted().transform(ax.transData.transform([[x, 0.5] for x in (0.2, 0.971, 0.984)]))[:, 0]
    assert 0 < place[0] < place[1] < place[2] < 1 and place[2] - place[1] > 0.06  # .015 on a straight scale
    assert [f"{tick:g}" for tick in ax.get_xticks()] == [text.get_text() for text in figure.axes[2].get_xticklabels()]
    sizes = [line.get_markersize() for line in ax.lines if line.get_marker() in MARKERS]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] > sizes[-1]  # what is drawn later hides nothing


@pytest.mark.parametrize("modulus", [0.0, 0.5, 1.0])
def test_groups_that_are_gone_or_untouched_are_inside(modulus: float) -> None:
    everywhere = np.full((GROUPS, PERTURBATIONS), modulus)
    mixed = np.where(np.arange(PERTURBATIONS) == 0, modulus, MODULUS)
    for values in (everywhere, mixed):
        figure = snr_training(fake(modulus=values, modulus_interval=np.stack([values, values], axis=2)))
        figure.draw_without_rendering()
        for ax in figure.axes:
            low, high = ax.get_xlim()
            assert np.isfinite([low, high]).all() and low < values.min() and values.max() < high


def test_says_what_it_shows() -> None:
    figure = snr_training(fake())
    texts = legend_texts(figure)
    assert {"bar: lowest to highest seed", "bar across: 95 % interval", "dash: clean images", "line: chance"} < set(
        texts
    )
    assert figure.axes[0].get_title(loc="left").endswith("partial rank correlation +0.74, p = 0.022")
    assert figure.axes[1].get_title(loc="left").endswith("partial rank correlation not defined")
    assert any("weaker than in training" in text.get_text() for text in figure.texts)
    assert snr_training(fake(demo=True)).get_suptitle().startswith("Demo, no evidence: ")


def test_into_axes_of_the_caller() -> None:
    figure = Figure()
    ax = figure.subplots()
    assert snr_training(fake(), ax=ax) is figure
    assert len(points(ax)) == GROUPS * PERTURBATIONS and "bar across: 95 % interval" in legend_texts(figure)


@pytest.mark.slow
def test_the_files_are_the_same_every_time(tmp_path: Any) -> None:
    for folder in ("a", "b"):
        save_figure(snr_training(fake()), tmp_path / folder, "snr-training")
    for kind in ("svg", "png"):
        assert (tmp_path / f"a/snr-training.{kind}").read_bytes() == (tmp_path / f"b/snr-training.{kind}").read_bytes()
