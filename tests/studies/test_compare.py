from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spectrobe.bands import BandPartition
from spectrobe.errors import InputError
from spectrobe.game.coalitions import make_design
from spectrobe.game.fit import Payoffs
from spectrobe.game.scores import MEANINGS
from spectrobe.game.table import PayoffTable
from spectrobe.studies.compare import Comparison, compare
from spectrobe.studies.decompose.result import DecomposeResult
from spectrobe.studies.decompose.settings import Settings
from spectrobe.studies.decompose.summary import summarise
from tests.real_table import draw, real_logits, table_from_logits

N = 80
SETTINGS = Settings(
    model_name="plain",
    data_name="photographs",
    bands=BandPartition.square(4),
    image_size=(32, 32),
    value="usable-information",
    absence="mean",
    design="exact",
    confidence=0.95,
    seed=0,
)


def result(table: PayoffTable, **changes: object) -> DecomposeResult:
    """The decomposition of an exact table's images, by the settings' design; no model is needed."""
    settings = replace(SETTINGS, **changes)  # type: ignore[arg-type]
    design = make_design(settings.design, 4, settings.seed)
    (played,) = draw(table, np.arange(len(table)), design, table.ids).chunks()
    payoffs = Payoffs.of(replace(played, position=table.position))
    return summarise(payoffs, settings, len(table) * design.n_coalitions, {}, ())


@pytest.fixture(scope="module")
def plain() -> PayoffTable:
    """The real model on the first 80 images."""
    logits, labels, _ = real_logits()
    return table_from_logits(logits[:N], labels[:N])


@pytest.fixture(scope="module")
def low_pass() -> PayoffTable:
    """The same model, blind to the two highest bands: coalitions that differ in them alone get the same logits."""
    logits, labels, _ = real_logits()
    masks = np.arange(15, -1, -1)
    return table_from_logits(logits[:N][:, 15 - (masks & 3)], labels[:N])


@pytest.fixture(scope="module")
def noisy() -> PayoffTable:
    """The same model with noise on its logits: less information of everything."""
    logits, labels, _ = real_logits()
    noise = np.random.default_rng(0).normal(size=(N, *logits.shape[1:])) * 4
    return table_from_logits((logits[:N] + noise).astype(np.float32), labels[:N])


@pytest.fixture(scope="module", params=["exact", "permutation"])
def compared(
    request: pytest.FixtureRequest, plain: PayoffTable, low_pass: PayoffTable
) -> tuple[DecomposeResult, DecomposeResult]:
    return result(plain, design=request.param), result(low_pass, design=request.param, model_name="low-pass")


class TestDifference:
    def test_is_b_minus_a(self, compared: tuple[DecomposeResult, DecomposeResult]) -> None:
        a, b = compared
        found = compare(a, b)
        np.testing.assert_allclose(found.difference, b.shapley - a.shapley, rtol=0, atol=1e-12)
        for name, score in found.scores.items():
            assert score.value == pytest.approx(b.scores[name].value - a.scores[name].value, abs=1e-9)
        assert set(found.scores) == set(MEANINGS)
        assert (found.model_a, found.model_b, found.n_images) == ("plain", "low-pass", N)
        # blind to bands 2 and 3: it has nothing from them, and leans on low frequencies more
        assert (found.interval[2:, 1] < 0).all()
        assert found.scores["signed"].low > 0
        assert found.scores["information"].high < 0

    def test_turns_its_sign_when_the_models_are_swapped(
        self, compared: tuple[DecomposeResult, DecomposeResult]
    ) -> None:
        one, other = compare(*compared), compare(*compared[::-1])
        np.testing.assert_allclose(one.difference, -other.difference, rtol=0, atol=1e-12)
        np.testing.assert_allclose(one.interval, -other.interval[:, ::-1], rtol=0, atol=1e-9)
        for name, score in one.scores.items():
            assert score.value == pytest.approx(-other.scores[name].value, abs=1e-9)
            assert score.low == pytest.approx(-other.scores[name].high, abs=1e-6)

    def test_is_tighter_than_unpaired(self, compared: tuple[DecomposeResult, DecomposeResult]) -> None:
        a, b = compared
        found = compare(a, b)
        unpaired = np.hypot(a.stderr, b.stderr)
        assert (found.stderr[:2] < 0.7 * unpaired[:2]).all()  # bands 2 and 3 are one model's alone
        assert (found.stderr[2:] < 1.05 * unpaired[2:]).all()
        for name in ("signed", "information", "centroid"):
            assert found.scores[name].stderr < 0.9 * np.hypot(a.scores[name].stderr, b.scores[name].stderr)

    def test_intervals_are_students_of_the_differences_by_image(self, plain: PayoffTable, noisy: PayoffTable) -> None:
        a, b = result(plain), result(noisy)
        rows = b.shapley_by_image - a.shapley_by_image
        found = compare(a, b)
        np.testing.assert_allclose(found.stderr, rows.std(axis=0, ddof=1) / np.sqrt(N), rtol=1e-9)
        half = np.diff(found.interval)[:, 0] / 2
        np.testing.assert_allclose(half, 1.990 * found.stderr, rtol=1e-3)  # Student's t at 79 degrees of freedom
        assert (np.diff(found.simultaneous)[:, 0] / 2 > half).all()

    @pytest.mark.parametrize("design", ["exact", "permutation"])
    @pytest.mark.parametrize("value", ["usable-information", "log-likelihood", "accuracy"])
    def test_is_zero_for_a_model_with_itself(self, plain: PayoffTable, design: str, value: str) -> None:
        itself = result(plain, design=design, value=value)
        found = compare(itself, itself)
        np.testing.assert_array_equal(found.difference, np.zeros(4))
        np.testing.assert_array_equal(found.interval, np.zeros((4, 2)))
        for score in found.scores.values():
            assert (score.value, score.low, score.high) == (0, 0, 0)
        assert found.worse(["score", "information"]) == {}

    def test_a_score_that_one_model_does_not_have_is_not_compared(self, plain: PayoffTable) -> None:
        labels = plain.label
        nothing = table_from_logits(np.random.default_rng(0).normal(size=(N, 16, 10)).astype(np.float32), labels)
        blind = result(nothing, model_name="blind")
        assert np.isnan(blind.score.value)
        found = compare(result(plain), blind)
        assert np.isnan(found.scores["signed"].value)
        assert found.scores["signed"].reason.startswith("blind: ")
        assert found.scores["information"].high < 0
        with pytest.raises(InputError, match="score cannot be gated: blind"):
            found.worse(["score"])
        assert set(found.worse(["information"])) == {"information"}

    def test_shared_images_alone_are_compared(self, plain: PayoffTable, noisy: PayoffTable) -> None:
        found = compare(result(plain.rows(slice(0, 60))), result(noisy.rows(slice(20, 80))))
        both = compare(result(plain.rows(slice(20, 60))), result(noisy.rows(slice(20, 60))))
        assert found.n_images == both.n_images == 40
        np.testing.assert_allclose(found.difference, both.difference, rtol=0, atol=1e-12)
        assert found.scores["signed"] == both.scores["signed"]


