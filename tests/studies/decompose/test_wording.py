"""The sentence says what was planted: low frequencies, high ones, that the images cannot tell, or nothing at all."""

from __future__ import annotations

import re

import numpy as np
import pytest

from spectrobe.bands import BandPartition
from spectrobe.game.coalitions import members
from spectrobe.game.fit import Payoffs
from spectrobe.studies.decompose.result import DecomposeResult, Settings
from spectrobe.studies.decompose.summary import summarise
from spectrobe.studies.decompose.wording import sentence, summary
from spectrobe.studies.words import percent
from tests.real_table import table_from_logits

LOW, FLAT, HIGH, NOTHING = (2.0, 0.6, 0.2, 0.1), (0.7, 0.7, 0.7, 0.7), (0.1, 0.2, 0.6, 2.0), (0.0, 0.0, 0.0, 0.0)


def planted(
    evidence: tuple[float, ...],
    n_images: int = 60,
    bands: BandPartition | None = None,
    value: str = "usable-information",
    confidence: float = 0.95,
    noise: float = 0.6,
) -> DecomposeResult:
    """A run whose bands add `evidence` for the label to its logit, with noise for each image and band."""
    bands = bands or BandPartition.square(len(evidence))
    draws = np.random.default_rng(5)
    label = np.arange(n_images) % 3
    present = members(np.arange(2**bands.n_bands)[::-1], bands.n_bands).astype(np.float64)
    gain = np.asarray(evidence)[None, :, None] * np.eye(3)[label][:, None, :]
    by_band = gain + noise * draws.standard_normal((n_images, bands.n_bands, 3))
    table = table_from_logits(np.einsum("km,nmc->nkc", present, by_band), label)
    settings = Settings("python:my.model", "photos", bands, (32, 32), value, "zero", "exact", confidence, 0)
    return summarise(Payoffs.of(table), settings, 960, {}, ())


def test_low_frequencies() -> None:
    result = planted(LOW)
    assert result.score.low > 0
    assert sentence(result) == (
        "python:my.model leans on coarse structure, the low spatial frequencies "
        f"(score {result.score.value:.2f}, 95% interval {result.score.low:.2f} to {result.score.high:.2f}, where 1 is "
        "the lowest band alone and 0 all bands alike): at least half of the usable information about the labels that "
        "it gains lies below 0.125 cycles/pixel, in waves longer than 8 pixels."
    )


def test_high_frequencies() -> None:
    result = planted(HIGH)
    assert result.score.high < 0
    text = sentence(result)
    assert text.startswith("python:my.model leans on fine detail, the high spatial frequencies (score -")
    assert text.endswith(
        "): at least half of the usable information about the labels that it gains lies above 0.375 cycles/pixel, "
        "in waves shorter than 2.67 pixels."
    )


def test_images_that_cannot_tell() -> None:
    result = planted(FLAT, n_images=12)
    assert result.score.low < 0 < result.score.high
    assert sentence(result) == (
        "These 12 images cannot tell whether python:my.model leans on coarse structure (low spatial frequencies) or on "
        f"fine detail (high ones): score {result.score.value:.2f}, 95% interval {result.score.low:.2f} to "
        f"{result.score.high:.2f}, where 1 is the lowest band alone and 0 all bands alike; more images would narrow it."
    )


def test_a_model_that_takes_nothing() -> None:
    result = planted(NOTHING, value="log-likelihood")
    assert np.isnan(result.score.value) and result.information.low <= 0
    total = result.information
    assert sentence(result) == (
        "These 60 images cannot tell what python:my.model relies on: all bands together give it no log-likelihood of "
        f"the labels beyond what it has with none of them (v(all) - v(empty) {total.value:.2f} nats, 95% interval "
        f"{total.low:.2f} to {total.high:.2f})."
    )


@pytest.mark.parametrize("value, noun", [
    ("usable-information", "usable information about the labels"), ("log-likelihood", "log-likelihood of the labels"),
    ("accuracy", "accuracy"), ("margin", "margin"), ("agreement", "agreement with its own answers"),
])  # fmt: skip
def test_every_value_is_named_as_what_is_gained(value: str, noun: str) -> None:
    text = sentence(planted(LOW, value=value))
    assert f"at least half of the {noun} that it gains lies below" in text


def test_half_is_where_half_is() -> None:
    """Two bands that share nearly alike, two without anything: half is reached within the second."""
    result = planted((1.0, 1.1, 0.0, 0.0), noise=0.05)
    assert result.shapley[0] < result.shapley[1:].sum()
    assert "lies below 0.25 cycles/pixel, in waves longer than 4 pixels" in sentence(result)


def test_the_mean_alone() -> None:
    bands = BandPartition.square(3, dc="own")
    assert "that it gains lies in the mean, the average colour and brightness." in sentence(planted(LOW, bands=bands))


@pytest.mark.parametrize("evidence, sign", [((1.5, 0.3), 1), ((0.3, 1.5), -1)])
def test_two_bands_have_one_edge(evidence: tuple[float, float], sign: int) -> None:
    text = sentence(planted(evidence))
    assert f"lies {'below' if sign > 0 else 'above'} 0.25 cycles/pixel" in text


@pytest.mark.parametrize("evidence", [LOW, HIGH, FLAT, NOTHING])
def test_it_is_one_sentence(evidence: tuple[float, ...]) -> None:
    text = sentence(planted(evidence, n_images=12))
    assert text.endswith(".") and "\n" not in text
    assert not re.search(r"[.!?] [A-Z]", text)
    assert "nan" not in text


def test_confidence_is_written_as_it_is() -> None:
    assert [percent(share) for share in (0.9, 0.95, 0.975, 0.999, 0.68)] == ["90%", "95%", "97.5%", "99.9%", "68%"]
    assert "97.5% interval" in sentence(planted(LOW, confidence=0.975))


def test_the_summary_holds_every_band_score_and_the_sentence() -> None:
    result = planted(LOW)
    lines = summary(result).splitlines()
    assert lines[0] == "python:my.model on photos: 60 images, usable-information (nats), absence zero, exact design"
    for band in range(4):
        assert lines[2 + band].split()[:3] == [
            str(band), f"{band / 8:.3f}-{(band + 1) / 8:.3f}", f"{result.shapley[band]:+.3f}",
        ]  # fmt: skip
    assert "960 forward passes" in lines[6]
    assert all(f"{name} {score}" in lines[7] for name, score in result.scores.items())
    assert lines[8] == sentence(result)
