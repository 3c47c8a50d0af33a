from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from spectrobe.bands import BandPartition
from spectrobe.game.coalitions import Design, ExactDesign, PermutationDesign, members, sizes
from spectrobe.game.fit import Payoffs, fit, fit_temperatures, replicate
from spectrobe.game.intervals import mean_intervals
from spectrobe.game.shapley import interactions, shapley_values
from spectrobe.game.table import PayoffTable
from spectrobe.game.temperature import at_temperature, best_temperature
from spectrobe.game.values import make_value
from spectrobe.spectrum import band_images, coalition_images
from tests.real_table import draw, real_table, table_from_logits

INFORMATION = make_value("usable-information")
DESIGNS = [ExactDesign(4), PermutationDesign(4, seed=3)]


def payoffs_of(design: Design, n_images: int = 60) -> Payoffs:
    return draw(real_table(), np.arange(n_images), design)


def whole(payoffs: Payoffs) -> PayoffTable:
    (table,) = payoffs.chunks()
    return table


def in_chunks(table: PayoffTable, size: int) -> Payoffs:
    """The same rows, in shuffled order, a few at a time."""
    order = np.random.default_rng(0).permutation(len(table))
    parts = [table.rows(order[start : start + size]) for start in range(0, len(table), size)]
    return Payoffs(np.sort(table.position), lambda: iter(parts), table.n_bands, table.n_classes)


class TestExact:
    def test_each_coalition_has_its_own_temperature(self) -> None:
        payoffs = payoffs_of(ExactDesign(4))
        solved = fit(payoffs, ExactDesign(4), INFORMATION)
        curves = whole(payoffs).log_q.astype(np.float64).mean(axis=0)[::-1]
        np.testing.assert_allclose(solved.tau, best_temperature(curves), rtol=1e-9)
        np.testing.assert_allclose(solved.values, np.log(10) + at_temperature(curves, solved.tau), rtol=0, atol=1e-9)

    @pytest.mark.parametrize("name", ["usable-information", "log-likelihood", "accuracy", "margin", "agreement"])
    def test_rows_average_to_the_shapley_values_of_the_mean_table(self, name: str) -> None:
        solved = fit(payoffs_of(ExactDesign(4)), ExactDesign(4), make_value(name))
        np.testing.assert_allclose(solved.rows.mean(axis=0), shapley_values(solved.values), rtol=0, atol=1e-9)
        assert solved.rows.shape == (60, 4)
        gain = solved.payoffs[:, 0] - solved.payoffs[:, -1]
        np.testing.assert_allclose(solved.rows.sum(axis=1), gain, rtol=0, atol=1e-9)

    def test_diagnostics_by_size(self) -> None:
        payoffs = payoffs_of(ExactDesign(4))
        table, solved = whole(payoffs), fit(payoffs, ExactDesign(4), INFORMATION)
        right = table.predicted == table.label[:, None]
        for size in range(5):
            of_size = sizes(table.coalition[0]) == size
            assert solved.by_size["accuracy"][size] == pytest.approx(right[:, of_size].mean(), abs=1e-12)
            assert solved.by_size["confidence"][size] == pytest.approx(table.confidence[:, of_size].mean(), abs=1e-6)
            tau = solved.tau[sizes(np.arange(16)) == size]
            assert solved.by_size["tau"][size] == pytest.approx(tau.mean(), rel=1e-9)

    def test_given_temperatures_are_taken(self) -> None:
        payoffs, tau = payoffs_of(ExactDesign(4)), np.linspace(0.1, 2, 16)
        solved = fit(payoffs, ExactDesign(4), INFORMATION, tau)
        np.testing.assert_array_equal(solved.tau, tau)
        expected = INFORMATION.payoffs(whole(payoffs), tau[::-1])
        np.testing.assert_allclose(solved.payoffs, expected, rtol=0, atol=1e-12)


