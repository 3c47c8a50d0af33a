"""Model strings: `scheme:NAME?key=value&...`, and the table of schemes that other packages extend."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, quote

from spectrobe.errors import InputError
from spectrobe.models.base import Model
from spectrobe.models.messages import nearest
from spectrobe.models.options import ModelOptions
from spectrobe.plugins import load_plugin, plugin_names

ENTRY_POINTS = "spectrobe.models"

_PREPROCESSING = ("mean", "std", "size", "crop", "interpolation", "num_classes", "class_names")


@dataclass(frozen=True)
class Scheme:
    """One way to name a model.

    open: the text after `scheme:` (without the options) and the options -> the model.
    options: what `?key=value` may say beside mean, std, size, crop, interpolation, num_classes and class_names.
        Keys that `ModelOptions` does not have arrive in `options.extra` as text.
    example: a model string, for listings.
    """

    open: Callable[[str, ModelOptions], Model]
    options: tuple[str, ...] = ()
    example: str = ""

    @property
    def known_options(self) -> tuple[str, ...]:
        return (*self.options, *_PREPROCESSING)


# Written like entry points, so that naming one scheme imports no other adapter.
_BUILT_IN = {
    "timm": "spectrobe.models.timm_models:SCHEME",
    "torchvision": "spectrobe.models.torchvision_models:SCHEME",
    "hf": "spectrobe.models.huggingface:SCHEME",
    "onnx": "spectrobe.models.onnx_models:SCHEME",
    "export": "spectrobe.models.exported:SCHEME",
    "python": "spectrobe.models.python_models:SCHEME",
    "demo": "spectrobe.models.demo:SCHEME",
    "clip": "spectrobe.models.clip:SCHEME",
    "planted": "spectrobe.models.planted:SCHEME",
}


def model_schemes() -> dict[str, str]:
    """Every scheme that a model string may start with, with an example; other packages' are not imported for it."""
    examples = {name: _load_built_in(name).example for name in _BUILT_IN}
    return examples | {name: f"{name}:NAME" for name in plugin_names(ENTRY_POINTS) if name not in _BUILT_IN}


def open_string(text: str, given: dict[str, object]) -> Model:
    """Open a model string; `given` are the options said beside it (None: not said). Raises InputError."""
    name, colon, rest = text.partition(":")
    if not colon or not rest:
        raise InputError(f"expected a model such as timm:resnet50, got {text!r}{_guess(text)}")
    scheme = _scheme(name)
    target, _, query = rest.partition("?")
    options = {key: value for key, value in given.items() if value is not None}
    for key, value in _query(text, query).items():
        if key in ("allow_pickle", "device"):
            raise InputError(f"expected {key} beside the model string, not in it, got {text!r}")
        if str(options.setdefault(key, value)) != value:
            raise InputError(f"expected {key} once, got {value!r} in {text!r} and {options[key]!r} beside it")
    unknown = set(options) - set(scheme.known_options) - {"allow_pickle", "device"}
    if unknown:
        known = ", ".join(scheme.known_options)
        raise InputError(f"unknown option {', '.join(sorted(unknown))} of {name}: models; known are {known}")
    model = scheme.open(target, ModelOptions.parse(options))
    model.written = _written(f"{name}:{target}", options)
    model.opened_from = text, {key: value for key, value in given.items() if value is not None and key != "device"}
    return model


def _written(name: str, options: Mapping[str, object]) -> str:
    """A model string with these options; what may only stand beside it is left out."""
    said = []
    for key, value in options.items():
        several = value if isinstance(value, list | tuple) else None
        if key in ("allow_pickle", "device") or (several is not None and key in ("class_names", "prompts")):
            continue
        text = str(value) if several is None else ("x" if key == "size" else ",").join(map(str, several))
        said.append(f"{key}={quote(text, safe='/:,+')}")
    return name + ("?" + "&".join(said) if said else "")


def _query(text: str, query: str) -> dict[str, str]:
    try:  # a plus is a plus here: it is common in file names
        pairs = parse_qsl(query.replace("+", "%2B"), keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise InputError(
            f"expected options such as ?checkpoint=FILE&num_classes=10, got ?{query} in {text!r}"
        ) from None
    options = dict(pairs)
    if len(options) < len(pairs):
        raise InputError(f"expected each option once, got {', '.join(key for key, _ in pairs)} in {text!r}")
    return options


def _scheme(name: str) -> Scheme:
    if name in _BUILT_IN:
        return _load_built_in(name)
    loaded = load_plugin(ENTRY_POINTS, name, "model scheme")
    if loaded is None:
        known = [*_BUILT_IN, *plugin_names(ENTRY_POINTS)]
        raise InputError(f"unknown model scheme {name}:, known are {', '.join(known)}{nearest(name, known)}")
    if not isinstance(loaded, Scheme) and not callable(loaded):
        raise InputError(f"expected the model scheme {name!r} to be a Scheme or a function, got {loaded!r:.80}")
    return loaded if isinstance(loaded, Scheme) else Scheme(loaded)


def _load_built_in(name: str) -> Scheme:
    module, _, attribute = _BUILT_IN[name].partition(":")
    scheme: Scheme = getattr(importlib.import_module(module), attribute)
    return scheme


_WEIGHTS = (".safetensors", ".pt", ".pth", ".ckpt", ".bin")


def _guess(text: str) -> str:
    schemes = {".onnx": "onnx", ".pt2": "export", ".py": "python"}
    for suffix, scheme in schemes.items():
        if text.endswith(suffix):
            return f": did you mean {scheme}:{text}{':NAME' if scheme == 'python' else ''}?"
    if text.endswith(_WEIGHTS):
        return f", weights alone: name what they are for, as timm:resnet50?checkpoint={text}&num_classes=K"
    if text and Path(text).is_dir():
        return ", a folder: MODEL comes first, DATA second; a model that transformers saved there is hf:FOLDER"
    return f"; a model string starts with {', '.join(f'{name}:' for name in _BUILT_IN)}"
