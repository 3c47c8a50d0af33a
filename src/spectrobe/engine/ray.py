"""Shards on Ray: workers hold the model and play, this process hands out shards, stores them and keeps count.

Ray Core: shards have to stay whole and to be told apart when one fails, which Ray Data's blocks do not.
"""

from __future__ import annotations

import pickle
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

import torch

from spectrobe.engine.batching import BatchSizes
from spectrobe.engine.environment import environment
from spectrobe.engine.executor import RayOptions
from spectrobe.engine.local import Bench, ImageLoader, P, Run, keep_shard, missing_shards
from spectrobe.engine.progress import Progress
from spectrobe.engine.ray_cluster import Cluster
from spectrobe.engine.ray_pool import Died, Job, Pool, Worker
from spectrobe.engine.ray_worker import Failure, Parcel, Surroundings
from spectrobe.engine.sources import Sources
from spectrobe.engine.travel import packed
from spectrobe.errors import BadImageError, InputError, RunFolderError, ShardsFailedError, SpectrobeError

_AHEAD = 2  # shards that a worker is given at a time, so that it never waits for the driver
_KNOWN_BY = 4  # images that a worker has to see as the driver does
_HOPELESS = 4  # shards that may fail before any has gone well


class RayExecutor:
    """Open inside a `with`: connected to Ray, with workers from the first shard on.

    Raises MissingExtraError without Ray, InputError for a cluster that does not answer.
    """

    def __init__(self, options: RayOptions) -> None:
        self.options = options
        self._cluster = Cluster(options.address, options.timeout)
        self._pool: Pool | None = None
        self._resources: dict[str, float] = {}
        self._count = self._parcels = 0

    def __enter__(self) -> RayExecutor:
        self._cluster.connect()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self._dismiss()
        finally:
            self._cluster.leave()

    def ready(self, device: str, decoders: int) -> None:
        """Raise InputError unless the cluster has room for the workers that were asked for, or for one at least."""
        gpus = self.options.gpus_per_worker
        gpus = float(device == "cuda") if gpus is None else float(gpus)
        if device == "cuda" and not gpus:
            raise InputError("expected Ray workers with a GPU, or a share of one, for a run on cuda, got 0")
        threads = 1 if device == "cuda" else torch.get_num_threads()
        resources = {"num_cpus": float(threads + decoders), "num_gpus": gpus}
        if resources != self._resources:
            self._dismiss()
        self._resources = resources
        self._count = self._cluster.room(self.options.workers, resources["num_cpus"], gpus)

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
        """What `spectrobe.engine.local.run_shards` does; shards are stored in the order in which they are done.

        Raises ShardsFailedError when all others are done, naming those that were set aside.
        """
        missing = missing_shards(player, shards, run, progress)
        if missing:
            first = [int(p) for p in shards[missing[0]][:_KNOWN_BY]]
            content = packed(Parcel(player, loader, sources, sources.of(first, {})))
            if self._pool is None:
                versions = environment()["versions"]
                known = {name: str(versions.get(name, "not installed")) for name in ("spectrobe", "torch")}
                self._pool = Pool(self._count, self._resources, known, self.options.timeout)
            self._parcels += 1
            call = _Call(
                self._pool, self._parcels, content, {i: shards[i] for i in missing}, loader, sizes, self.options.tries
            )

            def keep(index: int, made: Any) -> None:
                keep_shard(run, index, made, sizes, remember)
                progress.advance(player.passes_per_image * len(shards[index]))

            try:
                call.play(keep, progress)
            except (ShardsFailedError, RunFolderError):
                raise  # the workers are well
            except BaseException:
                self._dismiss()
                raise
        return Bench(player, loader, sources).of_size(sizes.at(max(shards, default=0)))

    def _dismiss(self) -> None:
        if self._pool is not None:
            self._pool.close()
        self._pool = None


