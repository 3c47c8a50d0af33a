"""Decompose is held to what was planted: known information in known bands, and readers that are wrong by design."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import spectrobe as sb
from spectrobe.errors import InputError
from spectrobe.game.planted import binary_information
from spectrobe.models.planted import PlantedSpec

SMALL: dict[str, Any] = {"bands": 4, "size": 16, "channels": 1}
PLAY: dict[str, Any] = {
    "value": "usable-information", "absence": "zero", "design": "exact", "precision": "float32", "batch_size": 256,
}  # fmt: skip


def off(result: sb.DecomposeResult, expected: np.ndarray) -> np.ndarray:
    """Distance of each Shapley value from what is true, in standard errors (at least 1e-4 nats)."""
    return np.abs(result.shapley - expected) / np.maximum(result.stderr, 1e-4)


@pytest.mark.parametrize("absence", ["zero", "mean"])
@pytest.mark.parametrize("classes", [2, 8])
def test_the_profile_is_what_was_planted(absence: str, classes: int) -> None:
    data = sb.data.planted({1: 1.5, 2: 0.8, 3: 1.0}, images=400, classes=classes, **SMALL)
    result = sb.decompose(data.model, data, bands=4, **(PLAY | {"absence": absence}))
    assert data.expected[0] == 0 and data.expected[1] > data.expected[3] > data.expected[2] > 0.03
    assert off(result, data.expected).max() < 3
    assert result.stderr[1:].max() < 0.12 * data.expected.sum()  # else the line above says nothing
    assert result.information.value == pytest.approx(data.expected.sum(), abs=3 * result.information.stderr)
    assert result.tau[-1] == pytest.approx(1, abs=0.2)  # the Bayes classifier is calibrated


def test_the_permutation_design_too() -> None:
    data = sb.data.planted({1: 1.5, 2: 0.8, 3: 1.0}, images=2000, **SMALL)
    result = sb.decompose(data.model, data, bands=4, **(PLAY | {"design": "permutation"}))
    assert off(result, data.expected).max() < 3
    assert result.stderr.max() < 0.02


def test_a_model_that_uses_one_band_only_is_seen_to() -> None:
    data = sb.data.planted({0: 1.0, 2: 1.0, 5: 1.5}, bands=6, size=24, channels=1, images=200)
    result = sb.decompose(data.reader({5: 1.0}), data, bands=6, **PLAY)
    expected = data.expected_for({5: 1.0})
    assert expected == pytest.approx([0, 0, 0, 0, 0, binary_information(1.5)], abs=1e-9)
    assert np.abs(result.shapley[:5]).max() < 1e-4  # though bands 0 and 2 hold information
    assert off(result, expected)[5] < 3 and result.interval[5, 0] > 0.1


def test_a_model_that_uses_a_band_without_information_is_seen_to() -> None:
    data = sb.data.planted({1: 2.0}, images=400, **SMALL)
    result = sb.decompose(data.reader({3: 1.0}), data, bands=4, **PLAY)
    assert data.expected_for({3: 1.0}).tolist() == [0, 0, 0, 0]
    # in-sample temperatures make a little of nothing: half a nat an image at most, divided by the number of images
    assert np.abs(result.shapley).max() < 0.02


def test_a_model_that_ignores_its_input_is_seen_to() -> None:
    data = sb.data.planted({1: 2.0}, images=60, **SMALL)
    result = sb.decompose(data.reader({}), data, bands=4, **PLAY)
    assert np.abs(result.shapley).max() < 1e-12
    assert np.isnan(result.score.value) and "not above 0" in result.score.reason
    assert any("the same output for every image" in warning for warning in result.warnings)


def test_an_overconfident_model_has_the_same_profile() -> None:
    data = sb.data.planted({1: 1.5, 3: 1.0}, images=200, **SMALL)
    calm, loud = (
        sb.decompose(data.reader({1: 1.5 * k, 3: 1.0 * k}), data, bands=4, **PLAY).shapley for k in (1.0, 8.0)
    )
    assert np.allclose(calm, loud, atol=1e-3)
    raw = sb.decompose(data.reader({1: 12.0, 3: 8.0}), data, bands=4, **(PLAY | {"value": "log-likelihood"}))
    assert np.abs(raw.shapley - data.expected).max() > 0.1  # what the temperature is for


def test_intervals_hold_what_was_planted() -> None:
    spec: dict[str, Any] = {"bands": 3, "size": 12, "channels": 1, "images": 60}
    held, n = np.zeros(3), 40
    for seed in range(n):
        data = sb.data.planted([1.0, 0.6, 1.4], seed=seed, **spec)
        # a probe has the numbers of decompose (tests/studies/watch) and leaves out the bootstrap
        reading = sb.Probe.of(data, bands=3, absence="zero", design="exact", batch_size=256).read(data.model)
        held += (reading.interval[:, 0] <= data.expected) & (data.expected <= reading.interval[:, 1])
    # of 40 at 95 %: a binomial count below 33 has a probability of .0007
    assert held.min() >= 33


class TestImages:
    def test_templates_are_orthonormal_in_their_bands_and_have_no_mean(self) -> None:
        spec = PlantedSpec.of(1.0, 4, 16, classes=8)
        flat = spec.templates.flatten(2).flatten(0, 1)
        assert torch.allclose(flat @ flat.T, torch.eye(12, dtype=torch.float64), atol=1e-12)
        assert float(spec.templates.mean((2, 3, 4)).abs().max()) < 1e-15
        parts = sb.band_images(spec.templates.flatten(0, 1), 4).view(3, 4, 4, 3, 16, 16)
        for band in range(4):
            assert torch.allclose(parts[:, band, band], spec.templates[:, band], atol=1e-12)

    def test_evidence_has_the_dprime_that_was_asked_for(self) -> None:
        data = sb.data.planted({1: 1.5, 2: 0.5}, images=1000, **SMALL)
        x = data.images().to(torch.float64)
        assert float(x.min()) > 0 and float(x.max()) < 1
        evidence = ((x[:, None] - 0.5) / data.spec.sigma * data.spec.templates[0]).sum((2, 3, 4)).numpy()
        ones = data.labels == 1
        dprime = evidence[ones].mean(0) - evidence[~ones].mean(0)
        assert dprime == pytest.approx([0, 1.5, 0.5, 0], abs=3 * 2 / np.sqrt(1000))
        assert evidence[ones].std(0) == pytest.approx(1, abs=0.1)

    def test_the_class_is_as_likely_as_its_bits_are(self) -> None:
        data = sb.data.planted([0.5, 1, 1, 0.3], images=20, classes=4, **SMALL)
        logits = data.model.forward(data.images())
        bits = data.spec.signs(data.labels)
        evidence = torch.stack(
            [
                logits.logsumexp(1) * 0
                + logits[:, [k for k in range(4) if k >> b & 1]].logsumexp(1)
                - logits[:, [k for k in range(4) if not k >> b & 1]].logsumexp(1)
                for b in range(2)
            ],
            dim=1,
        )
        product = torch.nn.functional.logsigmoid(bits * evidence).sum(1)
        own = logits.log_softmax(1)[torch.arange(20), torch.from_numpy(data.labels)]
        assert torch.allclose(own.double(), product.double(), atol=1e-4)

    def test_an_absent_band_says_nothing(self) -> None:
        data = sb.data.planted([0.5, 1, 1, 0.3], images=6, **SMALL)
        x = data.images()
        left = sb.coalition_images(x, 4, torch.tensor([[False, True, False, True]]))[:, 0]
        alone = data.reader({1: 1.0, 3: 0.3}).forward(x)
        assert torch.allclose(data.model.forward(left), alone, atol=1e-4)

    def test_an_image_depends_on_the_seed_and_its_id(self) -> None:
        data = sb.data.planted({1: 1.0}, images=8, **SMALL)
        more = sb.data.planted({1: 1.0}, images=30, **SMALL)
        assert torch.equal(data.images(), more.images()[:8])
        other = sb.data.planted({1: 1.0}, images=8, seed=1, **SMALL)
        assert not torch.equal(data.images()[0], other.images()[0])
        assert (
            data.identity() != other.identity()
            and data.identity() == sb.data.planted({1: 1.0}, images=8, **SMALL).identity()
        )


@pytest.mark.parametrize("text, message", [
    ("bands=4", "expected the d' of some bands"),
    ("bands=4;dprime=7:1", "bands from 0 to 3, got band 7"),
    ("bands=4;dprime=1,2", "of 4 bands, one each, got 2"),
    ("bands=4;dprime=1,2,x,0", "expected dprime as in"),
    ("bands=4;dprime=-1", "values of d' from 0 up"),
    ("bands=4;dprime=nan", "values of d' from 0 up"),
    ("bands=4;dprime=1:2,1:3", "expected dprime as in"),
    ("bands=4;dprime=1;classes=3", "power of 2"),
    ("bands=4;dprime=1;sigma=1/4", r"at most 0\.0\d+, so that no pixel"),
    ("bands=8;dprime=1;size=16", "band 0 of 16 x 16 pixels has no room"),
    ("bands=4;dprime=1;images=1", "at least 2 images"),
    ("bands=4;dprime=1;noise=2", "of dprime, bands, size, channels"),
    ("bands=40;dprime=1", "largest number of square bands"),
])  # fmt: skip
def test_bad_input(text: str, message: str) -> None:
    for opened in (sb.open_data, sb.open_model):
        with pytest.raises(InputError, match=message):
            opened(f"planted:{text}")


def test_as_strings() -> None:
    text = "planted:bands=4;dprime=1:1.5,3:1;images=12;size=16;channels=1"
    data, bayes = sb.open_data(text), sb.open_model(text)
    assert isinstance(data, sb.data.Planted) and len(data) == 12 and data.bands == sb.BandPartition.square(4)
    x = data.images()
    assert torch.equal(bayes.forward(x), data.model.forward(x))
    assert torch.equal(sb.open_model(f"{text}?reads=3").forward(x), data.reader({3: 1.0}).forward(x))
    assert float(sb.open_model(f"{text}?reads=none").forward(x).abs().max()) == 0
    assert torch.equal(sb.open_model(f"{text}?reads=0+1").forward(x), data.reader({0: 1.0, 1: 1.5}).forward(x))
    with pytest.raises(InputError, match="bands from 0 to 3, got band 9"):
        sb.open_model(f"{text}?reads=9")
    with pytest.raises(InputError, match="none, 5 or 2\\+5"):
        sb.open_model(f"{text}?reads=low")
    with pytest.raises(InputError, match="2 classes, the model has 10"):
        sb.open_data(text, n_classes=10)
    with pytest.raises(InputError, match="plant images of the model's size"):
        sb.decompose("planted:bands=4;dprime=1;size=32", data, bands=4, images=4)