class TestPermutation:
    def test_a_group_shares_the_temperature_of_its_mean_curve(self) -> None:
        design = PermutationDesign(4, seed=3)
        payoffs = payoffs_of(design)
        table, (tau,) = whole(payoffs), fit_temperatures(payoffs, design, np.ones((1, 60)))[0]
        groups = design.groups(table.coalition)
        for group in range(design.n_groups):
            cells = table.log_q[groups == group]
            if len(cells) == 0:
                assert np.isnan(tau[group])
            else:
                assert tau[group] == pytest.approx(
                    float(best_temperature(cells.astype(np.float64).mean(axis=0))), rel=1e-6
                )

    def test_values_are_means_over_the_images_that_were_shown_a_coalition(self) -> None:
        design = PermutationDesign(4, seed=3)
        payoffs = payoffs_of(design, 2)
        table, solved = whole(payoffs), fit(payoffs, design, INFORMATION)
        shown = set(table.coalition.ravel().tolist())
        assert 2 < len(shown) < 16
        for mask in range(16):
            if mask in shown:
                expected = solved.payoffs[table.coalition == mask].mean()
                assert solved.values[mask] == pytest.approx(expected, abs=1e-12)
            else:
                assert np.isnan(solved.values[mask]) and np.isnan(solved.tau[mask])

    def test_rows_average_to_the_shapley_values_and_add_up(self) -> None:
        design = PermutationDesign(4, seed=3)
        payoffs = payoffs_of(design)
        solved = fit(payoffs, design, INFORMATION)
        plain = design.shapley_rows(solved.coalition, solved.payoffs)
        # what an image does through the shared temperatures moves rows, not their mean
        np.testing.assert_allclose(solved.rows.mean(axis=0), plain.mean(axis=0), rtol=0, atol=1e-6)
        assert np.abs(solved.rows - plain).max() > 0.01
        gain = solved.payoffs[:, 0] - solved.payoffs[:, -1]
        np.testing.assert_allclose(solved.rows.sum(axis=1), gain, rtol=0, atol=1e-6)

    @pytest.mark.parametrize("name", ["log-likelihood", "accuracy", "margin", "agreement"])
    def test_other_values_have_nothing_fitted(self, name: str) -> None:
        design = PermutationDesign(4, seed=3)
        solved = fit(payoffs_of(design), design, make_value(name))
        np.testing.assert_array_equal(solved.rows, design.shapley_rows(solved.coalition, solved.payoffs))


@pytest.mark.parametrize("design", DESIGNS, ids=["exact", "permutation"])
class TestBothDesigns:
    @pytest.mark.parametrize("size", [1, 7, 60])
    def test_chunks_and_their_order_do_not_matter(self, design: Design, size: int) -> None:
        payoffs = payoffs_of(design)
        at_once, in_parts = fit(payoffs, design, INFORMATION), fit(in_chunks(whole(payoffs), size), design, INFORMATION)
        for name in ("rows", "payoffs", "values", "tau"):
            np.testing.assert_allclose(getattr(in_parts, name), getattr(at_once, name), rtol=1e-9, atol=1e-12)
        np.testing.assert_array_equal(in_parts.coalition, at_once.coalition)
        weights = np.random.default_rng(0).multinomial(60, np.full(60, 1 / 60), size=3).astype(float)
        one = replicate(payoffs, design, INFORMATION, at_once.rows, weights)
        other = replicate(in_chunks(whole(payoffs), size), design, INFORMATION, at_once.rows, weights)
        np.testing.assert_allclose(other.phi, one.phi, rtol=1e-9, atol=1e-12)

    def test_a_subset_is_the_table_of_those_images(self, design: Design) -> None:
        payoffs = payoffs_of(design)
        kept = np.arange(5, 60, 3)
        part = in_chunks(whole(payoffs), 7).subset(kept)
        assert len(part) == len(kept)
        np.testing.assert_array_equal(part.position, kept)
        alone = Payoffs.of(whole(payoffs).rows(kept))
        np.testing.assert_allclose(
            fit(part, design, INFORMATION).rows, fit(alone, design, INFORMATION).rows, rtol=1e-9, atol=1e-12
        )

    @pytest.mark.parametrize("name", ["usable-information", "log-likelihood"])
    def test_a_replicate_is_the_study_of_the_images_drawn(self, design: Design, name: str) -> None:
        value, payoffs = make_value(name), payoffs_of(design, 40)
        solved = fit(payoffs, design, value)
        weights = np.random.default_rng(1).multinomial(40, np.full(40, 1 / 40), size=4).astype(float)
        found = replicate(payoffs, design, value, solved.rows, np.concatenate([np.ones((1, 40)), weights]))
        np.testing.assert_allclose(
            found.phi[0], solved.rows.mean(axis=0), rtol=0, atol=1e-9 if design == DESIGNS[0] else 1e-6
        )
        for drawn, phi, covariance in zip(weights, found.phi[1:], found.covariance[1:], strict=True):
            index = np.repeat(np.arange(40), drawn.astype(int))
            again = replace(whole(payoffs).rows(index), position=np.arange(40))
            alone = fit(Payoffs.of(again), design, value)
            np.testing.assert_allclose(phi, alone.rows.mean(axis=0), rtol=0, atol=1e-6)
            np.testing.assert_allclose(covariance, np.cov(solved.rows[index], rowvar=False) / 40, rtol=0, atol=1e-12)

    def test_the_first_replicates_standard_errors_are_those_of_the_mean(self, design: Design) -> None:
        payoffs = payoffs_of(design)
        solved = fit(payoffs, design, INFORMATION)
        found = replicate(payoffs, design, INFORMATION, solved.rows, np.ones((1, 60)))
        expected = mean_intervals(solved.rows).stderr
        np.testing.assert_allclose(np.sqrt(np.diagonal(found.covariance[0])), expected, rtol=1e-9)

    def test_rows_are_the_influence_of_each_image(self, design: Design) -> None:
        # weighing image i a little more moves phi by (row_i - phi) / N, the refitted temperatures included
        payoffs, n, step = payoffs_of(design), 60, 1e-4
        solved = fit(payoffs, design, INFORMATION)
        up, down = 1 + step * np.eye(n), 1 - step * np.eye(n)
        moved = [replicate(payoffs, design, INFORMATION, solved.rows, weights).phi for weights in (up, down)]
        influence = (moved[0] - moved[1]) / (2 * step) * n
        expected = solved.rows - solved.rows.mean(axis=0)
        np.testing.assert_allclose(influence, expected, rtol=0, atol=0.02 * np.abs(expected).max())


