"""Measuring the zoo fast moves no number; the rules of the protocol are the ones written there, on names that exist."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import spectrobe as sb
from benchmarks.relate_zoo import CORRUPTION_KINDS
from benchmarks.zoo import answers, fast, store
from benchmarks.zoo import questions as q
from benchmarks.zoo.measuring import ABSENCES, ATTACKS, OWN_SNR
from spectrobe.bands import BandPartition
from spectrobe.game.scores import score_functions
from spectrobe.models.module import ModuleModel
from spectrobe.models.zoo_networks import PlainCNN, SmallResNet
from spectrobe.perturbations import perturbation
from spectrobe.perturbations.attacks import PGD
from spectrobe.perturbations.corruptions import IMAGENET_C
from spectrobe.studies.relate.measures import MEAN_CORRUPTION
from spectrobe.studies.relate.scores import UNDER, VALUES
from spectrobe.studies.robustness.conditions import build, plan
from tests.studies.relate.cases import FAST, bare_models, by_model
from tests.toys import labels_of, linear, pixels

CPU = torch.device("cpu")


class Counting(nn.Module):
    """A linear network that counts the images it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.seen = linear(), 0

    def forward(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        logits: Tensor = self.net(x)
        return logits


class TestStoppingPGD:
    @pytest.mark.parametrize("name, eps", [("pgd_linf", 0.4 / 255), ("pgd_l2", 0.03)])
    def test_fools_the_images_that_pgd_fools_at_fewer_passes(self, name: str, eps: float) -> None:
        x, net = pixels(40), Counting()
        labels = labels_of(net.net, x)
        labels[:4] = (labels[:4] + 1) % 4  # wrong from the start
        whole = perturbation(name, eps=eps, steps=10, model=net)
        stops = fast.stopping(whole)
        fooled, seen, moved = [], [], []
        for attack in (whole, stops):
            net.seen = 0
            y = attack(x, labels, seed=3)
            seen.append(net.seen)
            moved.append((y - x).flatten(1).norm(dim=1) if name == "pgd_l2" else (y - x).flatten(1).abs().amax(1))
            fooled.append(net(y).argmax(1) != labels)
        assert torch.equal(*fooled) and 8 < int(fooled[0].sum()) < 36  # some are, some are not
        assert seen[1] < 0.9 * seen[0]
        assert float(moved[1].max()) <= eps + 1e-6 and not moved[1][:4].any()

    def test_goes_by_the_same_name_and_settings(self) -> None:
        whole = perturbation("pgd_linf", eps=2 / 255, steps=5, model=linear())
        stops = fast.stopping(whole)
        assert type(whole) is PGD and type(stops) is fast.StoppingPGD and stops.model is whole.model
        assert (str(stops), dict(stops.settings)) == (str(whole), dict(whole.settings))
        assert type(stops.replace(eps=0.5)) is fast.StoppingPGD
        several = perturbation("pgd_linf", eps=2 / 255, restarts=2, model=linear())
        assert fast.stopping(several) is several


class TestFastModel:
    @pytest.mark.parametrize("make", [SmallResNet, PlainCNN])
    def test_answers_as_the_module_in_any_batch(self, make: type[nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("onnxruntime")
        torch.manual_seed(0)
        net, x = make(10, 8), pixels(9, (3, 32, 32))  # type: ignore[call-arg]  # classes, width
        plain = ModuleModel(net, "net", n_classes=10)
        model = fast.fast(plain)
        assert isinstance(model, fast.FastModel) and model.name == "net"
        differing = {key for key, value in model.identity().items() if value != plain.identity()[key]}
        assert differing == {"adapter"}  # the same weights' hash, by which runs are matched
        with plain.prepared(CPU) as forward, torch.inference_mode():
            expected = forward(x)
        with model.prepared(CPU) as forward:
            without, differentiable = forward.args  # type: ignore[attr-defined]
            assert without.func is fast._answer and differentiable is model._faster[1]
            monkeypatch.setattr(fast, "CHUNK", 4)  # seven images in two
            found = torch.cat([forward(x[:2]), forward(x[2:].contiguous(memory_format=torch.channels_last))])
            assert not found.requires_grad
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
        assert net.training  # it comes back as it was

    @pytest.mark.parametrize("make", [SmallResNet, PlainCNN])
    def test_gradients_are_the_modules(self, make: type[nn.Module]) -> None:
        torch.manual_seed(0)
        net = make(10, 8)  # type: ignore[call-arg]  # classes, width
        net(pixels(64, (3, 32, 32)))  # batch norms that are not those of a new network
        plain, gradients = ModuleModel(net, "net", n_classes=10), []
        for model in (plain, fast.fast(plain)):
            x = pixels(9, (3, 32, 32)).requires_grad_(True)
            with model.prepared(CPU) as forward:
                logits = forward(x)
                gradients += torch.autograd.grad(logits.logsumexp(1).sum(), x)
        assert not any(isinstance(part, nn.BatchNorm2d) for part in fast.fuse(net.eval()).modules())
        torch.testing.assert_close(gradients[1], gradients[0], atol=1e-6, rtol=1e-3)

    def test_what_cannot_be_exported_or_answers_otherwise_is_torchs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Unsteady(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                return x.mean((2, 3)) * float(x.flatten()[0])  # a number that an exported graph takes for a constant

        assert fast.compiled(Unsteady()) is None

        def refuse(*_: object) -> bytes:
            raise RuntimeError("no exporter")

        monkeypatch.setattr(fast, "_graph", refuse)
        assert fast.compiled(linear()) is None
        with fast.FastModel(ModuleModel(linear(), "net", n_classes=4)).prepared(CPU) as forward:
            assert forward(pixels(2)).shape == (2, 4)


def test_kept_corruptions_are_made_once_and_the_same() -> None:
    made, calls = perturbation("contrast", severity=3), []

    def counted(x: Tensor, labels: Tensor | None = None, ids: object = None, seed: int = 0) -> Tensor:
        calls.append(ids)
        return sb.perturbation("contrast", severity=3)(x, labels, ids, seed)

    kept = fast.Kept(made)
    x, ids = pixels(4), ["a", "b", "c", "d"]
    expected = made(x, None, ids, 0)
    assert torch.equal(kept(x, None, ids, 0), expected)
    kept.made = counted  # type: ignore[assignment]
    assert torch.equal(kept(x, None, ids, 0), expected) and torch.equal(kept(x[1:2], None, ["b"], 0), expected[1:2])
    assert not calls
    items, _ = build(plan([fast.Kept(made)]), ModuleModel(linear()))
    own, _ = build(plan([made]), ModuleModel(linear()))
    assert items[0].condition == own[0].condition and items[0].condition.severity == 3


def test_a_stored_model_is_attacked_on_the_first_images_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "ATTACKED", 7)
    x, y = (pixels(12, (3, 32, 32)) * 255).to(torch.uint8), torch.arange(12) % 4
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(3072, 4))
    found = store.evaluate(net, x, y, batch=5)
    assert (found["test_images"], found["attacked_images"]) == (12, 7)
    with torch.no_grad():
        assert found["accuracy"] == pytest.approx(float((net(x / 255).argmax(1) == y).float().mean()), abs=1e-4)
    few = store.evaluate(net, x[:7], y[:7], batch=5)
    assert all(found[f"pgd20_{k}"] == few[f"pgd20_{k}"] for k in store.STRENGTHS)


class TestNames:
    def test_what_decides_is_named_as_relate_names_it(self) -> None:
        items, _ = build(plan(ATTACKS), ModuleModel(linear()))
        conditions = {item.condition.name: item.condition.family for item in items}
        assert len(conditions) == 9
        area, *accuracies = q.PRIMARY["A"]
        assert area.removeprefix("area/") in conditions.values()
        assert {name.removeprefix("accuracy/") for name in accuracies} <= set(conditions)
        (own,), _ = build(plan(OWN_SNR), ModuleModel(linear()))
        assert conditions[own.condition.name] == area.removeprefix("area/")  # else its modulus matches no measure
        assert q.PRIMARY["C"][0] == MEAN_CORRUPTION
        assert sorted(one for members in CORRUPTION_KINDS.values() for one in members) == sorted(IMAGENET_C)

    def test_twenty_scores_and_four_baselines_are_tried(self) -> None:
        columns = [
            f"{score}/{value}/{absence}"
            for score in [*score_functions(BandPartition.square(8)), *UNDER]
            for value in VALUES
            for absence in ABSENCES
        ]
        columns += ["published-procedure", "high-pass accuracy", "gradient norm"]
        tried = [name for name in columns if any(fnmatchcase(name, pattern) for pattern in q.ONLY)]
        assert len(tried) == 23 and len(set(tried) - set(q.BASELINES)) == 20
        assert {*q.UNDER, q.DEFAULT} <= set(tried) and set(q.BASELINES) - set(tried) == {"clean-accuracy"}


def related(measures: dict[str, np.ndarray], scores: dict[str, np.ndarray], **more: object) -> sb.RelateResult:
    """Sixteen models of eight recipes with these numbers; their clean accuracy is 0.8."""
    recipes = {f"m{i:02}": f"r{i // 2}" for i in range(16)}
    found = sb.relate(
        bare_models({"gradient norm": np.arange(16.0) % 5}),
        scores={name: by_model(x) for name, x in scores.items()},
        against={name: by_model(y) for name, y in measures.items()},
        recipes=recipes, **{**FAST, **more},
    )  # fmt: skip
    estimates = tuple(sb.Estimate(0.8, 0.01, 0.78, 0.82) for _ in range(16))
    return replace(found, clean=replace(found.scores["gradient norm"], name="clean-accuracy", estimates=estimates))


class TestRules:
    def test_the_first_measure_with_spread_decides(self) -> None:
        wide, flat = np.linspace(0.1, 0.7, 16), np.r_[np.zeros(5), np.linspace(0.1, 0.7, 11)]
        area, first, second = q.PRIMARY["A"]
        score = {"s": wide}
        assert q.deciding(related({area: wide, first: wide}, score), "A") == area
        assert q.deciding(related({area: flat, first: flat, second: wide}, score), "A") == second
        found = related({area: flat}, score)
        assert q.spread(found, area) == 11 and q.deciding(found, "A") is None

    def test_a_default_changes_only_for_what_is_better(self) -> None:
        draws = np.random.default_rng(0)
        y, other = draws.permutation(np.linspace(0.1, 0.7, 16)), draws.normal(size=16)
        good = "signed/accuracy/zero"
        scores = {q.DEFAULT: other, good: y + 0.02 * draws.normal(size=16)}
        found = related({"a": y, "c": y + 0.02 * draws.normal(size=16)}, scores)
        assert q.new_default(found, ["a", "c"]) == good
        worse = {q.DEFAULT: scores[good], good: other}
        assert q.new_default(related({"a": y, "c": y}, worse), ["a", "c"]) == q.DEFAULT

    def test_absences_agree_on_the_models_that_all_have_numbers_of(self) -> None:
        def one(signed: float, low: float) -> SimpleNamespace:
            scores = {"signed": sb.Estimate(signed, 0, signed, signed), "low-band": sb.Estimate(low, 0, low, low)}
            return SimpleNamespace(with_value=lambda value: SimpleNamespace(scores=scores))

        low = np.array([1.0, 2, 3, 4])
        signed = {"zero": [1, 2, 3, np.nan], "mean": [1, 3, 2, 0], "donor": [3, 2, 1, 9]}
        made = {
            a: {f"m{i}": one(x, y) for i, (x, y) in enumerate(zip(by, low, strict=True))} for a, by in signed.items()
        }
        found = q.question_5(made)  # type: ignore[arg-type]
        taus, w = found["signed"]
        assert taus == pytest.approx({("zero", "mean"): 1 / 3, ("zero", "donor"): -1, ("mean", "donor"): -1 / 3})
        assert w == pytest.approx(q.kendalls_w(np.array([[1.0, 2, 3], [1, 3, 2], [3, 2, 1]])))
        assert found["low-band"] == (dict.fromkeys(taus, 1.0), 1.0)
        few = {a: {name: by[name] for name in ("m2", "m3")} for a, by in made.items()}
        assert np.isnan(q.question_5(few)["signed"][1])  # type: ignore[arg-type]

    def test_kendalls_w_is_friedmans_statistic_over_its_largest(self) -> None:
        draws = np.random.default_rng(1)
        columns = draws.integers(0, 6, size=(3, 12)).astype(float)  # with ties
        friedman = stats.friedmanchisquare(*columns.T).statistic
        assert q.kendalls_w(columns) == pytest.approx(friedman / (3 * 11), abs=1e-12)
        assert q.kendalls_w(np.stack([np.arange(5.0)] * 3)) == 1

    def test_the_zoo_is_as_it_should_be_or_not(self) -> None:
        entries = {
            "resnet-at-8": {"pgd20_8": 0.21, "recipe": "at-8"},
            "cnn-standard": {"pgd20_8": 0.04, "recipe": "standard"},
        }
        assert answers.zoo(entries)["as it should be"] is True
        assert answers.zoo({"cnn-standard": entries["cnn-standard"]})["as it should be"] is False
        weak = {**entries, "resnet-at-8": {"pgd20_8": 0.2, "recipe": "at-8"}}
        assert answers.zoo(weak)["as it should be"] is False
