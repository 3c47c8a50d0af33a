"""Bands over seeds: they hold what they promise on simulated curves, and find what is there."""

from __future__ import annotations

import numpy as np
import pytest

from spectrobe.game.scores import clipped_share, share_rows
from spectrobe.studies.training import over_seeds
from spectrobe.studies.training.over_seeds import difference_band, leaves_from, mean_band

EPOCHS, BANDS = 8, 4


def in_steps(draws: np.random.Generator, *shape: int) -> np.ndarray:
    """(*shape, E, M) of variance 1, epochs correlated by 0.7."""
    steps = draws.standard_normal((*shape, EPOCHS, BANDS))
    for epoch in range(1, EPOCHS):
        steps[..., epoch, :] = 0.7 * steps[..., epoch - 1, :] + np.sqrt(1 - 0.7**2) * steps[..., epoch, :]
    return steps


def curves(draws: np.random.Generator, rates: int = 4, seeds: int = 3) -> np.ndarray:
    """Curves without effect (R, S, E * M): epochs hang together, seeds shift all rates alike."""
    steps = in_steps(draws, rates, seeds) * np.linspace(2, 1, EPOCHS)[:, None]
    return (steps + draws.standard_normal((1, seeds, 1, BANDS))).reshape(rates, seeds, EPOCHS * BANDS)


@pytest.mark.parametrize(
    "sides, epoch",
    [
        ([0, 0, 1, 1], 2), ([1, 1, 1, 1], 0), ([1, 1, 1, 0], None), ([1, 0, 1, 1], 2), ([0, 0, -1, -1], 2),
        ([1, 1, -1, -1], 2), ([0, 0, 0, 0], None),
    ],
)  # fmt: skip
def test_a_band_leaves_where_it_stays_outside_on_one_side(sides: list[int], epoch: int | None) -> None:
    middle = np.array(sides, dtype=float)
    assert leaves_from(middle - 0.5, middle + 0.5) == epoch


def error_rates(n: int) -> tuple[float, float, float]:
    """Of curves without effect: shares of rates whose differences are not held, that leave, whose mean is not held."""
    draws = np.random.default_rng(0)
    outside, left, means = [], [], []
    for i in range(n):
        made = curves(draws)
        band = difference_band(made, seed=i)
        outside.append(((band.low > 0) | (band.high < 0)).any(axis=1))
        low, high = (part.reshape(-1, EPOCHS, BANDS) for part in (band.low, band.high))
        left.append(
            [any(leaves_from(low[r, :, m], high[r, :, m]) is not None for m in range(BANDS)) for r in range(len(low))]
        )
        mean = mean_band(made, seed=i)
        means.append(((mean.low > 0) | (mean.high < 0)).any(axis=1))
    return float(np.mean(outside)), float(np.mean(left)), float(np.mean(means))


def test_error_rates_without_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    """95 % bands: at most 5 % of rates fall out, but for chance; bands of 50 % do fall out."""
    monkeypatch.setattr(over_seeds, "DRAWS", 250)
    outside, left, means = error_rates(30)  # 90 rates: a standard error of .023 at 5 %
    assert outside <= 0.13 and left <= 0.06 and means <= 0.12
    draws = np.random.default_rng(1)
    loose = [difference_band(curves(draws), confidence=0.5, seed=i) for i in range(20)]
    assert np.mean([((band.low > 0) | (band.high < 0)).any(axis=1) for band in loose]) > 0.25


@pytest.mark.long
def test_error_rates_of_many_curves() -> None:
    outside, left, means = error_rates(400)  # 1,200 rates: .0063 at 5 %, more as rates share the clean curve
    assert outside <= 0.085 and left <= 0.03 and means <= 0.05


