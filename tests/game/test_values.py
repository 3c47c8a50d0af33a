from __future__ import annotations

from dataclasses import replace
from importlib.metadata import EntryPoint, EntryPoints

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from spectrobe import plugins
from spectrobe.errors import InputError
from spectrobe.game import values
from spectrobe.game.coalitions import ExactDesign
from spectrobe.game.fit import Payoffs, fit
from spectrobe.game.table import PayoffTable, cells_from_logits
from spectrobe.game.temperature import CAP, TEMPERATURES
from spectrobe.game.values import Value, make_value, value_classes
from tests.real_table import table_from_logits

N, K, C = 40, 8, 10


@pytest.fixture(scope="module")
def logits() -> np.ndarray:
    """(N, 2**3, C), the full coalition first: the more bands, the more the label's logit stands out."""
    rng = np.random.default_rng(0)
    found = rng.normal(size=(N, K, C)) * 2
    signal = np.linspace(3, 0, K)
    found[np.arange(N), :, np.arange(N) % C] += signal
    return found.astype(np.float32)


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    return np.arange(N) % C


@pytest.fixture(scope="module")
def table(logits: np.ndarray, labels: np.ndarray) -> PayoffTable:
    return table_from_logits(logits, labels)


def of_label(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N, K, C) -> (N, K), the label's column."""
    return np.take_along_axis(scores, labels[:, None, None], axis=2)[:, :, 0]


class TestCells:
    def test_are_those_of_the_logits(self, table: PayoffTable, logits: np.ndarray, labels: np.ndarray) -> None:
        for t, tau in enumerate(TEMPERATURES):
            expected = of_label(log_softmax(tau * logits.astype(np.float64), axis=2), labels)
            np.testing.assert_allclose(table.log_q[:, :, t], expected, rtol=2e-6, atol=2e-6)
        np.testing.assert_array_equal(table.predicted, logits.argmax(2))
        np.testing.assert_allclose(table.confidence, softmax(logits.astype(np.float64), axis=2).max(2), rtol=1e-5)

    def test_stay_finite_for_large_logits(self) -> None:
        cells = cells_from_logits(torch.tensor([[1e4, -1e4], [3e4, 0.0]]), torch.tensor([1, 0]))
        assert torch.isfinite(cells["log_q"]).all()
        assert cells["log_q"][0, -1] == pytest.approx(-4e5, rel=1e-6)
        assert cells["log_q"][1, -1] == 0

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_half_precision_logits_are_taken_at_float32(self, dtype: torch.dtype, logits: np.ndarray) -> None:
        z = torch.from_numpy(logits[:, 0]).to(dtype)
        label = torch.arange(N) % C
        torch.testing.assert_close(cells_from_logits(z, label), cells_from_logits(z.float(), label), rtol=0, atol=0)


class TestEachValue:
    def test_log_likelihood(self, table: PayoffTable, logits: np.ndarray, labels: np.ndarray) -> None:
        found = make_value("log-likelihood").payoffs(table, np.full(K, np.nan))  # takes no temperature
        log_q = of_label(log_softmax(logits.astype(np.float64), axis=2), labels)
        np.testing.assert_allclose(found, log_q - log_q[:, -1:], rtol=0, atol=5e-6)
        np.testing.assert_array_equal(found[:, -1], 0)

    def test_usable_information_at_given_temperatures(
        self, table: PayoffTable, logits: np.ndarray, labels: np.ndarray
    ) -> None:
        tau = np.array([0.0, 0.005, 0.3, 0.9, 1.0, 2.5, 7.0, CAP])
        found = make_value("usable-information").payoffs(table, tau)
        expected = np.log(C) + of_label(log_softmax(tau[:, None] * logits.astype(np.float64), axis=2), labels)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(found[:, 0], 0, rtol=0, atol=1e-6)  # tau = 0 is the uniform prediction
        each = make_value("usable-information").payoffs(table, np.tile(tau, (N, 1)))
        np.testing.assert_allclose(each, found, rtol=1e-12, atol=1e-12)

    def test_usable_information_is_between_0_and_log_c(self, logits: np.ndarray, labels: np.ndarray) -> None:
        for scale in (1e-3, 0.1, 1.0, 30.0):
            for sign in (-1, 1):
                table = table_from_logits(sign * scale * logits, labels)
                solved = fit(Payoffs.of(table), ExactDesign(3), make_value("usable-information"))
                assert solved.values.min() >= -1e-6
                assert solved.values.max() <= np.log(C)

    def test_when_every_image_is_right(self, labels: np.ndarray) -> None:
        right = np.tile(np.eye(C, dtype=np.float32)[labels][:, None], (1, K, 1))
        sure = fit(Payoffs.of(table_from_logits(30 * right, labels)), ExactDesign(3), make_value("usable-information"))
        np.testing.assert_allclose(sure.values, np.log(C), rtol=0, atol=1e-6)
        unsure = fit(
            Payoffs.of(table_from_logits(0.1 * right, labels)), ExactDesign(3), make_value("usable-information")
        )
        np.testing.assert_array_equal(unsure.tau, CAP)  # a larger one would still gain
        assert unsure.tau_at_cap == 8
        expected = np.log(C) - np.log1p(9 * np.exp(-0.1 * CAP))
        np.testing.assert_allclose(unsure.values, expected, rtol=0, atol=1e-6)

    def test_accuracy(self, table: PayoffTable, logits: np.ndarray, labels: np.ndarray) -> None:
        found = make_value("accuracy").payoffs(table, np.zeros(K))
        np.testing.assert_array_equal(found, logits.argmax(2) == labels[:, None])
        assert 0 < found.mean() < 1

    def test_margin(self, table: PayoffTable, logits: np.ndarray, labels: np.ndarray) -> None:
        others = logits.astype(np.float64).copy()
        np.put_along_axis(others, labels[:, None, None], -np.inf, axis=2)
        found = make_value("margin").payoffs(table, np.zeros(K))
        np.testing.assert_allclose(found, of_label(logits, labels) - others.max(2), rtol=0, atol=1e-5)

    def test_agreement_needs_no_labels(self, table: PayoffTable, logits: np.ndarray) -> None:
        value = make_value("agreement")
        assert not value.needs_labels
        expected = logits.argmax(2) == logits[:, 0].argmax(1)[:, None]
        other_labels = replace(table, label=np.zeros(N, dtype=np.int64))
        for labelled in (table, other_labels):
            np.testing.assert_array_equal(value.payoffs(labelled, np.zeros(K)), expected)
        assert expected[:, 0].all()
        assert 0 < expected[:, -1].mean() < 1

    @pytest.mark.parametrize("name", ["usable-information", "log-likelihood", "accuracy", "margin", "agreement"])
    def test_payoffs_are_float64_of_every_cell(self, name: str, table: PayoffTable) -> None:
        found = make_value(name).payoffs(table, np.ones(K))
        assert found.shape == (N, K)
        assert found.dtype == np.float64


