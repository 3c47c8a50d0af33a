"""What attacks refuse, and that the message says what to do."""

from __future__ import annotations

import builtins
import re
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from spectrobe.errors import InputError, MissingExtraError, ModelOutputError
from spectrobe.models.base import Geometry, Model
from spectrobe.perturbations import perturbation
from spectrobe.perturbations.attacks import ATTACKS, CONTROLS
from spectrobe.perturbations.attacks.band import parse_keep
from spectrobe.perturbations.attacks.norms import parse_eps, written_eps
from tests.perturbations.attack_models import SmallNet, images, linear

X = images(3, (3, 8, 8))
GRADIENT = [name for name in ATTACKS if not name.startswith("square")]
KEEP = {name: {"keep": 0, "bands": 4} for name in ("band_pgd_linf", "band_pgd_l2")}
EPS = {name: {"eps": 8 / 255} for name in ATTACKS if name.split("_")[0] not in ("deepfool", "cw", "ddn", "fmn")}


def build(name: str, model: Any) -> Any:
    return ATTACKS[name](**EPS.get(name, {}), **KEEP.get(name, {}), model=model)


class ScoresOnly(Model):
    """A model without gradients, such as an ONNX session."""

    name = "scores-only"
    geometry = Geometry()
    differentiable = False

    def forward(self, pixels: Tensor) -> Tensor:
        scores = pixels.detach().numpy().reshape(len(pixels), -1)[:, :4]
        return torch.from_numpy(scores * 10)

    def identity(self) -> Mapping[str, Any]:
        return {"name": self.name}


@pytest.mark.parametrize("eps", [8, 255.0, 1.01, "8"])
@pytest.mark.parametrize("name", ["pgd_linf", "noise_linf", "square_linf", "band_pgd_linf"])
def test_eps_in_steps_of_255_is_refused(name: str, eps: Any) -> None:
    given = {"model": SmallNet(), **KEEP.get(name, {})} if name in ATTACKS else {}
    with pytest.raises(InputError, match=r"at most 1 in Linf.*8/255 or 0\.03"):
        perturbation(name, eps=eps, **given)


@pytest.mark.parametrize("eps", [-0.1, float("nan"), float("inf"), "eight", "1/0", None, True])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_eps_must_be_a_number(eps: Any, norm: Any) -> None:
    with pytest.raises(InputError, match="expected eps as a number of 0 or more"):
        CONTROLS[f"noise_{norm}"](eps=eps)


@pytest.mark.parametrize("name", ["pgd_l2", "noise_l2"])
def test_an_l2_eps_beyond_all_images_is_refused(name: str) -> None:
    largest = np.sqrt(3 * 8 * 8)
    given = {"model": SmallNet()} if name in ATTACKS else {}
    perturbation(name, eps=largest - 0.01, **given)(X)
    with pytest.raises(InputError, match=r"sqrt\(d\) = 13\.86 in L2.*got 128"):
        perturbation(name, eps=128, **given)(X)


@pytest.mark.parametrize(
    "text, value", [("8/255", 8 / 255), (" 1 / 255", 1 / 255), ("0.03", 0.03), (0.5, 0.5), ("1e-2", 0.01), (0, 0.0)]
)
def test_eps_may_be_a_fraction(text: Any, value: float) -> None:
    assert parse_eps(text, "linf") == value


@pytest.mark.parametrize("eps", [8 / 255, 0.3 / 255, 0.5, 1.0, 3.25, 1 / 3, 0.0, 2.5e-7])
def test_eps_is_written_so_that_it_reads_the_same(eps: float) -> None:
    assert parse_eps(written_eps(eps), "l2") == eps
    assert written_eps(8 / 255) == "8/255" and written_eps(3.0) == "3"


@pytest.mark.parametrize("name", GRADIENT)
def test_a_model_without_gradients_is_refused_and_the_black_box_named(name: str) -> None:
    with pytest.raises(InputError, match=rf"{name} needs gradients, which scores-only does not give: use square_linf"):
        build(name, ScoresOnly())


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_black_box_attack_takes_it(norm: str) -> None:
    y = ATTACKS[f"square_{norm}"](eps=0.3, model=ScoresOnly(), queries=50)(X)
    assert float((y - X).abs().max()) > 0.05


def through_numpy(x: Tensor) -> Tensor:
    return torch.from_numpy(x.numpy().reshape(len(x), -1)[:, :4])


def detached(x: Tensor) -> Tensor:
    return x.detach().flatten(1)[:, :4]


@pytest.mark.parametrize(
    "name", ["fgsm_linf", "apgd_dlr_l2", "band_pgd_linf", "deepfool_l2", "cw_l2", "ddn_l2", "fmn_linf"]
)
@pytest.mark.parametrize("function", [through_numpy, detached])
def test_a_callable_that_loses_the_gradient_is_found_out(name: str, function: Any) -> None:
    with pytest.raises(InputError, match=r"gradients do not reach the pixels.*square_linf"):
        build(name, function)(X)


