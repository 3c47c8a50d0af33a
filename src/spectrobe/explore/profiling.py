"""The Shapley values of one photo's bands: which of them raise the model's confidence in one class, and by how much."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spectrobe.engine.evaluate import Evaluator, Shard
from spectrobe.engine.progress import Progress
from spectrobe.errors import InputError
from spectrobe.explore.session import Question, Session
from spectrobe.game.coalitions import ExactDesign
from spectrobe.game.temperature import UNIT
from spectrobe.game.values import LogLikelihood
from spectrobe.seeding import torch_generator

_STEP_SECONDS = 0.4  # of a batch: how long another question may have to wait for the model
_MOST_A_BATCH, _TIMED = 64, 3


@dataclass(frozen=True)
class PhotoProfile:
    """Shapley values of the log-probability of one class, on one photo: no interval, since there is one image.

    shapley: float64 (M,), in nats; they add up to log full - log empty.   full, empty: the class's probability with
    all bands and with none.   forward_passes: what it took.
    """

    class_index: int
    class_name: str
    shapley: np.ndarray
    full: float
    empty: float
    forward_passes: int


def photo_profile(session: Session, question: Question, class_index: int, progress: Progress) -> PhotoProfile:
    """The profile of the perturbed photo for one class, by the exact design; which bands are present is not looked at.

    Value: log q(class | x_S) - log q(class | x_empty), as in Luo et al. (TMLR 2024, arXiv 2408.01139), at the model's
    own temperature: a temperature cannot be fitted on one image. Raises InputError for a class that is not there.
    """
    session.check(question)
    if not 0 <= class_index < len(session.names):
        raise InputError(f"expected a class from 0 to {len(session.names) - 1}, got {class_index}")
    photo = session.photos.get(question.photo)
    with session.lock:
        pixels = session.perturbed(question)
        absence = session.stand_ins.absence(question.absence, photo)
    design = ExactDesign(session.bands.n_bands)
    evaluator = Evaluator(
        session.forward, len(session.names), session.bands, design, absence, torch.device("cpu"), _batch_size(session)
    )
    progress.expect(evaluator.passes_per_image)
    shard = Shard((photo.position,), (photo.id,), np.array([class_index]), pixels[None])
    table = evaluator.payoff_table(shard, progress)
    payoffs = LogLikelihood().payoffs(table, np.ones(1))
    full, empty = np.exp(table.log_q[0, [0, -1], UNIT].astype(np.float64))
    return PhotoProfile(
        class_index,
        session.names[class_index],
        design.shapley_rows(table.coalition, payoffs)[0],
        float(full),
        float(empty),
        evaluator.passes_per_image + int(absence.constant),
    )


def _batch_size(session: Session) -> int:
    """As many images as the model takes in a fraction of a second, so that other questions need not wait for long."""
    height, width = session.image_size
    image = torch.rand(1, session.model.geometry.channels, height, width, generator=torch_generator(0, "time a pass"))
    return int(max(1, min(_MOST_A_BATCH, _STEP_SECONDS / min(_seconds(session, image) for _ in range(_TIMED)))))


def _seconds(session: Session, image: Tensor) -> float:
    started = time.perf_counter()
    session.forward(image)
    return time.perf_counter() - started
