"""Faults of each kind on a two-node Ray cluster; after each, the same call ends in the same bytes.

Twenty of each kind are long; of those that tests/engine/test_ray.py does not bring about, three are not. Each says
where it struck, in a line that RAY_FAULTS=FILE keeps (`make ray-faults` writes docs/logs/ray-faults.txt).
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
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
MANY = pytest.param(TIMES, id=f"{TIMES} times", marks=pytest.mark.long)
FEW = pytest.param(3, id="3 times")

Tell = Callable[[str, int, str, float, bool], None]


@pytest.fixture(scope="module")
def tell() -> Iterator[Tell]:
    """Say of a fault its kind, number, where it struck, seconds until the run had ended, whether its bytes are same."""
    kept = os.environ.get("RAY_FAULTS")
    with open(kept or os.devnull, "w") as log:

        def line(kind: str, number: int, where: str, since: float, bytes_are_same: bool) -> None:
            took, found = time.monotonic() - since, "same bytes" if bytes_are_same else "OTHER BYTES"
            text = f"{kind:<7}{number:>3}  {where:<66}{took:>6.1f} s  {found}"
            print(text, flush=True)
            print(text, file=log, flush=True)
            assert bytes_are_same, text

        print(f"$ {'' if TIMES == 20 else f'TIMES={TIMES} '}make ray-faults", file=log)
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start; Ray {ray.__version__}", file=log)
        yield line


class TwoNodes:
    """A head and a second node, on this machine, which can be killed and replaced."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        few = {"include_dashboard": False, "include_log_monitor": False, "no_monitor": True}  # fewer processes to start
        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 4, **few})
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
    with RayExecutor(RayOptions(workers=2, timeout=600)) as executor:
        yield executor


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("local")
    go("exact", place / "run", place, "local")
    return place / "run"


DRIVER_KILLS = [("shard write", 2), ("between write and rename", 5), ("tau fit", 1)]


def driver_kills(times: int) -> list[tuple[str, int]]:
    """Phases, and at which time of reaching them the driver is killed; of many, each phase at least once."""
    if times == 3:
        return DRIVER_KILLS
    draws = random.Random("driver")
    drawn = [(draws.choice(PHASES[:3]), draws.randint(1, SHARDS)) for _ in range(times - len(PHASES))]
    return [*((phase, 1) for phase in PHASES), *drawn]


@pytest.mark.parametrize("times", [FEW, MANY])
def test_killed_drivers(
    tmp_path: Path, nodes: TwoNodes, engine: RayExecutor, expected: Path, tell: Tell, times: int
) -> None:
    """kill -9 of the process that calls; the same call goes on, on the same cluster, at once."""
    for number, (phase, count) in enumerate(driver_kills(times), start=1):
        out, start = tmp_path / str(number), time.monotonic()
        killed = drive(out, phase, count, "exact", tmp_path, nodes.cluster.address)
        assert killed.returncode == -9 and f"killed at {phase} {count}\n" in killed.stdout, killed.stderr
        assert not (out / "result.json").exists()
        there = len(list(out.glob("payoffs/*.parquet")))
        go("exact", out, tmp_path, engine)
        tell("driver", number, f"at {phase} {count}, {there} shards there", start, same(out, expected))


@pytest.mark.parametrize("times", [MANY])
def test_killed_workers(tmp_path: Path, engine: RayExecutor, expected: Path, tell: Tell, times: int) -> None:
    draws = random.Random("worker")
    for number in range(1, times + 1):
        out, after, start = tmp_path / str(number), draws.randint(0, SHARDS - 2), time.monotonic()
        with at_shard(after, lambda: kill_workers(tmp_path, 1)):
            go("exact", out, tmp_path, engine)
        assert not list(tmp_path.glob("kill-*"))
        tell("worker", number, f"in a forward pass, {after} shards done before", start, same(out, expected))


@pytest.mark.parametrize("times", [FEW, MANY])
def test_killed_nodes(tmp_path: Path, nodes: TwoNodes, expected: Path, tell: Tell, times: int) -> None:
    """kill -9 of all that runs on one of two nodes; the run goes on with the other one."""
    draws = random.Random("node")
    for number in range(1, times + 1):
        out, after = tmp_path / str(number), draws.randint(1, SHARDS - 2)
        nodes.restore()
        with RayExecutor(RayOptions(workers=2, timeout=600)) as fresh:  # its workers are spread over both nodes
            start = time.monotonic()
            with at_shard(after, nodes.kill_second):
                go("exact", out, tmp_path, fresh)
        assert nodes.second is None
        tell("node", number, f"with {after} shards done, the run went on", start, same(out, expected))


@pytest.mark.parametrize("times", [MANY])
def test_full_disks(tmp_path: Path, engine: RayExecutor, expected: Path, tell: Tell, times: int) -> None:
    draws = random.Random("disk")
    for number in range(1, times + 1):
        # run.json, shards, run.json, result.json
        out, count, start = tmp_path / str(number), draws.randint(1, SHARDS + 3), time.monotonic()
        free = failing_at("between write and rename", count)
        try:
            with pytest.raises(RunFolderError, match=r"could not write (\S+) \(No space left on device\)") as told:
                go("exact", out, tmp_path, engine)
        finally:
            free()
        assert not list(out.rglob("*.part")) and not (out / "result.json").exists()
        go("exact", out, tmp_path, engine)
        what = str(told.value).partition("; ")[0].rpartition(": ")[2]
        tell("disk", number, f"write {count}, {what}", start, same(out, expected))


@pytest.mark.parametrize("times", [MANY])
def test_unreliable_stores(
    tmp_path: Path, engine: RayExecutor, expected: Path, monkeypatch: pytest.MonkeyPatch, tell: Tell, times: int
) -> None:
    for number in range(1, times + 1):
        out, share, start = tmp_path / str(number), 0.05 + 0.7 * (number - 1) / times, time.monotonic()
        with monkeypatch.context() as patch:
            failed = on_flaky_store(patch, share, number, most=60)
            calls = 1
            while not attempt(lambda: go("exact", str(out), tmp_path, engine)):  # noqa: B023  # called at once
                calls += 1
                assert calls < 40
        assert failed[0] > 0
        where = f"{share:.0%} of its calls failed, {failed[0]} in all; {calls} calls of decompose"
        tell("store", number, where, start, same(out, expected))


@pytest.mark.parametrize("times", [MANY])
def test_second_drivers(tmp_path: Path, engine: RayExecutor, expected: Path, tell: Tell, times: int) -> None:
    """A second call at a random point of the first one; every fifth on a store, where a file is the lock."""
    draws = random.Random("two")
    for number in range(1, times + 1):
        place = f"memory:/{tmp_path}/{number}" if number % 5 == 0 else str(tmp_path / str(number))
        after, refused, start = draws.randint(1, SHARDS), [], time.monotonic()

        def second() -> None:
            with pytest.raises(RunFolderError, match=rf"\(process {os.getpid()} on .*wait for it") as told:
                go("exact", place, tmp_path, "local")  # noqa: B023  # called in this round
            refused.append(told)  # noqa: B023

        with at_shard(after, second):
            go("exact", place, tmp_path, engine)
        assert len(refused) == 1
        found = RunFolder(place).read_bytes("result.json") == (expected / "result.json").read_bytes()
        where = f"refused with {after} shards done, {'in memory:' if number % 5 == 0 else 'on a disk'}"
        tell("second", number, where, start, found)


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
