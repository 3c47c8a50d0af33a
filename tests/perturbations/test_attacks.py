"""What every attack keeps: norm, box, labels, seeds, the model's state, all measured anew on what it returned."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spectrobe.models import open_model
from spectrobe.models.base import Geometry, Model
from spectrobe.perturbations import parse_perturbations, perturbation
from spectrobe.perturbations.attacks import ATTACKS, CONTROLS, Attack, BoundedAttack, MinimumNorm
from spectrobe.perturbations.registry import lookup
from tests.perturbations.attack_models import SmallNet, images, linear

# few steps: what is tested here holds at any number of them
QUICK: dict[str, dict[str, Any]] = {
    "fgsm": {},
    "pgd": {"steps": 3},
    "apgd_ce": {"steps": 5},
    "apgd_dlr": {"steps": 5},
    "square": {"queries": 12},
    "band_pgd": {"steps": 3, "keep": 0, "bands": 1},
    "deepfool": {"steps": 5},
    "cw": {"steps": 5, "binary_search_steps": 2},
    "ddn": {"steps": 5},
    "fmn": {"steps": 5},
}
BOUNDED = [name for name in ATTACKS if name.rpartition("_")[0] not in ("deepfool", "cw", "ddn", "fmn")]
MINIMUM = [name for name in ATTACKS if name not in BOUNDED]


def quick(name: str, model: Any, eps: float = 8 / 255, **changes: Any) -> Any:
    if name in CONTROLS:
        return CONTROLS[name](eps=eps)
    bound = {"eps": eps} if name in BOUNDED else {}
    return ATTACKS[name](**bound, **QUICK[name.rpartition("_")[0]] | changes, model=model)


def norms(delta: Tensor, norm: str) -> np.ndarray:
    flat = delta.double().flatten(1).numpy()
    return np.abs(flat).max(1) if norm == "linf" else np.sqrt((flat**2).sum(1))


@pytest.mark.parametrize("name", [*BOUNDED, *CONTROLS])
@settings(max_examples=25)
@given(
    channels=st.sampled_from([1, 3]),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    eps=st.sampled_from([1e-3, 8 / 255, 0.5]),
    extreme=st.booleans(),
)
def test_norm_and_box_hold(name: str, channels: int, height: int, width: int, eps: float, extreme: bool) -> None:
    x = images(3, (channels, height, width), seed=height)
    x = x.round() if extreme else x  # black and white: the box is active in every pixel
    p = quick(name, linear((channels, height, width)), eps)
    eps_allowed = min(eps, float(np.sqrt(x[0].numel())))
    y = p(x)
    assert y.shape == x.shape and y.dtype == x.dtype
    assert float(y.min()) >= 0 and float(y.max()) <= 1
    assert norms(y - x, p.norm).max() <= eps_allowed * (1 + 1e-6) + 1e-7


@pytest.mark.parametrize("name", BOUNDED)
def test_ball_and_box_are_those_of_pixels_whatever_the_model_s_normalisation(name: str) -> None:
    """The adapter normalises with mean .5 and std .1; the same done by hand within the model is attacked alike."""
    inner = linear((3, 6, 6))

    class ByHand(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = inner((x - 0.5) / 0.1)
            return logits

    x = images(6, (3, 6, 6))
    adapted = open_model(inner, mean=0.5, std=0.1)
    y = quick(name, adapted, 8 / 255)(x)
    torch.testing.assert_close(y, quick(name, ByHand(), 8 / 255)(x), rtol=0, atol=1e-6)
    far = norms(y - x, "l2" if name.endswith("l2") else "linf")
    np.testing.assert_allclose(far.max(), 8 / 255, rtol=1e-3)  # APGD's momentum ends a little within an L2 ball
    assert float(y.min()) >= 0 and float(y.max()) <= 1
    assert not torch.equal(y, x)


@pytest.mark.parametrize("name", BOUNDED)
def test_on_three_pixels_the_whole_ball_is_used(name: str) -> None:
    x = images(8, (3, 1, 1), low=0.4, high=0.6)
    longer = {"steps": 20} if "pgd" in name else {}
    p = quick(name, linear((3, 1, 1)), 0.05, **longer)
    np.testing.assert_allclose(norms(p(x) - x, p.norm), 0.05, rtol=0.03)


@pytest.mark.parametrize("name", BOUNDED)
@pytest.mark.parametrize("labelled", [False, True])
def test_eps_zero_returns_the_images(name: str, labelled: bool) -> None:
    x, model = images(4, (3, 8, 8)), SmallNet()
    labels = torch.arange(4) if labelled else None
    assert torch.equal(quick(name, model, 0)(x, labels), x)


@pytest.mark.parametrize("name", [*ATTACKS, *CONTROLS])
def test_the_same_call_gives_the_same_images(name: str) -> None:
    x, p = images(3, (3, 8, 8)), quick(name, SmallNet())
    first = p(x, ids=["a", "b", "c"], seed=5)
    torch.manual_seed(123)
    assert torch.equal(p(x, ids=["a", "b", "c"], seed=5), first)
    assert torch.equal(quick(name, SmallNet())(x, ids=["a", "b", "c"], seed=5), first)


@pytest.mark.parametrize("name", [*ATTACKS, *CONTROLS])
def test_global_generators_are_left_alone(name: str) -> None:
    x, p = images(2, (3, 8, 8)), quick(name, SmallNet())
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    p(x)
    assert torch.equal(torch.rand(3), expected)


# FGSM draws nothing, and APGD's first step of 2 eps takes it to a corner of the Linf ball wherever it begins
DRAWING = [
    name for name in (*BOUNDED, *CONTROLS) if "fgsm" not in name and not (name.startswith("apgd") and "inf" in name)
]


@pytest.mark.parametrize("name", DRAWING)
def test_seed_and_id_decide_what_is_drawn(name: str) -> None:
    x = images(1, (3, 8, 8)).expand(2, -1, -1, -1)
    p = quick(name, SmallNet())
    a, b = p(x, ids=["a", "b"], seed=0)
    assert not torch.equal(a, b)
    assert not torch.equal(p(x, ids=["a", "b"], seed=1)[0], a)


@pytest.mark.parametrize("name", [*ATTACKS, *CONTROLS])
def test_the_rest_of_the_batch_does_not_matter(name: str) -> None:
    x, ids, p = images(6, (3, 8, 8)), list("abcdef"), quick(name, SmallNet())
    together = p(x, ids=ids)
    order = [4, 1, 5, 0, 3, 2]
    apart = torch.empty_like(x)
    for rows in (order[:1], order[1:3], order[3:]):
        apart[rows] = p(x[rows], ids=[ids[i] for i in rows])
    # sums in another order move a gradient by 1e-7 of itself; the sign of a pixel's could flip, but none does here
    assert float((together - apart).abs().max()) < 1e-5


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("training", [False, True])
def test_the_model_comes_back_as_it_was(name: str, training: bool) -> None:
    model = SmallNet().train(training)
    model.body[1].eval()  # a frozen batch norm in a model that is being trained
    model.body[0].weight.requires_grad_(False)
    model.head.bias.grad = torch.ones_like(model.head.bias)
    before, modes = copy.deepcopy(model.state_dict()), [part.training for part in model.modules()]
    quick(name, model)(images(3, (3, 8, 8)))
    assert [part.training for part in model.modules()] == modes
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert [p.requires_grad for p in model.parameters()] == [False, True, True, True, True, True]
    assert torch.equal(model.head.bias.grad, torch.ones_like(model.head.bias))
    assert all(p.grad is None for key, p in model.named_parameters() if key != "head.bias")


class Unfrozen(Model):
    """Somebody's own Model, which lends its parameters as they are."""

    name = "unfrozen"
    geometry = Geometry()

    def __init__(self) -> None:
        self.module = SmallNet().eval()

    def forward(self, pixels: Tensor) -> Tensor:
        return self.module(pixels)

    def identity(self) -> dict[str, Any]:
        return {"name": self.name}