@dataclass(frozen=True)
class LinearCase:
    """A payoff table; gain (N, M), what each band adds to the label's margin; empty (N,), the margin without any."""

    table: PayoffTable
    gain: np.ndarray
    empty: np.ndarray

    def margins(self) -> np.ndarray:
        """Margin of every coalition, by mask: (N, 16)."""
        return self.gain @ members(np.arange(16), 4).T + self.empty[:, None]


@pytest.fixture(scope="module")
def linear() -> LinearCase:
    draws = torch.Generator().manual_seed(0)
    x = torch.rand(30, 3, 17, 20, generator=draws, dtype=torch.float64)
    base = torch.rand(3, 17, 20, generator=draws, dtype=torch.float64)
    w = torch.randn(2, 3, 17, 20, generator=draws, dtype=torch.float64)
    labels, bands = torch.randint(2, (30,), generator=draws), BandPartition.square(4)
    coalitions = torch.from_numpy(members(ExactDesign(4).coalitions(""), 4))
    logits = torch.einsum("nkchw,lchw->nkl", coalition_images(x, bands, coalitions, base), w)
    difference, sign = w[1] - w[0], (2 * labels - 1).double()
    gain = sign[:, None] * torch.einsum("nmchw,chw->nm", band_images(x - base, bands), difference)
    empty = sign * (base * difference).sum()
    return LinearCase(table_from_logits(logits.numpy(), labels.numpy()), gain.numpy(), empty.numpy())


class TestLinearModel:
    """A model whose logits are linear in the pixels: its whole table is known in closed form."""

    def test_margins_are_additive_so_that_shapley_values_are_each_bands_gain(self, linear: LinearCase) -> None:
        solved = fit(Payoffs.of(linear.table), ExactDesign(4), make_value("margin"))
        np.testing.assert_allclose(solved.rows, linear.gain, rtol=0, atol=1e-4)
        np.testing.assert_allclose(solved.values, linear.margins().mean(axis=0), rtol=0, atol=1e-4)
        pairs = interactions(solved.values)
        np.testing.assert_allclose(pairs[~np.isnan(pairs)], 0, rtol=0, atol=1e-4)

    def test_the_permutation_design_meets_them_image_by_image(self, linear: LinearCase) -> None:
        design = PermutationDesign(4, seed=1)
        solved = fit(draw(linear.table, np.arange(30), design), design, make_value("margin"))
        np.testing.assert_allclose(solved.rows, linear.gain, rtol=0, atol=1e-4)

    def test_log_likelihood_and_accuracy_follow_from_the_margins(self, linear: LinearCase) -> None:
        margins = linear.margins()
        log_q = -np.logaddexp(0, -margins)
        expected = shapley_values(log_q - log_q[:, :1])
        solved = fit(Payoffs.of(linear.table), ExactDesign(4), make_value("log-likelihood"))
        np.testing.assert_allclose(solved.rows, expected, rtol=0, atol=1e-4)
        solved = fit(Payoffs.of(linear.table), ExactDesign(4), make_value("accuracy"))
        np.testing.assert_allclose(solved.rows, shapley_values((margins > 0).astype(float)), rtol=0, atol=1e-12)

    def test_usable_information_is_that_of_the_best_temperature(self, linear: LinearCase) -> None:
        margins = linear.margins()
        tau = np.concatenate([[0], np.geomspace(1e-4, 20, 4000)])
        curves = np.stack([-np.logaddexp(0, -t * margins).mean(axis=0) for t in tau], axis=1)
        expected = np.log(2) + curves.max(axis=1)
        solved = fit(Payoffs.of(linear.table), ExactDesign(4), INFORMATION)
        np.testing.assert_allclose(solved.values, expected, rtol=0, atol=2e-4)
