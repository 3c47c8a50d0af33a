"""The model and the images of a run, opened again: only what is proved to be the same, and no strange code unasked."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from spectrobe.data import open_data
from spectrobe.data.base import ImageData
from spectrobe.engine.identity import differing
from spectrobe.engine.store import plain
from spectrobe.errors import InputError, SpectrobeError
from spectrobe.models import open_model
from spectrobe.models.base import Geometry, Model
from spectrobe.report.runs import Run

DEMO = "demo"
"""Data, and a scheme of models, that come with installed packages: opened without being asked for."""
NO_CODE = (DEMO, "onnx", "timm", "torchvision", "hf", "clip")
"""Schemes of models that are opened under the name in a run folder once the user has given the images. Others may run
code of whoever wrote the folder: they are opened only when the user names them."""
_ABOUT_THE_MODEL = ("weights_sha256", "n_classes", "mean", "std", "geometry")


@dataclass
class Opener:
    """Opens each model and each data set once.

    images, models: what the user gave, beside what runs name.   columns: of the images, for `open_data`.
    """

    images: tuple[Any, ...] = ()
    models: tuple[Any, ...] = ()
    columns: Mapping[str, Any] = field(default_factory=dict)
    _models: dict[Hashable, Model] = field(default_factory=dict)
    _images: dict[Hashable, ImageData] = field(default_factory=dict)

    def both(self, run: Run) -> tuple[Model | None, ImageData]:
        """The run's model, where it has one, and its images; InputError saying why they cannot be had, and how."""
        model = self.model(run) if run.identity.get("model") else None
        return model, self.data(run, model)

    def model(self, run: Run) -> Model:
        """The run's model; InputError saying why it cannot be had, and how."""
        known = _part(run, "model")
        reasons: list[str] = []
        for candidate in self.models:
            model = self._model(candidate)
            reason = _other_model(known, model)
            if not reason:
                return model
            reasons.append(f"{model.name} is not it ({reason})")
        name = str(known.get("name") or "a model without a name")
        refused = self._refused(name)
        if not refused:
            model = self._model(name)
            reason = _other_model(known, model)
            if not reason:
                return model
            refused = f"what opens under its name is another model ({reason}): name it with --model"
        raise InputError("; ".join(dict.fromkeys([*reasons, refused])))

    def data(self, run: Run, model: Model | None) -> ImageData:
        """The run's images; InputError saying why they cannot be had, and how."""
        known = _part(run, "data")
        if not known or "clean" in known:
            raise InputError("the run does not say which images it was made with, or they come in pairs")
        candidates = (*self.images, *((DEMO,) if known.get("name") == DEMO else ()))
        if not candidates:
            raise InputError(_no_images(known))
        reasons = []
        for candidate in candidates:
            try:
                data = self._data(candidate, model, labelled=known.get("labels") is not None)
            except SpectrobeError as error:
                reasons.append(str(error))
                continue
            if not differing(_without_name(known), _without_name(plain(dict(data.identity())))):
                return data
            reasons.append(f"{data.name} holds other images, or other labels, than {known.get('name')}")
        raise InputError("; ".join(dict.fromkeys(reasons)))

    def _refused(self, name: str) -> str:
        """Why a model is not opened under the name that a run folder gives it; empty where it may be."""
        scheme, colon, _ = name.partition(":")
        if scheme not in NO_CODE or not colon:
            return f"{name} is not opened unasked, since that may run code: name it with --model"
        if scheme != DEMO and not self.images:
            return "the run folder holds no images: give them again with --images DATA"
        return ""

    def _model(self, candidate: Any) -> Model:
        key = candidate if isinstance(candidate, str) else id(candidate)
        if key not in self._models:
            self._models[key] = open_model(candidate)
        return self._models[key]

    def _data(self, candidate: Any, model: Model | None, labelled: bool) -> ImageData:
        if not isinstance(candidate, str):
            return open_data(candidate)
        key = (candidate, model.name if model else "", labelled)
        if key not in self._images:
            columns = {name: value for name, value in self.columns.items() if labelled or name == "image_column"}
            n_classes, names = (model.n_classes, model.class_names) if model else (None, None)
            self._images[key] = open_data(
                candidate, n_classes=n_classes, class_names=names, labelled=labelled, **columns
            )
        return self._images[key]


def geometry_of(run: Run, model: Model | None) -> Geometry:
    """How the run's images became pixels."""
    if model is not None:
        return model.geometry
    loader = _part(run, "loader")
    crop = loader.get("crop")
    return Geometry(
        size=(int(crop[0]), int(crop[1])) if crop else None,
        resize=loader.get("resize"),
        interpolation=loader.get("interpolation") or "bicubic",
        channels=int(loader.get("channels") or 3),
    )


def _no_images(known: Mapping[str, Any]) -> str:
    return f"the run folder holds no images of {known.get('name')}: give them again with --images DATA"


def _other_model(known: Mapping[str, Any], model: Model) -> str:
    """Why this is not the run's model; empty when it is."""
    found = plain(dict(model.identity()))
    if known.get("weights_sha256") == "unhashed" and known.get("name") != found.get("name"):
        return f"{found.get('name')} is another function than {known.get('name')}"
    was, now = ({name: one.get(name) for name in _ABOUT_THE_MODEL} for one in (known, found))
    if now["n_classes"] is None:  # of a function, until it has been asked once
        now["n_classes"] = was["n_classes"]
    return ", ".join(f"other {' '.join(path).replace('_', ' ')}" for path, _, _ in differing(was, now))


def _part(run: Run, name: str) -> Mapping[str, Any]:
    found = run.identity.get(name)
    return found if isinstance(found, Mapping) else {}


def _without_name(identity: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in identity.items() if key != "name"}
