"""Seconds from a press on the explore page to its answer: requests over HTTP to a running page, one after the other.

Each kind of press is repeated on photos that the session has not at hand; the first answer of all (warm-up) is told
apart. CPU seconds are those of the whole process and do not depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import threading
import time
from collections.abc import Callable
from functools import partial
from http.client import HTTPConnection
from typing import Any

import torch

from benchmarks.machine import machine
from spectrobe.data import open_data
from spectrobe.explore.server import PageServer
from spectrobe.explore.session import open_session
from spectrobe.models import open_model

N_BANDS = 8
PERTURBATIONS = (
    "gaussian_noise",
    "jpeg_compression",
    "snow",
    "elastic_transform",
    "glass_blur",
    "fgsm_linf",
    "pgd_linf",
    "pgd_linf-20",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="demo:efficientnet-lite0")
    parser.add_argument("data", nargs="?", default="demo")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--presses", type=int, default=15)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    model = open_model(asked.model)
    data = open_data(asked.data, n_classes=model.n_classes, class_names=model.class_names)
    print(f"{machine()}; load {os.getloadavg()[0]:.1f}; {asked.model} at {model.geometry.size}, {N_BANDS} bands")
    with (
        open_session(model, data, torch.device("cpu"), bands=N_BANDS) as session,
        PageServer(session, 0) as server,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = HTTPConnection(*server.server_address[:2])
        measure(partial(asked_of, page), asked.presses)
        server.shutdown()


def measure(ask: Callable[[str, dict[str, Any]], None], presses: int) -> None:
    """Print a line for each kind of press."""

    def report(what: str, path: str, questions: list[dict[str, Any]]) -> None:
        wall, cpu = zip(*(timed(partial(ask, path, question)) for question in questions), strict=True)
        middle, largest, work = statistics.median(wall), max(wall), statistics.median(cpu)
        print(f"{what:30} wall median {middle:.3f} s, largest {largest:.3f} s; CPU median {work:.3f} s", flush=True)

    start = {"photo": 0, "present": [True] * N_BANDS, "absence": "mean", "perturbation": None, "level": 3}
    report("first answer (warm-up)", "/api/look", [start])
    for _ in range(3):
        ask("/api/look", start)
    switched = [[band >= press % N_BANDS for band in range(N_BANDS)] for press in range(1, presses + 1)]
    report("a band switched", "/api/look", [start | {"present": present} for present in switched])
    photos = [start | {"present": switched[3], "photo": number} for number in range(1, presses + 1)]
    report("another photo", "/api/look", photos)
    report("its pictures of bands", "/api/bands", photos)
    for absence in ("zero", "donor"):
        report(f"absence {absence}", "/api/look", [photo | {"absence": absence} for photo in photos])
    for name in PERTURBATIONS:
        report(name, "/api/look", [photo | {"perturbation": name} for photo in photos])
    report("profile of a photo, 256 passes", "/api/profile", [start | {"class": 0}] * 3)


def timed(press: Callable[[], None]) -> tuple[float, float]:
    """Wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    press()
    return time.perf_counter() - wall, time.process_time() - cpu


def asked_of(page: HTTPConnection, path: str, question: dict[str, Any]) -> None:
    page.request("POST", path, json.dumps(question), {"Content-Type": "application/json"})
    response = page.getresponse()
    body = response.read()
    if response.status != 200 or b'"error"' in body:
        raise RuntimeError(f"{path}: {response.status} {body[:300]!r}")


if __name__ == "__main__":
    main()
