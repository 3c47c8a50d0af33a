from __future__ import annotations

import itertools

import numpy as np
import pytest

from spectrobe.game.coalitions import ExactDesign, PermutationDesign
from spectrobe.game.fit import Payoffs, fit
from spectrobe.game.sharing import shift_from_shared_temperatures
from spectrobe.game.values import make_value
from tests.real_table import draw, real_logits, real_table, table_from_logits

INFORMATION = make_value("usable-information")


@pytest.mark.parametrize("name", ["log-likelihood", "accuracy", "margin", "agreement"])
def test_values_without_temperature_do_not_shift(name: str) -> None:
    shift = shift_from_shared_temperatures(Payoffs.of(real_table().rows(slice(0, 50))), make_value(name))
    np.testing.assert_array_equal(shift, np.zeros(4))


def test_two_bands_share_nothing() -> None:
    logits, labels, _ = real_logits()
    two = table_from_logits(logits[:200][:, [0, 12, 3, 15]], labels[:200])  # bands {0, 1} and {2, 3} as one each
    shift = shift_from_shared_temperatures(Payoffs.of(two), INFORMATION)
    np.testing.assert_allclose(shift, 0, rtol=0, atol=1e-12)


def test_coalitions_that_need_the_same_temperature_do_not_shift() -> None:
    logits, labels, _ = real_logits()
    same = table_from_logits(np.repeat(logits[:200, :1], 16, axis=1), labels[:200])
    shift = shift_from_shared_temperatures(Payoffs.of(same), INFORMATION)
    np.testing.assert_allclose(shift, 0, rtol=0, atol=1e-12)


def test_adds_up_to_zero_since_full_and_empty_coalitions_share_with_none() -> None:
    shift = shift_from_shared_temperatures(Payoffs.of(real_table()), INFORMATION)
    assert shift.sum() == pytest.approx(0, abs=1e-9)
    assert np.abs(shift).max() > 1e-3


def test_is_what_the_permutation_design_is_off_by_over_all_orders() -> None:
    design, of_order = PermutationDesign(4), {}
    for image_id in map(str, itertools.count()):
        of_order.setdefault(tuple(design.order(image_id)), image_id)
        if len(of_order) == 24:
            break
    images = np.arange(100)
    every = draw(real_table(), np.repeat(images, 24), design, list(of_order.values()) * 100)
    shared = fit(every, design, INFORMATION).rows.mean(axis=0)
    table = Payoffs.of(real_table().rows(images))
    exact = fit(table, ExactDesign(4), INFORMATION).rows.mean(axis=0)
    np.testing.assert_allclose(shared - exact, shift_from_shared_temperatures(table, INFORMATION), rtol=0, atol=1e-6)
    assert np.abs(shared - exact).max() > 1e-3
