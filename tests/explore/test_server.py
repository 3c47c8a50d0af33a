"""The server from outside: what it answers, what it refuses, and that nothing it is sent brings it down."""

from __future__ import annotations

import io
import json
import re
import socket
import struct
import threading
from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch import Tensor

import spectrobe.explore
from spectrobe.errors import InputError
from spectrobe.explore import routes, wire
from spectrobe.explore.server import PageServer, listen
from spectrobe.explore.session import Session
from tests.cli.calls import png
from tests.data import hostile
from tests.explore.conftest import NAMES, SIDE

PAGE = Path(spectrobe.explore.__file__).parent / "page"
QUESTION: dict[str, Any] = {"photo": 0, "present": [True] * 4, "absence": "mean", "perturbation": None, "level": 1}
JSON, BYTES = {"Content-Type": "application/json"}, {"Content-Type": "application/octet-stream"}


def request(
    server: PageServer, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = {}
) -> tuple[int, Mapping[str, str], bytes]:
    connection = HTTPConnection(*server.server_address[:2], timeout=20)
    try:
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def post(server: PageServer, path: str, question: object) -> tuple[int, dict[str, Any]]:
    status, _, body = request(server, "POST", path, json.dumps(question).encode(), JSON)
    return status, json.loads(body)


@pytest.mark.parametrize("path, kind, contains", [
    ("/", "text/html", b"<title>spectrobe explore</title>"),
    ("/?anything=else", "text/html", b"<title>spectrobe explore</title>"),
    ("/style.css", "text/css", b"body"),
    ("/main.js", "text/javascript", b"/api/start"),
    ("/icon.svg", "image/svg+xml", b"<svg"),
])  # fmt: skip
def test_the_pages_own_files_are_served(server: PageServer, path: str, kind: str, contains: bytes) -> None:
    status, headers, body = request(server, "GET", path)
    assert status == 200 and headers["Content-Type"].startswith(kind) and contains in body
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["Cache-Control"] == "no-store"
    assert headers["Server"] == "spectrobe"


def test_every_file_of_the_page_is_served_and_names_no_other_host(server: PageServer) -> None:
    served = {name for name, _ in routes._PAGE.values()}
    assert served == {path.name for path in PAGE.iterdir()}
    for path in PAGE.iterdir():
        text = path.read_text().replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert not re.search(r"https?:|//[a-z0-9]+\.", text), path.name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", text), path.name


@pytest.mark.parametrize("path", [
    "/index.html", "/page/index.html", "/../server.py", "/%2e%2e/server.py", "/..%2fserver.py", "/etc/passwd",
    "//etc/passwd", "/api/thumbnail/a.png", "/api/thumbnail/../../x", "/api/thumbnail/-1", "/api/thumbnail/1e3",
    "/api/thumbnail/99999999999", "/api/look", "/api/",
])  # fmt: skip
def test_no_other_file_can_be_asked_for(server: PageServer, path: str) -> None:
    status, _, body = request(server, "GET", path)
    assert (status, json.loads(body)) == (404, {"error": "no such page"})


def test_the_start_tells_names_and_never_where_the_files_are(server: PageServer, session: Session) -> None:
    status, _, body = request(server, "GET", "/api/start")
    start = json.loads(body)
    assert status == 200 and start["photos"] == 13 and start["data"] == "colours" and start["image_size"] == [16, 16]
    assert [band["waves"] for band in start["bands"]] == ["8 px and longer", "4 to 8 px", "2.7 to 4 px", "2 to 2.7 px"]
    assert [absence["name"] for absence in start["absences"]] == ["zero", "mean", "noise", "donor"]
    assert start["profile_passes"] == 16
    assert str(Path.cwd()) not in body.decode() and "/tmp" not in body.decode()


def test_thumbnails_come_by_number(server: PageServer) -> None:
    status, headers, body = request(server, "GET", "/api/thumbnail/3")
    assert status == 200 and headers["Content-Type"] == "image/png"
    assert Image.open(io.BytesIO(body)).size == (SIDE, SIDE)
    status, _, body = request(server, "GET", "/api/thumbnail/12")
    assert status == 422 and json.loads(body)["error"].startswith("photo c/torn.png cannot be used: ")
    assert request(server, "GET", "/api/thumbnail/13")[0] == 422


def test_a_look_has_pictures_and_names(server: PageServer) -> None:
    status, found = post(server, "/api/look", QUESTION | {"present": [False, True, True, True]})
    assert status == 200
    assert {answer["name"] for answer in found["answers"]} == set(NAMES)
    assert sum(answer["probability"] for answer in found["answers"]) == pytest.approx(1, abs=1e-5)
    assert all(picture["src"].startswith("data:image/png;base64,") for picture in found["pictures"].values())
    status, found = post(server, "/api/bands", QUESTION)
    assert status == 200 and len(found["bands"]) == 4


