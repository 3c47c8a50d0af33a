"""Corruption errors, worst cases and what rows show, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spectrobe.errors import InputError
from spectrobe.studies.robustness.measures import wilson
from tests.studies.robustness.cases import (
    condition,
    hand_made,
)

CORRUPTIONS = [condition(name) for name in ("a:1", "a:2", "b:1", "b:2")]
OWN = {"a:1": [1, 1, 1, 0], "a:2": [1, 0, 0, 0], "b:1": [1, 1, 1, 1], "b:2": [1, 1, 0, 1]}
REFERENCE = {"a:1": [1, 1, 1, 1], "a:2": [1, 1, 0, 0], "b:1": [1, 0, 0, 1], "b:2": [0, 1, 0, 0]}


class TestMeanCorruptionError:
    def test_unnormalised_by_hand(self) -> None:
        """a: (1/4 + 3/4) / 2 = 1/2; b: (0 + 1/4) / 2 = 1/8; mean 5/16."""
        found = hand_made(OWN, CORRUPTIONS)
        assert [e.value for e in found.corruption_error.values()] == pytest.approx([0.5, 0.125], abs=1e-12)
        assert found.mean_corruption_error.value == pytest.approx(5 / 16, abs=1e-12)
        assert [e.value for e in found.severity_accuracy.values()] == pytest.approx([7 / 8, 0.5], abs=1e-12)
        per_image = np.asarray([0, 1, 2, 2]) / 4
        assert found.mean_corruption_error.stderr == pytest.approx(per_image.std(ddof=1) / 2, abs=1e-12)
        assert found.mce is None

    def test_relative_by_hand(self) -> None:
        """a: (1 + 3) / (0 + 2) = 2; b: (0 + 1) / (2 + 3) = .2; mCE 1.1."""
        found = hand_made(OWN, CORRUPTIONS).relative_to(hand_made(REFERENCE, CORRUPTIONS, name="AlexNet"))
        assert {k: e.value for k, e in found.relative_error.items()} == pytest.approx({"a": 2.0, "b": 0.2}, abs=1e-12)
        assert found.mce.value == pytest.approx(1.1, abs=1e-12)
        assert found.reference == "AlexNet on rows"
        assert "mCE relative to AlexNet" in found.summary()

    def test_order_of_corruptions_and_images_does_not_matter(self) -> None:
        turned = [CORRUPTIONS[i] for i in (3, 0, 2, 1)]
        found = hand_made(OWN, CORRUPTIONS).relative_to(hand_made(REFERENCE, turned))
        assert found.mce.value == pytest.approx(1.1, abs=1e-12)

    @pytest.mark.parametrize(
        "changes,parts",
        [
            ({"conditions": CORRUPTIONS[:3]}, ["b has severities 1, 2 here and 1 in the reference run"]),
            ({"conditions": [*CORRUPTIONS[:2], condition("c:1")]}, ["b has severities 1, 2 here and none"]),
            ({"ids": ["0", "1", "2", "x"]}, ["same images", "1 of them differ", "'3'"]),
            ({"data_digest": "other"}, ["other data"]),
        ],
    )
    def test_other_corruptions_or_images_are_refused(self, changes: dict[str, Any], parts: list[str]) -> None:
        conditions = changes.pop("conditions", CORRUPTIONS)
        reference = hand_made({**REFERENCE, "c:1": [0, 0, 0, 0]}, conditions, **changes)
        with pytest.raises(InputError) as caught:
            hand_made(OWN, CORRUPTIONS).relative_to(reference)
        for part in parts:
            assert part in str(caught.value)

    def test_the_extra_four_stay_out_of_the_benchmark_s_mean(self) -> None:
        conditions = [condition("snow:1"), condition("saturate:1")]
        right = {"snow:1": [1, 1, 0, 0], "saturate:1": [0, 0, 0, 0]}
        assert hand_made(right, conditions).mean_corruption_error.value == 0.5
        assert hand_made(right, conditions[1:]).mean_corruption_error.value == 1.0

    def test_a_corruption_that_failed_leaves_no_mean(self) -> None:
        found = hand_made(OWN, CORRUPTIONS, failed={"a:2": "torn"})
        assert np.isnan(found.mean_corruption_error.value) and "a:2 failed" in found.mean_corruption_error.reason
        assert np.isnan(found.corruption_error["a"].value) and found.corruption_error["b"].value == 0.125


class TestWorstCase:
    def test_by_hand(self) -> None:
        pair = [condition(name, eps=0.1) for name in ("one:eps=0.1", "two:eps=0.1")]
        alone = condition("one:eps=0.2", eps=0.2)
        noise = condition("noise_linf:eps=0.1", eps=0.1, kind="noise")
        right = {
            "one:eps=0.1": [1, 1, 0, 0, 1],
            "two:eps=0.1": [1, 0, 1, 0, 1],
            "one:eps=0.2": [0, 0, 0, 0, 0],
            "noise_linf:eps=0.1": [0, 0, 0, 0, 0],
        }
        found = hand_made(right, [*pair, alone, noise])
        assert dict(found.worst_case) == {"linf:eps=0.1": wilson(2, 5)}

    def test_an_attack_that_failed_is_left_out(self) -> None:
        pair = [condition(name, eps=0.1) for name in ("one:eps=0.1", "two:eps=0.1")]
        right = {"one:eps=0.1": [1, 1, 0], "two:eps=0.1": [0, 0, 0]}
        assert dict(hand_made(right, pair, failed={"two:eps=0.1": "torn"}).worst_case) == {}


class TestRowsAgainstAttacks:
    """What the rows alone show."""

    def test_black_box_beats_gradients(self) -> None:
        pair = [condition(name, eps=0.1) for name in ("pgd_linf:eps=0.1", "square_linf:eps=0.1")]
        right = {"pgd_linf:eps=0.1": [1] * 100, "square_linf:eps=0.1": [1] * 97 + [0] * 3}
        assert any("black-box attack gets accuracy down to 0.970" in w for w in hand_made(right, pair).warnings)
        assert hand_made({**right, "pgd_linf:eps=0.1": [1] * 96 + [0] * 4}, pair).warnings == ()

    def test_accuracy_that_rises_with_eps(self) -> None:
        pair = [condition(f"a:eps={eps}", eps=eps) for eps in (0.1, 0.2)]
        right = {"a:eps=0.1": [0] * 50 + [1] * 50, "a:eps=0.2": [0] * 47 + [1] * 53}
        assert any("accuracy rises from 0.500" in w for w in hand_made(right, pair).warnings)
        assert hand_made({**right, "a:eps=0.2": [0] * 49 + [1] * 51}, pair).warnings == ()

    def test_nothing_found(self) -> None:
        one = condition("deepfool_l2", kind="minimum-norm", norm="l2")
        found = hand_made(
            {"deepfool_l2": [1, 0, 0, 0]}, [one], clean=[1, 1, 1, 0], distance={"deepfool_l2": [0, 3, 2, 0]}
        )
        assert found.median_distance["deepfool_l2"].value == 2.5  # infinite, 3, 2, and 0 for the one wrong already
        assert found.warnings == ("deepfool_l2: nothing found for 1 of 3 images",)


class TestSentence:
    def test_names_the_worst_of_several(self) -> None:
        conditions = [condition("fog:1"), condition("snow:1")]
        found = hand_made({"fog:1": [1, 0, 1, 1], "snow:1": [0, 0, 1, 1]}, conditions, clean=[1] * 4, name="X")
        assert found.summary().splitlines()[-1] == (
            "X is right on 100% of the clean images; "
            "it is right on 50% of the images under snow:1, the most harmful here."
        )

    def test_one_alone_is_not_the_most_harmful(self) -> None:
        found = hand_made({"fog:1": [1, 0]}, [condition("fog:1")], clean=[1, 1])
        assert found.summary().endswith("it is right on 50% of the images under fog:1.")
        assert "1 perturbation," in found.summary()

    @pytest.mark.parametrize(("names", "told"), [(["fog:1"], "fog:1"), (["fog:1", "snow:1"], "these perturbations")])
    def test_what_harms_nothing_is_not_called_harmful(self, names: list[str], told: str) -> None:
        found = hand_made({name: [1, 0] for name in names}, [condition(name) for name in names], [1, 0], name="X")
        last = found.summary().splitlines()[-1]
        assert last == f"X is right on 50% of the clean images, and no less often under {told}."

    def test_what_failed_is_told_once(self) -> None:
        conditions = [condition("fog:1"), condition("snow:1")]
        found = hand_made({"fog:1": [1, 0], "snow:1": [0, 0]}, conditions, failed={"snow:1": "it is torn"})
        assert found.summary().count("it is torn") == 1
