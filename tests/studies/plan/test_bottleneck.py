"""Where `plan` says that decoding or the store holds workers up, a real run spends its time there."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

import spectrobe as sb
from spectrobe.data import open_data
from spectrobe.data.base import ImageData
from spectrobe.engine import local
from spectrobe.engine.store import RunFolder
from spectrobe.models.base import Geometry
from spectrobe.studies.plan.study import plan_decompose
from tests.toys import PLAIN as USUAL
from tests.toys import planted

pytestmark = pytest.mark.slow

PLAIN = USUAL | {"absence": "zero"}  # the mean of the images is decoded once more, whatever their number
SLOW = 0.5  # seconds
IMAGES, PER_SHARD = 96, 16


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_MOST_IMAGES_PER_SHARD", PER_SHARD)


def played(call: Any) -> tuple[Any, float]:
    start = time.perf_counter()
    return call(), time.perf_counter() - start


def test_a_slow_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The share of a worker's time that goes into storing is one in `workers_store`: so many keep the store busy."""
    write_shard, spent = RunFolder.write_shard, [0.0]

    def slow(self: RunFolder, *given: Any) -> None:
        start = time.perf_counter()
        time.sleep(SLOW)
        write_shard(self, *given)
        spent[0] += time.perf_counter() - start

    monkeypatch.setattr(RunFolder, "write_shard", slow)
    net, data = planted(IMAGES, (1, 12, 12))
    plan = plan_decompose(net, data, cores=64, **PLAIN)
    assert plan.bottleneck == "the store" and plan.measured.write >= SLOW
    spent[0] = 0.0
    _, wall = played(lambda: sb.decompose(net, data, out=tmp_path / "run", **PLAIN))
    assert wall == pytest.approx(plan.seconds, rel=0.4)
    playing = wall - plan.opening - plan.intervals
    assert playing / spent[0] == pytest.approx(plan.workers_store, rel=0.4)


class SlowlyDecoded(ImageData):
    """Images that each take a moment to decode."""

    def __init__(self, data: ImageData, seconds: float) -> None:
        self.data, self.seconds = data, seconds
        self.name, self.ids, self.labels = data.name, data.ids, data.labels

    def pixels(self, index: int, geometry: Geometry) -> Tensor:
        time.sleep(self.seconds)
        return self.data.pixels(index, geometry)

    def identity(self) -> Any:
        return self.data.identity()

    def loader_settings(self, geometry: Geometry) -> Any:
        return self.data.loader_settings(geometry)


def test_slow_decoding(tmp_path: Path) -> None:
    """One core decodes for fewer workers than one: the run takes about as long as decoding does."""
    net, pair = planted(IMAGES, (1, 12, 12))
    data = SlowlyDecoded(open_data(pair, n_classes=4), SLOW / 20)
    plan = plan_decompose(net, data, cores=1, **PLAIN)
    assert plan.bottleneck == "decoding" and plan.workers_decode < 1
    assert plan.measured.decode == pytest.approx(SLOW / 20, rel=0.4)
    _, wall = played(lambda: sb.decompose(net, data, out=tmp_path / "run", **PLAIN))
    assert wall == pytest.approx(plan.seconds, rel=0.4)
    decoding = IMAGES * plan.measured.decode
    assert (wall - plan.opening - plan.intervals - decoding) / decoding == pytest.approx(plan.workers_decode, abs=0.4)
