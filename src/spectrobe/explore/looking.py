"""What the model is given when some bands are switched off, and what it makes of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from spectrobe.explore.display import Picture, around_grey, as_it_is
from spectrobe.explore.session import Question, Session
from spectrobe.figures.band_strip_figure import largest_gain

TOP = 5
MIDDLE = 112  # px: what of a photo the pictures of its bands show
_BLACK = 0.02  # mean brightness below which an image without its mean is shown around grey


@dataclass(frozen=True)
class Answer:
    """One class: its index and name, its probability now, and on the intact photo."""

    index: int
    name: str
    probability: float
    intact: float


@dataclass(frozen=True)
class Look:
    """The answer to a question, as pictures and probabilities.

    photo: what bands are taken from, perturbed where that was asked for.   removed, standing_in: what is switched off
    and what stands in for it, None while all bands are present.   seen: what the model is given, equal to
    photo - removed + standing_in.   answers: its top classes, most probable first.   first: its top class on the intact
    photo.   label: the photo's, where known.   seconds: what the answer took.
    """

    photo: Picture
    removed: Picture | None
    standing_in: Picture | None
    seen: Picture
    answers: tuple[Answer, ...]
    first: Answer
    label: Answer | None
    seconds: float


@torch.no_grad()
def seen_by_model(session: Session, question: Question) -> Tensor:
    """The coalition image x_S of the perturbed photo: (C, H, W), neither rescaled nor clipped."""
    present = torch.tensor(question.present)[:, None, None, None]
    if bool(present.all()):
        return session.perturbed(question)
    return torch.where(present, session.parts(question), session.stand_in_parts(question)).sum(0)


@torch.no_grad()
def look(session: Session, question: Question) -> Look:
    """Answer a question; InputError when it does not fit the session, BadImageError when the photo cannot be read."""
    started = time.perf_counter()
    session.check(question)
    with session.lock:
        photo = session.photos.get(question.photo)
        before = session.intact_probabilities(photo)
        seen = seen_by_model(session, question)
        now = session.probabilities(seen)
        removed = standing_in = None
        if not all(question.present):
            absent = ~torch.tensor(question.present)
            removed = _part(session.parts(question)[absent].sum(0), question)
            standing_in = _part(session.stand_in_parts(question)[absent].sum(0), question)
        perturbed = session.perturbed(question)

    def answer(index: int) -> Answer:
        return Answer(index, session.names[index], float(now[index]), float(before[index]))

    top = now.topk(min(TOP, len(now))).indices.tolist()
    return Look(
        photo=as_it_is(perturbed),
        removed=removed,
        standing_in=standing_in,
        seen=_shown(seen, question),
        answers=tuple(map(answer, top)),
        first=answer(int(before.argmax())),
        label=None if photo.label is None else answer(photo.label),
        seconds=time.perf_counter() - started,
    )


@torch.no_grad()
def band_pictures(session: Session, question: Question) -> list[Picture]:
    """The middle of every band's part of the perturbed photo, from coarse to fine; faint ones in stronger contrast.

    A piece at full size: a whole photo that is shrunk to a small picture loses its high bands.
    """
    session.check(question)
    parts = session.parts(question)
    height, width = (min(MIDDLE, side) for side in parts.shape[-2:])
    top, left = (parts.shape[-2] - height) // 2, (parts.shape[-1] - width) // 2
    pictures = []
    for band, part in enumerate(parts[:, :, top : top + height, left : left + width]):
        holds_mean = band == 0
        gain = largest_gain(part.double().numpy())
        pictures.append(as_it_is(part) if holds_mean else around_grey(part, gain))
    return pictures


def _shown(image: Tensor, question: Question) -> Picture:
    """An image for the eye: without its mean it would be black, and is shown around grey instead."""
    if question.present[0] or float(image.mean()) >= _BLACK:
        return as_it_is(image)
    return replace(around_grey(image), note="Grey is zero here: without its mean it would be black")


def _part(image: Tensor, question: Question) -> Picture:
    """What the switched-off bands hold of an image: around grey, unless the mean is among them."""
    return around_grey(image) if question.present[0] else as_it_is(image)
