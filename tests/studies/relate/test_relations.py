"""Relations of planted and of unrelated scores: known answers, false positives under control, choosing paid for."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from spectrobe.studies.relate.correlate import Draws, Models, difference, spearman_and_kendall
from spectrobe.studies.relate.relation import Relation
from spectrobe.studies.relate.relations import choose, held_out_r2, relations

FAST = Draws(n_resamples=199, n_permutations=199)
RECIPES = np.repeat(np.arange(10), [3, 3, 2, 2, 1, 1, 1, 1, 1, 1])


def models(n: int, clean: np.ndarray | None = None, recipes: np.ndarray | None = None) -> Models:
    own = np.arange(n) if recipes is None else recipes
    names = tuple(f"m{i:02}" for i in range(n))
    return Models(names, tuple(f"r{i:02}" for i in own), np.linspace(0, 1, n) if clean is None else clean)


def relate_one(x: np.ndarray, y: np.ndarray, who: Models | None = None, draws: Draws = FAST) -> Relation:
    return relations({"score": x}, "measure", y, who or models(len(x)), "", draws)[0]


class TestKnownAnswers:
    def test_values_are_scipys(self) -> None:
        draws = np.random.default_rng(1)
        x, y, clean = draws.normal(size=(3, 14)).round(1)  # ties too
        found = relate_one(x, y, models(14, clean))
        assert found.spearman.value == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
        assert found.kendall.value == pytest.approx(stats.kendalltau(x, y).statistic, abs=1e-12)
        for estimate in (found.spearman, found.kendall, found.partial):
            assert estimate.low < estimate.value < estimate.high

    def test_a_monotone_relation_is_perfect_and_cannot_be_given_an_interval(self) -> None:
        x = np.linspace(0, 1, 12)
        found = relate_one(x, np.exp(5 * x), models(12, np.random.default_rng(0).random(12)))
        assert found.spearman.value == found.kendall.value == 1
        assert np.isnan(found.spearman.low) and "without exception" in found.spearman.reason
        assert found.spearman.p == found.spearman.p_max == 1 / 200
        assert found.leave_one_out.low == found.leave_one_out.high == 1
        assert relate_one(-x, x).spearman.value == -1

    def test_a_score_that_does_not_vary_says_so(self) -> None:
        found = relate_one(np.ones(8), np.arange(8.0))
        assert np.isnan(found.spearman.value) and "varies" in found.spearman.reason
        assert np.isnan(found.spearman.p) and np.isnan(found.partial.value)

    def test_what_clean_accuracy_explains_is_taken_off(self) -> None:
        draws = np.random.default_rng(2)
        clean = draws.normal(size=40)
        x, y = clean + 0.4 * draws.normal(size=40), clean + 0.4 * draws.normal(size=40)
        found = relate_one(x, y, models(40, clean))
        assert found.spearman.value > 0.7 and found.spearman.p < 0.01
        assert abs(found.partial.value) < 0.3 and found.partial.p > 0.05
        # x goes less far with y than clean accuracy does: no gain over it
        assert found.over_clean.value < 0 and found.over_clean.low < 0
        both = relations({"score": x, "clean-accuracy": clean}, "measure", y, models(40, clean), "", FAST)
        assert np.isnan(both[1].partial.value) and "itself" in both[1].partial.reason
        assert np.isnan(both[1].over_clean.value)

    def test_the_gain_over_clean_accuracy_counts_each_in_its_own_direction(self) -> None:
        draws = np.random.default_rng(3)
        y = draws.normal(size=30)
        clean = -y + 2 * draws.normal(size=30)
        x = y + 0.1 * draws.normal(size=30)
        found = relate_one(x, y, models(30, clean)).over_clean
        expected = abs(stats.spearmanr(x, y).statistic) - abs(stats.spearmanr(clean, y).statistic)
        assert found.value == pytest.approx(expected, abs=1e-12) and found.low > 0
        same = difference(x, x, y, np.arange(30), FAST)
        assert (same.value, same.low, same.high) == (0, 0, 0)

    def test_leaving_one_out_is_recomputed_without_it(self) -> None:
        draws = np.random.default_rng(4)
        x, y = draws.normal(size=(2, 16))
        who = models(16, recipes=RECIPES)
        found = relate_one(x, y, who)
        without = [stats.spearmanr(np.delete(x, i), np.delete(y, i)).statistic for i in range(16)]
        one = found.leave_one_out
        assert (one.low, one.high) == (pytest.approx(min(without)), pytest.approx(max(without)))
        assert (one.low_without, one.high_without) == (
            f"m{int(np.argmin(without)):02}", f"m{int(np.argmax(without)):02}"
        )  # fmt: skip
        recipes = [stats.spearmanr(x[g != RECIPES], y[g != RECIPES]).statistic for g in range(10)]
        assert found.leave_recipe_out.low == pytest.approx(min(recipes))
        assert found.leave_recipe_out.low_without == f"r{int(np.argmin(recipes)):02}"

    def test_models_without_a_number_are_left_out_and_named(self) -> None:
        draws = np.random.default_rng(5)
        x, y = draws.normal(size=(2, 12))
        holes = x.copy()
        holes[[2, 7]] = np.nan
        found = relations({"whole": x, "holes": holes}, "measure", y, models(12), "", FAST)
        assert [one.score for one in found] == ["whole", "holes"]
        assert (found[0].n_models, found[0].missing) == (12, ())
        assert (found[1].n_models, found[1].missing) == (10, ("m02", "m07"))
        alone = relate_one(np.delete(x, [2, 7]), np.delete(y, [2, 7]))
        assert found[1].spearman.value == pytest.approx(alone.spearman.value, abs=1e-12)
        y[0] = np.inf
        assert relate_one(x, y).missing == ("m00",)

    @pytest.mark.parametrize("n", [0, 1, 2])
    def test_fewer_than_three_models_have_no_correlation(self, n: int) -> None:
        x = np.full(6, np.nan)
        x[:n] = np.arange(n)
        found = relate_one(x, np.arange(6.0))
        assert np.isnan(found.spearman.value) and found.spearman.reason == f"only {n} models have both numbers"
        assert found.n_models == n

    def test_three_models_have_one_and_it_says_little(self) -> None:
        found = relate_one(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0]), draws=Draws(n_permutations=2000))
        assert found.spearman.value == pytest.approx(0.5)
        assert found.spearman.p == pytest.approx(1.0, abs=1e-9)  # all six orders have |rho| of at least 1/2
        assert np.isnan(found.partial.value) and "all three numbers" in found.partial.reason


class TestPermutations:
    def test_the_p_value_is_that_of_all_permutations(self) -> None:
        draws = np.random.default_rng(6)
        x, y = draws.normal(size=(2, 6))
        own = abs(stats.spearmanr(x, y).statistic)
        all_of_them = [abs(stats.spearmanr(x, y[list(p)]).statistic) for p in itertools.permutations(range(6))]
        exact = np.mean([value >= own - 1e-9 for value in all_of_them])
        found = relate_one(x, y, draws=Draws(n_permutations=9999)).spearman
        assert found.p == pytest.approx(exact, abs=0.015)  # three standard deviations of 9,999 draws
        assert found.null == pytest.approx(np.quantile(all_of_them, 0.95), abs=0.02)

    def test_the_max_statistic_allows_for_every_score(self) -> None:
        draws = np.random.default_rng(7)
        scores = {f"s{k}": draws.normal(size=12) for k in range(8)}
        y = draws.normal(size=12)
        found = relations(scores, "measure", y, models(12), "", FAST)
        assert all(one.spearman.p_max >= one.spearman.p for one in found)
        assert min(one.spearman.p_max for one in found) > 1.5 * min(one.spearman.p for one in found)
        twins = relations({"a": scores["s0"], "b": scores["s0"]}, "measure", y, models(12), "", FAST)
        assert twins[0].spearman.p_max == twins[0].spearman.p  # the same score twice costs nothing

    @pytest.mark.parametrize("relatedness", [0.0, 0.9])
    def test_false_positives_are_as_rare_as_they_should_be(self, relatedness: float) -> None:
        """Five unrelated scores, models of one recipe alike: the smallest adjusted p is below .05 in 5 % of studies."""
        draws = np.random.default_rng(8)
        hits = {"recipes": 0, "models": 0}
        for _ in range(120):
            columns = _related(draws, 6, relatedness)
            scores = {f"s{k}": column for k, column in enumerate(columns[:5])}
            for unit, recipe in (("recipes", RECIPES), ("models", np.arange(16))):
                rho, _ = spearman_and_kendall(scores, columns[5], models(16, recipes=recipe), _FEW)
                hits[unit] += min(one.p_max for one in rho.values()) <= 0.05
        assert hits["recipes"] / 120 <= 0.12  # .05 and 3.5 standard deviations
        if relatedness:
            assert hits["models"] / 120 >= 0.13  # as if relatives were independent: too many
        else:
            assert 0.005 <= hits["models"] / 120 <= 0.12

    def test_false_positives_given_clean_accuracy(self) -> None:
        """Score and measure follow clean accuracy and nothing else: the plain test rejects, the partial does not."""
        draws = np.random.default_rng(9)
        hits = {"plain": 0, "given clean": 0}
        for _ in range(100):
            clean, one, other = draws.normal(size=(3, 16))
            found = relate_one(clean + 0.5 * one, clean + 0.5 * other, models(16, clean), _FEW)
            hits["plain"] += found.spearman.p <= 0.05
            hits["given clean"] += found.partial.p <= 0.05
        assert hits["plain"] / 100 > 0.8
        assert 0.01 <= hits["given clean"] / 100 <= 0.14  # ranks are not quite linear in ranks


_FEW = Draws(n_resamples=100, n_permutations=199)


def _related(draws: np.random.Generator, n: int, share: float) -> np.ndarray:
    """n columns of 16 models, of whose variance a share is their recipe's: (n, 16)."""
    return np.sqrt(share) * draws.normal(size=(n, 10))[:, RECIPES] + np.sqrt(1 - share) * draws.normal(size=(n, 16))


