"""A budget of forward passes settles the design and the number of images, and is kept."""

from __future__ import annotations

import pytest

from spectrobe.errors import InputError
from spectrobe.studies.watch.budget import make_plan


@pytest.mark.parametrize("available, bands, most, design, n_images, passes", [
    (30, 8, 10_000, "exact", 30, 30 * 255 + 1),           # all of them fit
    (512, 8, 10_000, "permutation", 512, 512 * 15 + 1),   # the exact design would see 39
    (5000, 8, 10_000, "permutation", 666, 666 * 15 + 1),  # and no image more
    (60, 8, 10_000, "exact", 39, 39 * 255 + 1),           # too few for the permutation design
    (400, 4, 6001, "exact", 400, 400 * 15 + 1),           # exactly the budget
    (400, 4, 6000, "permutation", 400, 400 * 7 + 1),      # one pass less
    (300, 16, 100_000, "permutation", 300, 300 * 31 + 1), # no exact design for 16 bands
    (5, 3, 100, "exact", 5, 36),                          # fewer images than one would wish for
])  # fmt: skip
def test_plans(available: int, bands: int, most: int, design: str, n_images: int, passes: int) -> None:
    plan = make_plan(available, bands, most)
    assert (plan.design, plan.n_images, plan.forward_passes) == (design, n_images, passes)
    assert plan.forward_passes <= most


def test_a_plan_says_so() -> None:
    assert str(make_plan(5000, 8, 10_000)) == (
        "permutation design on 666 of 5,000 images: 9,991 forward passes each time, of at most 10,000"
    )


@pytest.mark.parametrize("design, available, least", [
    ("auto", 5000, 1501), ("permutation", 5000, 1501), ("exact", 5000, 5101), ("auto", 30, 5101),
    ("permutation", 30, 451), ("exact", 4, 1021),
])  # fmt: skip
def test_a_budget_too_small_is_refused_with_the_least_that_works(design: str, available: int, least: int) -> None:
    with pytest.raises(InputError, match=f"expected at least {least:,} forward passes for 8 bands"):
        make_plan(available, 8, least - 1, design)
    assert make_plan(available, 8, least, design).forward_passes == least


@pytest.mark.parametrize("arguments, message", [
    ((500, 8, 1000, "greedy"), "expected design auto, exact, permutation, got 'greedy'"),
    ((500, 8, 2.5), "whole number of forward passes, got 2.5"),
    ((1, 8, 1000), "at least 2 images, got 1"),
    ((500, 14, 10**9, "exact"), "costs 16,384 forward passes an image"),
])  # fmt: skip
def test_bad_input(arguments: tuple[int, int, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_plan(*arguments)
