"""Workers on Ray, actors that hold a model: started, asked, and started anew when they die."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spectrobe.errors import InputError, SpectrobeError

_MOST_STILLBORN = 3


class Died:
    """The answer of a worker that is no more."""


@dataclass(frozen=True)
class Job:
    """What a worker is asked. what: versions, load or play.   call: number of the call that asks.   shard: to play."""

    what: str
    call: int = 0
    shard: int = -1


@dataclass(eq=False)
class Worker:
    """One actor. loaded: the number of the call whose parcel it holds.   playing: its shards, the first one first."""

    actor: Any
    checked: bool = False
    loaded: int = -1
    playing: deque[int] = field(default_factory=deque)


class Pool:
    """`count` workers, each with `resources` (num_cpus, num_gpus); versions: which theirs have to be.

    timeout: seconds in which the first worker has to answer.
    """

    def __init__(self, count: int, resources: Mapping[str, float], versions: Mapping[str, str], timeout: float) -> None:
        import ray

        self._class = ray.remote(_worker_class()).options(
            **resources, max_restarts=0, max_task_retries=0, scheduling_strategy="SPREAD"
        )
        self._versions, self._timeout = dict(versions), timeout
        self._waiting: dict[Any, tuple[Worker, Job]] = {}
        self._stillborn = 0
        self.workers: list[Worker] = []
        for _ in range(count):
            self._hire()
        self._alone_since = time.monotonic()

    def ask(self, worker: Worker, job: Job, *arguments: Any) -> None:
        """Have a worker do something; the answer comes from `next_answer`, with the same `job`."""
        self._waiting[getattr(worker.actor, job.what).remote(*arguments)] = worker, job

    def next_answer(self) -> tuple[Worker, Job, Any]:
        """Wait for an answer: who, to what, and what, `Died` from one that is no more, which another one replaces.

        Raises InputError where no worker has come up in time.
        """
        import ray

        while True:
            done, _ = ray.wait(list(self._waiting), num_returns=1, timeout=self._timeout / 4)
            if done:
                worker, job = self._waiting.pop(done[0])
                try:
                    answer = ray.get(done[0])
                except ray.exceptions.RayTaskError as error:
                    raise SpectrobeError(f"a Ray worker failed: {' '.join(str(error.cause).split())}") from error
                except ray.exceptions.RayError:
                    answer = Died()
                    self._replace(worker)
                if job.what == "versions" and not isinstance(answer, Died):
                    self._check(answer)
                    worker.checked = True
                return worker, job, answer
            if any(worker.checked for worker in self.workers):
                self._alone_since = time.monotonic()
            elif time.monotonic() - self._alone_since > self._timeout:
                raise InputError(
                    f"no Ray worker came up within {self._timeout:g} s: is the cluster busy? (`ray status` tells)"
                )

    def close(self) -> None:
        """End all workers."""
        import ray

        for worker in self.workers:
            ray.kill(worker.actor)
        self.workers.clear()
        self._waiting.clear()

    def _hire(self) -> None:
        worker = Worker(self._class.remote())
        self.workers.append(worker)
        self.ask(worker, Job("versions"))

    def _replace(self, worker: Worker) -> None:
        self._waiting = {ref: one for ref, one in self._waiting.items() if one[0] is not worker}
        if worker not in self.workers:
            return
        self.workers.remove(worker)
        if not worker.checked:
            self._stillborn += 1
            if self._stillborn >= _MOST_STILLBORN * (len(self.workers) + 1):
                raise SpectrobeError("Ray workers die while they start: their logs are in /tmp/ray/session_latest/logs")
        self._hire()
        self._alone_since = time.monotonic()

    def _check(self, versions: Mapping[str, str]) -> None:
        for name, here in self._versions.items():
            if versions[name] != here:
                raise InputError(
                    f"the Ray worker on {versions['host']} has {name} {versions[name]}, this process has {here}: "
                    "install the same one on all nodes"
                )


def _worker_class() -> type:
    """Made here, so that it travels by value, and a worker can tell its versions whatever it has installed."""

    class Worker:
        def __init__(self) -> None:
            self.station: Any = None

        def versions(self) -> dict[str, str]:
            import importlib.metadata
            import socket

            found = {"host": socket.gethostname()}
            for name in ("spectrobe", "torch"):
                try:
                    found[name] = importlib.metadata.version(name)
                except importlib.metadata.PackageNotFoundError:
                    found[name] = "not installed"
            return found

        def load(self, content: bytes, surroundings: bytes) -> Any:
            import pickle

            from spectrobe.engine.ray_worker import Station

            self.station = self.station or Station()
            return self.station.load(content, pickle.loads(surroundings))

        def play(self, positions: Any, batch_size: int) -> Any:
            return self.station.play(positions, batch_size)

    return Worker