@pytest.mark.parametrize("rho", [0.0, 0.7])
@pytest.mark.parametrize("relatedness", [0.0, 0.9])
def test_intervals_hold_the_truth(rho: float, relatedness: float) -> None:
    """Bivariate normal: Spearman's in the population is 6/pi asin(rho/2), Kendall's 2/pi asin(rho)."""
    draws, held = np.random.default_rng(10), {"spearman": 0, "kendall": 0}
    truth = {"spearman": 6 / np.pi * np.arcsin(rho / 2), "kendall": 2 / np.pi * np.arcsin(rho)}
    repeats = 120
    for _ in range(repeats):
        x, other = _related(draws, 2, relatedness)
        found = relate_one(x, rho * x + np.sqrt(1 - rho**2) * other, models(16, recipes=RECIPES), FAST)
        for kind, true in truth.items():
            estimate = getattr(found, kind)
            held[kind] += estimate.low <= true <= estimate.high
    for kind, count in held.items():
        assert 0.86 <= count / repeats <= 1, kind  # .95 and 4 standard deviations


class TestHeldOut:
    def test_by_hand(self) -> None:
        # leave out each of four models; ranks among the other three are -1, 0, 1 times 2 (signs), new ones -3 ... 3
        x, y = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 4.0])
        error = total = 0.0
        for i in range(4):
            rest = [j for j in range(4) if j != i]
            a = np.array([np.sign(x[j] - x[rest]).sum() for j in rest])
            b = np.array([np.sign(y[j] - y[rest]).sum() for j in rest])
            slope = (a * b).sum() / (a * a).sum()
            new_x, new_y = np.sign(x[i] - x[rest]).sum(), np.sign(y[i] - y[rest]).sum()
            error += (new_y - slope * new_x) ** 2
            total += new_y**2
        assert held_out_r2([x], y, np.arange(4))[0] == pytest.approx(1 - error / total, abs=1e-12)

    def test_is_1_for_a_monotone_score_and_negative_for_chance(self) -> None:
        draws = np.random.default_rng(11)
        x = draws.normal(size=16)
        assert held_out_r2([x], np.exp(x), RECIPES)[0] == pytest.approx(1, abs=1e-12)
        chance = [held_out_r2([a], b, RECIPES)[0] for a, b in draws.normal(size=(60, 2, 16))]
        assert -0.6 < np.mean(chance) < -0.05

    def test_the_best_of_many_unrelated_scores_looks_good_and_is_found_out(self) -> None:
        draws = np.random.default_rng(12)
        looks, is_ = [], []
        for _ in range(30):
            scores = {f"s{k}": draws.normal(size=16) for k in range(20)}
            y = draws.normal(size=16)
            choice = choose(scores, "m", y, models(16, recipes=RECIPES), "")
            assert choice is not None and choice.n_scores == 20 and len(choice.without) == 10
            looks.append(abs(stats.spearmanr(scores[choice.best], y).statistic))
            is_.append(choice.held_out)
        assert np.mean(looks) > 0.45 and np.mean(is_) < 0

    def test_a_planted_score_is_chosen_whatever_recipe_is_left_out(self) -> None:
        draws = np.random.default_rng(13)
        y = draws.normal(size=16)
        scores = {f"s{k}": draws.normal(size=16) for k in range(10)} | {"planted": -y + 0.2 * draws.normal(size=16)}
        choice = choose(scores, "m", y, models(16, recipes=RECIPES), "")
        assert choice is not None and choice.best == "planted" and choice.agreement == 1
        assert set(choice.without) == {f"r{i:02}" for i in range(10)} and choice.held_out > 0.7

    def test_scores_with_holes_are_not_up_for_choice(self) -> None:
        y = np.arange(6.0)
        holes = y.copy()
        holes[0] = np.nan
        choice = choose({"holes": holes, "noise": np.array([3.0, 1, 4, 1, 5, 9])}, "m", y, models(6), "")
        assert choice is not None and choice.best == "noise" and choice.n_scores == 1
        assert choose({"holes": holes}, "m", y, models(6), "") is None
        assert choose({"x": y}, "m", y, models(6, recipes=np.array([0, 0, 0, 1, 1, 1])), "") is None