def error_rates_with_images(n: int, images: int = 60) -> tuple[float, float, float, float]:
    """Shares of rates not held, of curves without effect whose images add as much as their seeds.

    Differences in nats, means, differences of shares of the profile, and differences with the images taken as given.
    """
    draws, level = np.random.default_rng(2), np.array([1.0, 0.8, 0.6, 0.4]).reshape(4, 1, 1, 1, 1)
    outside: list[list[np.ndarray]] = [[], [], [], []]

    def note(kind: int, band: over_seeds.Band) -> None:
        outside[kind].append(((band.low > 0) | (band.high < 0)).any(axis=1))

    for i in range(n):
        rows = in_steps(draws, 4, images).reshape(4, images, -1) * np.sqrt(images)
        made = curves(draws) + rows.mean(axis=1)[:, None]
        note(0, difference_band(made, rows[1:] - rows[:1], seed=i))
        note(1, mean_band(made, rows, seed=i))
        note(3, difference_band(made, seed=i))
        each = (rows[:, None] + curves(draws)[:, :, None]).reshape(4, -1, images, EPOCHS, BANDS).swapaxes(2, 3)
        phi = level * (np.array([60.0, 40, 30, 20]) + each)  # (R, S, E, N, M): the same shares at all rates
        own = share_rows(phi).mean(axis=1).swapaxes(1, 2).reshape(4, images, -1)
        shares = clipped_share(phi.mean(axis=3)).reshape(4, 3, -1)
        note(2, difference_band(shares, own[1:] - own[:1], seed=i))
    differences, means, of_shares, as_given = (float(np.mean(one)) for one in outside)
    return differences, means, of_shares, as_given


def test_error_rates_where_images_add_as_much_as_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """And bands that took the images as given would not hold."""
    monkeypatch.setattr(over_seeds, "DRAWS", 250)
    differences, means, of_shares, as_given = error_rates_with_images(30)
    assert differences <= 0.13 and means <= 0.12 and of_shares <= 0.13
    assert as_given > 0.2


@pytest.mark.slow
def test_error_rates_with_images_of_many_curves() -> None:
    differences, means, of_shares, as_given = error_rates_with_images(200)
    assert differences <= 0.085 and means <= 0.06 and of_shares <= 0.085
    assert as_given > 0.25


def test_an_effect_is_found_where_it_begins() -> None:
    """Band 2 moves at the third rate by 12 standard deviations from epoch 4 on, and nothing else moves."""
    made = curves(np.random.default_rng(3)).reshape(4, 3, EPOCHS, BANDS)
    made[2, :, 4:, 2] -= 12
    band = difference_band(made.reshape(4, 3, -1))
    low, high = (part.reshape(3, EPOCHS, BANDS) for part in (band.low, band.high))
    found = {(r, m): leaves_from(low[r, :, m], high[r, :, m]) for r in range(3) for m in range(BANDS)}
    assert found.pop((1, 2)) == 4
    assert set(found.values()) == {None}
    assert band.mean.reshape(3, EPOCHS, BANDS)[1, 4:, 2].mean() == pytest.approx(-12, abs=1.5)


def test_what_a_seed_does_everywhere_drops_out_of_differences() -> None:
    made = curves(np.random.default_rng(4))
    shifted = made + 100 * np.random.default_rng(5).standard_normal((1, 3, 1))
    for one, other in zip(
        (difference_band(made).low, difference_band(made).high),
        (difference_band(shifted).low, difference_band(shifted).high), strict=True,
    ):  # fmt: skip
        assert np.allclose(one, other, atol=1e-6)


def test_images_widen_the_bands() -> None:
    made, draws = curves(np.random.default_rng(6)), np.random.default_rng(7)
    rows = draws.standard_normal((4, 50, EPOCHS * BANDS)) * 10
    narrow, wide = mean_band(made), mean_band(made, rows)
    assert np.allclose(wide.stderr**2 - narrow.stderr**2, rows.var(axis=1, ddof=1) / 50)


def test_one_seed_leaves_the_images_alone() -> None:
    rows = np.random.default_rng(8).standard_normal((2, 100, 6))
    band = mean_band(np.zeros((2, 1, 6)), rows)
    assert np.allclose(band.stderr, rows.std(axis=1, ddof=1) / 10)
    assert ((band.critical > 2.2) & (band.critical < 3.2)).all()  # max of 6 independent normals: 2.63


def test_points_that_are_not_defined_have_no_band() -> None:
    made = curves(np.random.default_rng(9))
    made[1, 0, 0] = np.nan
    band = mean_band(made)
    assert np.isnan(band.low[:, 0]).all() and np.isfinite(band.low[:, 1:]).all()
    assert np.isnan(mean_band(np.full((2, 3, 4), np.nan)).low).all()
    apart = difference_band(made)
    assert np.isnan(apart.low[:, 0]).all() and np.isfinite(apart.low[:, 1:]).all()


def test_one_curve_alone_has_no_interval_rather_than_none_wide() -> None:
    band = mean_band(np.ones((2, 1, 4)))
    assert (band.mean == 1).all() and np.isnan([band.low, band.high, band.stderr]).all()
