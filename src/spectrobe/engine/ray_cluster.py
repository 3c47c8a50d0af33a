"""The cluster that a run is on: one that runs already, or one on this machine for the time of the run."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from spectrobe.errors import InputError, MissingExtraError, SpectrobeError
from spectrobe.texts import first_line

_LOCAL = {
    "RAY_USAGE_STATS_ENABLED": "0",  # says nothing to anybody
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # listens on 127.0.0.1 alone, as Ray does on those two by default
}
_QUIET = {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
_TINY = 1e-9


class Cluster:
    """address: host:port, "auto", or None.   timeout: seconds it may take to answer."""

    def __init__(self, address: str | None, timeout: float) -> None:
        self.address, self.timeout = address, timeout
        self._undo = ExitStack()

    def connect(self) -> None:
        """Raises MissingExtraError without Ray, InputError where nothing answers."""
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        with _environment({} if self.address else _LOCAL):
            try:
                import ray
            except ImportError as error:
                raise MissingExtraError("ray", "ray", "engine 'ray'") from error
            if ray.is_initialized():  # the caller's affair, also how it ends
                return
            if self.address is None:
                self._start(ray)
                return
        if self.address != "auto":
            self._knock(self.address)
        self._ask(self.address)
        try:
            ray.init(address=self.address, log_to_driver=False, logging_level="ERROR")
        except (Exception, SystemExit) as error:
            raise InputError(f"cannot use Ray at {self.address}: {first_line(error)}") from error
        self._joined(ray)

    def leave(self) -> None:
        """Disconnect, and end what was started for this run."""
        self._undo.close()

    def room(self, workers: int | None, cpus: float, gpus: float) -> int:
        """How many workers there are to be; InputError when there is no room for them."""
        import ray

        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        room = sum(_room_on(node, cpus, gpus) for node in nodes)
        if room >= (workers or 1):
            return workers or room
        wanted = workers or 1
        has_gpus, has_cpus = (sum(node.get(kind, 0.0) for node in nodes) for kind in ("GPU", "CPU"))
        if gpus and sum(_room_on(node, 0, gpus) for node in nodes) < wanted:
            need = f"{wanted} Ray workers with {gpus:g} GPUs each need"
            if wanted == 1:
                need = f"a Ray worker with {gpus:g} GPUs needs"
            raise InputError(
                f"{need} {_least(wanted, gpus):g} GPUs, the cluster has "
                f"{has_gpus:g}: ask for fewer workers, or a smaller share of a GPU for each"
            )
        raise InputError(
            f"{wanted} Ray workers with {cpus:g} CPUs each (torch's threads, and processes that decode) need "
            f"{wanted * cpus:g} CPUs, the cluster has {has_cpus:g}: ask for fewer workers, or set OMP_NUM_THREADS lower"
        )

    def _start(self, ray: Any) -> None:
        from ray._private import ray_constants  # read once, when Ray is imported, which may have been before

        before, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
        try:
            ray.init(
                address="local", include_dashboard=False, _node_ip_address="127.0.0.1", log_to_driver=False,
                logging_level="ERROR",
            )  # fmt: skip
        except Exception as error:
            raise SpectrobeError(f"Ray could not be started on this machine: {first_line(error)}") from error
        finally:
            ray_constants.ENABLE_RAY_CLUSTER = before
        self._joined(ray)

    def _joined(self, ray: Any) -> None:
        from ray._private import worker

        # what Ray says of dying nodes goes to standard output, which belongs to results; the pool notes it
        if hasattr(worker, "print_to_stdstream"):
            self._undo.callback(setattr, worker, "print_to_stdstream", worker.print_to_stdstream)
            worker.print_to_stdstream = lambda *given, **named: None
        self._undo.callback(ray.shutdown)

    def _knock(self, address: str) -> None:
        """Raise InputError unless something listens there."""
        host, colon, port = address.rpartition(":")
        if not colon or "/" in host or not port.isdigit():
            raise InputError(
                f"expected the address of a Ray cluster as host:port, or auto, got {address!r} (its head node tells: "
                "`ray status`; run this on a node of the cluster in place of ray://)"
            )
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=min(self.timeout, 10)).close()
        except (OSError, OverflowError) as error:
            raise InputError(f"no Ray cluster answers at {address} ({first_line(error)}): is it running?") from None

    def _ask(self, address: str) -> None:
        """Where no cluster answers, Ray's own `init` takes minutes to say so, and ends the process.

        So does "auto" where the file in which Ray notes this machine's cluster was left behind by one that is no more.
        """
        where = [] if address == "auto" else ["--address", address]
        place = "this machine's cluster (auto)" if address == "auto" else address
        probe = [sys.executable, "-m", "ray.scripts.scripts", "status", *where]
        try:
            subprocess.run(probe, check=True, capture_output=True, timeout=self.timeout, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            raise InputError(f"{place} does not answer as a Ray cluster within {self.timeout:g} s") from None
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode(errors="replace").strip().splitlines()
            raise InputError(f"{place} is no Ray cluster ({said[-1] if said else 'no answer'})") from None


def _room_on(node: dict[str, float], cpus: float, gpus: float) -> int:
    """Workers that a node has room for; one never has parts of several GPUs."""
    room = [int((node.get("CPU", 0.0) + _TINY) // cpus)] if cpus else []
    if gpus:
        there = node.get("GPU", 0.0)
        room.append(int(there) * int((1 + _TINY) // gpus) if gpus < 1 else int((there + _TINY) // gpus))
    return min(room)


def _least(workers: int, gpus: float) -> float:
    return -(-workers // int((1 + _TINY) // gpus)) if gpus < 1 else workers * gpus


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set inside; the caller's own values stand."""
    new = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            del os.environ[name]
