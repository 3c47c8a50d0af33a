"""Twenty faults of each kind on a two-node Ray cluster; after each, the same call ends in the same bytes.

Each says where it struck: `pytest -rA` shows it, and so does docs/logs/test-slow.log.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spectrobe.engine.executor import RayOptions
from spectrobe.engine.phases import PHASES, _listeners, listen
from spectrobe.engine.ray import RayExecutor
from spectrobe.engine.ray_cluster import Cluster as Joined
from spectrobe.engine.store import RunFolder
from spectrobe.errors import RunFolderError
from tests.engine.ray_driver import go
from tests.engine.ray_faults import attempt, drive, failing_at, kill_workers, on_flaky_store, same

ray = pytest.importorskip("ray")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

SHARDS = 7
TIMES = int(os.environ.get("TIMES", 20))  # less for a first look


class TwoNodes:
    """A head and a second node, on this machine, which can be killed and replaced."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 4, "include_dashboard": False})
        self.driver = Joined(self.cluster.address, 60)
        self.driver.connect()
        self.second: Any = None
        self.restore()

    def restore(self) -> None:
        """Have a second node again."""
        if self.second is None:
            self.second = self.cluster.add_node(num_cpus=4)
            self.cluster.wait_for_nodes()

    def kill_second(self) -> None:
        """kill -9 of everything that runs on it."""
        self.cluster.remove_node(self.second, allow_graceful=False)
        self.second = None

    def close(self) -> None:
        """End both."""
        self.driver.leave()
        self.cluster.shutdown()


@pytest.fixture(scope="module")
def nodes() -> Iterator[TwoNodes]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # both on 127.0.0.1
        patch.setattr("ray._private.ray_constants.ENABLE_RAY_CLUSTER", False)
        started = TwoNodes()
        yield started
        started.close()


@pytest.fixture(scope="module")
def engine(nodes: TwoNodes) -> Iterator[RayExecutor]:
    with RayExecutor(RayOptions(workers=2)) as executor:
        yield executor


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("local")
    go("exact", place / "run", place, "local")
    return place / "run"


def test_killed_drivers(tmp_path: Path, nodes: TwoNodes, engine: RayExecutor, expected: Path) -> None:
    draws = random.Random("driver")
    kills = [(phase, 1) for phase in PHASES]
    kills += [(draws.choice(PHASES[:3]), draws.randint(1, SHARDS)) for _ in range(TIMES - len(kills))]
    for number, (phase, count) in enumerate(kills):
        out = tmp_path / str(number)
        killed = drive(out, phase, count, "exact", tmp_path, nodes.cluster.address)
        print(f"driver {number + 1}: {killed.stdout.strip()}, {len(list(out.glob('payoffs/*.parquet')))} shards there")
        assert killed.returncode == -9 and f"killed at {phase} {count}\n" in killed.stdout, killed.stderr
        assert not (out / "result.json").exists()
        go("exact", out, tmp_path, engine)
        assert same(out, expected)


def test_killed_workers(tmp_path: Path, engine: RayExecutor, expected: Path) -> None:
    draws = random.Random("worker")
    for number in range(TIMES):
        out, after = tmp_path / str(number), draws.randint(0, SHARDS - 2)
        with at_shard(after, lambda: kill_workers(tmp_path, 1)):
            go("exact", out, tmp_path, engine)
        print(f"worker {number + 1}: killed in a forward pass, {after} shards done before")
        assert not list(tmp_path.glob("kill-*")) and same(out, expected)


def test_killed_nodes(tmp_path: Path, nodes: TwoNodes, engine: RayExecutor, expected: Path) -> None:
    draws = random.Random("node")
    for number in range(TIMES):
        out, after = tmp_path / str(number), draws.randint(1, SHARDS - 2)
        nodes.restore()
        with RayExecutor(RayOptions(workers=2)) as fresh:  # its workers are spread over both nodes
            start = time.monotonic()
            with at_shard(after, nodes.kill_second):
                go("exact", out, tmp_path, fresh)
        took = time.monotonic() - start
        print(f"node {number + 1}: killed with {after} shards done, the run went on and took {took:.0f} s")
        assert nodes.second is None and same(out, expected)


def test_full_disks(tmp_path: Path, engine: RayExecutor, expected: Path) -> None:
    draws = random.Random("disk")
    for number in range(TIMES):
        out, count = tmp_path / str(number), draws.randint(1, SHARDS + 3)  # run.json, shards, run.json, result.json
        free = failing_at("between write and rename", count)
        try:
            with pytest.raises(RunFolderError, match=r"could not write (\S+) \(No space left on device\)") as told:
                go("exact", out, tmp_path, engine)
        finally:
            free()
        print(f"disk {number + 1}: full at write {count}: {str(told.value).partition('; ')[0].rpartition(': ')[2]}")
        assert not list(out.rglob("*.part")) and not (out / "result.json").exists()
        go("exact", out, tmp_path, engine)
        assert same(out, expected)


def test_unreliable_stores(
    tmp_path: Path, engine: RayExecutor, expected: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(TIMES):
        out, share = tmp_path / str(number), 0.05 + 0.035 * number
        with monkeypatch.context() as patch:
            failed = on_flaky_store(patch, share, number, most=60)
            calls = 1
            while not attempt(lambda: go("exact", str(out), tmp_path, engine)):  # noqa: B023  # called at once
                calls += 1
                assert calls < 40
        print(f"store {number + 1}: {share:.0%} of its calls failed, {failed[0]} in all; {calls} calls of decompose")
        assert failed[0] > 0 and same(out, expected)


def test_second_drivers(tmp_path: Path, nodes: TwoNodes, engine: RayExecutor, expected: Path) -> None:
    """A second call at a random point of the first one; every fifth on a store, where a file is the lock."""
    draws = random.Random("two")
    for number in range(TIMES):
        place = f"memory:/{tmp_path}/{number}" if number % 5 == 4 else str(tmp_path / str(number))
        after, refused = draws.randint(1, SHARDS), []

        def second() -> None:
            with pytest.raises(RunFolderError, match=rf"\(process {os.getpid()} on .*wait for it") as told:
                go("exact", place, tmp_path, "local")  # noqa: B023  # called in this round
            refused.append(told)  # noqa: B023

        with at_shard(after, second):
            go("exact", place, tmp_path, engine)
        print(f"two {number + 1}: the second driver was refused with {after} shards done, on {place.partition(':')[0]}")
        assert len(refused) == 1
        assert RunFolder(place).read_bytes("result.json") == (expected / "result.json").read_bytes()


class at_shard:  # reads as a function
    """Inside, do something once, when so many shards are done (0: at once)."""

    def __init__(self, after: int, do: Any) -> None:
        self.after, self.do, self.seen = after, do, 0

    def __enter__(self) -> None:
        listen(self.hear)
        if self.after == 0:
            self.do()

    def hear(self, phase: str) -> None:
        self.seen += phase == "shard done"
        if phase == "shard done" and self.seen == self.after:
            self.do()

    def __exit__(self, *_: object) -> None:
        _listeners.remove(self.hear)
