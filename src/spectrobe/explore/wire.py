"""Between the session and the page: questions out of JSON, checked as what strangers may send, and answers as JSON."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from spectrobe.engine.absence import absence_classes
from spectrobe.errors import InputError
from spectrobe.explore.display import Picture
from spectrobe.explore.looking import Answer, Look
from spectrobe.explore.naming import band_names
from spectrobe.explore.profiling import PhotoProfile
from spectrobe.explore.session import Question, Session

MOST_QUESTION_BYTES = 64 * 2**10
MOST_UPLOAD_BYTES = 30 * 2**20

_ABSENCES = {
    "zero": ("Nothing", "zero in their place: a photo without coarse bands turns black"),
    "mean": ("The average photo", "the same bands of the mean of the data set"),
    "noise": ("Noise", "random waves, as strong as in a typical photo of the data set"),
    "donor": ("Another photo", "the same bands of another photo of the data set"),
}


def read_question(body: bytes) -> tuple[Question, Mapping[str, Any]]:
    """A question and all that came with it; InputError, in one line, for anything that is not one."""
    try:
        content = json.loads(body)
    except (UnicodeDecodeError, ValueError, RecursionError):
        raise InputError("expected a question as JSON, got something else") from None
    if not isinstance(content, dict):
        raise InputError(f"expected a question as a JSON object, got {type(content).__name__}")
    present = content.get("present")
    if not isinstance(present, list) or not all(isinstance(band, bool) for band in present):
        raise InputError("expected `present` to be a list of true and false, one a band")
    perturbation = content.get("perturbation")
    question = Question(
        photo=_key(content.get("photo")),
        present=tuple(present),
        absence=_text(content.get("absence"), "absence"),
        perturbation=None if perturbation is None else _text(perturbation, "perturbation"),
        level=whole_number(content.get("level", 1), "level"),
    )
    return question, content


def whole_number(value: object, what: str) -> int:
    """`value` when it is one; InputError naming `what`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"expected `{what}` to be a whole number, got {type(value).__name__}")
    return value


def described(session: Session) -> dict[str, Any]:
    """What the page needs to know before its first question."""
    height, width = session.image_size
    absences = {
        name: _ABSENCES.get(name, (name, (kind.__doc__ or "").partition("\n")[0]))
        for name, kind in absence_classes().items()
    }
    return {
        "model": session.model.name,
        "data": session.data.name,
        "photos": len(session.data),
        "image_size": [height, width],
        "most_upload_bytes": MOST_UPLOAD_BYTES,
        "profile_passes": 2**session.bands.n_bands,
        "bands": [asdict(name) for name in band_names(session.bands, height, width)],
        "absence": session.absence,
        "absences": [{"name": name, "title": title, "hint": hint} for name, (title, hint) in absences.items()],
        "perturbations": [
            {"name": p.name, "title": p.title, "group": p.group, "hint": p.hint, "levels": list(p.levels)}
            for p in session.perturbations.values()
        ],
        "warnings": list(session.warnings),
    }


def look_to_dict(look: Look) -> dict[str, Any]:
    """A look, JSON-able, pictures as data: addresses."""
    pictures = {name: getattr(look, name) for name in ("photo", "removed", "standing_in", "seen")}
    return {
        "pictures": {name: None if picture is None else picture_to_dict(picture) for name, picture in pictures.items()},
        "answers": [_answer(answer) for answer in look.answers],
        "first": _answer(look.first),
        "label": None if look.label is None else _answer(look.label),
        "seconds": look.seconds,
    }


def picture_to_dict(picture: Picture) -> dict[str, Any]:
    """A picture as a data: address, its note and its gain."""
    return {"src": address_of(picture.png), "note": picture.note, "gain": picture.gain}


def address_of(png: bytes) -> str:
    """A PNG file as a data: address."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def profile_to_dict(profile: PhotoProfile) -> dict[str, Any]:
    """A profile, JSON-able."""
    return {**asdict(profile), "shapley": profile.shapley.tolist()}


def _answer(answer: Answer) -> dict[str, Any]:
    return asdict(answer)


def _key(value: object) -> int | str:
    if isinstance(value, str):
        return value
    return whole_number(value, "photo")


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"expected `{what}` to be a name, got {type(value).__name__}")
    return value
