"""Measured robustness: closed-form accuracies, sums by hand, failures, warnings, resuming, saving."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import spectrobe as sb
from spectrobe.engine.store import json_text
from spectrobe.errors import InputError, RunFolderError
from spectrobe.perturbations.base import Perturbation
from spectrobe.perturbations.corruptions import parameters
from spectrobe.studies import robustness_preparation
from spectrobe.studies.robustness_measures import wilson
from tests.perturbations.attack_models import SmallNet, images
from tests.studies.robustness_cases import (
    DoesNothing,
    Rounds,
    Stopped,
    Stuck,
    TooFar,
    condition,
    hand_made,
    linear_case,
    stopping,
)

EPS = (1 / 512, 1 / 256, 1 / 128)


def measure(model: Any, x: Tensor, y: Tensor, perturbations: Any, **settings: Any) -> sb.RobustnessResult:
    return sb.robustness(model, (x, y), perturbations, **{"batch_size": 40, **settings})


def identity(x: Tensor) -> Tensor:
    return x


def black(x: Tensor) -> Tensor:
    return torch.zeros_like(x)


class TestLinearModel:
    """margin m for the label: an attack of radius eps wins where m < eps |w|, in the dual norm."""

    def test_attacks_and_their_area(self) -> None:
        model, x, y, margin = linear_case()
        dual = {"linf": float(model.weight[1].detach().abs().sum()), "l2": float(model.weight[1].detach().norm())}
        eps = {"linf": EPS, "l2": tuple(8 * e for e in EPS)}
        items = [f"{a}_{norm}:eps={e!r}" for a in ("fgsm", "pgd") for norm in dual for e in eps[norm]]
        found = measure(model, x, y, ",".join(items))
        assert found.clean.value == 7 / 8
        for norm, weight in dual.items():
            right = [float(np.mean(margin > e * weight)) for e in (0.0, *eps[norm])]
            assert 0.05 < right[-1] < right[1] < right[0]  # else there would be nothing to see
            for attack in ("fgsm", "pgd"):
                names = [c.name for c in found.conditions if c.family == f"{attack}_{norm}"]
                measured = [found.accuracy[name].value for name in names]
                if (attack, norm) == ("pgd", "l2"):  # comes near the optimum from its random start, no more
                    np.testing.assert_array_less(np.abs(np.subtract(measured, right[1:]) - 0.015), 0.016)
                    continue
                assert measured == right[1:]
                knots = np.asarray((0.0, *eps[norm]))
                area = np.sum((np.asarray(right[1:]) + right[:-1]) / 2 * np.diff(knots)) / knots[-1]
                assert found.area[f"{attack}_{norm}"].value == pytest.approx(area, abs=1e-12)
                assert "from 0 to" in found.area[f"{attack}_{norm}"].reason
        assert found.warnings == ()
        for accuracy in found.accuracy.values():
            assert accuracy == wilson(round(accuracy.value * 120), 120)

    def test_minimum_norm_distance(self) -> None:
        pytest.importorskip("foolbox")
        model, x, y, margin = linear_case()
        found = measure(model, x, y, "deepfool_l2,ddn_l2")
        distance = np.where(margin > 0, margin / float(model.weight[1].detach().norm()), 0.0)
        deepfool, ddn = found.median_distance.values()
        assert deepfool.value == pytest.approx(1.02 * np.median(distance), rel=5e-3)  # its overshoot
        assert ddn.value == pytest.approx(np.median(distance), rel=0.02)
        ordered = np.sort(distance)
        rank = int(stats.binom.ppf(0.025, 120, 0.5))
        assert deepfool.low == pytest.approx(1.02 * ordered[rank - 1], rel=5e-3)
        assert deepfool.high == pytest.approx(1.02 * ordered[120 - rank], rel=5e-3)
        assert "15 of 120 images already wrong count as 0; nothing found for 0" in deepfool.reason
        assert all(found.accuracy[name].value == 0 for name in found.median_distance)

    def test_gaussian_noise(self) -> None:
        model, x, y, margin = linear_case(n=400)
        found = measure(model, x, y, "gaussian_noise:2")
        std = parameters("gaussian_noise", 2, 8)["std"]
        chance = stats.norm.cdf(margin / (std * float(model.weight[1].detach().norm())))
        spread = np.sqrt(np.sum(chance * (1 - chance))) / 400
        assert 0.005 < spread < 0.025
        assert found.accuracy["gaussian_noise:2"].value == pytest.approx(chance.mean(), abs=3 * spread)

    def test_log_likelihood(self) -> None:
        model, x, y, margin = linear_case()
        found = measure(model, x, y, [identity, lambda x: 1 - x])
        log_q = -np.logaddexp(0, -margin)
        mirrored = -np.logaddexp(0, margin)  # the margin is odd around mid-grey
        assert found.clean.log_likelihood.value == pytest.approx(log_q.mean(), abs=1e-5)
        assert found.log_likelihood["<lambda>"].value == pytest.approx(mirrored.mean(), abs=1e-5)
        half = stats.t.ppf(0.975, 119) * log_q.std(ddof=1) / np.sqrt(120)
        assert found.clean.log_likelihood.high == pytest.approx(log_q.mean() + half, abs=1e-5)


class TestHandMadePerturbations:
    def test_the_identity_changes_nothing_at_all(self) -> None:
        model, x, y, _ = linear_case()
        found = measure(model, x, y, [identity])
        assert found.accuracy["identity"] == wilson(105, 120)
        assert all(getattr(found.clean, part) == getattr(wilson(105, 120), part) for part in ("value", "low", "high"))
        assert found.log_likelihood["identity"] == found.clean.log_likelihood
        rows = found.predictions
        np.testing.assert_array_equal(rows.predicted[:, 0], rows.clean_predicted)
        assert not rows.l2.any() and not rows.linf.any()

    def test_black_images_leave_chance(self) -> None:
        model, x, y, _ = linear_case()
        found = measure(model, x, y, [black])
        with torch.no_grad():
            always = int(model(torch.zeros(1, *x.shape[1:])).argmax())
        assert found.accuracy["black"].value == float((y == always).double().mean())
        np.testing.assert_allclose(
            found.predictions.l2[:, 0], x[found.predictions.position].flatten(1).norm(dim=1), rtol=1e-6
        )

    def test_rows_hold_what_is_needed_to_recompute(self) -> None:
        model, x, y, margin = linear_case(n=30)
        rows = measure(model, x, y, ["fgsm_linf:eps=1/32", black]).predictions
        order = rows.position
        assert sorted(order) == list(range(30)) and rows.ids == tuple(map(str, order))
        np.testing.assert_array_equal(rows.label, y.numpy()[order])
        np.testing.assert_allclose(rows.clean_log_q, -np.logaddexp(0, -margin[order]), rtol=0, atol=1e-5)
        attacked = margin[order] > 0
        np.testing.assert_allclose(rows.linf[attacked, 0], 1 / 32, rtol=1e-5)
        assert not rows.linf[~attacked, 0].any()  # wrong already, left alone
        np.testing.assert_array_equal(rows.right, rows.predicted == rows.label[:, None])

    def test_two_callables_of_one_name_are_told_apart(self) -> None:
        model, x, y, _ = linear_case(n=20)
        found = measure(model, x, y, [lambda x: x, lambda x: 1 - x])
        assert list(found.accuracy) == ["<lambda>", "<lambda>#2"]
        assert found.accuracy["<lambda>"].value + found.accuracy["<lambda>#2"].value == 1.0

    def test_labels_ids_and_seed_reach_a_perturbation(self) -> None:
        seen: list[tuple[list[int], list[str], int]] = []

        def spy(x: Tensor, labels: Tensor, ids: list[str], seed: int) -> Tensor:
            seen.append((labels.tolist(), list(ids), seed))
            return x

        model, x, y, _ = linear_case(n=20)
        measure(model, x, y, [spy], seed=3, batch_size=20)
        ((labels, ids, seed),) = seen
        assert labels == [int(y[int(i)]) for i in ids] and len(ids) == 20 and seed == 3


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


class TestSanity:
    def warnings(self, perturbation: Any, model: nn.Module | None = None, **settings: Any) -> tuple[str, ...]:
        own, x, y, _ = linear_case()
        return measure(model or own, x, y, perturbation, **settings).warnings

    def test_a_sound_attack_has_no_warnings_and_its_cost_is_told(self) -> None:
        model, x, y, _ = linear_case()
        found = measure(model, x, y, "pgd_linf:eps=1/256..1/128;steps=8")
        assert found.warnings == ()
        assert found.sanity.images == 50
        # at 1/256, nearest to half the clean accuracy or not: eps = 0 (2), noise (1), twice 8 steps (19), gradient (2)
        expected = 50 * (2 + 1 + 19 + 2) + (50 * 11 if "half the eps" in found.sanity.checks[0] else 0)
        assert found.sanity.forward_passes == expected
        assert found.forward_passes == 120 * (1 + 2 * 11) + expected
        assert f"on 50 images, {expected:,} forward passes" in found.summary()

    def test_an_attack_that_does_nothing(self) -> None:
        model, x, y, _ = linear_case()
        found = measure(model, x, y, [DoesNothing("linf", eps=0.3, model=model)])
        assert any("random noise of the same norm: the attack does not work" in w for w in found.warnings)

    def test_an_attack_that_leaves_its_ball(self) -> None:
        model, x, y, margin = linear_case()
        found = measure(model, x, y, [TooFar("linf", eps=1 / 32, model=model)])
        beyond = [w for w in found.warnings if "are beyond a linf norm of 0.03125, the furthest at 0.0625" in w]
        assert len(beyond) == 1 and f"{int((margin > 0).sum())} of 120" in beyond[0]

    def test_an_attack_that_gets_stuck_as_eps_grows(self) -> None:
        model, x, y, _ = linear_case()
        ladder = [Stuck("linf", eps=eps, model=model) for eps in (1 / 16, 1 / 4)]
        found = measure(model, x, y, ladder)
        assert any("stuck" in w and "at eps 0.25: the attack is stuck" in w for w in found.warnings)
        alone = measure(model, x, y, ladder[1:])  # without a ladder the check takes half the eps: 1/8, stuck as well
        assert any("random noise" in w for w in alone.warnings)

    def test_too_few_steps(self) -> None:
        found = self.warnings("pgd_linf:eps=1/16;steps=2;step_size=0.01;random_start=false")
        assert any("more steps lower accuracy" in w for w in found)
        assert self.warnings("pgd_linf:eps=1/16;steps=20") == ()

    def test_masked_gradients(self) -> None:
        found = self.warnings("fgsm_linf:eps=1/16", Rounds(linear_case()[0]))
        assert any("the gradient is zero in every pixel of 100% of the images" in w for w in found)

    def test_a_model_that_is_not_itself_at_eps_zero(self) -> None:
        model, x, y, _ = linear_case()

        class Moody(nn.Module):
            calls = 0

            def forward(self, x: Tensor) -> Tensor:
                Moody.calls += 1
                logits: Tensor = model(x)
                return logits.flip(1) if Moody.calls > 40 else logits

        found = measure(Moody(), x, y, "noise_linf:eps=1/64,fgsm_linf:eps=1/64,square_linf:eps=1/64;queries=20")
        assert any("at eps = 0" in w and "classified otherwise than clean" in w for w in found.warnings)

    def test_pixels_outside_the_range(self) -> None:
        class Bright(Perturbation):
            name = "bright"

            @property
            def settings(self) -> dict[str, object]:
                return {}

            def _perturb(self, *_: Any) -> Tensor:
                raise NotImplementedError

            def __call__(self, x: Tensor, *_: Any, **__: Any) -> Tensor:
                return x + 0.5

        assert self.warnings([Bright()]) == ("bright: 120 of 120 images have pixels outside [0, 1]",)

    def test_minimum_norm_attacks_must_beat_noise(self) -> None:
        pytest.importorskip("foolbox")
        model, x, y, _ = linear_case(n=60)
        found = measure(model, x, y, "deepfool_l2")
        assert found.warnings == () and "noise of the median norm" in found.sanity.checks[0]


class TestFailures:
    def broken(self) -> list[Any]:
        def raises(x: Tensor) -> Tensor:
            raise KeyError("no such colour")

        def halves(x: Tensor) -> Tensor:
            return x[..., ::2]

        def nan(x: Tensor) -> Tensor:
            return x * float("nan")

        def flat(x: Tensor) -> float:
            return 0.5

        return [raises, halves, nan, flat]

    def test_each_is_named_and_the_others_go_on(self) -> None:
        model, x, y, _ = linear_case(n=50)
        found = measure(model, x, y, [*self.broken(), "gaussian_noise:1", identity])
        alone = measure(model, x, y, ["gaussian_noise:1", identity])
        assert set(found.failed) == {"raises", "halves", "nan", "flat"}
        assert found.failed["raises"] == "KeyError: 'no such colour'"
        assert "changed the size" in found.failed["halves"] and "(50, 1, 8, 4)" not in found.failed["halves"]
        assert "NaN" in found.failed["nan"] and "got float" in found.failed["flat"]
        for name in ("gaussian_noise:1", "identity"):
            assert found.accuracy[name] == alone.accuracy[name]
        assert np.isnan(found.accuracy["nan"].value) and "NaN" in found.accuracy["nan"].reason
        assert found.mean_corruption_error == alone.mean_corruption_error
        assert "failed: raises: KeyError" in found.summary()

    def test_failing_on_some_images_is_failing(self) -> None:
        def sometimes(x: Tensor, ids: list[str]) -> Tensor:
            if "7" in ids:
                raise ValueError("image 7 is cursed")
            return x

        model, x, y, _ = linear_case(n=40)
        found = measure(model, x, y, [sometimes], batch_size=10)
        assert found.failed["sometimes"] == "on 10 of 40 images: ValueError: image 7 is cursed"

    def test_attacks_on_a_model_without_gradients(self) -> None:
        model, x, y, _ = linear_case(n=20)

        class Numpy(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                with torch.no_grad():
                    logits: Tensor = model(x)
                return logits

        found = measure(Numpy(), x, y, "fgsm_linf:eps=1/32,square_linf:eps=1/32;queries=5")
        assert list(found.failed) == ["fgsm_linf:eps=0.03125"]
        assert "square_linf or square_l2, the black-box attacks" in found.failed["fgsm_linf:eps=0.03125"]
        assert found.accuracy["square_linf:eps=0.03125;queries=5"].value <= found.clean.value

    def test_a_library_that_is_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in [key for key in sys.modules if key.partition(".")[0] == "foolbox"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "foolbox", None)
        monkeypatch.setitem(sys.modules, "foolbox.attacks", None)
        model, x, y, _ = linear_case(n=20)
        found = measure(model, x, y, "deepfool_l2,fgsm_linf:eps=1/32")
        assert "pip install 'spectrobe[attacks]'" in found.failed["deepfool_l2"]
        assert list(found.accuracy) == ["fgsm_linf:eps=0.03125", "deepfool_l2"]
        with pytest.raises(InputError, match=r"at least one perturbation that can be measured.*deepfool_l2"):
            measure(model, x, y, "deepfool_l2")

    def test_dlr_on_two_classes(self) -> None:
        model, x, y, _ = linear_case(n=20)
        found = measure(model, x, y, "apgd_dlr_linf:eps=1/32;steps=3,apgd_ce_linf:eps=1/32;steps=3")
        assert "4 classes or more" in found.failed["apgd_dlr_linf:eps=0.03125;steps=3"]
        assert len(found.failed) == 1


BAD = [
    ("gausian_noise:3", {}, ["unknown perturbation: 'gausian_noise'", "gaussian_noise"]),
    ("snow:6", {}, ["severity from 1 to 5, got 6"]),
    ("pgd_linf:eps=8", {}, ["at most 1 in Linf, got 8", "8/255"]),
    ("pgd_linf:eps=4/255;stps=3", {}, ["unknown setting of pgd_linf: 'stps'", "steps"]),
    ("pgd_linf", {}, ["pgd_linf needs eps"]),
    ([3], {}, ["expected a perturbation", "got int"]),
    ([], {}, ["expected perturbations, a tree"]),
    ("snow:3", {"images": 1}, ["at least 2"]),
    ("snow:3", {"images": 99}, ["at most 20 images"]),
    ("snow:3", {"confidence": 95}, ["confidence"]),
    ("snow:3", {"batch_size": 0}, ["batch_size"]),
    ("snow:3", {"on_bad_image": "ignore"}, ["on_bad_image"]),
    ("snow:3", {"reference": "nowhere"}, ["nowhere", "run folder"]),
    ("snow:3", {"tree": "nowhere"}, ["no such folder: 'nowhere'", "ROOT/CORRUPTION/SEVERITY"]),
]


class TestBadInput:
    @pytest.mark.parametrize("perturbations,settings,parts", BAD, ids=[str(case[:2]) for case in BAD])
    def test_is_refused_in_one_line(self, perturbations: Any, settings: dict[str, Any], parts: list[str]) -> None:
        model, x, y, _ = linear_case(n=20)
        with pytest.raises((InputError, RunFolderError)) as caught:
            measure(model, x, y, perturbations, **settings)
        for part in parts:
            assert part in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_unlabelled_images(self) -> None:
        model, x, _, _ = linear_case(n=20)
        with pytest.raises(InputError, match="has no labels"):
            sb.robustness(model, x, "snow:3")

    def test_no_images(self) -> None:
        with pytest.raises(InputError, match="expected clean images"):
            sb.robustness(linear_case()[0], None, "snow:3")

    def test_settings_are_refused_before_the_model_is_opened(self) -> None:
        with pytest.raises(InputError, match="at most 1 in Linf"):
            sb.robustness("timm:no_such_model", "no/such/folder", "pgd_linf:eps=8")


def read(out: Path) -> dict[str, bytes]:
    """The run's files that must not depend on when it was made; of run.json all but times."""
    files = {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*.parquet")}
    run = json.loads((out / "run.json").read_text())
    return files | {"result.json": (out / "result.json").read_bytes(), "run.json": repr({**run, "times": 0}).encode()}


class TestResuming:
    ITEMS = "gaussian_noise:1-2,pgd_linf:eps=1/64..1/32;steps=3,noise_linf:eps=1/32"

    def go(self, out: Path, **settings: Any) -> sb.RobustnessResult:
        model, x, y, _ = linear_case(n=20)
        return measure(model, x, y, self.ITEMS, **{"batch_size": 3, "out": out, **settings})

    @pytest.fixture(autouse=True)
    def small_shards(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(robustness_preparation, "shard_size", lambda passes: 6)

    @pytest.mark.parametrize(
        "phase,count",
        [
            ("shard write", 2),
            ("between write and rename", 1),
            ("between write and rename", 3),
            ("shard done", 4),
            ("between write and rename", 6),
            ("result write", 1),
            ("between write and rename", 7),
        ],
    )
    def test_stopped_anywhere_it_ends_in_the_same_bytes(self, tmp_path: Path, phase: str, count: int) -> None:
        undisturbed = self.go(tmp_path / "whole")
        with stopping(phase, count), pytest.raises(Stopped):
            self.go(tmp_path / "stopped")
        went_on = self.go(tmp_path / "stopped")
        assert went_on == undisturbed
        assert len(undisturbed.predictions) == 20
        assert read(tmp_path / "stopped") == read(tmp_path / "whole")
        assert len(read(tmp_path / "whole")) == 4 + 2

    def test_a_finished_run_is_not_played_again(self, tmp_path: Path) -> None:
        self.go(tmp_path)
        before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.*")}
        self.go(tmp_path)
        assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.*") if p.name != ".lock"} == {
            p: t for p, t in before.items() if p.name != ".lock"
        }

    @pytest.mark.parametrize(
        "changes,difference",
        [({"seed": 1}, "settings.seed"), ({"images": 10}, "selection.images"), ({"batch_size": 4}, "asked.batch_size")],
    )
    def test_other_settings_are_refused(self, tmp_path: Path, changes: dict[str, Any], difference: str) -> None:
        self.go(tmp_path)
        with pytest.raises(RunFolderError, match=difference):
            self.go(tmp_path, **changes)

    def test_other_perturbations_are_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go(tmp_path)
        identity = json.loads((tmp_path / "run.json").read_text())["identity"]
        assert [c["name"] for c in identity["conditions"]][:2] == ["gaussian_noise:1", "gaussian_noise:2"]
        assert identity["conditions"][3]["settings"]["steps"] == 3
        monkeypatch.setattr(self, "ITEMS", self.ITEMS.replace("steps=3", "steps=4"), raising=False)
        with pytest.raises(RunFolderError, match="holds a run of other settings"):
            self.go(tmp_path)

    def test_shards_and_batches_do_not_change_corruptions(self, tmp_path: Path) -> None:
        one, other = self.go(tmp_path / "a"), self.go(tmp_path / "b", batch_size=7)
        a, b = one.predictions, other.predictions
        np.testing.assert_array_equal(a.ids, b.ids)
        np.testing.assert_array_equal(a.l2[:, :2], b.l2[:, :2])
        np.testing.assert_allclose(a.log_q, b.log_q, rtol=0, atol=1e-5)


class TestFolder:
    def test_save_and_load(self, tmp_path: Path) -> None:
        pytest.importorskip("foolbox")
        model, x, y, _ = linear_case(n=20)
        found = measure(model, x, y, ["gaussian_noise:1-2,deepfool_l2,fgsm_linf:eps=1/64..1/32", lambda x: x[0]])
        found = found.relative_to(found)
        found.save(tmp_path / "run")
        loaded = sb.load(tmp_path / "run")
        assert json_text(loaded.to_dict()) == json_text(found.to_dict())
        assert loaded.summary() == found.summary()
        np.testing.assert_array_equal(loaded.predictions.log_q, found.predictions.log_q)
        assert loaded.mce.value == pytest.approx(1.0, abs=1e-12)
        with pytest.raises(RunFolderError, match="expected a new folder"):
            found.save(tmp_path / "run")

    def test_infinite_distances_survive(self, tmp_path: Path) -> None:
        one = condition("deepfool_l2", kind="minimum-norm", norm="l2")
        found = hand_made({"deepfool_l2": [1, 1, 1, 0]}, [one])
        found.save(tmp_path / "run")
        median = sb.load(tmp_path / "run").median_distance["deepfool_l2"]
        assert median.value == np.inf and median.high == np.inf and median.low == 0.0

    def test_mce_is_added_to_a_finished_run(self, tmp_path: Path) -> None:
        model, x, y, _ = linear_case(n=30)
        other = linear_case(n=30, seed=5)[0]
        reference = measure(other, x, y, "gaussian_noise:1-2,snow:1", out=tmp_path / "reference")
        plain = measure(model, x, y, "gaussian_noise:1-2,snow:1", out=tmp_path / "run")
        assert plain.mce is None
        found = measure(
            model, x, y, "gaussian_noise:1-2,snow:1", out=tmp_path / "run", reference=tmp_path / "reference"
        )
        noise, snow = (
            found.corruption_error[n].value / reference.corruption_error[n].value for n in ("gaussian_noise", "snow")
        )
        assert found.mce.value == pytest.approx((noise + snow) / 2, abs=1e-12)
        assert sb.load(tmp_path / "run").mce == found.mce

    def test_a_reference_that_does_not_fit_is_refused_before_anything_runs(self, tmp_path: Path) -> None:
        model, x, y, _ = linear_case(n=20)
        reference = measure(model, x, y, "snow:1", out=tmp_path / "reference")
        with pytest.raises(InputError, match="mCE compares the same corruptions"):
            measure(model, x, y, "snow:1-2", out=tmp_path / "run", reference=reference)
        with pytest.raises(InputError, match="other data"):
            measure(model, x.flip(3), y, "snow:1", out=tmp_path / "run", reference=reference)
        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize("damage", [b"{", b'{"schema_version": 1, "kind": "robustness"}'])
    def test_a_damaged_result_is_named(self, tmp_path: Path, damage: bytes) -> None:
        model, x, y, _ = linear_case(n=20)
        measure(model, x, y, [identity], out=tmp_path)
        (tmp_path / "result.json").write_bytes(damage)
        with pytest.raises(RunFolderError, match=r"result\.json is damaged"):
            sb.load(tmp_path)

    def test_the_result_is_read_only(self) -> None:
        found = hand_made(OWN, CORRUPTIONS)
        with pytest.raises(TypeError):
            found.accuracy["a:1"] = found.accuracy["a:2"]  # type: ignore[index]
        with pytest.raises(AttributeError):
            found.n_images = 3  # type: ignore[misc]

    def test_to_frame(self) -> None:
        pytest.importorskip("pandas")
        model, x, y, _ = linear_case(n=20)
        frame = measure(model, x, y, "gaussian_noise:1,fgsm_linf:eps=1/32").to_frame().set_index("condition")
        assert list(frame.index) == ["clean", "gaussian_noise:1", "fgsm_linf:eps=0.03125"]
        assert frame.loc["fgsm_linf:eps=0.03125", "linf_median"] == pytest.approx(1 / 32, rel=1e-5)
        assert frame.loc["gaussian_noise:1", "severity"] == 1 and frame.loc["clean", "l2_median"] == 0
        assert frame.loc["clean", "accuracy_low"] < frame.loc["clean", "accuracy"] < frame.loc["clean", "accuracy_high"]


class TestRealNetwork:
    """cifar-resnet8 on 40 CIFAR-10 images; every number is computed again here, by other means."""

    def test_numbers_agree_with_a_computation_by_hand(self) -> None:
        shared = Path(__file__).resolve().parents[3] / "shared"
        if not (shared / "data/cifar10/test.parquet").exists():
            pytest.skip("needs ../shared (CIFAR-10 images and cifar-resnet8)")
        from benchmarks.machine import cifar10, cifar_resnet8

        (x, y), net = cifar10(40), cifar_resnet8()
        items = "gaussian_noise:3,contrast:5,pgd_linf:eps=1/255..4/255;steps=5,noise_linf:eps=4/255"
        found = measure(net, x, y, items)
        ids = [str(i) for i in range(40)]
        with torch.no_grad():
            for name, severity in (("gaussian_noise", 3), ("contrast", 5)):
                logits = net(sb.perturbation(name, severity=severity)(x, ids=ids))
                measured, log_q = (
                    getattr(found, what)[f"{name}:{severity}"] for what in ("accuracy", "log_likelihood")
                )
                assert measured.value == pytest.approx(float((logits.argmax(1) == y).double().mean()), abs=1e-12)
                by_hand = float(torch.log_softmax(logits.double(), 1)[torch.arange(40), y].mean())
                assert log_q.value == pytest.approx(by_hand, abs=1e-5)
            clean = float((net(x).argmax(1) == y).double().mean())
        assert found.clean.value == pytest.approx(clean, abs=1e-12) and clean > 0.6
        falling = [found.accuracy[f"pgd_linf:eps={k}/255;steps=5"].value for k in (1, 2, 4)]
        assert clean > falling[0] > falling[1] > falling[2]
        assert found.accuracy["noise_linf:eps=4/255"].value > falling[0]
        assert found.warnings == () and found.failed == {}
        linf = found.predictions.linf[found.predictions.clean_right == 1]
        np.testing.assert_allclose(linf[:, 2:5].max(axis=0), np.asarray([1, 2, 4]) / 255, rtol=1e-5)


class TestProgress:
    def test_forward_passes_add_up_to_what_was_announced(self) -> None:
        class Counter:
            expected = done = 0

            def note(self, text: str) -> None:
                pass

            def expect(self, forward_passes: int) -> None:
                self.expected = forward_passes

            def advance(self, forward_passes: int) -> None:
                self.done += forward_passes

        model, x, y, _ = linear_case(n=60)
        counter = Counter()
        found = measure(model, x, y, "snow:1,pgd_linf:eps=1/32;steps=4,noise_l2:eps=0.1", progress=counter)
        assert counter.done == counter.expected == found.forward_passes

    def test_the_caller_s_model_comes_back_as_it_was(self) -> None:
        model = SmallNet().train()
        before = {name: value.clone() for name, value in model.state_dict().items()}
        x = images(12, (3, 16, 16))
        measure(model, x, torch.arange(12) % 10, "fgsm_linf:eps=1/255,snow:1")
        assert model.training and all(p.grad is None for p in model.parameters())
        assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())

    def test_an_attack_made_for_the_module_is_bound_to_the_run_s_model(self) -> None:
        model, x, y, _ = linear_case(n=30)
        own = sb.perturbation("fgsm_linf", eps=1 / 32, model=model)
        found = measure(model, x, y, [own])
        assert found.accuracy == measure(model, x, y, "fgsm_linf:eps=1/32").accuracy
        assert found.sanity.images == 30
        transferred = sb.perturbation("fgsm_linf", eps=1 / 32, model=linear_case(seed=9)[0])
        other = measure(model, x, y, [transferred])
        assert other.accuracy["fgsm_linf:eps=0.03125"].value > found.accuracy["fgsm_linf:eps=0.03125"].value
        assert other.sanity.images == 0  # it is not an attack on this model