class TestGate:
    def gate(self, one: PayoffTable, other: PayoffTable) -> Comparison:
        return compare(result(one), result(other))

    def test_worse_is_told_and_better_is_not(
        self, plain: PayoffTable, noisy: PayoffTable, low_pass: PayoffTable
    ) -> None:
        assert set(self.gate(plain, noisy).worse(["information"])) == {"information"}
        assert self.gate(noisy, plain).worse(["information"]) == {}
        assert set(self.gate(low_pass, plain).worse(["score", "information"])) == {"score"}
        assert set(self.gate(plain, low_pass).worse(["score", "information"])) == {"information"}

    def test_holm_is_over_the_metrics_chosen(self, low_pass: PayoffTable, plain: PayoffTable) -> None:
        found = self.gate(low_pass, plain)
        alone, among = found.worse(["score"])["score"], found.worse(["score", "information"])["score"]
        assert among == pytest.approx(2 * alone, rel=1e-12)
        assert 0 < alone <= 0.01

    @pytest.mark.parametrize("metrics", [[], ["bands"], ["score", "accuracy"]])
    def test_refuses_other_metrics(self, plain: PayoffTable, metrics: list[str]) -> None:
        with pytest.raises(InputError, match="expected metrics out of score, information"):
            self.gate(plain, plain).worse(metrics)

    @pytest.mark.long
    @pytest.mark.timeout(1200)
    def test_of_two_models_that_differ_by_chance_alone_one_in_twenty_is_called_worse(self) -> None:
        logits, labels, _ = real_logits()
        called = []
        for repeat in range(300):
            rng = np.random.default_rng(repeat)
            rows = rng.integers(len(labels), size=60)
            one, other = (
                table_from_logits((logits[rows] + 2 * rng.normal(size=(60, 16, 10))).astype(np.float32), labels[rows])
                for _ in range(2)
            )
            called.append(bool(self.gate(one, other).worse(["score", "information"])))
        # 5 %, 300 repeats: one standard deviation is 1.3 %
        assert 0.01 <= np.mean(called) <= 0.09


class TestRefused:
    @pytest.mark.parametrize(
        ("changes", "named"),
        [
            ({"bands": BandPartition.radial(4)}, "bands is square:4 in A and radial:4 in B"),
            ({"value": "accuracy"}, "value is usable-information in A and accuracy in B"),
            ({"absence": "zero"}, "absence is mean in A and zero in B"),
            ({"design": "permutation"}, "design is exact in A and permutation in B"),
            ({"confidence": 0.9}, "confidence is 0.95 in A and 0.9 in B"),
            ({"clip": True}, "clip is False in A and True in B"),
            ({"seed": 1}, "seed is 0 in A and 1 in B"),
        ],
    )
    def test_runs_of_other_settings(self, plain: PayoffTable, changes: dict[str, object], named: str) -> None:
        with pytest.raises(InputError, match=f"cannot be compared: {named}"):
            compare(result(plain), result(plain, **changes))

    def test_other_images_of_the_same_place(self, plain: PayoffTable) -> None:
        renamed = replace(plain, ids=tuple(f"other-{i}" for i in range(N)))
        with pytest.raises(InputError, match="not on the same images: image 0 is '0' in A and 'other-0' in B"):
            compare(result(plain), result(renamed))

    def test_other_pixels_at_the_same_size(self, plain: PayoffTable) -> None:
        other = replace(plain, digest=tuple(reversed(plain.digest)))
        with pytest.raises(InputError, match="not on the same images"):
            compare(result(plain), result(other))
        # at another size pixels differ by nature
        compare(result(plain), result(other, image_size=(64, 64)))

    def test_fewer_than_two_shared_images(self, plain: PayoffTable) -> None:
        with pytest.raises(InputError, match=r"share 1 image\(s\)"):
            compare(result(plain.rows(slice(0, 41))), result(plain.rows(slice(40, 80))))
