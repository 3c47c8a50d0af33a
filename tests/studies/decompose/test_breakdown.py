"""Profiles by class and unusual images, on planted models whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import spectrobe as sb
from spectrobe.errors import InputError
from spectrobe.studies.decompose.absences import decompose_with_all_absences, rank_agreement
from spectrobe.studies.decompose.breakdown import class_profiles, unusual_images

SIZE = 16


def planted(n: int = 40, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Class 0 and 1 differ in the mean's sign in band 0; class 2 and 3 in a fine checkerboard, far above band 0."""
    draws = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 4
    rows = torch.arange(SIZE)
    checker = ((rows[:, None] + rows[None]) % 2 * 2 - 1).float()
    wave = torch.cos(2 * torch.pi * rows / SIZE)[None].expand(SIZE, SIZE)
    sign = (y % 2 * 2 - 1)[:, None, None].float()
    pattern = torch.where((y < 2)[:, None, None], sign * wave, sign * checker)
    noise = 0.02 * torch.randn(n, SIZE, SIZE, generator=draws)
    return (0.5 + 0.2 * pattern + noise)[:, None].clamp(0, 1), y


def matched_filter(x: torch.Tensor) -> torch.Tensor:
    images, _ = planted(4)
    templates = (images - 0.5).flatten(1)
    return 4 * (x - 0.5).flatten(1) @ templates.T


@pytest.fixture(scope="module")
def result() -> sb.DecomposeResult:
    return sb.decompose(
        matched_filter, planted(), bands=4, value="usable-information", absence="zero", design="exact", batch_size=64
    )


def test_classes_get_the_bands_their_information_is_in(result: sb.DecomposeResult) -> None:
    found = class_profiles(result)
    assert found.classes.tolist() == [0, 1, 2, 3] and found.n_images.tolist() == [10] * 4
    assert np.argmax(found.shapley, axis=1).tolist() == [0, 0, 3, 3]
    assert np.allclose(found.shapley.mean(axis=0), result.shapley, atol=1e-12)  # shared temperatures add up


def test_an_odd_image_is_found() -> None:
    images, labels = planted()
    labels = labels.clone()
    labels[17] = 2  # of class 1: all its evidence speaks against its label
    found = sb.decompose(
        matched_filter, (images, labels), bands=4, value="log-likelihood", absence="zero", design="exact", batch_size=64
    )
    unusual = unusual_images(found, 3)
    assert unusual[0].position == 17 and unusual[0].id == "17" and unusual[0].label == 2
    assert unusual[0].distance > unusual[1].distance > 0
    assert np.allclose(unusual[0].shapley, found.shapley_by_image[17])


def test_one_image_a_class_is_refused(result: sb.DecomposeResult) -> None:
    images, labels = planted(4)
    few = sb.decompose(matched_filter, (images, labels), bands=4, value="accuracy", absence="zero", design="exact")
    with pytest.raises(InputError, match="a class with at least 2 images"):
        class_profiles(few)
    with pytest.raises(InputError, match="at least 1 image"):
        unusual_images(result, 0)


def test_without_labels_classes_are_predicted_ones(result: sb.DecomposeResult) -> None:
    assert not class_profiles(result).predicted
    images, _ = planted()
    found = sb.decompose(
        matched_filter, images, bands=4, value="agreement", absence="zero", design="exact", batch_size=64
    )
    by_class = class_profiles(found)
    assert by_class.predicted
    with torch.no_grad():
        answers = matched_filter(images).argmax(1)
    assert by_class.classes.tolist() == sorted(set(answers.tolist()))
    assert by_class.n_images.tolist() == np.bincount(answers).tolist()
    assert unusual_images(found, 1)[0].label == int(answers[unusual_images(found, 1)[0].position])


def test_all_absences_on_the_same_images() -> None:
    found = decompose_with_all_absences(matched_filter, planted(), bands=4, value="usable-information", batch_size=64)
    assert list(found.results) == ["zero", "mean", "noise", "donor"]
    assert np.allclose(np.diag(found.rank_agreement), 1)
    assert found.rank_agreement[0, 1] == pytest.approx(1.0)  # zero and mean: the mean image is nearly flat here
    assert "rank agreement" in found.summary()


def test_rank_agreement_is_spearmans() -> None:
    a, b = np.array([1.0, 3, 2, 8]), np.array([2.0, 1, 4, 9])
    from scipy.stats import spearmanr

    assert rank_agreement([a, b])[0, 1] == pytest.approx(spearmanr(a, b).statistic)
    assert np.isnan(rank_agreement([a, np.ones(4)])[0, 1])