def test_a_callable_of_torch_operations_may_be_attacked() -> None:
    model = SmallNet().eval()
    attack = ATTACKS["pgd_linf"](eps=8 / 255, model=lambda x: model(x), steps=3)
    expected = ATTACKS["pgd_linf"](eps=8 / 255, model=model, steps=3)
    assert torch.allclose(attack(X), expected(X), atol=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_dlr_needs_four_classes_and_says_what_does_not(classes: int, norm: str) -> None:
    model = linear((3, 8, 8), classes=classes)
    with pytest.raises(InputError, match=f"4 classes or more, the model has {classes}.*apgd_ce_{norm}"):
        ATTACKS[f"apgd_dlr_{norm}"](eps=0.1, model=model)(X)
    y = ATTACKS[f"apgd_ce_{norm}"](eps=0.1, model=model, steps=5)(X)
    assert float((y - X).abs().max()) > 0.005


@pytest.mark.parametrize("labels", [torch.tensor([0, 1, 10]), torch.tensor([0, -1, 2])])
def test_labels_outside_the_classes(labels: Tensor) -> None:
    with pytest.raises(InputError, match=re.escape("expected labels 0..9")):
        build("pgd_linf", SmallNet())(X, labels)


def test_labels_of_the_wrong_kind_or_number() -> None:
    with pytest.raises(InputError, match="whole numbers"):
        build("pgd_linf", SmallNet())(X, torch.rand(3))
    with pytest.raises(InputError, match=r"labels of shape \(3,\)"):
        build("pgd_linf", SmallNet())(X, torch.zeros(2, dtype=torch.long))


@pytest.mark.parametrize("name", ["pgd_linf", "square_linf", "deepfool_l2"])
def test_images_outside_the_box_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"pixels in \[0, 1\]"):
        build(name, SmallNet())(X * 255)


class Broken(torch.nn.Module):
    """NaN logits once pixels have moved away from where they were."""

    def forward(self, x: Tensor) -> Tensor:
        logits = SmallNet().eval()(x)
        moved = (x - X[: len(x)]).abs().amax((1, 2, 3)) > 1e-6
        return torch.where(moved[:, None], torch.nan, logits)


@pytest.mark.parametrize("name", ["pgd_linf", "apgd_ce_l2", "square_linf", "band_pgd_l2", "deepfool_l2", "ddn_l2"])
def test_nan_from_the_model_is_named(name: str) -> None:
    with pytest.raises(ModelOutputError, match="finite logits"):
        build(name, Broken())(X)


def test_a_gradient_that_is_not_finite_is_named() -> None:
    def cliff(x: Tensor) -> Tensor:  # the square root's gradient at 0
        return x.flatten(1)[:, :4] + torch.sqrt(torch.zeros_like(x).mul(x).flatten(1)[:, :4])

    with pytest.raises(ModelOutputError, match=r"finite gradients.*square_linf"):
        ATTACKS["fgsm_linf"](eps=0.1, model=cliff)(X)


@pytest.mark.parametrize(
    "name, settings, message",
    [
        ("pgd_linf", {"steps": 0}, "steps as a whole number of at least 1"),
        ("pgd_linf", {"steps": 2.5}, "steps as a whole number"),
        ("pgd_l2", {"restarts": 0}, "restarts as a whole number"),
        ("pgd_l2", {"step_size": 0}, "step_size above 0"),
        ("apgd_ce_linf", {"steps": -3}, "steps as a whole number"),
        ("square_l2", {"queries": 0}, "queries as a whole number"),
        ("square_l2", {"p_init": 0}, "p_init above 0 and at most 1"),
        ("band_pgd_linf", {"keep": 8}, r"bands among 0\.\.7"),
        ("band_pgd_linf", {"keep": []}, r"bands among 0\.\.7"),
        ("band_pgd_linf", {"keep": "low"}, r"bands among 0\.\.7"),
        ("band_pgd_linf", {"keep": 0, "rounds": 0}, "rounds as a whole number"),
        ("pgd_linf", {"stepz": 3}, "stepz.*steps"),
    ],
)
def test_settings_out_of_range(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        perturbation(name, eps=8 / 255, model=SmallNet(), **settings)


def test_more_bands_than_the_image_has_are_refused() -> None:
    attack = ATTACKS["band_pgd_linf"](eps=8 / 255, model=SmallNet(), keep=0, bands=64)
    with pytest.raises(InputError, match="largest number"):
        attack(X)


@pytest.mark.parametrize(
    "keep, bands",
    [(0, (0,)), ([2, 1, 2], (1, 2)), ("0-2", (0, 1, 2)), ("0+3", (0, 3)), ("0+2-4", (0, 2, 3, 4)), ("7", (7,))],
)
def test_bands_to_keep(keep: Any, bands: tuple[int, ...]) -> None:
    assert parse_keep(keep, 8) == bands


def test_without_foolbox_its_attacks_say_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == "foolbox":
            raise ModuleNotFoundError("No module named 'foolbox'", name="foolbox")
        return real(name, *rest, **more)

    for loaded in [name for name in sys.modules if name.partition(".")[0] == "foolbox"]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setattr(builtins, "__import__", absent)
    for name in ("deepfool_linf", "deepfool_l2", "cw_l2", "ddn_l2", "fmn_linf"):
        with pytest.raises(MissingExtraError, match=rf"{name} needs foolbox.*pip install 'spectrobe\[attacks\]'"):
            ATTACKS[name](model=SmallNet())
    build("pgd_linf", SmallNet())(X)  # ours need nothing more