@pytest.mark.parametrize("question, said", [
    ("no question", "expected a question as a JSON object, got str"),
    ([], "got list"),
    ({}, "`present`"),
    (QUESTION | {"present": [1, 0, 1, 0]}, "`present` to be a list of true and false"),
    (QUESTION | {"present": [True]}, "expected 4 bands"),
    (QUESTION | {"photo": None}, "`photo` to be a whole number, got NoneType"),
    (QUESTION | {"photo": True}, "`photo` to be a whole number, got bool"),
    (QUESTION | {"photo": "../../etc/passwd"}, "no longer kept"),
    (QUESTION | {"photo": 10**30}, "from 0 to 12"),
    (QUESTION | {"absence": ["mean"]}, "`absence` to be a name"),
    (QUESTION | {"absence": "<b>"}, "expected an absence"),
    (QUESTION | {"perturbation": 7}, "`perturbation` to be a name"),
    (QUESTION | {"perturbation": "pgd_linf:eps=1"}, "expected a perturbation out of"),
    (QUESTION | {"perturbation": "snow", "level": 2.5}, "`level` to be a whole number"),
    (QUESTION | {"perturbation": "snow", "level": 0}, "from 1 to 5, got 0"),
])  # fmt: skip
def test_questions_that_make_no_sense_get_a_message(server: PageServer, question: object, said: str) -> None:
    status, answer = post(server, "/api/look", question)
    assert status == 422 and said in answer["error"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 50_000, b"NaN"])
def test_bodies_that_are_no_json_get_a_message(server: PageServer, body: bytes) -> None:
    status, _, answer = request(server, "POST", "/api/look", body, JSON)
    assert status == 422 and "expected a question as" in json.loads(answer)["error"]


def test_a_photo_can_be_dropped_in(server: PageServer) -> None:
    image = np.random.default_rng(0).integers(0, 255, (40, 60, 3)).astype(np.uint8)
    status, _, body = request(server, "POST", "/api/photo", png(image), BYTES)
    answer = json.loads(body)
    assert status == 200 and answer["thumbnail"].startswith("data:image/png;base64,")
    status, found = post(server, "/api/look", QUESTION | {"photo": answer["photo"]})
    assert status == 200 and found["label"] is None


@pytest.mark.parametrize("case", ["text", "bomb", "bomb-that-pillow-only-warns-of", "truncated-jpeg", "empty"])
def test_an_upload_that_is_no_photo_gets_a_message(
    server: PageServer, case: str, capfd: pytest.CaptureFixture[str]
) -> None:
    make, reason = hostile.BROKEN[case]
    status, _, body = request(server, "POST", "/api/photo", make(), BYTES)
    assert status == 422
    assert json.loads(body)["error"].startswith("This file cannot be used: ") and reason in json.loads(body)["error"]
    assert capfd.readouterr().err == ""


