"""`relate` end to end: from runs of real decompositions and robustness studies to the result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import spectrobe as sb
from spectrobe.errors import InputError, RunFolderError
from spectrobe.studies.relate.result import RelateResult
from tests.studies.relate.cases import FAST, N_IMAGES, bare_models, both, by_model, data, decomposed, measured, model


@pytest.fixture(scope="module")
def runs() -> list[Any]:
    return both()


@pytest.fixture(scope="module")
def result(runs: list[Any]) -> RelateResult:
    return sb.relate(runs, **FAST)


def test_every_score_meets_every_measure(result: RelateResult, runs: list[Any]) -> None:
    assert result.models == ("a", "b", "c", "d") and result.recipes == result.models
    scores = ("signed", "signed-unclipped", "published", "low-band", "centroid", "bandwidth", "entropy", "information")
    values = ("usable-information", "log-likelihood", "accuracy")
    assert set(result.scores) == {f"{s}/{v}/mean" for s in scores for v in values} | {"clean-accuracy"}
    attacks = [f"pgd_linf:eps={k}/255;steps=2" for k in (1, 2, 4)]
    assert set(result.measures) == {
        "mean-corruption-accuracy", "accuracy/gaussian_noise", "accuracy/contrast:2", "area/pgd_linf:steps=2",
        *(f"accuracy/{attack}" for attack in attacks),
    }  # fmt: skip
    assert list(result.measures)[:2] == ["mean-corruption-accuracy", "area/pgd_linf:steps=2"]
    assert [one.headline for one in result.measures.values()] == [True] * 2 + [False] * 5
    assert len(result.relations) == len(result.scores) * len(result.measures)
    assert not result.claims and "too few for a claim" in result.warnings[-1]


def test_numbers_are_those_of_the_runs(result: RelateResult, runs: list[Any]) -> None:
    decompositions, robustness = runs[::2], runs[1::2]
    for value in ("usable-information", "accuracy"):
        column = result.scores[f"low-band/{value}/mean"]
        expected = [run.with_value(value).scores["low-band"] for run in decompositions]
        assert [e.value for e in column.estimates] == pytest.approx([e.value for e in expected], abs=1e-12)
        assert [e.low for e in column.estimates] == pytest.approx([e.low for e in expected], abs=1e-12)
    name = "pgd_linf:eps=2/255;steps=2"
    measure = result.measures[f"accuracy/{name}"]
    assert list(measure.estimates) == [run.accuracy[name] for run in robustness]
    mean = result.measures["mean-corruption-accuracy"].estimates
    for one, run in zip(mean, robustness, strict=True):
        assert one.value == pytest.approx(1 - run.mean_corruption_error.value, abs=1e-12)
        assert one.low == pytest.approx(1 - run.mean_corruption_error.high, abs=1e-12)
    assert [e.value for e in result.clean.estimates] == [run.clean.value for run in robustness]
    found = result.relation("low-band/accuracy/mean", f"accuracy/{name}")
    rho = stats.spearmanr(result.scores[found.score].values, measure.values).statistic
    assert found.spearman.value == pytest.approx(rho, abs=1e-12)


def test_a_difference_between_two_scores(result: RelateResult) -> None:
    measure = "accuracy/gaussian_noise"
    a, b = "low-band/usable-information/mean", "clean-accuracy"
    one, other = (result.relation(name, measure).spearman.value for name in (a, b))
    assert result.difference(a, b, measure).value == pytest.approx(abs(one) - abs(other), abs=1e-12)
    assert result.relation(a, measure).over_clean.value == pytest.approx(abs(one) - abs(other), abs=1e-12)
    with pytest.raises(InputError, match="no score 'x' for accuracy/gaussian_noise; there are signed/usable"):
        result.difference("x", b, measure)
    with pytest.raises(InputError, match="no measure 'x'; there are mean-corruption-accuracy"):
        result.relation(a, "x")
    with pytest.raises(InputError, match="no subset 'x'; there are ''"):
        result.relation(a, measure, "x")


def test_several_absences_are_several_scores(runs: list[Any]) -> None:
    more = [decomposed(seed, absence="zero") for seed in (0, 1, 2)]
    found = sb.relate([*runs, *more], values=["accuracy"], **FAST)
    assert {"signed/accuracy/mean", "signed/accuracy/zero", "signed/usable-information/zero"} <= set(found.scores)
    without = found.relation("information/accuracy/zero", "accuracy/gaussian_noise")
    assert (without.n_models, without.missing) == (3, ("d",))
    assert any(line.startswith("without d for some scores") for line in found.summary().splitlines())


def test_saved_and_loaded_it_is_the_same(result: RelateResult, tmp_path: Path) -> None:
    result.save(tmp_path / "run")
    loaded = sb.load(tmp_path / "run")
    assert isinstance(loaded, RelateResult)
    assert repr(loaded.to_dict()) == repr(result.to_dict())
    assert loaded.summary() == result.summary()
    assert loaded.relations[3].leave_one_out == result.relations[3].leave_one_out
    result.save(tmp_path / "run")  # the same again is no conflict
    with pytest.raises(RunFolderError, match="holds another result"):
        replace(result, warnings=()).save(tmp_path / "run")
    with pytest.raises(TypeError):
        result.scores["x"] = result.clean  # type: ignore[index]


def test_as_a_table(result: RelateResult) -> None:
    frame = pytest.importorskip("pandas") and result.to_frame()
    assert len(frame) == len(result.relations)
    row = frame[(frame.score == "signed/accuracy/mean") & (frame.measure == "accuracy/gaussian_noise")].iloc[0]
    assert row.spearman == result.relation("signed/accuracy/mean", "accuracy/gaussian_noise").spearman.value
    assert {"spearman_p_max", "kendall_low", "partial_high", "leave_one_out_low_without", "held_out_r2"} <= set(frame)


class TestSurvival:
    def test_matching_perturbations_give_scores_of_their_own(self, runs: list[Any]) -> None:
        snr = sb.snr_study(data()[0], "gaussian_noise:1-2", bands=3)
        found = sb.relate(runs, snr=snr, values=["usable-information"], **FAST)
        names = {name for name in found.scores if name.startswith("surviving-information")}
        assert names == {
            f"surviving-information/usable-information/mean for {measure}"
            for measure in ("accuracy/gaussian_noise", "mean-corruption-accuracy")
        }
        assert found.relation("surviving-information/usable-information/mean", "accuracy/gaussian_noise").n_models == 4
        column = found.scores_for("accuracy/gaussian_noise")["surviving-information/usable-information/mean"]
        by_hand = [
            np.mean([one.surviving_information.value for one in sb.score_under(run, snr).values()]) for run in runs[::2]
        ]
        assert [e.value for e in column.estimates] == pytest.approx(by_hand, abs=1e-9)  # linear in the modulus
        assert "surviving-information/usable-information/mean" not in found.scores_for("area/pgd_linf:steps=2")

    def test_an_attack_is_measured_on_each_model_or_stands_for_all(self, runs: list[Any]) -> None:
        name = "pgd_linf:eps=2/255;steps=2"
        own = [sb.snr_study(data(), name, model=model(which), bands=3) for which in range(4)]
        found = sb.relate(runs, snr=own, values=["accuracy"], **FAST)
        column = found.scores_for(f"accuracy/{name}")["perturbation-aware/accuracy/mean"]
        for estimate, run, snr in zip(column.estimates, runs[::2], own, strict=True):
            expected = next(iter(sb.score_under(run.with_value("accuracy"), snr).values())).perturbation_aware
            assert estimate.value == pytest.approx(expected.value, abs=1e-9, nan_ok=True)
        one = sb.relate(runs, snr=own[:1], values=["accuracy"], **FAST)
        assert any("was measured on a alone and stands for all" in warning for warning in one.warnings)
        assert not any("stands for all" in warning for warning in found.warnings)

    def test_other_bands_are_refused(self, runs: list[Any]) -> None:
        snr = sb.snr_study(data()[0], "gaussian_noise:1", bands=4)
        with pytest.raises(InputError, match="got an SNR run with bands square:4"):
            sb.relate(runs, snr=snr, **FAST)
        with pytest.raises(InputError, match="expected runs of snr, got memory"):
            sb.relate(runs, snr=runs[:1], **FAST)


class TestRefused:
    @pytest.mark.parametrize(
        "settings, message",
        [
            ({"bands": 4}, "bands is square:3 for a and square:4 for d"),
            ({"seed": 1}, "seed is 0 for a and 1 for d"),
            ({"design": "permutation"}, "design is exact for a and permutation for d"),
            ({"confidence": 0.9}, "confidence is 0.95 for a and 0.9 for d"),
            ({"images": 20}, r"not on the same images: a and d are decomposed on 24 and 20 images, of which 4 differ"),
        ],
    )
    def test_other_settings_of_a_decomposition(self, settings: dict[str, Any], message: str, runs: list[Any]) -> None:
        with pytest.raises(InputError, match=message):
            sb.relate([*runs[:6], decomposed(3, **settings), runs[7]], **FAST)

    def test_other_pixels_under_the_same_names(self, runs: list[Any]) -> None:
        x, y = data()
        x = x.clone()
        x[5] = x[5].flip(-1)
        with pytest.raises(InputError, match=r"of which 1 differ; image 5 is \S+ for one and \S+ with other pixels"):
            sb.relate([*runs[:6], decomposed(3, (x, y)), runs[7]], **FAST)

    def test_other_images_or_conditions_of_robustness(self, runs: list[Any]) -> None:
        few = measured(3, n=20)
        with pytest.raises(InputError, match=r"a and d are measured under gaussian_noise:1 on 24 and 20 images"):
            sb.relate([*runs[:7], few], **FAST)
        other = measured(3, "gaussian_noise:1-3")
        with pytest.raises(InputError, match=r"noise is over other conditions for a than for d \(gaussian_noise:3\)"):
            sb.relate([*runs[:7], other], **FAST)
        seeded = measured(3, seed=1)
        with pytest.raises(InputError, match=r"seed is 0 for a and 1 for d"):
            sb.relate([*runs[:7], seeded], **FAST)

    def test_two_runs_of_a_kind(self, runs: list[Any]) -> None:
        with pytest.raises(InputError, match="a has two decompositions with absence mean: memory and memory"):
            sb.relate([*runs, decomposed(0)], **FAST)
        with pytest.raises(InputError, match="b has two robustness runs with gaussian_noise:1"):
            sb.relate([*runs, measured(1)], **FAST)

    def test_fewer_than_three_models_and_models_without_one_side(self, runs: list[Any]) -> None:
        with pytest.raises(InputError, match=r"at least 3 models .* got 2 \(left out: c: no robustness run\)"):
            sb.relate(runs[:5], **FAST)
        found = sb.relate(runs[:7], **FAST)
        assert found.models == ("a", "b", "c") and dict(found.left_out) == {"d": "no robustness run"}
        assert sb.relate([*runs[:6], runs[7]], **FAST).left_out == {"d": "no run of decompose"}

    def test_what_is_no_run(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="expected runs of decompose and robustness, got none"):
            sb.relate([])
        with pytest.raises(InputError, match=r"expected results of decompose and robustness, .* got int"):
            sb.relate([3])
        with pytest.raises(InputError, match="no such folder: 'nowhere'"):
            sb.relate("nowhere")
        with pytest.raises(InputError, match=r"expected a run folder .* or a folder of them, found none"):
            sb.relate(tmp_path)

    @pytest.mark.parametrize(
        "settings, message",
        [
            ({"confidence": 1.2}, "expected a confidence"),
            ({"values": ["acuracy"]}, "acuracy"),
            ({"n_permutations": 9}, "expected n_permutations to be at least 100"),
            ({"without": "zz*"}, r"without 'zz\*': no model and no recipe has such a name"),
            ({"without": ["a", "[ab]"]}, r"without '\[ab\]' 2 models are left"),
            ({"recipes": {"e": "x"}}, "recipes of unknown models: e"),
            ({"group_column": "recipe"}, "expected a column 'recipe' with the models' recipes in no table"),
        ],
    )
    def test_arguments_that_make_no_sense(self, settings: dict[str, Any], message: str, runs: list[Any]) -> None:
        with pytest.raises(InputError, match=message):
            sb.relate(runs, **{**FAST, **settings})


class TestClaims:
    """Twelve models with bare numbers: what is said of a planted relation, of none, and of too few models."""

    clean = np.random.default_rng(0).permutation(12) / 12

    def related(self, score: np.ndarray, y: np.ndarray, **more: Any) -> RelateResult:
        scores = {"score": by_model(score)}
        return sb.relate(
            bare_models({"other": self.clean}), scores=scores, against={"measure": by_model(y)}, **FAST, **more
        )

    def test_a_planted_relation_is_found(self) -> None:
        y = np.arange(12.0)
        found = self.related(y + 3 * np.random.default_rng(1).normal(size=12), y)
        assert found.claims and found.warnings == ()
        assert "of 1 scores score goes best with it, Spearman 0." in found.summary()
        assert "nothing is claimed" not in found.summary() and "cannot tell it from chance" not in found.summary()
        assert found.relation("score", "measure").spearman.p_max < 0.02

    def test_nothing_is_found_where_nothing_is(self) -> None:
        found = self.related(np.random.default_rng(2).normal(size=12), np.arange(12.0))
        assert "These models cannot tell it from chance." in found.summary()

    def test_baselines_are_related_and_never_chosen(self) -> None:
        y = self.clean * 2
        found = self.related(np.random.default_rng(3).normal(size=12), y)
        assert found.relation("other", "measure").spearman.value == 1
        assert found.best("measure") == found.relation("score", "measure")
        assert found.choice("measure").n_scores == 1  # type: ignore[union-attr]

    def test_without_some_models(self) -> None:
        y = np.arange(12.0)
        recipes = {f"m{i:02}": "at" if i > 9 else f"r{i}" for i in range(12)}
        score = np.where(y > 9, y, np.random.default_rng(4).normal(size=12))
        found = self.related(score, y, recipes=recipes, without="at")
        assert found.subsets["without at"] == tuple(f"m{i:02}" for i in range(10))
        whole, rest = (found.relation("score", "measure", subset) for subset in ("", "without at"))
        assert (whole.n_models, whole.n_recipes, rest.n_models, rest.n_recipes) == (12, 11, 10, 10)
        assert rest.spearman.value == pytest.approx(stats.spearmanr(score[:10], y[:10]).statistic, abs=1e-12)
        assert rest.spearman.value < whole.spearman.value
        difference = found.difference("score", "other", "measure", "without at")
        expected = abs(rest.spearman.value) - abs(found.relation("other", "measure", "without at").spearman.value)
        assert difference.value == pytest.approx(expected, abs=1e-12)

    def test_few_recipes_are_told(self) -> None:
        recipes = {f"m{i:02}": f"r{i % 4}" for i in range(12)}
        found = self.related(np.arange(12.0), np.arange(12.0) ** 2, recipes=recipes)
        assert "the 12 models are of 4 recipes: intervals over so few are rough" in found.warnings


def test_images_of_the_decompositions_may_be_others_than_of_robustness(runs: list[Any]) -> None:
    fewer = [run for seed in range(3) for run in (decomposed(seed, images=16), runs[2 * seed + 1])]
    found = sb.relate(fewer, values=["accuracy"], **FAST)
    assert found.n_models == 3 and N_IMAGES == 24
