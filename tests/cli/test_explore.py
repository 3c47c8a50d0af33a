"""`spectrobe explore`: one line for what is wrong, an address, a page, and a quiet end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from http.client import HTTPConnection
from itertools import takewhile
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.cli.calls import Cli

pytestmark = pytest.mark.slow

GOOD = "explore python:toys:colour {world}/images --num-classes 3 --bands 4 --no-browser"

CASES = [
    ("no data", "explore demo:efficientnet-lite0", ["missing argument 'DATA'", "see spectrobe explore --help"]),
    ("bad model", GOOD.replace("colour", "color"), ["no color in toys", "nearest", "colour"]),
    ("bad scheme", GOOD.replace("python:toys:colour", "resnet50"), ["expected a model such as timm:resnet50"]),
    ("a model that fails", GOOD.replace("colour", "raises"), ["python:toys:raises failed", "no such layer"]),
    ("NaN outputs", GOOD.replace("colour", "nan"), ["finite logits", "NaN"]),
    ("bad data", GOOD.replace("images", "imagse"), ["no such folder", "imagse"]),
    ("no images", GOOD.replace("images", "empty"), ["no images in"]),
    ("images of several sizes", GOOD.replace("images", "sizes"), ["(3, 1", "--size"]),
    ("classes nobody knows", GOOD.replace(" --num-classes 3", ""), ["class folders (a, b, c)", "--class-map"]),
    ("labels and none", f"{GOOD} --unlabelled --class-map {{world}}/map.json", ["--class-map or --unlabelled"]),
    ("no such bands", GOOD.replace("bands 4", "bands wavelet:4"), ["expected bands such as 8"]),
    ("too many bands", GOOD.replace("bands 4", "bands 13"), ["2 to 12 bands", "got 13"]),
    ("more bands than pixels", GOOD.replace("bands 4", "bands 10"), ["16 x 16", "that works is 9"]),
    ("unknown absence", f"{GOOD} --absence men", ["did you mean mean"]),
    ("no port", f"{GOOD} --port many", ["'--port'", "integer"]),
    ("port out of range", f"{GOOD} --port 70000", ["--port from 0", "70000"]),
]  # fmt: skip


@pytest.mark.parametrize("call, line", [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_bad_input_is_one_line_that_says_what_to_do(
    call: str, line: list[str], cli: Cli, world: Path, tmp_path: Path
) -> None:
    outcome = cli(*call.format(world=world).split())
    assert (outcome.code, outcome.out) == (2, ""), outcome.err
    [said] = outcome.err.splitlines()
    assert said.startswith("spectrobe: ") and not [part for part in line if part not in said], said
    assert not list(tmp_path.iterdir())


def test_a_port_that_is_taken_is_told(cli: Cli, world: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = cli(*GOOD.format(world=world).split(), "--port", port)
    assert outcome.code == 2 and len(outcome.err.splitlines()) == 1
    assert f"port {port} cannot be used on 127.0.0.1" in outcome.err and "--port 0" in outcome.err


def test_a_missing_extra_is_named_with_its_install_command(cli: Cli, world: Path, no_timm: None) -> None:
    outcome = cli("explore", "timm:resnet10t", world / "images")
    assert outcome.code == 2 and len(outcome.err.splitlines()) == 1
    assert "pip install 'spectrobe[timm]'" in outcome.err


@pytest.mark.parametrize("data, photos, labels", [("images", 12, True), ("unlabelled", 6, False)])
def test_it_serves_a_page_until_it_is_interrupted(data: str, photos: int, labels: bool, world: Path) -> None:
    call = GOOD.format(world=world).replace("/images", f"/{data}").split()
    running = subprocess.Popen(
        [sys.executable, "-m", "spectrobe", *call, "--port", "0", *([] if labels else ["--unlabelled", "--json"])],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{os.environ.get('PYTHONPATH', '')}:{world}", "OMP_NUM_THREADS": "1"},
    )
    try:
        assert running.stdout is not None
        lines = iter(running.stdout.readline, "")
        first = next(lines)
        told = first.strip() if labels else json.loads(first + "".join(takewhile("}\n".__ne__, lines)) + "}")["address"]
        address = urlsplit(told)
        assert address.scheme == "http" and address.hostname == "127.0.0.1" and address.path == "/"
        connection = HTTPConnection(address.hostname, address.port, timeout=20)
        connection.request("GET", "/api/start")
        start = json.loads(connection.getresponse().read())
        assert (start["model"], start["data"], start["photos"]) == ("python:toys:colour", data, photos)
        question = {"photo": 0, "present": [True] * 4, "absence": "mean"}
        connection.request("POST", "/api/look", json.dumps(question), {"Content-Type": "application/json"})
        found = json.loads(connection.getresponse().read())
        assert (found["label"] is not None) == labels and len(found["answers"]) == 3
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=20)
    finally:
        running.kill()
    assert running.returncode == 0 and out.strip() == ""
    assert "nothing leaves this machine" in err and "Traceback" not in err
