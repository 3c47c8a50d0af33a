"""The price of a job: what it takes in all, from what a few of its images took."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from spectrobe.studies.frozen import Frozen
from spectrobe.studies.plan.measure import Measured
from spectrobe.studies.words import duration, file_size


@dataclass(frozen=True)
class Plan(Frozen):
    """A job: n_models models like this one on n_images images each; a task is one model and one shard of images.

    passes: forward passes of one model (of `unit`), none left to chance where exact.   opening: seconds before the
    first shard.   intervals: seconds after the last.   workers: that play at once, each on a device of its own.
    cores: CPU cores that decode.   measured: on this machine; `device` played.   notes: what was assumed.
    """

    command: str
    model_name: str
    data_name: str
    device: str
    unit: str
    passes: int
    exact: bool
    n_images: int
    n_models: int
    images_per_shard: int
    workers: int
    cores: int
    opening: float
    intervals: float
    measured: Measured
    notes: tuple[str, ...] = ()

    @property
    def shards(self) -> int:
        """Shards of one model."""
        return -(-self.n_images // self.images_per_shard)

    @property
    def files(self) -> int:
        """Of all shards; a run has a handful more."""
        return self.n_models * self.shards

    @property
    def storage(self) -> float:
        """Bytes of all shards."""
        rows = self.n_images * self.measured.row_bytes + self.shards * self.measured.shard_bytes
        return self.n_models * rows

    @property
    def device_hours(self) -> float:
        """Hours in which a device plays: GPU-hours, where it is one."""
        return self.n_models * self.n_images * self.measured.play / 3600

    @property
    def decode_hours(self) -> float:
        """Hours of one core that decodes every image for every model."""
        return self.n_models * self.n_images * self.measured.decode / 3600

    @property
    def seconds(self) -> float:
        """One model on one worker, in this process: opened, decoded, played, stored, and the intervals."""
        each = self.n_images * (self.measured.decode + self.measured.play)
        return self.opening + each + self.shards * self.measured.write + self.intervals

    @property
    def worker_seconds(self) -> float:
        """What an image takes a worker that is given it decoded: played, and its part of storing a shard."""
        return self.measured.play + self.measured.write / self.images_per_shard

    @property
    def workers_decode(self) -> float:
        """Workers that the cores can feed; more wait for images."""
        return self.cores * self.worker_seconds / self.measured.decode

    @property
    def workers_store(self) -> float:
        """Workers at which a store that takes one shard at a time is busy all the time; more wait for it."""
        return self.images_per_shard * self.worker_seconds / self.measured.write

    @property
    def bottleneck(self) -> str:
        """What limits more workers first: "decoding" or "the store"."""
        return "decoding" if self.workers_decode <= self.workers_store else "the store"

    @property
    def hours(self) -> float:
        """All models on all workers, whatever limits them; the opening and the intervals of each model included."""
        busy = min(self.workers, self.workers_decode, self.workers_store)
        once = self.n_models * (self.opening + self.intervals) / min(self.workers, self.n_models)
        return (self.n_models * self.n_images * self.worker_seconds / busy + once) / 3600

    def to_dict(self) -> dict[str, Any]:
        """JSON-able: what was measured, and what follows."""
        derived = ("shards", "files", "storage", "device_hours", "decode_hours", "seconds", "workers_decode",
                   "workers_store", "bottleneck", "hours")  # fmt: skip
        return {"kind": "plan", **asdict(self), **{name: getattr(self, name) for name in derived}}

    def summary(self) -> str:
        """The price in a few lines."""
        one, many = self.measured, f" x {self.n_models:,} models" if self.n_models > 1 else ""
        named = f"{self.model_name} on " if self.model_name else ""
        each = f" a model, {self.passes * self.n_models:,} in all" if many else ""
        about = "" if self.exact else "about "
        place = "GPU-hours" if self.device.startswith("cuda") else f"device-hours ({self.device})"
        lines = [
            f"{self.command} {named}{self.n_images:,} images of {self.data_name}{many}",
            f"{self.unit}: {about}{self.passes:,}{each}",
            f"measured on {one.images} images: {1e3 * one.play:.3g} ms an image to play, {1e3 * one.decode:.3g} ms to "
            f"decode, {one.row_bytes / 1e3:.3g} KB; {1e3 * one.write:.3g} ms to store a shard of "
            f"{self.images_per_shard}",
            f"{place}: {self.device_hours:,.3g}; decoding: {self.decode_hours:,.3g} core-hours",
            f"one model in one process: {duration(self.seconds)} ({duration(self.opening)} to open and settle, "
            f"{duration(self.intervals)} for the intervals)",
            f"storage: {file_size(self.storage)} in {self.files:,} file{'s' * (self.files > 1)}, a shard each",
            f"on {self.workers} worker{'s' * (self.workers > 1)}: {duration(3600 * self.hours)}",
            f"{self.cores} core{'s' * (self.cores > 1)} can decode for {self.workers_decode:,.3g} workers, a store of "
            f"one shard at a time keeps up with {self.workers_store:,.3g}: more wait for {self.bottleneck}",
        ]
        return "\n".join(lines + [f"note: {note}" for note in self.notes])
