"""The profile of one photo, against Shapley's formula over all orders written out."""

from __future__ import annotations

from itertools import permutations
from math import factorial, log

import numpy as np
import pytest
import torch

from spectrobe.errors import InputError
from spectrobe.explore.looking import seen_by_model
from spectrobe.explore.profiling import photo_profile
from spectrobe.explore.session import Question, Session
from tests.explore.conftest import BANDS, model
from tests.toys import Recorder

ALL = (True,) * BANDS


def by_definition(session: Session, question: Question, class_index: int) -> np.ndarray:
    """What each band adds to log q(class), averaged over all orders of the bands."""

    def value(present: tuple[bool, ...]) -> float:
        asked = Question(question.photo, present, question.absence, question.perturbation, question.level)
        return float(model(seen_by_model(session, asked)[None].double())[0].log_softmax(0)[class_index])

    phi = np.zeros(BANDS)
    for order in permutations(range(BANDS)):
        present = [False] * BANDS
        for band in order:
            before = value(tuple(present))
            present[band] = True
            phi[band] += value(tuple(present)) - before
    return phi / factorial(BANDS)


@pytest.mark.parametrize("absence, on_the_way", [("zero", 15), ("mean", 15), ("noise", 16), ("donor", 16)])
def test_the_profile_is_shapleys(session: Session, absence: str, on_the_way: int) -> None:
    question, recorder = Question(2, ALL, absence), Recorder()
    profile = photo_profile(session, question, 0, recorder)
    assert profile.shapley == pytest.approx(by_definition(session, question, 0), abs=2e-5)
    assert profile.shapley.sum() == pytest.approx(log(profile.full) - log(profile.empty), abs=2e-5)
    assert np.abs(profile.shapley).max() > 0.01  # far above the tolerance
    assert profile.forward_passes == 16
    assert recorder.advanced == recorder.expected == on_the_way  # the empty image of a constant absence is played apart


def test_it_is_of_the_perturbed_photo_whatever_is_switched_off(session: Session) -> None:
    noisy = Question(2, (False, True, True, False), "mean", "gaussian_noise", 5)
    profile = photo_profile(session, noisy, 3, Recorder())
    assert profile.shapley == pytest.approx(by_definition(session, noisy, 3), abs=2e-5)
    clean = photo_profile(session, Question(2, ALL, "mean"), 3, Recorder())
    assert np.abs(profile.shapley - clean.shapley).max() > 0.01


def test_probabilities_are_those_of_all_bands_and_of_none(session: Session) -> None:
    profile = photo_profile(session, Question(2, ALL, "zero"), 1, Recorder())
    black = model(torch.zeros(1, 3, 16, 16))[0].softmax(0)
    assert profile.empty == pytest.approx(float(black[1]), abs=1e-6)
    intact = model(session.photos.get(2).pixels[None])[0].softmax(0)
    assert profile.full == pytest.approx(float(intact[1]), abs=1e-6)
    assert profile.class_name == "green & co"


@pytest.mark.parametrize("class_index", [-1, 4])
def test_a_class_that_is_not_there_is_refused(session: Session, class_index: int) -> None:
    with pytest.raises(InputError, match=f"expected a class from 0 to 3, got {class_index}"):
        photo_profile(session, Question(2, ALL), class_index, Recorder())
