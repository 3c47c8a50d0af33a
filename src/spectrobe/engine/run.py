"""One run of a study, in a folder or in memory: whether it has begun, what was settled, its shards and its result.

A study calls, in this order: `open_run`, which takes the folder; `begin`, which writes run.json or makes sure that the
folder holds this very run; `finished`; `play`, as often as it likes; `keep`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from spectrobe.data.base import ImageData
from spectrobe.engine.batching import BatchSizes
from spectrobe.engine.environment import environment
from spectrobe.engine.executor import Executor, LocalExecutor
from spectrobe.engine.identity import differing, first_names, follows_from_images, images_in_words, refuse_other
from spectrobe.engine.local import ImageLoader, P, Run
from spectrobe.engine.memory import MemoryRun
from spectrobe.engine.phases import reach
from spectrobe.engine.progress import Progress
from spectrobe.engine.sources import Sources
from spectrobe.engine.store import MEND, RunFolder, plain
from spectrobe.errors import RunFolderError, ShardsFailedError

COMMANDS = {
    "absences": "decompose --absence all",
    "feature_snr": "study feature-snr",
    "label_noise": "study label-noise",
}
"""Kinds of results that are not called as their command is."""
_FAILED = "failed"  # folder of the tracebacks of shards that were set aside
_WORTH_A_NOTE = 1000  # images that are compared with what they were


@dataclass
class StudyRun:
    """A run of the study `kind`. about: what run.json says of it, empty until it has begun."""

    kind: str
    store: Run
    executor: Executor = field(default_factory=LocalExecutor)
    about: dict[str, Any] = field(default_factory=dict)
    _sources: Sources = field(init=False, repr=False)
    _sizes: BatchSizes = field(default_factory=lambda: BatchSizes(1))
    _played: set[int] = field(default_factory=set)

    @property
    def folder(self) -> RunFolder | None:
        """The run folder; None when all is kept in memory."""
        return self.store if isinstance(self.store, RunFolder) else None

    @property
    def begun(self) -> bool:
        """Whether there is a run.json, of an earlier call or of this one."""
        return bool(self.about)

    @property
    def settled(self) -> Mapping[str, Any]:
        """What was found out at the start and stays: the batch size, and whatever the study settles."""
        settled: Mapping[str, Any] = self.about["settled"]
        return settled

    def images_per_shard(self, before: int) -> int:
        """Images a shard, settled at the start. before: of runs that were begun before it was written down."""
        return int(self.settled.get("images_per_shard", before))

    @property
    def sources(self) -> Sources:
        """The images of the run as they are now, once it has begun."""
        return self._sources

    @property
    def warnings(self) -> tuple[str, ...]:
        """What happened on the way."""
        return self._sizes.warnings()

    def begin(
        self,
        identity: Mapping[str, Any],
        sources: Sources,
        order: np.ndarray,
        settle: Callable[[], Mapping[str, Any]],
        *,
        progress: Progress,
        warnings: Sequence[str] = (),
        files: Mapping[str, Callable[[], bytes]] | None = None,
        made_from: Mapping[str, str] | None = None,
        decoders: int = 0,
        **more: Any,
    ) -> None:
        """Write run.json of a new run, or make sure that the folder holds this very run, on the very same images.

        identity: all that numbers depend on.   order: positions of the images.   settle: what is found out at the start
        of a new run, `batch_size` at least.   files: written before run.json.   made_from: fingerprints of images that
        such a file was made from.   decoders: processes that decode images, for each one that plays.   more: what else
        run.json says.
        Raises RunFolderError naming what is different, InputError where the executor lacks what such a run needs.
        """
        self.executor.ready(identity.get("device") or "cpu", decoders)
        identity, self._sources = plain(identity), sources
        if self.begun:
            self._refuse_other(identity, order, made_from or {}, progress)
        else:
            self.about = {
                "command": self.kind,
                "identity": identity,
                "settled": dict(settle()),
                **data_as_said(sources.data),
                **more,
                **_listed(sources, order),
                "environment": environment(),
                "warnings": list(warnings),
                "times": {"started": time.time()},
            }
            if self.folder is not None:
                for name, content in (files or {}).items():
                    self.folder.write_bytes(name, content())
                self._write_about()
        halved = {int(shard): size for shard, size in self.settled.get("halved", {}).items()}
        self._sizes = BatchSizes(self.settled["batch_size"], halved)

    def finished(self, progress: Progress) -> dict[str, Any] | None:
        """What result.json says when this very run was finished before and all its shards are there, else None."""
        folder = self.folder
        if folder is None or not folder.exists("result.json"):
            return None
        lost = folder.lost_shards()
        if not lost:
            return folder.read_json("result.json")
        progress.note(f"missing in {folder.path}, made anew: {first_names([folder.shard_name(one) for one in lost])}")
        return None

    def play(self, player: P, loader: ImageLoader, shards: Mapping[int, Sequence[int]], progress: Progress) -> P:
        """Play what is missing of these shards (index -> positions).

        player: always the one with the settled batch size. Returns it as it played the last of the shards. Raises
        ShardsFailedError where some were set aside; their tracebacks are in the run folder then.
        """
        self._played |= set(shards)
        executor, store = self.executor, self.store
        try:
            return executor.run_shards(
                player, loader, shards, store, progress, self._sizes, self._sources, self._remember
            )
        except ShardsFailedError as error:
            if self.folder is None:
                raise
            for index, (reason, details) in error.shards.items():
                self.folder.write_bytes(_failure(index), f"{reason}\n\n{details}".encode())
            raise ShardsFailedError(error.shards, error.left, f"{self._where}/{_FAILED}") from error.__cause__
        finally:
            if self.folder is not None:
                self.folder.forget(_FAILED, {PurePosixPath(_failure(index)).name for index in store.shards()})

    def keep(self, result: Mapping[str, Any], warnings: Sequence[str], skipped: Mapping[str, str]) -> None:
        """Store a result (as result.json has it), where there is a run folder, and what run.json says at the end."""
        ended = {
            "warnings": list(warnings),
            "skipped": dict(skipped),
            "shards": len(self._played) or self.about.get("shards"),
        }
        self.about = {**self.about, **ended}
        if self.folder is None:
            return
        reach("result write")
        self.about["times"] = {**self.about.get("times", {}), "finished": time.time()}
        self._write_about()
        self.folder.write_json("result.json", dict(result))

    def skipped(self, shards: Sequence[int]) -> dict[str, str]:
        """Images left out of these shards, and why."""
        return {image: why for index in shards for image, why in self.store.read_shard(index)[1].items()}

    def _remember(self) -> None:
        """Batch sizes as they are now, before a shard is written that was made with them."""
        halved = {str(shard): size for shard, size in sorted(self._sizes.halved.items())}
        self.about = {**self.about, "settled": {**self.settled, "halved": halved}}
        self._write_about()

    def _write_about(self) -> None:
        if self.folder is not None:
            self.folder.write_json("run.json", self.about)

    @property
    def _where(self) -> str:
        return "" if self.folder is None else self.folder.path

    def _refuse_other(
        self, identity: Mapping[str, Any], order: np.ndarray, made_from: Mapping[str, str], progress: Progress
    ) -> None:
        was, now = self.about.get("identity"), _listed(self._sources, order)
        if not isinstance(was, dict) or not isinstance(self.about.get("settled"), dict):
            raise RunFolderError(
                f"{self._where}: run.json is damaged (it does not say what the run is): remove the folder, or choose "
                "another --out"
            )
        images_were = self.about.get("images", now["images"])
        about_images = images_in_words(images_were, now["images"], self.about.get("labels"), now["labels"])
        if not about_images and all(follows_from_images(path) for path, _, _ in differing(was, identity)):
            # sizes of files, or the absence made from them, are other ones, but it is images that can be brought back
            self._refuse_changed_images(made_from, progress)
        refuse_other(was, identity, self._where, about_images)

    def _refuse_changed_images(self, made_from: Mapping[str, str], progress: Progress) -> None:
        """So that no shard is added to shards of other images, nor a result given back that is not of these images."""
        recorded = [made_from, *(self.store.provenance(index).sources for index in self.store.shards())]
        compared = set().union(*recorded)
        if len(compared) >= _WORTH_A_NOTE:
            progress.note(f"comparing {len(compared):,} images with what they were")
        changed = self._sources.changed(recorded)
        if changed:
            raise RunFolderError(
                f"{self._where} holds a run on other images ({len(changed)} of {len(compared):,} changed since: "
                f"{first_names(changed)}): choose another --out, or bring the images back"
            )


def open_run(
    kind: str, out: str | os.PathLike[str] | None, rows: str, stack: ExitStack, executor: Executor | None = None
) -> StudyRun:
    """Take the folder of a run until `stack` ends; None keeps everything in memory.

    rows: subfolder of the shards.   executor: who plays, by default this process. Raises RunFolderError when the folder
    holds something else, is in use, cannot be written, or is of a newer schema; nothing is written then.
    """
    executor = executor or LocalExecutor()
    if out is None:
        return StudyRun(kind, MemoryRun(), executor)
    folder = RunFolder(out, rows)
    refuse_other_kind(folder, kind)
    if not folder.exists("run.json") and (folder.shards() or folder.exists("result.json")):
        rest = folder.rows if folder.shards() else "result.json"
        raise RunFolderError(f"{folder.path}: holds {rest} but no run.json: choose another folder, or remove them")
    stack.enter_context(folder.lock())
    begun = folder.read_json("run.json") if folder.exists("run.json") else {}
    folder.sweep()
    return StudyRun(kind, folder, executor, begun)


def refuse_other_kind(folder: RunFolder, kind: str) -> None:
    """Raise RunFolderError, naming both, unless what the folder holds, if anything, is a run or result of this kind."""
    for name, key, what in (("run.json", "command", "a run"), ("result.json", "kind", "a result")):
        held = folder.read_json(name).get(key) if folder.exists(name) else kind
        if held is None:
            mend = MEND if name == "result.json" else "remove the folder, or choose another --out"
            raise RunFolderError(f"{folder.path}: {name} is damaged (it names no {key}): {mend}")
        if held != kind:
            said, wanted = (COMMANDS.get(one, one) for one in (held, kind))
            raise RunFolderError(f"{folder.path} holds {what} of {said}, not of {wanted}: choose another --out")


def _failure(index: int) -> str:
    return f"{_FAILED}/{index:06d}.txt"


def data_as_said(data: ImageData) -> dict[str, Any]:
    """The data string as it was given, and what was said beside it, so that a report can say it again."""
    found = {"data_written": data.written, "data_options": dict(data.said)}
    return {name: value for name, value in found.items() if value}


def _listed(sources: Sources, order: np.ndarray) -> dict[str, Any]:
    """The images of the run in order, and their labels, so that a later call can tell which ones are others."""
    data = sources.data
    labels = None if data.labels is None else [int(data.labels[int(p)]) for p in order]
    return {"images": [data.ids[int(p)] for p in order], "labels": labels}