class _Call:
    """One call of `run_shards`: what is left to do, and who does it."""

    def __init__(
        self,
        pool: Pool,
        number: int,
        content: bytes,
        shards: Mapping[int, Sequence[int]],
        loader: ImageLoader,
        sizes: BatchSizes,
        tries: int,
    ) -> None:
        import ray

        self.pool, self.number, self.shards, self.loader, self.sizes = pool, number, shards, loader, sizes
        self.most_tries = tries
        self.content = ray.put(content)
        self.surroundings = pickle.dumps(Surroundings.here())
        self.left = deque(shards)
        self.tries: Counter[int] = Counter()
        self.failed: dict[int, Failure] = {}
        self.done = 0
        self.said: set[str] = set()

    def play(self, keep: Callable[[int, Any], None], progress: Progress) -> None:
        """Until all shards are kept or set aside; ShardsFailedError for the latter."""
        for worker in self.pool.workers:
            worker.playing.clear()  # what a call before this one was stopped at
            if worker.checked:
                self._load(worker)
        while self.left or any(worker.playing for worker in self.pool.workers):
            if not self.done and len(self.failed) >= max(_HOPELESS, 2 * len(self.pool.workers)):
                break
            self._hand_out()
            worker, job, answer = self.pool.next_answer()
            if isinstance(answer, Died):
                self._mourn(worker, progress)
            elif job.what == "versions":
                self._load(worker)
            elif job.call == self.number and job.what == "load":
                if answer is not None:
                    raise SpectrobeError(f"a Ray worker could not load the run: {answer.reason}")
                worker.loaded = self.number
            elif job.call == self.number:
                self._take(worker, job.shard, answer, keep, progress)
        if self.failed:
            failed = {index: (one.reason, one.details) for index, one in sorted(self.failed.items())}
            raise ShardsFailedError(failed, len(self.shards) - self.done - len(failed))

    def _load(self, worker: Worker) -> None:
        self.pool.ask(worker, Job("load", self.number), self.content, self.surroundings)

    def _hand_out(self) -> None:
        for held in range(_AHEAD):  # one each before anybody gets a second
            for worker in self.pool.workers:
                if self.left and worker.loaded == self.number and len(worker.playing) <= held:
                    index = self.left.popleft()
                    worker.playing.append(index)
                    job = Job("play", self.number, index)
                    self.pool.ask(worker, job, list(self.shards[index]), self.sizes.at(index))

    def _take(
        self, worker: Worker, index: int, answer: Any, keep: Callable[[int, Any], None], progress: Progress
    ) -> None:
        made, notes = answer
        worker.playing.remove(index)
        for note in notes:
            if note not in self.said:
                self.said.add(note)
                progress.note(note)
        if not isinstance(made, Failure):
            made = self._seen_here(index, made) or made
        if isinstance(made, Failure):
            self._again(index, made, progress)
            return
        keep(index, made)
        self.done += 1

    def _seen_here(self, index: int, made: Any) -> Failure | None:
        """A failure when a worker left out an image that this process can read: that node lacks it."""
        place = {self.loader.data.ids[position]: position for position in self.shards[index]} if made.skipped else {}
        for image_id, why in made.skipped.items():
            if not any(isinstance(image, BadImageError) for _, image in self.loader.each([place[image_id]])):
                return Failure(f"image {image_id} can be read here and not there ({why})", True, "")
        return None

    def _again(self, index: int, failure: Failure, progress: Progress) -> None:
        self.tries[index] += 1
        if failure.again and self.tries[index] < self.most_tries:
            self.left.append(index)
            return
        self.failed[index] = failure
        progress.note(f"failed: shard {index}, set aside: {failure.reason}")

    def _mourn(self, worker: Worker, progress: Progress) -> None:
        """Of a worker's shards the first one counts a try, it may have killed it; the others were waiting."""
        progress.note("a Ray worker died; its shards are played again")
        for index in list(worker.playing)[1:]:
            self.left.appendleft(index)
        if worker.playing:
            self._again(worker.playing[0], Failure("a Ray worker died while it played it", True, ""), progress)
        worker.playing.clear()
