"""Several models on the same images: opened one at a time, images decoded once, what fails set aside."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import torch

from spectrobe.data import open_data
from spectrobe.data.base import ImageData
from spectrobe.data.cached import CachedData, PixelCache
from spectrobe.engine.devices import resolve_device
from spectrobe.engine.store import RunFolder
from spectrobe.errors import InputError, SpectrobeError
from spectrobe.models import open_model
from spectrobe.models.base import Model
from spectrobe.studies.zoo.models_file import ZooEntry

_DETAILS = "failed.txt"


class Task(Protocol):
    """Something to do that may fail alone. name: what it is told as.   folder: below OUT, where it leaves things."""

    @property
    def name(self) -> str: ...

    @property
    def folder(self) -> str: ...


T = TypeVar("T", bound=Task)
R = TypeVar("R")


@dataclass(frozen=True)
class SharedModels:
    """What all models of one call share.

    columns: class_map, image_column and label_column of the data.   out: the folder of all.   failed: task -> why, as
    far as it has come.
    """

    data: Any
    columns: Mapping[str, Any]
    device: str
    allow_pickle: bool
    out: str
    cache: PixelCache = field(default_factory=PixelCache)
    failed: dict[str, str] = field(default_factory=dict)

    def opened(self, entry: ZooEntry) -> tuple[Model, ImageData, torch.device]:
        """The model, the images with labels in its order, and where it runs."""
        model = open_model(entry.model, **entry.options, allow_pickle=self.allow_pickle)
        device = resolve_device(self.device, model, given_by_name=True)
        images = open_data(self.data, n_classes=model.n_classes, class_names=model.class_names, **self.columns)
        return model, CachedData(images, self.cache), device

    def each(self, tasks: Sequence[T], do: Callable[[T], R], what: str = "models") -> dict[str, R]:
        """What is done for every task, by name; those that fail go to `failed`, with a traceback in OUT/FOLDER.

        Raises InputError when all fail. what: the tasks are called in its message.
        """
        found = {}
        for task in tasks:
            run = RunFolder(f"{self.out}/{task.folder}")
            try:
                found[task.name] = do(task)
            except Exception as error:  # somebody's model: the others go on
                text = " ".join(str(error).split())
                told = text if isinstance(error, SpectrobeError) else f"{type(error).__name__}: {text}"
                self.failed[task.name] = told
                run.write_bytes(_DETAILS, traceback.format_exc().encode())
                continue
            if run.exists(_DETAILS):
                run.filesystem.rm(f"{run.root}/{_DETAILS}")  # of an earlier call
        if not found:
            first = tasks[0].name
            raise InputError(f"none of the {len(tasks)} {what} can be measured; {first}: {self.failed[first]}")
        return found
