"""The page's server: Python's own http.server on 127.0.0.1. It adds no dependency, and works offline.

Requests are bounded: a fixed table of addresses, a limit on every body, a timeout on every connection.
"""

from __future__ import annotations

import json
import os
import re
import socket
import socketserver
import sys
import traceback
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler
from typing import Any

from spectrobe.errors import InputError
from spectrobe.explore import routes
from spectrobe.explore.guard import ADDRESS, SAFE_HEADERS, refusal
from spectrobe.explore.routes import Reply, as_json
from spectrobe.explore.session import Session

FIRST_PORT, PORTS_TRIED = 8765, 20
_IDLE_SECONDS = 60
_UNREAD_BYTES, _UNREAD_SECONDS = 128 * 2**20, 1.0  # what is still taken after a refusal, so that it arrives


class PageServer(socketserver.ThreadingTCPServer):
    """Listens on 127.0.0.1 and answers from one session."""

    daemon_threads = True
    allow_reuse_address = os.name == "posix"  # elsewhere the flag lets two programs share a port

    def __init__(self, session: Session, port: int) -> None:
        """port: 0 for any that is free. Raises OSError when it is taken."""
        self.session = session
        super().__init__((ADDRESS, port), _Handler)

    @property
    def address(self) -> str:
        """What to type into a browser."""
        return f"http://{ADDRESS}:{self.server_address[1]}/"

    def shutdown_request(self, request: Any) -> None:
        """Close a connection, whose other end may still be sending: closed at once, it would lose our last words."""
        left = _UNREAD_BYTES
        try:
            request.shutdown(socket.SHUT_WR)
            request.settimeout(_UNREAD_SECONDS)
            while left > 0 and (chunk := request.recv(2**16)):
                left -= len(chunk)
        except OSError:
            pass  # gone, or silent
        self.close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle of an answer is no error."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            traceback.print_exc()


def listen(session: Session, port: int | None) -> PageServer:
    """A server on `port`, or on the first free one from 8765 on; InputError when there is none to be had."""
    check_port(port)
    tried = range(FIRST_PORT, FIRST_PORT + PORTS_TRIED) if port is None else (port,)
    reason = ""
    for number in tried:
        try:
            return PageServer(session, number)
        except OSError as error:
            reason = error.strerror or type(error).__name__
    which = f"port {port} cannot be used" if port is not None else f"no port from {tried[0]} to {tried[-1]} can be used"
    raise InputError(f"{which} on {ADDRESS} ({reason}): give another --port, or --port 0 for any that is free")


def check_port(port: int | None) -> None:
    """Raise InputError for what is no port, so that it is told before anything is opened."""
    if port is not None and not 0 <= port <= 65535:
        raise InputError(f"expected --port from 0 (any that is free) to 65535, got {port}")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    error_message_format = "%(code)d %(message)s\n"
    error_content_type = "text/plain; charset=utf-8"
    timeout = _IDLE_SECONDS
    server: PageServer

    @property
    def _address(self) -> str:
        return self.path.partition("?")[0]

    def do_GET(self) -> None:
        if not self._refused():
            self._send(self._or_problem(lambda: routes.get(self.server.session, self._address)))

    def do_POST(self) -> None:
        if self._refused() or (body := self._body()) is None:
            return
        session, address = self.server.session, self._address
        if address in routes.STREAMS:
            self._stream(partial(routes.STREAMS[address], session, body))
        else:
            self._send(self._or_problem(lambda: as_json(200, routes.ANSWERS[address](session, body))))

    def version_string(self) -> str:
        """No versions for strangers."""
        return "spectrobe"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the terminal is for what matters."""

    def _refused(self) -> bool:
        why = refusal(dict(self.headers.items()), routes.holds_data(self._address))
        if why is not None:
            self.close_connection = True
            self._send(as_json(403, {"error": why}))
        return why is not None

    def _body(self) -> bytes | None:
        """The request's body; None where it was refused. A content type of its own makes other sites' requests fail."""
        length = self.headers.get("Content-Length", "")
        kind, most_bytes = routes.BODIES.get(self._address, ("", 0))
        problem: Reply | None = None
        if not kind:
            problem = as_json(404, {"error": "no such page"})
        elif re.fullmatch(r"[0-9]{1,18}", length) is None or "Transfer-Encoding" in self.headers:
            problem = as_json(411, {"error": "expected a request that tells its length"})
        elif int(length) > most_bytes:
            problem = as_json(413, {"error": f"too large: {int(length):,} bytes, at most {most_bytes:,} are taken"})
        elif self.headers.get("Content-Type", "").partition(";")[0].strip() != kind:
            problem = as_json(415, {"error": f"expected the content type {kind}"})
        if problem is None:
            return self.rfile.read(int(length))
        self.close_connection = True
        self._send(problem)
        return None

    def _or_problem(self, answer: Callable[[], Reply]) -> Reply:
        try:
            return answer()
        except (ConnectionError, TimeoutError):
            raise
        except Exception as error:
            return _told(error)

    def _stream(self, answer: Callable[[routes.Send], None]) -> None:
        """Lines of JSON as they come, to the end of the connection."""
        self.close_connection = True
        self._start(200, "application/x-ndjson")

        def send(content: dict[str, Any]) -> None:
            self.wfile.write(json.dumps(content, allow_nan=False).encode() + b"\n")

        try:
            answer(send)
        except (ConnectionError, TimeoutError):
            raise
        except Exception as error:
            self.wfile.write(_told(error).body + b"\n")

    def _send(self, reply: Reply) -> None:
        self._start(reply.status, reply.kind, len(reply.body))
        self.wfile.write(reply.body)

    def _start(self, status: int, kind: str, length: int | None = None) -> None:
        self.send_response(status)
        for name, value in {**SAFE_HEADERS, "Content-Type": kind}.items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()


def _told(error: Exception) -> Reply:
    """An error as a message for the page; one that nobody foresaw is also shown in the terminal."""
    known = routes.problem(error)
    if known is not None:
        return known
    traceback.print_exception(error)
    return as_json(500, {"error": "unexpected error: the terminal in which spectrobe runs says more"})
