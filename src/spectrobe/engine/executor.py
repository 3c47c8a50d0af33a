"""Who plays the shards of a run: this process, or workers on Ray. The numbers are the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from spectrobe.engine.batching import BatchSizes
from spectrobe.engine.local import ImageLoader, P, Run, run_shards
from spectrobe.engine.progress import Progress
from spectrobe.engine.sources import Sources
from spectrobe.errors import InputError

ENGINES = ("local", "ray")


class Executor(Protocol):
    """Plays shards; `ready` and `run_shards` may be called for several runs, one after the other."""

    def ready(self, device: str, decoders: int) -> None:
        """Raise InputError unless there is what a run on this kind of device needs; called before it is begun.

        decoders: processes that decode images, beside each one that plays.
        """

    def run_shards(
        self,
        player: P,
        loader: ImageLoader,
        shards: Mapping[int, Sequence[int]],
        run: Run,
        progress: Progress,
        sizes: BatchSizes,
        sources: Sources,
        remember: Callable[[], None],
    ) -> P:
        """What `spectrobe.engine.local.run_shards` does."""


class LocalExecutor:
    """This process."""

    def ready(self, device: str, decoders: int) -> None:
        """It always is."""

    run_shards = staticmethod(run_shards)


@dataclass(frozen=True)
class RayOptions:
    """How a run uses Ray, in place of engine="ray".

    address: of a running cluster, host:port or "auto" (of this machine); None starts Ray on this machine, for the time
        of the run, or uses the one that this process is connected to already.
    workers: processes that hold the model; None takes as many as the cluster has room for.
    gpus_per_worker: 1 by default where the run is on a GPU, else 0; fractions share one.
    tries: how often a shard is played before it is set aside.
    timeout: seconds that the cluster, and a first worker, may take to answer.
    """

    address: str | None = None
    workers: int | None = None
    gpus_per_worker: float | None = None
    tries: int = 3
    timeout: float = 60.0

    def __post_init__(self) -> None:
        for what, value, least in (("Ray workers", self.workers, 1), ("tries", self.tries, 1)):
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
                raise InputError(f"expected at least {least} as the number of {what}, a whole number, got {value!r}")
        gpus = self.gpus_per_worker
        if gpus is not None and not (0 <= gpus <= 1 or (gpus > 1 and float(gpus).is_integer())):
            raise InputError(f"expected a fraction of a GPU or a whole number of them a Ray worker, got {gpus!r}")
        if not self.timeout > 0:
            raise InputError(f"expected a timeout of some seconds, got {self.timeout!r}")


Engine = str | RayOptions | Executor
"""What studies take: "local", "ray", RayOptions, or an executor that is open already."""


def executor_of(engine: Engine) -> AbstractContextManager[Executor]:
    """The executor, open inside the `with`; one that was open before stays so.

    Raises InputError for an unknown one or a cluster that does not answer, MissingExtraError without Ray.
    """
    if engine == "local":
        return nullcontext(LocalExecutor())
    if engine == "ray":
        engine = RayOptions()
    if isinstance(engine, RayOptions):
        from spectrobe.engine.ray import RayExecutor

        return RayExecutor(engine)
    if isinstance(engine, str):
        raise InputError(f"expected engine {' or '.join(ENGINES)}, got {engine!r}")
    return nullcontext(engine)
