"""What a caller may say about a model beside its name; what is left out comes from the model's own configuration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Literal

import torch

from spectrobe.errors import InputError
from spectrobe.models.base import Geometry
from spectrobe.remote import local_path
from spectrobe.texts import parse_json, read_text

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming")


@dataclass(frozen=True)
class ModelOptions:
    """The options of one model, parsed. None (an empty tuple, an empty mapping): nothing said.

    checkpoint: file with the user's own weights.    num_classes: how many classes the model has to tell apart.
    pretrained: whether the library's weights are loaded when there is no checkpoint.
    mean, std: one value for all channels or one a channel, for pixels in [0, 1]; 0 and 1 switch normalisation off.
    size: (height, width) of the model's input, or "none" for images as they are.
    crop: which part of the resized shorter side the centre crop keeps, in (0, 1].
    interpolation: Pillow's name of the resize filter.    class_names: one a class, in the model's order.
    prompts: templates such as "a photo of a {}." for zero-shot models.    extra: options that one scheme alone knows.
    allow_pickle: whether files that need full unpickling (arbitrary code) are opened.    device: where to put it.
    """

    checkpoint: Path | None = None
    num_classes: int | None = None
    pretrained: bool = True
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    size: tuple[int, int] | Literal["none"] | None = None
    crop: float | None = None
    interpolation: str | None = None
    class_names: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    allow_pickle: bool = False
    device: torch.device | None = None
    extra: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def parse(given: Mapping[str, object]) -> ModelOptions:
        """Options from Python values or from text (a model string, the command line); raises InputError."""
        known = {item.name for item in fields(ModelOptions)} - {"extra"}
        values = {name: _PARSERS[name](name, value) for name, value in given.items() if name in known}
        extra = {name: str(value) for name, value in given.items() if name not in known}
        return ModelOptions(**values, extra=extra)  # type: ignore[arg-type]  # each parser returns its field's type


@dataclass(frozen=True)
class Preprocessing:
    """How pixels in [0, 1] are made and normalised for one model. mean and std are None where nothing is normalised."""

    geometry: Geometry = field(default_factory=Geometry)
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def overridden(self, options: ModelOptions) -> Preprocessing:
        """This preprocessing with what the caller said instead; raises InputError where the two do not fit."""
        geometry = _override_geometry(self.geometry, options)
        mean, std = options.mean or self.mean, options.std or self.std
        if (mean is None) != (std is None):
            raise InputError("expected mean and std together for a model without a normalisation of its own, got one")
        if mean is not None and std is not None:
            mean, std = (_one_a_channel(x, geometry.channels, n) for x, n in ((mean, "mean"), (std, "std")))
            if not any(mean) and set(std) == {1.0}:
                mean = std = None
        return Preprocessing(geometry, mean, std)


def crop_geometry(
    size: tuple[int, int], crop: float = 1.0, interpolation: str = "bicubic", channels: int = 3
) -> Geometry:
    """The usual one: the shorter side to size / crop (rounded down, as timm does), then a centre crop of `size`."""
    return Geometry(size, math.floor(max(size) / crop), interpolation, channels=channels)


def _override_geometry(geometry: Geometry, options: ModelOptions) -> Geometry:
    if options.interpolation is not None:
        geometry = replace(geometry, interpolation=options.interpolation)
    if options.size == "none":
        if options.crop is not None:
            raise InputError("expected a size with crop, got size=none: images are then used as they are")
        return replace(geometry, size=None, resize=None)
    size = options.size or geometry.size
    if options.crop is not None and size is None:
        raise InputError("expected a size with crop, as the model has no input size of its own: give size=HEIGHTxWIDTH")
    if size is None or (options.size is None and options.crop is None):
        return geometry
    if isinstance(geometry.resize, tuple) and geometry.size is not None:  # both sides are resized: keep it that way
        crops = [options.crop or s / r for s, r in zip(geometry.size, geometry.resize, strict=True)]
        height, width = (math.floor(s / c) for s, c in zip(size, crops, strict=True))
        return replace(geometry, size=size, resize=(height, width))
    crop = options.crop
    if crop is None:
        crop = max(geometry.size) / geometry.resize if geometry.size and isinstance(geometry.resize, int) else 1.0
    usual = crop_geometry(size, crop)
    return replace(geometry, size=size, resize=usual.resize)


def _one_a_channel(values: tuple[float, ...], channels: int, name: str) -> tuple[float, ...]:
    if len(values) == 1:
        return values * channels
    if len(values) != channels:
        raise InputError(f"expected 1 or {channels} values of {name}, one a channel, got {len(values)}")
    return values


def _number(name: str, value: object) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]  # whatever float() cannot take is refused below
    except (TypeError, ValueError):
        raise InputError(f"expected a number for {name}, got {value!r}") from None
    if not math.isfinite(number):
        raise InputError(f"expected a finite number for {name}, got {value!r}")
    return number


def _numbers(name: str, value: object) -> tuple[float, ...]:
    items = value.split(",") if isinstance(value, str) else value if isinstance(value, Sequence) else [value]
    return tuple(_number(name, item) for item in items)


def _mean(name: str, value: object) -> tuple[float, ...]:
    mean = _numbers(name, value)
    if not mean or min(mean) < 0 or max(mean) > 1:
        raise InputError(f"expected a mean of pixels in [0, 1], got {value!r}: divide values for 0-255 by 255")
    return mean


def _std(name: str, value: object) -> tuple[float, ...]:
    std = _numbers(name, value)
    if not std or min(std) <= 0 or max(std) > 2:
        raise InputError(f"expected a std above 0 for pixels in [0, 1], got {value!r}: divide values for 0-255 by 255")
    return std


def _size(name: str, value: object) -> tuple[int, int] | Literal["none"]:
    if value == "none":
        return "none"
    items = value.split("x") if isinstance(value, str) else value if isinstance(value, Sequence) else [value]
    wanted = "a size such as 224, 224x192 (height x width) or none"
    if len(items) not in (1, 2):
        raise InputError(f"expected {wanted}, got {value!r}")
    try:
        sides = [_count(name, item) for item in items]
    except InputError:
        raise InputError(f"expected {wanted}, in whole pixels from 1 up, got {value!r}") from None
    return sides[0], sides[-1]


def _count(name: str, value: object) -> int:
    number = _number(name, value)
    if number != int(number) or number < 1:
        raise InputError(f"expected a whole number from 1 up for {name}, got {value!r}")
    return int(number)


def _num_classes(name: str, value: object) -> int:
    count = _count(name, value)
    if count < 2:
        raise InputError(
            f"expected at least 2 classes, got num_classes={count}: a single logit is read as two classes with 2"
        )
    return count


def _crop(name: str, value: object) -> float:
    crop = _number(name, value)
    if not 0 < crop <= 1:
        raise InputError(f"expected crop in (0, 1], the part of the resized shorter side that is kept, got {value!r}")
    return crop


def _interpolation(name: str, value: object) -> str:
    if value not in INTERPOLATIONS:
        raise InputError(f"expected interpolation to be one of {', '.join(INTERPOLATIONS)}, got {value!r}")
    return str(value)


def _flag(name: str, value: object) -> bool:
    flags = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    flag = flags.get(str(value).lower())
    if flag is None:
        raise InputError(f"expected true or false for {name}, got {value!r}")
    return flag


def _path(name: str, value: object) -> Path:
    if not isinstance(value, (str, Path)) or not str(value):
        raise InputError(f"expected a file for {name}, got {value!r}")
    return local_path(str(value))


def _names(name: str, value: object) -> tuple[str, ...]:
    if isinstance(value, Path) or (isinstance(value, str) and name == "class_names"):
        value = _names_in_file(name, str(value))
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, Sequence) or not names or not all(isinstance(item, str) and item for item in names):
        raise InputError(f"expected {name} to be a list of texts, or a file of them, got {value!r:.80}")
    return tuple(names)


def _names_in_file(name: str, location: str) -> Sequence[str]:
    what, expected = f"the file {location!r} of {name}", "a file with one name a line, or a JSON list of names"
    text = read_text(local_path(location), what, expected)
    if not location.endswith(".json"):
        return [line.strip() for line in text.splitlines() if line.strip()]
    names = parse_json(text, what, expected)
    if not isinstance(names, list):
        raise InputError(f"{what} holds a {type(names).__name__}: expected {expected}")
    return names


def _device(name: str, value: object) -> torch.device:
    try:
        return value if isinstance(value, torch.device) else torch.device(str(value))
    except RuntimeError:
        raise InputError(f"expected a device such as cpu, cuda, cuda:1 or mps, got {value!r}") from None


_PARSERS = {
    "checkpoint": _path,
    "num_classes": _num_classes,
    "pretrained": _flag,
    "mean": _mean,
    "std": _std,
    "size": _size,
    "crop": _crop,
    "interpolation": _interpolation,
    "class_names": _names,
    "prompts": _names,
    "allow_pickle": _flag,
    "device": _device,
}