@pytest.mark.parametrize("name", ATTACKS)
def test_no_gradient_is_left_in_parameters_that_are_lent_as_they_are(name: str) -> None:
    model = Unfrozen()
    y = quick(name, model)(images(3, (3, 8, 8)))
    assert torch.allclose(y, quick(name, model.module)(images(3, (3, 8, 8))), atol=1e-5)
    assert all(p.requires_grad and p.grad is None for p in model.module.parameters())


def test_a_model_in_training_mode_is_attacked_in_eval_mode() -> None:
    x = images(4, (3, 8, 8))
    attack = ATTACKS["pgd_linf"](eps=8 / 255, model=SmallNet().train(), steps=3)
    assert torch.equal(attack(x), quick("pgd_linf", SmallNet().eval())(x))


@pytest.mark.parametrize("name", ATTACKS)
def test_images_that_are_wrong_already_are_left_alone(name: str) -> None:
    x, model = images(6, (3, 8, 8)), SmallNet().eval()
    predicted = model(x).argmax(1)
    labels = predicted.clone()
    labels[::2] = (labels[::2] + 1) % 10
    p = quick(name, model)
    y = p(x, labels)
    assert torch.equal(y[::2], x[::2])
    assert p.record.attacked.tolist() == [False, True] * 3
    assert p.record.label_source == "given"
    assert torch.equal(y[1::2], p(x[1::2], labels[1::2], ids=[1, 3, 5]))


