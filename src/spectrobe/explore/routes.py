"""What each address of the page answers. Everything is reached by number or by a key that the session gave out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from spectrobe.engine.batching import is_out_of_memory
from spectrobe.errors import BadImageError, InputError, SpectrobeError
from spectrobe.explore import wire
from spectrobe.explore.display import thumbnail
from spectrobe.explore.looking import band_pictures, look
from spectrobe.explore.profiling import photo_profile
from spectrobe.explore.session import Session

JSON, BYTES = "application/json", "application/octet-stream"

_SCRIPTS = ("main", "photos", "stage", "bands", "controls", "profile", "dom")
_PAGE = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
    **{f"/{name}.js": (f"{name}.js", "text/javascript; charset=utf-8") for name in _SCRIPTS},
}
"""The page's own files by address: no other file of this machine can be asked for."""

_THUMBNAIL = re.compile(r"/api/thumbnail/(\d{1,9})")

Send = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Reply:
    """A whole answer."""

    status: int
    kind: str
    body: bytes


def holds_data(path: str) -> bool:
    """Whether the answer tells more than the page's own files, which are the same for everyone."""
    return path not in _PAGE


def get(session: Session, path: str) -> Reply:
    """The answer to GET."""
    if path in _PAGE:
        name, kind = _PAGE[path]
        return Reply(200, kind, (files("spectrobe.explore") / "page" / name).read_bytes())
    if path == "/api/start":
        return as_json(200, wire.described(session))
    if found := _THUMBNAIL.fullmatch(path):
        with session.lock:
            return Reply(200, "image/png", thumbnail(session.photos.get(int(found[1])).pixels))
    return as_json(404, {"error": "no such page"})


def _look(session: Session, body: bytes) -> dict[str, Any]:
    question, _ = wire.read_question(body)
    return wire.look_to_dict(look(session, question))


def _bands(session: Session, body: bytes) -> dict[str, Any]:
    question, _ = wire.read_question(body)
    with session.lock:
        return {"bands": [wire.picture_to_dict(picture) for picture in band_pictures(session, question)]}


def _photo(session: Session, body: bytes) -> dict[str, Any]:
    with session.lock:  # one file is decoded at a time, which bounds memory
        photo = session.photos.add(body)
        return {"photo": photo.key, "thumbnail": wire.address_of(thumbnail(photo.pixels))}


def profile(session: Session, body: bytes, send: Send) -> None:
    """Measure a photo's profile; `send` is given {"done", "of"} on the way and {"profile"} at the end.

    What `send` raises (the browser went away) ends the measurement.
    """
    question, content = wire.read_question(body)
    class_index = wire.whole_number(content.get("class"), "class")
    measured = photo_profile(session, question, class_index, _Sent(send))
    send({"profile": wire.profile_to_dict(measured)})


class _Sent:
    """Progress that goes to the page."""

    def __init__(self, send: Send) -> None:
        self.send, self.done, self.of = send, 0, 0

    def note(self, text: str) -> None:
        """Nothing: the page has no room for notes."""

    def expect(self, forward_passes: int) -> None:
        self.of = forward_passes
        self.send({"done": 0, "of": self.of})

    def advance(self, forward_passes: int) -> None:
        self.done += forward_passes
        self.send({"done": self.done, "of": self.of})


BODIES = {
    "/api/look": (JSON, wire.MOST_QUESTION_BYTES),
    "/api/bands": (JSON, wire.MOST_QUESTION_BYTES),
    "/api/photo": (BYTES, wire.MOST_UPLOAD_BYTES),
    "/api/profile": (JSON, wire.MOST_QUESTION_BYTES),
}
"""Addresses that take a body: the content type that it must have, and its most bytes."""

ANSWERS: dict[str, Callable[[Session, bytes], dict[str, Any]]] = {
    "/api/look": _look,
    "/api/bands": _bands,
    "/api/photo": _photo,
}
STREAMS: dict[str, Callable[[Session, bytes, Send], None]] = {"/api/profile": profile}


def as_json(status: int, content: dict[str, Any]) -> Reply:
    """A reply of JSON."""
    return Reply(status, JSON, json.dumps(content, allow_nan=False).encode())


def problem(error: Exception) -> Reply | None:
    """The reply to a question that cannot be answered; None for an error that nobody foresaw."""
    if isinstance(error, BadImageError):
        return as_json(422, {"error": f"photo {error.image} cannot be used: {error.reason}"})
    if isinstance(error, SpectrobeError):
        return as_json(422 if isinstance(error, InputError) else 500, {"error": " ".join(str(error).split())})
    if is_out_of_memory(error):
        return as_json(503, {"error": "memory ran out: use a smaller model or smaller images, or another device"})
    return None
