"""What an SNR run says of its attacks: success, norm and bands measured anew; checks that fail where they should."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import spectrobe as sb
from spectrobe.errors import InputError
from spectrobe.perturbations.attacks import MinimumNorm
from spectrobe.studies.snr.study import snr_study, spectral_snr
from tests.perturbations.attack_models import SmallNet, images, linear
from tests.studies.robustness.cases import DoesNothing, Rounds, TooFar, linear_case

MODEL, X, _, MARGIN = linear_case(n=40)


def measure(perturbation: Any, model: Any = None, x: Tensor = X, **settings: Any) -> sb.SnrResult:
    return spectral_snr(x, perturbation, model=model, **{"bands": 3, **settings})


class TestDelivered:
    @pytest.mark.parametrize("eps", [1 / 256, 1 / 128])
    def test_success_is_that_of_a_linear_worst_case(self, eps: float) -> None:
        snr = measure(f"fgsm_linf:eps={eps}", MODEL)
        weight = MODEL.weight[1].detach().double()
        expected = float(
            np.mean(np.abs(MARGIN) < eps * float(weight.abs().sum()))
        )  # mid-grey: the box is not in the way
        assert 0.1 < expected < 0.9
        assert snr.delivered["fooled"] == pytest.approx(expected, abs=0.026)  # an image at the boundary
        assert snr.warnings == ()
        assert f"{100 * snr.delivered['fooled']:.3g}% of the images fool the model" in snr.summary()

    def test_corruptions_fool_nobody_in_particular(self) -> None:
        snr = measure("contrast:2")
        assert set(snr.delivered) == {"l2", "linf"}
        assert "fool" not in snr.summary()

    def test_energy_outside_the_bands_by_a_full_plane_fft(self) -> None:
        x = images(10, (3, 16, 16), low=0.0, high=1.0)
        snr = measure("band_pgd_linf:eps=8/255;keep=0-1;bands=4;steps=5", SmallNet(), x, labels="prediction")
        attack = sb.perturbation("band_pgd_linf", eps=8 / 255, keep="0-1", bands=4, steps=5, model=SmallNet())
        ids = [str(i) for i in range(10)]
        power = (np.abs(np.fft.fft2((attack(x, ids=ids) - x).double().numpy())) ** 2).sum(1)
        frequency = np.abs(np.fft.fftfreq(16))
        radius = np.maximum(frequency[:, None], frequency[None])
        outside = power[:, radius >= 0.25].sum(1) / power.sum((1, 2))
        assert snr.delivered["outside_bands"] == pytest.approx(float(np.median(outside)), abs=1e-6)
        assert 1e-6 < snr.delivered["outside_bands"] < 0.01
        assert "of its energy (median) outside the bands it keeps to" in snr.summary()
        assert not any("outside" in warning for warning in snr.warnings)

    def test_quantising_comes_before_success_is_measured(self) -> None:
        # less than half a level is rounded away, and with it the attack
        x = torch.round(X * 255) / 255
        found = [measure("fgsm_linf:eps=1/600", MODEL, x, quantize=bits) for bits in (None, 8)]
        assert found[0].delivered["fooled"] > 0.04
        assert found[1].delivered["fooled"] == 0


class Negative(MinimumNorm):
    """A minimum-norm attack that takes the negative of an image for the nearest image that fools the model."""

    family = "negative"
    needs_gradient = False

    def __init__(self, *, model: Any) -> None:
        super().__init__("l2", model=model)

    @property
    def settings(self) -> dict[str, object]:
        return {}

    def _foolbox(self, attacks: Any) -> Any:
        raise NotImplementedError

    def _attack(self, x: Tensor, target: object, ids: Sequence[str], seed: int) -> Tensor:
        return 1 - x


class TestModelsWithoutGradients:
    @pytest.fixture
    def black_box(self) -> sb.Model:
        model = sb.open_model(linear_case(n=40)[0])
        model.differentiable = False
        return model

    def test_an_attack_that_cannot_be_made_is_named_and_the_rest_goes_on(self, black_box: sb.Model) -> None:
        study = snr_study(X, "pgd_linf:eps=1/64,square_linf:eps=1/8;queries=5,contrast:2", model=black_box, bands=3)
        assert [name.partition(":")[0] for name in study.results] == ["square_linf", "contrast"] and study.incomplete
        assert list(study.failed) == ["pgd_linf:eps=0.015625"]
        assert "use square_linf or square_l2, the black-box attacks" in study.failed["pgd_linf:eps=0.015625"]

    def test_alone_it_is_refused(self, black_box: sb.Model) -> None:
        with pytest.raises(InputError, match="use square_linf or square_l2"):
            measure("pgd_linf:eps=1/64", black_box)

    def test_settings_that_no_model_takes_are_bad_input(self, black_box: sb.Model) -> None:
        with pytest.raises(InputError, match=r"write 8/255 or 0\.03"):
            snr_study(X, "pgd_linf:eps=8,contrast:2", model=black_box, bands=3)


class TestWarnings:
    def test_an_attack_that_does_nothing(self) -> None:
        snr = measure(DoesNothing("linf", eps=0.3, model=MODEL))
        assert any("random noise of the same norm: the attack does not work" in w for w in snr.warnings)
        assert snr.delivered["fooled"] == 0

    def test_an_attack_that_leaves_its_ball(self) -> None:
        snr = measure(TooFar("linf", eps=1 / 32, model=MODEL))
        assert any(
            "40 of 40 images are beyond a linf norm of 0.03125, the furthest at 0.0625" in w for w in snr.warnings
        )

    def test_masked_gradients(self) -> None:
        snr = measure("fgsm_linf:eps=1/16", Rounds(MODEL))
        assert any("the gradient is zero in every pixel of 100% of the images" in w for w in snr.warnings)

    def test_too_few_steps_are_told_once_a_family(self) -> None:
        ladder = "pgd_linf:eps=1/64..1/16;steps=2;step_size=0.002;random_start=false"
        study = snr_study(X, ladder, model=MODEL, bands=3)
        told = [name for name, snr in study.results.items() if any("not converged" in w for w in snr.warnings)]
        assert len(study.results) == 3 and len(told) == 1

    def test_bands_that_cannot_be_kept(self) -> None:
        x = (images(10, (3, 16, 16)) > 0.5).float()  # black and white: half of all moves leave the box
        snr = measure("band_pgd_linf:eps=8/255;keep=3;bands=4;steps=3;rounds=1", SmallNet(), x, labels="prediction")
        assert any("outside the bands it keeps to" in w and "rounds" in w for w in snr.warnings)
        assert snr.delivered["outside_bands"] > 0.01

    def test_minimum_norm_attacks_must_beat_noise(self) -> None:
        pytest.importorskip("foolbox")
        assert measure("deepfool_l2", MODEL).warnings == ()
        found = measure(Negative(model=linear((3, 16, 16), classes=10)), x=images(20, (3, 16, 16)))
        assert found.delivered["fooled"] > 0.5
        assert any("negative_l2" in w and "random noise of the same norm" in w for w in found.warnings)

    def test_a_check_that_fails_is_told_and_the_run_stands(self) -> None:
        class Once(torch.nn.Module):
            calls = 0

            def forward(self, x: Tensor) -> Tensor:
                Once.calls += 1
                if len(x) == 20:  # the checks' images: the run has one batch of 40
                    raise RuntimeError("no room\nfor twenty")
                return MODEL(x)

        snr = measure("fgsm_linf:eps=1/128", Once(), batch_size=40)
        assert snr.n_images == 40
        assert any("could not be checked: no room for twenty" in w for w in snr.warnings)
