"""Checks of attacks: planted faults become warnings; what cannot be measured is named, and the others go on."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import spectrobe as sb
from spectrobe.errors import InputError
from spectrobe.perturbations.base import Perturbation
from tests.perturbations.attack_models import SmallNet, images
from tests.studies.robustness.cases import (
    DoesNothing,
    Rounds,
    Stuck,
    TooFar,
    identity,
    linear_case,
    measure,
)


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

    def test_energy_outside_the_bands_of_a_band_limited_attack_is_told(self) -> None:
        x, judge = images(10, (3, 16, 16)), SmallNet().eval()  # without dropout, so that all are right at first
        y = judge(x).argmax(1)
        item = "band_pgd_linf:eps=8/255;keep=0-1;bands=4;steps=3"
        found = measure(SmallNet(), x, y, item)
        attack = sb.perturbation("band_pgd_linf", eps=8 / 255, keep="0-1", bands=4, steps=3, model=SmallNet())
        attack(x, y)
        assert np.isfinite(attack.record.outside_bands).all()
        outside = f"{100 * np.median(attack.record.outside_bands):.2g}% of its energy outside the bands (median)"
        assert outside in found.sanity.checks[0]
        # clean, the attack (6); eps 0 (2), noise (1), half the eps (6), twice the steps (9), bands (6), gradient (2)
        assert found.forward_passes == 10 * (1 + 6 + 2 + 1 + 6 + 9 + 6 + 2)
        black_and_white = (images(10, (3, 16, 16)) > 0.5).float()
        few = measure(SmallNet(), black_and_white, judge(black_and_white).argmax(1), f"{item};rounds=1")
        assert any("lies outside the bands it keeps to" in w for w in few.warnings)

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
