from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes

from spectrobe.errors import InputError
from spectrobe.figures import robustness
from spectrobe.figures.robustness_figure import DODGE
from spectrobe.studies.robustness.conditions import Condition
from spectrobe.studies.robustness.result import RobustnessResult
from tests.studies.robustness.cases import condition, hand_made


def result(name: str = "A", families: int = 2, **changes: object) -> RobustnessResult:
    """Corruptions at severities 1 and 2, an attack at two eps, one more condition; every other image right."""
    conditions: list[Condition] = [condition(f"c{k}:{level}") for k in range(families) for level in (1, 2)]
    conditions += [condition(f"pgd_linf:eps={eps}", family="pgd_linf", eps=eps) for eps in (0.01, 0.02)]
    conditions += [Condition("codec", "other", "codec")]
    right = {c.name: [(i + k) % 2 for i in range(10)] for k, c in enumerate(conditions)}
    right["codec"] = [1] * 10
    return hand_made(right, conditions, clean=[1] * 9 + [0], name=name, **changes)  # type: ignore[arg-type]


def lines(ax: Axes) -> list[np.ndarray]:
    return [np.asarray(line.get_xydata()) for line in ax.lines if len(np.asarray(line.get_xdata())) > 1]


def labels(ax: Axes) -> list[str]:
    legend = ax.get_legend()
    return [] if legend is None else [text.get_text() for text in legend.get_texts()]


def ticks(ax: Axes, axis: str) -> list[str]:
    return [label.get_text() for label in getattr(ax, f"get_{axis}ticklabels")()]


def test_curves_begin_at_the_clean_accuracy_and_hold_the_numbers() -> None:
    found = result()
    severity, eps, rows = robustness(found).axes
    first, second = lines(severity)
    np.testing.assert_allclose(first, [[-DODGE / 2, 0.9], [1 - DODGE / 2, 0.5], [2 - DODGE / 2, 0.5]], atol=1e-12)
    assert labels(severity) == ["c0", "c1"] and ticks(severity, "x") == ["clean", "1", "2"]
    np.testing.assert_allclose(lines(eps)[0][:, 1], [0.9, 0.5, 0.5], atol=1e-12)
    np.testing.assert_allclose(np.diff(lines(eps)[0][:, 0]), [1, 1], atol=1e-12)  # a doubling is a step, and so is 0
    assert ticks(eps, "x") == ["0", "0.01", "0.02"] and eps.get_xlabel() == "epsilon, L∞ norm"
    assert ticks(rows, "y") == ["codec"]
    segments = np.asarray(severity.collections[0].get_segments())  # type: ignore[attr-defined]
    assert tuple(segments[1][:, 1]) == (found.accuracy["c0:1"].low, found.accuracy["c0:1"].high)
    assert second[0, 0] == DODGE / 2


def test_many_corruptions_are_thin_lines_and_their_mean() -> None:
    found = result(families=7)
    severity = robustness(found).axes[0]
    assert labels(severity) == ["mean of 7 corruptions (thin: each)"]
    assert len(lines(severity)) == 8
    mean = [found.clean.value, *(e.value for e in found.severity_accuracy.values())]
    np.testing.assert_allclose(lines(severity)[-1][:, 1], mean, atol=1e-12)


def test_of_thin_lines_the_best_and_the_worst_are_named_at_their_ends() -> None:
    conditions = [condition(f"{name}:{level}") for name in "abcdefg" for level in (1, 2)]
    share = {"a": 3, "b": 1, "c": 9}  # of ten images, how many are right at severity 2
    right = {c.name: [1] * (share.get(c.family, 5) if c.severity == 2 else 10) + [0] * 10 for c in conditions}
    right = {name: values[:10] for name, values in right.items()}
    severity = robustness(hand_made(right, conditions)).axes[0]
    assert {text.get_text(): text.xy for text in severity.texts} == {"b": (2, 0.1), "c": (2, 0.9)}


def test_the_title_names_model_images_and_data() -> None:
    assert robustness(result()).get_suptitle() == "What is left of A's accuracy: 10 images of rows, 95 % intervals"


def test_several_results_have_a_colour_each() -> None:
    severity, eps, rows = robustness([result("A"), result("B")]).axes
    assert labels(severity) == ["A, mean of 2 corruptions", "B, mean of 2 corruptions"]
    assert labels(eps) == ["A, pgd_linf", "B, pgd_linf"] and labels(rows) == ["A", "B"]
    assert len({line.get_color() for line in severity.lines}) == 2


def test_without_curves_there_are_rows_alone() -> None:
    conditions = [condition("fog:3"), condition("snow:3")]
    figure = robustness(hand_made({"fog:3": [1, 0], "snow:3": [1, 1]}, conditions))
    (rows,) = figure.axes
    assert ticks(rows, "y") == ["fog:3", "snow:3"]


def test_a_condition_that_failed_has_no_point() -> None:
    conditions = [condition("fog:3"), condition("snow:3")]
    right = {"fog:3": [1, 0], "snow:3": [1, 1]}
    assert ticks(robustness(hand_made(right, conditions, failed={"fog:3": "torn"})).axes[0], "y") == ["snow:3"]
    nothing = robustness(hand_made(right, conditions, failed={"fog:3": "torn", "snow:3": "torn"})).axes[0]
    assert ticks(nothing, "y") == ["fog:3", "snow:3"]


def test_results_that_cannot_be_drawn_together_are_refused() -> None:
    from dataclasses import replace

    one = result()
    other = replace(one, settings=replace(one.settings, confidence=0.9))
    with pytest.raises(InputError, match="same confidence"):
        robustness([one, other])
    with pytest.raises(InputError, match="at least one result"):
        robustness([])
