"""Label noise: how many labels are wrong, which, and that an image's draw is its own affair."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import spectrobe as sb
from spectrobe.data.label_noise import noisy_labels, with_label_noise
from spectrobe.errors import InputError
from spectrobe.models import Geometry

CLEAN = np.arange(3000) % 10


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.4, 0.8, 1.0])
def test_the_share_of_wrong_labels_is_the_rate(rate: float) -> None:
    noise = noisy_labels(CLEAN, rate)
    wrong = noise.labels != CLEAN
    assert np.array_equal(wrong, noise.changed) and np.array_equal(noise.clean, CLEAN)
    assert noise.share == wrong.mean() == noise.to_dict()["share"]
    # three standard errors of a binomial share
    assert abs(noise.share - rate) <= 3 * np.sqrt(rate * (1 - rate) / len(CLEAN))


def test_symmetric_noise_goes_to_every_other_class_alike() -> None:
    noise = noisy_labels(CLEAN, 0.5, n_classes=10)
    step = (noise.labels - CLEAN)[noise.changed] % 10
    counts = np.bincount(step, minlength=10)
    assert counts[0] == 0
    expected = counts.sum() / 9
    assert abs(counts[1:] - expected).max() < 4 * np.sqrt(expected)


def test_class_pairs_go_to_the_next_class() -> None:
    noise = noisy_labels(CLEAN, 0.3, kind="class-pair")
    assert np.array_equal(noise.labels[noise.changed], (CLEAN[noise.changed] + 1) % 10)


def test_pairs_of_ones_own_leave_other_classes_clean() -> None:
    noise = noisy_labels(CLEAN, 0.5, kind="class-pair", pairs={9: 1, 3: 5})
    assert set(CLEAN[noise.changed]) == {3, 9}
    assert set(noise.labels[noise.changed & (CLEAN == 9)]) == {1}
    assert set(noise.labels[noise.changed & (CLEAN == 3)]) == {5}
    assert noise.share == pytest.approx(0.1, abs=0.02)  # half of a fifth
    assert noise.to_dict()["pairs"] == {"9": 1, "3": 5}


def test_an_images_draw_depends_on_its_id_and_the_seed_alone() -> None:
    ids = [f"image {i}" for i in range(500)]
    whole = noisy_labels(CLEAN[:500], 0.4, ids=ids, n_classes=10)
    order = np.random.default_rng(0).permutation(500)[:120]
    some = noisy_labels(CLEAN[order], 0.4, ids=[ids[i] for i in order], n_classes=10)
    assert np.array_equal(some.labels, whole.labels[order])
    other = noisy_labels(CLEAN[:500], 0.4, ids=ids, n_classes=10, seed=1)
    assert 0.3 < (other.changed != whole.changed).mean() < 0.6  # 2 x .4 x .6 for independent draws


def test_wrong_labels_stay_as_they_are_at_higher_rates() -> None:
    low, high = noisy_labels(CLEAN, 0.2), noisy_labels(CLEAN, 0.6)
    assert high.changed[low.changed].all()
    assert np.array_equal(high.labels[low.changed], low.labels[low.changed])


def test_results_cannot_be_written_into() -> None:
    noise = noisy_labels(torch.tensor([0, 1, 2]), 0.0)
    with pytest.raises(ValueError, match="read-only"):
        noise.labels[0] = 2


def test_a_data_set_with_noisy_labels() -> None:
    images = torch.rand(40, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    clean = sb.open_data((images, torch.arange(40) % 4))
    noisy = with_label_noise(clean, 0.5, n_classes=4)
    assert noisy.labels is not None and clean.labels is not None
    assert 0.2 < (noisy.labels != clean.labels).mean() < 0.8
    assert noisy.ids == clean.ids and torch.equal(noisy.pixels(3, Geometry()), images[3])
    assert noisy.name == "tensors with symmetric label noise 0.5"
    identity = noisy.identity()
    assert identity["label_noise"]["share"] == noisy.noise.share
    assert identity != with_label_noise(clean, 0.4, n_classes=4).identity()
    with pytest.raises(InputError, match="applied once"):
        with_label_noise(noisy, 0.1)


@pytest.mark.parametrize("arguments, message", [
    ({"rate": 1.2}, r"rate of label noise in \[0, 1\], got 1.2"),
    ({"rate": -0.1}, r"in \[0, 1\], got -0.1"),
    ({"rate": float("nan")}, r"in \[0, 1\], got nan"),
    ({"rate": "0.2"}, r"in \[0, 1\], got '0.2'"),
    ({"kind": "random"}, "symmetric or class-pair, got 'random'"),
    ({"seed": 0.5}, "whole number as seed"),
    ({"n_classes": 5}, "got 0 to 9 with K=5"),
    ({"ids": ["a"]}, "expected 3000 ids"),
    ({"ids": ["a"] * 3000}, "expected ids that tell images apart"),
    ({"pairs": {1: 2}}, "symmetric noise knows none"),
    ({"kind": "class-pair", "pairs": {1: 1}}, "two different classes from 0 to 9, got 1: 1"),
    ({"kind": "class-pair", "pairs": {1: 12}}, "got 1: 12"),
    ({"kind": "class-pair", "pairs": {11: 2}, "n_classes": 12}, "none that does"),
])  # fmt: skip
def test_bad_input(arguments: dict[str, object], message: str) -> None:
    settings: dict[str, object] = {"rate": 0.5} | arguments
    with pytest.raises(InputError, match=message):
        noisy_labels(CLEAN, **settings)  # type: ignore[arg-type]


def test_unlabelled_data_is_refused() -> None:
    with pytest.raises(InputError, match="has no labels"):
        with_label_noise(sb.open_data(torch.rand(4, 3, 8, 8)), 0.5)
    with pytest.raises(InputError, match="label noise needs labels"):
        noisy_labels(None, 0.5)
