"""One decomposition for each checkpoint, in one folder that goes on as checkpoints are added."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from torch import nn

from spectrobe.bands import BandPartition
from spectrobe.data import open_data
from spectrobe.data.base import ImageData
from spectrobe.engine.devices import resolve_device
from spectrobe.engine.identity import refuse_other
from spectrobe.engine.progress import Progress, Silent
from spectrobe.engine.run import data_as_said
from spectrobe.engine.store import RunFolder, plain
from spectrobe.errors import InputError, SpectrobeError
from spectrobe.game.coalitions import refuse_auto
from spectrobe.models import open_model
from spectrobe.models.base import Model
from spectrobe.models.checkpoints import load_checkpoint
from spectrobe.studies.decompose.result import DecomposeResult
from spectrobe.studies.decompose.study import check_choices, decompose
from spectrobe.studies.runs import environment
from spectrobe.studies.track.files import Checkpoint, find_checkpoints
from spectrobe.studies.track.result import TrackResult, of_checkpoints

PLACE = "{checkpoint}"
"""Where a model string takes the file itself, as in `onnx:{checkpoint}`."""

_DEFAULTS: dict[str, Any] = {
    "bands": 8, "value": "usable-information", "absence": "mean", "design": "exact", "images": None, "confidence": 0.95,
    "seed": 0, "precision": "auto", "batch_size": "auto", "workers": 0, "on_bad_image": "error", "force": False,
}  # fmt: skip


def track(
    model: str | nn.Module,
    data: Any,
    checkpoints: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    out: str | os.PathLike[str] | None = None,
    device: str = "auto",
    for_model: Mapping[str, Any] | None = None,
    for_data: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> TrackResult:
    """The profile of a model at each of its checkpoints, on the same images.

    model: a model string, whose `checkpoint` each file becomes in turn (`timm:resnet18`, with num_classes in
        for_model), or which has {checkpoint} where the file's path goes (`onnx:{checkpoint}`); or an nn.Module, of
        which a copy is loaded.
    data: what `decompose` takes.
    checkpoints: files, folders of them, patterns such as "ckpts/*.safetensors".
    out: a folder for all; a later call with more checkpoints measures those that are new.
    for_model, for_data: what `open_model` and `open_data` are told besides (num_classes, mean, ..., class_map, ...).
    settings: what `decompose` takes: bands, value, absence, design, images, confidence, seed, ... (no tolerance).

    Precision and batch size are settled on the first checkpoint, for all. One that cannot be measured is named in
    `failed`. Raises InputError for bad input, or when none can be measured; RunFolderError for a folder of other
    settings.
    """
    progress = progress or Silent()
    chosen = _checked(settings)
    files = find_checkpoints(checkpoints)
    with ExitStack() as stack:
        folder = None if out is None else RunFolder(out)
        if folder is not None:
            stack.enter_context(folder.lock())
        tracking = _Tracking(model, data, device, dict(for_model or {}), dict(for_data or {}), chosen, folder)
        return tracking.run(files, tracking.begin(files), progress)


def _checked(settings: Mapping[str, Any]) -> dict[str, Any]:
    if settings.get("tolerance") is not None:
        raise InputError("expected images, not tolerance: every checkpoint is measured on the same images")
    unknown = set(settings) - set(_DEFAULTS) - {"tolerance"}
    if unknown:
        raise InputError(f"unknown setting(s) {', '.join(sorted(unknown))} of track, known are {', '.join(_DEFAULTS)}")
    chosen = _DEFAULTS | {name: value for name, value in settings.items() if name != "tolerance"}
    check_choices(tolerance=None, **chosen)
    refuse_auto(chosen["design"], "every checkpoint is measured by one")
    return chosen


class _Tracking:
    """One call: what is measured, on what, and where it is kept."""

    def __init__(
        self,
        model: str | nn.Module,
        data: Any,
        device: str,
        for_model: dict[str, Any],
        for_data: dict[str, Any],
        settings: dict[str, Any],
        folder: RunFolder | None,
    ) -> None:
        self.model, self.device, self.for_model = model, device, for_model
        self.settings, self.folder = settings, folder
        self.name = type(model).__name__ if isinstance(model, nn.Module) else model
        self.data, self.for_data = data, for_data
        self.failed: dict[str, str] = {}

    def begin(self, files: Sequence[Checkpoint]) -> ImageData:
        """Open the data, refuse a folder of other settings, else say in run.json what it holds."""
        opened = self._first_that_opens(files)
        images = open_data(
            self.data, n_classes=opened.n_classes, class_names=opened.class_names, **self.for_data
        )  # fmt: skip
        if self.folder is None:
            return images
        identity = plain(
            {
                "model": self.name,
                "model_options": {name: str(value) for name, value in self.for_model.items() if value is not None},
                "data": dict(images.identity()),
                "settings": {**self.settings, "bands": BandPartition.of(self.settings["bands"]).to_dict()},
                "versions": {name: environment()["versions"].get(name) for name in ("spectrobe", "torch")},
            }
        )
        times = {"started": time.time()}
        if self.folder.exists("run.json"):
            begun = self.folder.read_json("run.json")
            was = {"command": begun.get("command"), **begun.get("identity", {})}
            refuse_other(was, {"command": "track", **identity}, self.folder.path)
            times = begun.get("times", times)
        checkpoints = {file.name: {"file": str(file.path), "sha256": file.sha256} for file in files}
        about_run = {"command": "track", "identity": identity, "checkpoints": checkpoints}
        about_run |= data_as_said(images)
        self.folder.write_json("run.json", about_run | {"environment": environment(), "times": times})
        return images

    def run(self, files: Sequence[Checkpoint], images: ImageData, progress: Progress) -> TrackResult:
        """Measure what is missing; the result of all."""
        found = {file: kept for file in files if (kept := self._kept(file)) is not None}
        for kept in found.values():
            self._settle(kept)
        missing = [file for file in files if file not in found]
        part = _Part(progress, len(missing))
        for number, file in enumerate(missing, start=1):
            progress.note(f"checkpoint {number} of {len(missing)}: {file.name}")
            try:
                found[file] = self._measure(file, images, part)
            except SpectrobeError as error:
                if len(self.failed) == len(files) - 1:
                    raise
                self.failed[file.name] = str(error)
                progress.note(f"{file.name} could not be measured: {error}")
                continue
            self._settle(found[file])
        measured = [file for file in files if file in found]
        result = of_checkpoints(
            self.name,
            [(file.name, str(file.path), found[file]) for file in measured],
            [] if self.folder is None else [file.folder for file in measured],
            self.failed,
        )
        if self.folder is not None:
            self.folder.write_json("result.json", result.to_dict())
        return result

    def _first_that_opens(self, files: Sequence[Checkpoint]) -> Model:
        first_error: SpectrobeError | None = None
        for file in files:
            try:
                return self._opened(file)
            except SpectrobeError as error:
                first_error = first_error or error
        raise first_error or InputError("expected at least one checkpoint, got none")

    def _place(self, file: Checkpoint) -> str | None:
        return None if self.folder is None else f"{self.folder.path}/{file.folder}"

    def _kept(self, file: Checkpoint) -> DecomposeResult | None:
        """What an earlier call found; the weights are the same, as their hash is in the folder's name."""
        place = self._place(file)
        if place is None or not (own := RunFolder(place)).exists("result.json"):
            return None
        return DecomposeResult.from_dict(own.read_json("result.json"), own)

    def _measure(self, file: Checkpoint, images: ImageData, progress: Progress) -> DecomposeResult:
        opened = self._opened(file)
        device = str(resolve_device(self.device, opened, given_by_name=True))
        return decompose(opened, images, **self.settings, device=device, out=self._place(file), progress=progress)

    def _opened(self, file: Checkpoint) -> Model:
        """The model with this checkpoint's weights, called by its name."""
        if isinstance(self.model, nn.Module):
            options = {name: value for name, value in self.for_model.items() if name != "allow_pickle"}
            module = copy.deepcopy(self.model)
            load_checkpoint(module, file.path, self.name, None, bool(self.for_model.get("allow_pickle")))
            opened = open_model(module, **options)
        elif PLACE in self.model:
            opened = open_model(self.model.replace(PLACE, str(_placed(file.path, self.model))), **self.for_model)
        else:
            opened = open_model(self.model, checkpoint=file.path, **self.for_model)
        opened.name = f"{self.name} at {file.name}"
        return opened

    def _settle(self, result: DecomposeResult) -> None:
        """What was found best for one checkpoint is taken for all: else they would differ by more than training."""
        settled = result.about().get("settled", {})
        for name in ("precision", "batch_size"):
            if self.settings[name] == "auto" and name in settled:
                self.settings = {**self.settings, name: settled[name]}


def _placed(path: Path, model: str) -> Path:
    """The file; for `hf:` the folder, which holds the configuration too."""
    return path.parent if model.startswith("hf:") else path


class _Part:
    """Progress of several checkpoints, of which each is expected to take as much as the last that said so."""

    def __init__(self, progress: Progress, checkpoints: int) -> None:
        self.progress, self.checkpoints, self.expected = progress, checkpoints, 0

    def note(self, text: str) -> None:
        """One line worth reading."""
        self.progress.note(text)

    def expect(self, forward_passes: int) -> None:
        """So many for each checkpoint; told once, as long as it stays the same."""
        if forward_passes != self.expected:
            self.expected = forward_passes
            self.progress.expect(forward_passes * self.checkpoints)

    def advance(self, forward_passes: int) -> None:
        """So many more are done."""
        self.progress.advance(forward_passes)
