"""Score against robustness: every model a named point with both intervals, the correlation above."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

import spectrobe as sb
from spectrobe.errors import InputError
from spectrobe.figures.score_robustness_figure import _broken
from spectrobe.figures.style import MUTED
from tests.studies.relate.cases import FAST, bare_models, by_model

N = 16
Y = np.linspace(0, 1, N) + 0.1 * np.random.default_rng(0).normal(size=N)


@pytest.fixture(scope="module")
def result() -> sb.RelateResult:
    draws = np.random.default_rng(1)
    columns: dict[str, Any] = {"baseline": Y + 0.3 * draws.normal(size=N)}
    scores = {"good": by_model(Y + 0.2 * draws.normal(size=N)), "bad": by_model(draws.normal(size=N))}
    against = {"attacks": by_model(Y), "corruptions": by_model(draws.normal(size=N)), "third": by_model(Y**2)}
    recipes = {f"m{i:02}": "pair" if i < 2 else "three" if i < 5 else f"r{i}" for i in range(N)}
    return sb.relate(bare_models(columns), scores=scores, against=against, recipes=recipes, without="three", **FAST)


def panels(figure: Figure) -> list[Any]:
    return [ax for ax in figure.axes if ax.axison]


def test_a_panel_a_measure_with_the_best_score_and_what_is_to_know(result: sb.RelateResult) -> None:
    figure = sb.figures.score_robustness(result)
    found = panels(figure)
    assert [ax.get_ylabel() for ax in found] == ["attacks", "corruptions", "third"]
    assert found[0].get_xlabel() == "good"
    rho = result.relation("good", "attacks").spearman
    assert found[0].get_title("left") == (
        f"Spearman {rho.value:.2f} [{rho.low:.2f}, {rho.high:.2f}], p = {rho.p_max:.2g} for all scores tried\n"
        "best of 2 scores, 16 models"
    )
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["pair", "three"]


def test_points_intervals_and_names_are_the_results(result: sb.RelateResult) -> None:
    figure = sb.figures.score_robustness(result, "baseline", "attacks")
    [ax] = panels(figure)
    assert "p_max" not in ax.get_title("left") and "one score, 16 models" in ax.get_title("left")
    points = {(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in ax.lines}
    x, y = result.scores["baseline"].values, result.measures["attacks"].values
    assert points == set(zip(x.tolist(), y.tolist(), strict=True))
    segments = [segment for collection in ax.collections for segment in collection.get_segments()]
    assert len(segments) == N  # numbers from a table have no interval
    for estimate, segment in zip(result.scores["baseline"].estimates, segments, strict=True):
        assert segment[:, 0].tolist() == [estimate.low, estimate.high]
    assert sorted(text.get_text() for text in ax.texts) == list(result.models)
    colours = {line.get_color() for line in ax.lines}
    assert MUTED in colours and len(colours) == 3  # two recipes of several models, and the others


def test_names_stay_inside_and_do_not_cover_one_another(result: sb.RelateResult) -> None:
    figure = sb.figures.score_robustness(result, "good", "attacks")
    figure.draw_without_rendering()
    [ax] = panels(figure)
    frame = ax.get_window_extent()
    # a text's own extent, without the line that leads to its point
    boxes = [text.get_bbox_patch() or super(type(text), text).get_window_extent() for text in ax.texts]
    for box in boxes:
        assert frame.x0 - 2 <= box.x0 and box.x1 <= frame.x1 + 2 and frame.y0 - 2 <= box.y0 and box.y1 <= frame.y1 + 2
    covered = sum(a.overlaps(b) for a, b in combinations(boxes, 2))
    assert covered <= 2


def test_a_subset_and_axes_of_ones_own(result: sb.RelateResult) -> None:
    figure, ax = plt.subplots()
    assert sb.figures.score_robustness(result, "good", "attacks", "without three", ax=ax) is figure
    assert len(ax.lines) == len(ax.texts) == 13
    assert "13 models without three" in ax.get_title("left")
    plt.close(figure)


def test_too_few_models_are_told_in_the_title() -> None:
    few = sb.relate(
        bare_models({"x": [1.0, 2, 4]}), scores={"s": by_model([1, 2, 3])}, against={"y": by_model([3, 1, 2])}, **FAST
    )
    [ax] = panels(sb.figures.score_robustness(few, "s"))
    assert ax.get_title("left").endswith("3 models; too few for a claim") and "[no interval]" in ax.get_title("left")


def test_what_cannot_be_drawn(result: sb.RelateResult) -> None:
    with pytest.raises(InputError, match="no score 'x' for attacks; there are good, bad"):
        sb.figures.score_robustness(result, "x")
    with pytest.raises(InputError, match="no measure 'x'; there are attacks"):
        sb.figures.score_robustness(result, None, "x")
    figure, ax = plt.subplots()
    with pytest.raises(InputError, match="expected one measure for axes of your own, got 3: name it"):
        sb.figures.score_robustness(result, ax=ax)
    plt.close(figure)


def test_long_names_are_broken_after_their_marks() -> None:
    assert _broken("area/pgd_linf") == "area/pgd_linf"
    name = "accuracy/band_noise:power=0.0064;band=0;bands=square:8"
    assert _broken(name) == "accuracy/band_noise:power=0.0064;band=0;\nbands=square:8"
    assert _broken("x" * 60) == "x" * 60  # nowhere to break