class Brier(Value):
    """A value of another package: minus the Brier score of the label's probability."""

    name, unit = "brier", "squared probability"

    def payoffs(self, table: PayoffTable, tau: np.ndarray) -> np.ndarray:
        return -np.square(1 - np.exp(table.log_q[:, :, 19].astype(np.float64)))


class TestByName:
    @pytest.fixture
    def another_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        entries = [EntryPoint("brier", f"{__name__}:Brier", "spectrobe.values")]
        monkeypatch.setattr(EntryPoint, "load", lambda entry: Brier)
        monkeypatch.setattr(plugins, "entry_points", EntryPoints(entries).select)

    def test_the_default_comes_first(self) -> None:
        assert next(iter(value_classes())) == values.DEFAULT_VALUE == "usable-information"

    @pytest.mark.usefixtures("another_package")
    def test_values_of_other_packages_are_found(self, table: PayoffTable) -> None:
        value = make_value("brier")
        assert isinstance(value, Brier)
        solved = fit(Payoffs.of(table), ExactDesign(3), value)
        expected = value.payoffs(table, np.zeros(K)).mean(axis=0)[::-1]
        np.testing.assert_allclose(solved.values, expected, rtol=0, atol=1e-12)
        assert solved.rows.mean(axis=0).sum() == pytest.approx(expected[-1] - expected[0], abs=1e-12)

    def test_a_broken_package_breaks_its_own_names_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        group = "spectrobe.values"
        broken = [
            EntryPoint("broken", "no.such.module:Absent", group),
            EntryPoint("number", "math:pi", group),
            EntryPoint("accuracy", "no.such.module:Usurper", group),
        ]
        monkeypatch.setattr(plugins, "entry_points", EntryPoints(broken).select)
        assert make_value("accuracy").unit == "share of images"
        with pytest.raises(
            InputError, match=r"the value 'broken' \(no\.such\.module:Absent\) .* could not be imported"
        ):
            make_value("broken")
        with pytest.raises(InputError, match=r"expected the value 'number' to be a subclass of Value, got 3\.14"):
            make_value("number")
        with pytest.raises(InputError, match="margin, agreement, broken, number, got 'zzz'"):
            make_value("zzz")

    @pytest.mark.parametrize("name", [None, 3, ["accuracy"], b"accuracy", Brier])
    def test_a_name_is_a_text(self, name: object) -> None:
        with pytest.raises(InputError, match="expected the name of a value, a text, got "):
            make_value(name)  # type: ignore[arg-type]

    def test_an_unknown_name_gets_the_nearest(self) -> None:
        with pytest.raises(InputError, match="got 'usable_info'; did you mean usable-information"):
            make_value("usable_info")
        with pytest.raises(InputError, match=r"out of usable-information, log-likelihood, .*, got 'zzz'$"):
            make_value("zzz")