def test_an_upload_that_is_too_large_is_refused(server: PageServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(routes.BODIES, "/api/photo", (routes.BYTES, 1000))
    status, headers, body = request(server, "POST", "/api/photo", bytes(1001), BYTES)
    assert status == 413 and headers["Connection"] == "close"
    assert json.loads(body)["error"] == "too large: 1,001 bytes, at most 1,000 are taken"
    assert wire.MOST_UPLOAD_BYTES == 30 * 2**20


@pytest.mark.parametrize("headers, status", [
    ({"Content-Type": "application/json", "Transfer-Encoding": "chunked"}, 411),
    ({"Content-Type": "application/json", "Content-Length": "-5"}, 411),
    ({"Content-Type": "application/json", "Content-Length": "many"}, 411),
    ({"Content-Type": "application/json", "Content-Length": "9" * 5000}, 411),
    ({"Content-Type": "application/json"}, 411),
    ({"Content-Type": "text/plain", "Content-Length": "2"}, 415),
    ({"Content-Type": "application/x-www-form-urlencoded", "Content-Length": "2"}, 415),
    ({"Content-Type": "application/json", "Content-Length": "99999999999"}, 413),
])  # fmt: skip
def test_requests_of_another_form_are_refused(server: PageServer, headers: dict[str, str], status: int) -> None:
    connection = HTTPConnection(*server.server_address[:2], timeout=20)
    connection.putrequest("POST", "/api/look")
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders(b"{}")
    connection.sock.shutdown(socket.SHUT_WR)
    assert connection.getresponse().status == status
    connection.close()


@pytest.mark.parametrize(
    "method, path", [("GET", "/"), ("GET", "/api/start"), ("GET", "/api/thumbnail/0"), ("POST", "/api/look")]
)
def test_another_host_name_is_refused(server: PageServer, method: str, path: str) -> None:
    body = json.dumps(QUESTION).encode() if method == "POST" else None
    status, _, answer = request(server, method, path, body, JSON | {"Host": "evil.example"})
    assert status == 403 and "127.0.0.1" in json.loads(answer)["error"]


@pytest.mark.parametrize("path", ["/api/look", "/api/bands", "/api/photo", "/api/profile"])
def test_questions_from_another_site_are_refused(server: PageServer, path: str) -> None:
    headers = JSON | {"Origin": "http://evil.example"}
    assert request(server, "POST", path, json.dumps(QUESTION).encode(), headers)[0] == 403
    assert request(server, "OPTIONS", path, None, headers)[0] == 501  # so no browser asks on another site's behalf


def lines(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in body.splitlines()]


def test_a_profile_comes_with_progress(server: PageServer) -> None:
    body = json.dumps(QUESTION | {"class": 0}).encode()
    status, headers, answer = request(server, "POST", "/api/profile", body, JSON)
    *progress, last = lines(answer)
    assert status == 200 and headers["Content-Type"] == "application/x-ndjson"
    assert progress[0] == {"done": 0, "of": 15} and progress[-1] == {"done": 15, "of": 15}
    assert len(last["profile"]["shapley"]) == 4 and last["profile"]["class_name"] == NAMES[0]


@pytest.mark.parametrize("changes, said", [
    ({"class": 9}, "expected a class from 0 to 3"),
    ({"class": "0"}, "`class` to be a whole number"),
    ({"class": 0, "photo": 12}, "c/torn.png cannot be used"),
])  # fmt: skip
def test_a_profile_that_cannot_be_measured_ends_in_a_message(
    server: PageServer, changes: dict[str, Any], said: str
) -> None:
    _, _, answer = request(server, "POST", "/api/profile", json.dumps(QUESTION | changes).encode(), JSON)
    assert said in lines(answer)[-1]["error"]


def test_a_page_that_goes_away_ends_its_measurement(
    server: PageServer, session: Session, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    passes: list[int] = []
    gone, over = threading.Event(), threading.Event()
    forward, measure = session.forward, routes.profile

    def counted(images: Tensor) -> Tensor:
        gone.wait(10)
        passes.append(len(images))
        return forward(images)

    def profile(*arguments: Any) -> None:
        try:
            measure(*arguments)
        finally:
            over.set()

    monkeypatch.setitem(routes.STREAMS, "/api/profile", profile)
    monkeypatch.setattr(session, "forward", counted)
    monkeypatch.setattr("spectrobe.explore.profiling._batch_size", lambda session: 1)
    body = json.dumps(QUESTION | {"class": 0}).encode()
    head = f"Host: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(server.server_address[:2], timeout=10) as browser:
        browser.sendall(b"POST /api/profile HTTP/1.1\r\n" + head.encode() + body)
        received = b""
        while b'"done": 0' not in received:
            received += browser.recv(1000)
        browser.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, as of a closed tab
    gone.set()
    assert over.wait(10)
    assert 1 <= len(passes) <= 3  # of 16
    assert "Traceback" not in capfd.readouterr().err


def test_an_error_that_nobody_foresaw_is_told_in_the_terminal_alone(
    server: PageServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any) -> None:
        raise KeyError("planted")

    monkeypatch.setattr(routes, "look", broken)
    status, answer = post(server, "/api/look", QUESTION)
    assert status == 500 and answer["error"].startswith("unexpected error") and "planted" not in answer["error"]
    assert "KeyError: 'planted'" in capfd.readouterr().err


def test_memory_that_runs_out_is_told(server: PageServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def large(*_: Any) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(routes, "look", large)
    status, answer = post(server, "/api/look", QUESTION)
    assert status == 503 and answer["error"].startswith("memory ran out")


def test_it_listens_on_this_machine_alone(server: PageServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert server.address == f"http://127.0.0.1:{server.server_address[1]}/"


def test_a_port_that_is_taken_is_told_and_another_found(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    with listen(session, 0) as first:
        taken = first.server_address[1]
        with pytest.raises(InputError, match=f"port {taken} cannot be used .*in use.*--port 0"):
            listen(session, taken)
        monkeypatch.setattr("spectrobe.explore.server.FIRST_PORT", taken)
        with listen(session, None) as second:
            assert taken < second.server_address[1] < taken + 20


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_cannot_be_is_refused(session: Session, port: int) -> None:
    with pytest.raises(InputError, match=f"--port from 0 .* got {port}"):
        listen(session, port)