@pytest.mark.parametrize("name", ATTACKS)
def test_without_labels_the_prediction_is_attacked(name: str) -> None:
    x, model = images(4, (3, 8, 8)), SmallNet().eval()
    p = quick(name, model)
    y = p(x)
    assert p.record.label_source == "prediction"
    assert p.record.attacked.all() and not p.record.attacked.flags.writeable
    assert torch.equal(y, p(x, model(x).argmax(1)))


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("name", ["pgd_linf", "deepfool_l2", "square_linf"])
def test_callers_without_autograd(name: str, context: Callable[[], Any]) -> None:
    attack = quick(name, SmallNet())
    expected = attack(images(2, (3, 8, 8)))
    with context():
        assert torch.equal(attack(images(2, (3, 8, 8))), expected)


@pytest.mark.parametrize("name", ["pgd_linf", "square_l2", "noise_linf"])
def test_other_dtypes(name: str) -> None:
    x, p = images(3, (3, 8, 8)), quick(name, SmallNet())
    assert p(x.double()).dtype == torch.float64
    half = p(x.half())
    assert half.dtype == torch.float16
    assert float((half.float() - p(x.half().float())).abs().max()) < 1e-3  # float16 has 11 bits


def test_the_worst_point_met_is_returned_not_the_last() -> None:
    # the loss rises to a peak in the middle of the ball and falls beyond it: steps of 2.5 eps overshoot
    class Peak(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            loss = 3 - 400 * (x.mean((1, 2, 3)) - 0.51) ** 2
            return torch.stack([torch.zeros_like(loss), 4 - loss], 1)

    x = torch.full((1, 1, 4, 4), 0.5)
    attack = ATTACKS["pgd_linf"](eps=0.1, model=Peak(), steps=4, random_start=False)
    start, end = Peak()(x)[0, 1], Peak()(attack(x))[0, 1]
    assert float(end) <= float(start)


@pytest.mark.parametrize("name", ["pgd_linf", "pgd_l2", "apgd_ce_linf", "apgd_dlr_l2", "band_pgd_linf"])
def test_restarts_never_hurt(name: str) -> None:
    x, model = images(16, (3, 8, 8)), SmallNet().eval()
    labels = model(x).argmax(1)

    def loss(y: Tensor) -> Tensor:
        return torch.nn.functional.cross_entropy(model(y).double(), labels, reduction="none")

    one, three = (quick(name, model, restarts=count)(x) for count in (1, 3))
    fooled_one, fooled_three = (model(y).argmax(1) != labels for y in (one, three))
    assert bool((fooled_three | ~fooled_one).all())
    if "dlr" not in name:
        same = fooled_one == fooled_three
        assert bool((loss(three) >= loss(one) - 1e-5)[same].all())


@pytest.mark.parametrize("name", [*ATTACKS, *CONTROLS])
def test_the_written_name_builds_the_same_attack(name: str) -> None:
    model = SmallNet()
    p = quick(name, model)
    (spec,) = parse_perturbations(str(p))
    again = spec.build(model)
    assert type(again) is type(p) and again.name == name and again.settings == p.settings


@pytest.mark.parametrize("bands", ["radial:4", "octaves:3", "edges:0,0.25,0.5,1", "radial:4:dc"])
def test_bands_of_all_schemes_are_written_and_read_back(bands: str) -> None:
    model = SmallNet()
    p = perturbation("band_pgd_l2", eps=0.5, keep=[0, 2], bands=bands, model=model)
    (spec,) = parse_perturbations(str(p))
    assert spec.build(model).settings == p.settings and p.settings["bands"] == bands


def test_written_names_are_short() -> None:
    model = SmallNet()
    assert str(perturbation("pgd_linf", eps=4 / 255, model=model)) == "pgd_linf:eps=4/255"
    assert str(perturbation("pgd_l2", eps=0.5, model=model, steps=7)) == "pgd_l2:eps=0.5;steps=7"
    assert (
        str(perturbation("band_pgd_linf", eps="1/255", model=model, keep="0-1")) == "band_pgd_linf:eps=1/255;keep=0+1"
    )
    assert str(perturbation("noise_linf", eps="8/255")) == "noise_linf:eps=8/255"
    assert str(perturbation("ddn_l2", model=model)) == "ddn_l2"


@pytest.mark.parametrize("name", ATTACKS)
def test_other_settings_of_the_same_attack(name: str) -> None:
    p: Attack = quick(name, SmallNet())
    setting = "eps" if isinstance(p, BoundedAttack) else "steps"
    other = p.replace(**{setting: 1})
    assert other.settings == p.settings | {setting: 1} and other.model is p.model and other.name == name


def test_the_table_knows_attacks_and_controls() -> None:
    for name in ATTACKS:
        assert lookup(name).needs_model and lookup(name).kind == "attack"
    for name in CONTROLS:
        assert not lookup(name).needs_model and lookup(name).kind == "noise"


@pytest.mark.parametrize("name", MINIMUM)
def test_minimum_norm_attacks_stay_in_the_box_and_fool(name: str) -> None:
    x, model = images(6, (3, 8, 8)), linear((3, 8, 8), classes=5).eval()
    p = quick(name, model, steps=60)
    assert isinstance(p, MinimumNorm)
    y = p(x)
    assert float(y.min()) >= 0 and float(y.max()) <= 1
    assert bool((model(y).argmax(1) != model(x).argmax(1)).all())


def test_a_minimum_norm_attack_that_finds_nothing_returns_the_image() -> None:
    # one class wins whatever the pixels are: foolbox's Carlini-Wagner hands back a black image
    x = images(3, (1, 4, 4))
    model = linear((1, 4, 4), classes=3, scale=1e-3)
    with torch.no_grad():
        model.bias[1] += 100
    for name in MINIMUM:
        assert torch.equal(quick(name, model)(x), x), name


def test_the_black_image_of_a_failed_attack_is_no_success() -> None:
    # dark images are of class 0, all others of class 1: foolbox's black image for "not found" would fool the model
    class Dark(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            bright = x.mean((1, 2, 3)) * 100 - 5
            return torch.stack([torch.zeros_like(bright), bright], 1)

    x = images(3, (1, 4, 4), low=0.4, high=0.6)
    attack = quick("cw_l2", Dark(), steps=1, binary_search_steps=1)
    assert torch.equal(attack(x), x)


def test_one_image_in_a_torchvision_pipeline() -> None:
    transform = quick("noise_l2", None, 0.5).transform(seed=3)
    x = images(2, (3, 8, 8), low=0.4, high=0.6)
    noise = torch.stack([transform(image) for image in x]) - x
    assert not torch.allclose(noise[0], noise[1], atol=1e-3)
    np.testing.assert_allclose(norms(noise, "l2"), 0.5, rtol=1e-5)


@pytest.mark.parametrize("norm, eps", [("linf", 8 / 255), ("l2", 0.5)])
def test_noise_has_exactly_the_norm_before_clipping(norm: str, eps: float) -> None:
    p = CONTROLS[f"noise_{norm}"](eps=eps)
    noise = p.noise((5, 3, 16, 16), list("abcde"), seed=0)
    np.testing.assert_allclose(norms(noise, norm), eps, rtol=1e-6)
    if norm == "linf":
        assert noise.abs().unique().numel() == 1
        assert abs(float(noise.sign().mean())) < 4 / np.sqrt(noise.numel())
    x = images(5, (3, 16, 16))
    clipped = (x + noise).clamp(0, 1)
    assert torch.equal(p(x, ids=list("abcde"), seed=0), clipped)
