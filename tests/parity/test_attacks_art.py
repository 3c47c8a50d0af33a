"""APGD and Square against ART's, on cifar-resnet8 and an adversarially trained sister (benchmarks/attack_parity.py)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.attack_parity import ATTACKS, WEIGHTS, compare
from benchmarks.train_at_fixture import SHARED, TARGET, accuracy_under_pgd, cifar10, cifar_resnet8

needed = SHARED / "data" / "cifar10" / "test.parquet"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not needed.is_file(), reason=f"needs CIFAR-10 and cifar-resnet8 in {SHARED}"),
]


@pytest.fixture(scope="module")
def data() -> tuple[Tensor, Tensor]:
    return cifar10("test", 500)


def test_the_adversarially_trained_fixture_is_what_it_should_be(data: tuple[Tensor, Tensor]) -> None:
    torch.manual_seed(0)
    x, y = data
    clean, robust = accuracy_under_pgd(cifar_resnet8(TARGET), x[:200], y[:200], steps=5)
    assert 0.50 <= clean <= 0.60
    assert 0.22 <= robust <= 0.34  # a standard network has 0 here
    assert TARGET.stat().st_size <= 800_000


@pytest.mark.parametrize("attack", ATTACKS)
def test_within_two_images_of_fifty(attack: str, data: tuple[Tensor, Tensor]) -> None:
    pytest.importorskip("art", reason="needs adversarial-robustness-toolbox (dev extra)")
    x, y = data
    row = compare("robust", attack, "linf", x[:50], y[:50], steps=10, queries=40)
    assert row.clean - row.ours >= 0.03  # the attack does something: Square fools two images in 40 queries
    assert abs(row.ours - row.art) <= 2.5 / 50, row


@pytest.mark.long
@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("which", WEIGHTS)
def test_within_one_point_of_accuracy(which: str, attack: str, norm: Any, data: tuple[Tensor, Tensor]) -> None:
    pytest.importorskip("art", reason="needs adversarial-robustness-toolbox (dev extra)")
    row = compare(which, attack, norm, *data)
    if (attack, norm) == ("square", "l2"):  # unverified: ART's divides by zero there, and harms less (docs/evidence.md)
        assert row.ours - row.art <= 0.01 + 1e-9, row
    else:
        assert abs(row.ours - row.art) <= 0.01 + 1e-9, row
